"""What a debugger wants to stop at (packets Z and z), as points of the target.

GDB takes all its points out whenever the machine stops, and puts them back before it goes on. So they are only noted
here, and the target hears of what has really changed when the machine is about to move.

Watchpoints are for a place in memory: a virtual address is translated, by the hart that the debugger looks at, when it
is first asked for, and stands for that memory from then on, whatever is mapped there later. One that is not mapped at
that moment is watched as a virtual address of every address space.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from ..debug.points import BreakAt, Place, Point, WatchAt
from ..engine.layout import MAX_BREAKS, MAX_WATCHES
from ..errors import EngineError
from ..stop import Watch
from .wire import Code, PacketError

if TYPE_CHECKING:
    from ..debug import Target
    from ..hart import Hart
    from .memory import Memory

LONGEST_WATCH = 4096
"""Bytes that one watchpoint covers at most."""


class Kind(IntEnum):
    """The types of Z packets. Breakpoints of software and hardware differ in name only."""

    SOFTWARE, HARDWARE, STORES, LOADS, BOTH = range(5)

    @property
    def watches(self) -> bool:
        return self >= Kind.STORES


@dataclass(frozen=True)
class Wish:
    """What a Z packet asks for."""

    kind: Kind
    address: int
    size: int


class Wishes:
    """The points that one debugger has asked for."""

    def __init__(self, target: Target, memory: Memory) -> None:
        self._target, self._memory = target, memory
        self._wanted: dict[Wish, Place] = {}
        self._armed: dict[Place, Point] = {}
        self._places: dict[Wish, WatchAt] = {}

    def insert(self, wish: Wish, hart: Hart) -> None:
        """Stop there, too. PacketError for a watchpoint that cannot be, and if there are too many."""
        place = self._watch(wish, hart) if wish.kind.watches else BreakAt(wish.address)
        others = {other for other in self._wanted.values() if type(other) is type(place) and other != place}
        most, what = (MAX_WATCHES, "watchpoints") if wish.kind.watches else (MAX_BREAKS, "breakpoints")
        if len(others) >= most:
            raise PacketError(Code.NO_ROOM, f"there are {most} {what} already, and can be no more")
        self._wanted[wish] = place

    def remove(self, wish: Wish) -> None:
        """Stop there no more; nothing if it was not asked for."""
        self._wanted.pop(wish, None)

    def __contains__(self, wish: Wish) -> bool:
        return wish in self._wanted

    def arm(self) -> None:
        """Tell the target. PacketError if that is more than the machine can have, with those of others."""
        points, wanted = self._target.points, dict.fromkeys(self._wanted.values())
        gone = [place for place in self._armed if place not in wanted]
        for place in gone:
            points.remove(self._armed.pop(place))
        try:
            for place in wanted:
                if place not in self._armed:
                    self._armed[place] = points.add(place)
        except EngineError as why:
            raise PacketError(Code.NO_ROOM, str(why)) from None

    def clear(self) -> None:
        """Forget all of them: nobody wants them any more."""
        self._wanted.clear()
        self._places.clear()
        self.arm()

    def forget_places(self) -> None:
        """Translate the addresses of watchpoints anew when they are asked for the next time."""
        self._places.clear()

    def breakpoint_kind(self, address: int) -> Kind | None:
        """Which kind of breakpoint the debugger has at an address, if any."""
        return next((wish.kind for wish in self._wanted if wish.address == address and not wish.kind.watches), None)

    def watching(self, watch: Watch) -> Wish | None:
        """What led to a watchpoint, if the debugger asked for it."""
        return next((wish for wish, place in self._wanted.items()
                     if isinstance(place, WatchAt) and place.watch == watch), None)

    def _watch(self, wish: Wish, hart: Hart) -> WatchAt:
        if not 1 <= wish.size <= LONGEST_WATCH or wish.address + wish.size > 1 << 64:
            raise PacketError(Code.MALFORMED, f"a watchpoint of {wish.size:#x} bytes: expected 1 to {LONGEST_WATCH:#x}")
        known = self._places.get(wish)
        if known is None:
            physical = self._memory.physical_of(hart, wish.address, wish.size)
            known = self._places[wish] = WatchAt(Watch(
                wish.address if physical is None else physical, wish.size, stores=wish.kind is not Kind.LOADS,
                loads=wish.kind is not Kind.STORES, virtual=physical is None))
        return known
