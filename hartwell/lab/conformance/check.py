"""A check: one row of the conformance suite's table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from hartwell.lab.finding import Finding
from hartwell.lab.subject.subject import SubjectKind

if TYPE_CHECKING:
    from .bench import Bench

FRAME, HEAP = frozenset({SubjectKind.FRAME}), frozenset({SubjectKind.HEAP})
BOTH = FRAME | HEAP


class Level(IntEnum):
    """How far an allocator has come; a level is reached when all checks up to it are ok."""

    BASIC = 1
    """It hands out memory that is as asked for."""
    COMPLETE = 2
    """It gets all of it back, and loses none."""
    DEMANDING = 3
    """It stands load, several harts and a full memory, at a cost that does not grow."""

    @property
    def title(self) -> str:
        """The word for it."""
        return self.name.lower()


@dataclass(frozen=True)
class Check:
    """One thing that an allocator is graded for.

    `function` does it, on a Bench, and gives what is wrong: nothing is full marks. `title` says what is asked for in a
    line, `oracle` who judges it. The points of the checks of each kind of allocator sum up to 100; a check of a
    `promise` is for those that make it only (`offers` of suite), and has none.
    """

    name: str
    level: Level
    points: int
    title: str
    oracle: str
    function: Callable[[Bench], list[Finding]]
    kinds: frozenset[SubjectKind] = BOTH
    promise: str = ""

    @property
    def about(self) -> str:
        """What is done, in some words more than the title."""
        return " ".join((self.function.__doc__ or "").partition("\n\n")[0].split())
