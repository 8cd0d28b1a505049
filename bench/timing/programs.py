"""The reference programs: what the reference core took for each, and which of them the model may be tuned on.

The rule of the two sets: of all names in alphabetical order, every third one is *held out* (the third, the
sixth, …). Parameters of the model are chosen by the others, the *development* set, alone; the error of the
held-out set then says how the model does on programs that nobody looked at. The rule knows nothing but
the names, so that nobody can choose; a program that is added may move its successors from one set to the
other, and then the parameters must be tuned anew.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
MEASURED = FOLDER / "micro.csv"
EVERY = 3
"""One program of so many is held out."""


class Group(Enum):
    """What kind of program: the value is the word for many of them."""

    KERNEL = "kernels"
    """Whole algorithms in C; their names begin with k_."""
    MICRO = "microbenchmarks"
    """Loops that show one mechanism of the core each."""


class Split(Enum):
    """Which of the two sets a program is in."""

    DEVELOPMENT = "development"
    HELD_OUT = "held-out"


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and its region of interest on the reference core."""

    name: str
    group: Group
    split: Split
    instructions: int
    """Instructions retired in the region."""
    cycles: int
    """Cycles that the reference core took for them."""

    @property
    def path(self) -> Path:
        """The ELF."""
        return FOLDER / "elf" / f"{self.name}.elf"


def programs() -> tuple[Program, ...]:
    """All reference programs, by name."""
    with MEASURED.open(newline="") as table:
        rows = sorted(csv.DictReader(table), key=lambda row: row["name"])
    return tuple(
        Program(row["name"], Group.KERNEL if row["name"].startswith("k_") else Group.MICRO,
                Split.HELD_OUT if number % EVERY == 0 else Split.DEVELOPMENT, int(row["instret"]), int(row["cycles"]))
        for number, row in enumerate(rows, 1))


def matching(patterns: Sequence[str]) -> tuple[Program, ...]:
    """The programs whose names match one of the shell-style `patterns`; all without patterns."""
    return tuple(program for program in programs()
                 if not patterns or any(fnmatchcase(program.name, pattern) for pattern in patterns))
