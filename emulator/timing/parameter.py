"""What one parameter of a profile means and may be.

The fields of a profile's tables are made by the functions here, and carry their description as metadata.
Whatever has to know parameters reads it there: the check of a profile, the reader of files, `hartwell
profiles`, the manual's tables, and the block of numbers that native code gets.

    entries: int = whole(8, 1, 1024, "entries", "Translations that it holds.")
    store_replay: bool = flag(True, "…")
    replacement: str = choice("lfsr", ("lfsr", "lru"), "…")

Values that people typed are shown as TOML writes them (`shown`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Final

Value = int | str
"""A parameter's value; flags are bool."""

METADATA: Final = "parameter"
"""The key of a field's metadata that its Parameter is under."""
SHOWN: Final = 40
"""Characters of a value that a message quotes."""


@dataclass(frozen=True, slots=True)
class Parameter(ABC):
    """A parameter: its meaning in a sentence, and its unit ("" for none)."""

    text: str
    unit: str

    @property
    @abstractmethod
    def expected(self) -> str:
        """The values that it takes, in words: "8 to 4096", "true or false"."""

    @abstractmethod
    def accepts(self, value: object) -> bool:
        """Whether it may have this value."""

    @abstractmethod
    def number(self, value: Value) -> int:
        """An accepted value as native code has it."""


@dataclass(frozen=True, slots=True)
class Whole(Parameter):
    """A whole number from `low` to `high`, both included; with `power_of_two` only powers of two."""

    low: int
    high: int
    power_of_two: bool = False

    @property
    def expected(self) -> str:
        span = f"{self.low} to {self.high}"
        return f"a power of two, {span}" if self.power_of_two else span

    def accepts(self, value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and not (self.power_of_two and value & (value - 1))

    def number(self, value: Value) -> int:
        return int(value)


@dataclass(frozen=True, slots=True)
class Flag(Parameter):
    """true or false; 1 or 0 for native code."""

    @property
    def expected(self) -> str:
        return "true or false"

    def accepts(self, value: object) -> bool:
        return isinstance(value, bool)

    def number(self, value: Value) -> int:
        return int(value)


@dataclass(frozen=True, slots=True)
class Choice(Parameter):
    """One of `words`; its index among them for native code."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        return " or ".join(self.words)

    def accepts(self, value: object) -> bool:
        return isinstance(value, str) and value in self.words

    def number(self, value: Value) -> int:
        return self.words.index(str(value))


def whole(default: int, low: int, high: int, unit: str, text: str, *, power_of_two: bool = False) -> Any:
    """A dataclass field that is a whole number from `low` to `high`."""
    return _field(default, Whole(text, unit, low, high, power_of_two))


def flag(default: bool, text: str) -> Any:
    """A dataclass field that is true or false."""
    return _field(default, Flag(text, ""))


def choice(default: str, words: tuple[str, ...], text: str) -> Any:
    """A dataclass field that is one of `words`."""
    return _field(default, Choice(text, "", words))


def _field(default: Value, parameter: Parameter) -> Any:
    return field(default=default, metadata={METADATA: parameter})


_KINDS: Final = ((dict, "a table"), (list, "an array"), (datetime, "a date"), (date, "a date"), (time, "a time"))


def shown(value: object) -> str:
    """A value as a TOML file has it, as far as a message has room for it."""
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    if isinstance(value, int) and not -1 << 63 <= value < 1 << 64:  # Python refuses to write very long numbers
        return "a number of more than 64 bits"
    text = json.dumps(value) if isinstance(value, bool | int | float | str) else " ".join(repr(value).split())
    return text if len(text) <= SHOWN else text[:SHOWN - 1] + "…"
