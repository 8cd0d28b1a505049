"""Points by number, as users know them: one command's breakpoint, which may be in several places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from emulator.debug import Point, Points

from .errors import DebugError


@dataclass(eq=False)
class Numbered:
    """A breakpoint, watchpoint or mark with a `number`; `what` says what was asked for.

    `condition` and `hart` are as typed, for lists; the points have them both as their condition. A `temporary` one
    is deleted at its first stop.
    """

    number: int
    kind: str
    what: str
    points: list[Point] = field(default_factory=list)
    temporary: bool = False
    condition: str = ""
    hart: int | None = None

    @property
    def enabled(self) -> bool:
        return any(point.enabled for point in self.points)

    @property
    def hits(self) -> int:
        return sum(point.hits for point in self.points)


class NumberedPoints:
    """All numbered points of a session; numbers are never given twice."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._numbered: dict[int, Numbered] = {}
        self._next = 1

    def __iter__(self) -> Iterator[Numbered]:
        return iter(list(self._numbered.values()))

    def __len__(self) -> int:
        return len(self._numbered)

    def add(self, kind: str, what: str) -> Numbered:
        """A new one, without points yet."""
        made = Numbered(self._next, kind, what)
        self._next += 1
        self._numbered[made.number] = made
        return made

    def discard(self, numbered: Numbered) -> None:
        """Forget one that could not be made, number and all."""
        self.remove(numbered)
        self._next -= 1

    def get(self, number: int) -> Numbered:
        """The one with a number; DebugError if there is none."""
        if number not in self._numbered:
            raise DebugError(f"there is no breakpoint {number}: info breakpoints lists them")
        return self._numbered[number]

    def remove(self, numbered: Numbered) -> None:
        """Stop there no more."""
        del self._numbered[numbered.number]
        for point in numbered.points:
            self._points.remove(point)

    def enable(self, numbered: Numbered, on: bool) -> None:
        """Whether the machine stops there."""
        for point in numbered.points:
            point.enabled = on
        self._points.arm()

    def of(self, points: list[Point]) -> list[Numbered]:
        """Those that have one of `points`."""
        return [numbered for numbered in self._numbered.values() if any(point in points for point in numbered.points)]
