"""Sizes as people type them (`-m 128M`) and as messages show them (`128 MiB`)."""

from __future__ import annotations

import re

from ..errors import SizeError

_FORM = re.compile(
    r"([+-]?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}(?:\.[0-9]{1,9})?)\s*(?:([kmgtKMGT])(?:i?[bB])?|([bB]))?"
)
_POWERS = {"k": 10, "m": 20, "g": 30, "t": 40}

MAXIMUM = 1 << 46
"""64 TiB: more is a slip of the finger."""


def parse_size(text: str, what: str = "memory size", maximum: int = MAXIMUM) -> int:
    """A size in bytes from text.

        128M  128MB  128MiB  1.5G   powers of 1024 whichever way they are spelt, in either case: K, M, G, T
        128                         a plain decimal number is MiB, as for QEMU's -m
        4096B  0x8000000            bytes: with a B, or in hexadecimal without a suffix (0x80M is 128 MiB)

    Raises `SizeError` for anything else, for 0, for less than a byte and for more than `maximum` bytes;
    `what` names the size in its text.
    """
    shown = repr(text if len(text) <= 40 else text[:37] + "...")
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise SizeError(f"{what} {shown} is not a size: expected a number with K, M, G or T, such as 128M")
    sign, number, suffix, byte = match.groups()
    if number[:2] in ("0x", "0X"):
        whole, fraction, scale = int(number, 16), 0, 1
        unit = 1 << _POWERS[suffix.lower()] if suffix else 1
    else:
        head, _, tail = number.partition(".")
        whole, fraction, scale = int(head), int(tail or "0"), 10 ** len(tail)
        unit = 1 << _POWERS[suffix.lower()] if suffix else 1 if byte else 1 << 20
    total, rest = divmod((whole * scale + fraction) * unit, scale)
    if sign == "-" and (total or rest):
        raise SizeError(f"{what} {shown} is negative: expected at least 1 byte")
    if rest:
        raise SizeError(f"{what} {shown} is not a whole number of bytes")
    if total == 0:
        raise SizeError(f"{what} {shown} is zero: expected at least 1 byte")
    if total > maximum:
        raise SizeError(f"{what} {shown} is absurd: expected at most {format_size(maximum)}")
    return total


def format_size(size: int) -> str:
    """`size` bytes for people: `128 MiB`, `1.5 MiB`, `612 bytes`; exact sizes have no decimals."""
    for letter, power in (("T", 40), ("G", 30), ("M", 20), ("K", 10)):
        unit = 1 << power
        if size >= unit:
            return f"{size // unit} {letter}iB" if size % unit == 0 else f"{size / unit:.1f} {letter}iB"
    return "1 byte" if size == 1 else f"{size} bytes"
