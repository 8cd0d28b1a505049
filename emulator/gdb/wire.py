"""What is in packets: hexadecimal numbers and bytes, and the errors that answer what is none.

Numbers are written as they are read, most significant digit first; registers and memory as bytes in the order in
which they lie in memory.
"""

from __future__ import annotations

import re
from enum import IntEnum

_NUMBER = re.compile(rb"[0-9a-fA-F]{1,16}")


class Code(IntEnum):
    """What is wrong, as the two digits of an error packet: numbers as in errno."""

    NOT_PERMITTED = 1
    NO_SUCH_THING = 2
    NO_SUCH_THREAD = 3
    BAD_ADDRESS = 14
    BUSY = 16
    MALFORMED = 22
    NO_ROOM = 28
    FAILED = 5


class PacketError(Exception):
    """A packet that cannot be obeyed: `code` says it to every debugger, the text to those that show it."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


def number(digits: bytes, what: str) -> int:
    """A number of up to 64 bits. PacketError names `what` it should have been."""
    if not _NUMBER.fullmatch(digits):
        raise PacketError(Code.MALFORMED, f"{shown(digits)} is no {what}: expected 1 to 16 hexadecimal digits")
    return int(digits, 16)


def numbers(text: bytes, *what: str, separators: bytes = b",") -> list[int]:
    """Numbers with separators between them, one for each name in `what`."""
    parts = re.split(rb"[" + re.escape(separators) + rb"]", text)
    if len(parts) != len(what):
        raise PacketError(Code.MALFORMED, f"{shown(text)}: expected {', '.join(what)}")
    return [number(part, name) for part, name in zip(parts, what, strict=True)]


def unhex(digits: bytes) -> bytes | None:
    """The bytes that pairs of digits stand for; None if they are none."""
    if len(digits) % 2 or not re.fullmatch(rb"[0-9a-fA-F]*", digits):
        return None
    return bytes.fromhex(digits.decode())


def data(digits: bytes, what: str) -> bytes:
    """The bytes that pairs of digits stand for; PacketError if they are none."""
    found = unhex(digits)
    if found is None:
        raise PacketError(Code.MALFORMED, f"{shown(digits)} is no {what}: expected pairs of hexadecimal digits")
    return found


def tohex(data: bytes) -> bytes:
    """Bytes as pairs of digits."""
    return data.hex().encode()


def little(value: int, size: int = 8) -> bytes:
    """A register's value as it lies in memory, in digits."""
    return tohex(value.to_bytes(size, "little"))


def shown(text: bytes) -> str:
    """Something that came over the wire, fit for a message."""
    return repr(text[:40].decode("ascii", "backslashreplace")) + ("…" if len(text) > 40 else "")
