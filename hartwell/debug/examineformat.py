"""FMT of `x/FMT`: how many units of memory, of what size, and how to show them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

FORMATS: Final = {"x": "hex", "d": "decimal", "u": "unsigned decimal", "o": "octal", "t": "binary", "a": "address",
                  "c": "character", "s": "string", "i": "instruction"}
"""Letters of FMT for how, and what they stand for."""
SIZES: Final = {"b": 1, "h": 2, "w": 4, "g": 8}
"""Letters of FMT for the size of a unit, in bytes."""
MOST_UNITS: Final = 1 << 16
_OWN_SIZE = {"a": "g", "c": "b", "s": "b"}
_SHAPE = re.compile(r"(-?[0-9]+)?([a-z]*)", re.ASCII)


class FormatError(Exception):
    """What is no FMT for x/FMT; the text says what was expected."""


@dataclass(frozen=True)
class Format:
    """What `x/FMT` asks for: `count` units (negative: before the address), a letter of FORMATS, one of SIZES."""

    count: int
    format: str
    size: str


FIRST: Final = Format(1, "x", "w")
"""What an `x` without FMT means at first."""


def parse_format(text: str, last: Format = FIRST) -> Format:
    """FMT of `x/FMT`: `8xg`, `s`, `-4i`. What it does not say is as in `last`, but for the count, which is 1 then.

    Addresses, characters and strings have sizes of their own where none is given. FormatError if it is no FMT.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise FormatError(f"x/{text}: expected a count, then letters: {_expected()}")
    count = int(found[1][:12]) if found[1] else 1
    if abs(count) > MOST_UNITS:
        raise FormatError(f"x/{text}: expected a count of at most {MOST_UNITS}")
    format = size = ""
    for letter in found[2]:
        if letter in FORMATS:
            format = letter
        elif letter in SIZES:
            size = letter
        else:
            raise FormatError(f"x/{text}: {letter} is none of {_expected()}")
    format = format or last.format
    if format == "s" and count < 0:
        raise FormatError(f"x/{text}: strings are found forwards only, expected a positive count")
    if not size:
        size = last.size if format == last.format == "s" else _OWN_SIZE.get(format, last.size)
    return Format(count, format, size)


def _expected() -> str:
    return ", ".join(f"{letter} ({what})" for letter, what in FORMATS.items()) + "; sizes b, h, w, g (1, 2, 4, 8 bytes)"
