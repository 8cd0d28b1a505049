"""Colours of a terminal, or none: what a front end that is not a terminal shows is plain."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What a piece of text is; the value is its SGR parameter (ECMA-48)."""

    HEADING = "34"
    CHANGED = "31;1"
    HERE = "32;1"
    SYMBOL = "36"
    FAINT = "2"
    ERROR = "31"


@dataclass(frozen=True)
class Palette:
    """Paints text if there is somewhere to show `colours`."""

    colours: bool

    def paint(self, role: Role, text: str) -> str:
        """`text` as what it is."""
        return f"\x1b[{role.value}m{text}\x1b[0m" if self.colours and text else text


PLAIN = Palette(colours=False)
