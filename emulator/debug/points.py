"""Points to stop at: breakpoints, watchpoints, and marks of the host's software.

Points change nothing in the machine's memory; a guest cannot find them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ..stop import Breakpoint, Mark, Marked, Stop, Watch, Watchpoint
from .stops import HostWrote

if TYPE_CHECKING:
    from ..machine import Machine


@dataclass(frozen=True)
class BreakAt:
    """Before the instruction at virtual `address`, on any hart."""

    address: int


@dataclass(frozen=True)
class WatchAt:
    """Behind an access to watched bytes."""

    watch: Watch


@dataclass(frozen=True)
class MarkAt:
    """At marks whose name matches `pattern`, with * and ? as in file names: `stage:heap`, `op:*`."""

    pattern: str


Place = BreakAt | WatchAt | MarkAt


@dataclass(eq=False)
class Point:
    """A place to stop at, while it is `enabled` and `condition`, if there is one, says so of the stop."""

    place: Place
    condition: Callable[[Stop], bool] | None = None
    enabled: bool = True
    hits: int = field(default=0, init=False)
    """How often the machine has stopped here, going forwards."""


class Points:
    """The points of one machine. Those that are enabled are armed in it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._points: list[Point] = []
        self._armed: frozenset[int] = frozenset()
        self._watches: tuple[Watch, ...] = ()

    def __iter__(self) -> Iterator[Point]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def add(self, place: Place, condition: Callable[[Stop], bool] | None = None) -> Point:
        """A new point. EngineError if the machine can have no more (256 breakpoints, 32 watchpoints)."""
        point = Point(place, condition)
        self._points.append(point)
        try:
            self.arm()
        except BaseException:
            self.remove(point)
            raise
        return point

    def remove(self, point: Point) -> None:
        """Stop there no more. ValueError if it is not here."""
        self._points.remove(point)
        self.arm()

    def arm(self) -> None:
        """Tell the machine of what changed; after `enabled` was set."""
        enabled = [point.place for point in self._points if point.enabled]
        addresses = frozenset(place.address for place in enabled if isinstance(place, BreakAt))
        watches = tuple(dict.fromkeys(place.watch for place in enabled if isinstance(place, WatchAt)))
        if addresses != self._armed:
            self._machine.set_breakpoints(addresses)
            self._armed = addresses
        if watches != self._watches:
            self._machine.set_watchpoints(watches)
            self._watches = watches

    @property
    def watches(self) -> tuple[Watch, ...]:
        """The bytes that are watched now."""
        return self._watches

    def wants(self, mark: Mark) -> bool:
        """Whether a mark is to be stopped at."""
        return bool(self.at(Marked(mark)))

    def at(self, stop: Stop) -> list[Point]:
        """The enabled points that `stop` is at, and whose conditions hold."""
        return [point for point in self._points
                if point.enabled and _matches(point.place, stop) and (point.condition is None or point.condition(stop))]


def is_hit(stop: Stop) -> bool:
    """Whether `stop` came from a point."""
    return isinstance(stop, Breakpoint | Watchpoint | Marked | HostWrote)


def _matches(place: Place, stop: Stop) -> bool:
    if isinstance(place, BreakAt):
        return isinstance(stop, Breakpoint) and stop.pc == place.address
    if isinstance(place, WatchAt):
        return isinstance(stop, Watchpoint | HostWrote) and stop.watch == place.watch
    return isinstance(stop, Marked) and fnmatchcase(stop.mark.name, place.pattern)
