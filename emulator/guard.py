"""The guard's face: memory that a keeper hands out in blocks, and its users; see `engine.guard`.

    guard = Guard(machine, Kept(range(0x8400_0000, 0x8500_0000), granule=8, keeper=..., users=..., gives=..., take=...))
    with guard:
        stop = machine.run()                 # Guarded: the instruction that is about to do something wrong

While it is attached, the machine does what it did without it, but for the time that the host takes. What it has learnt
is its own: a machine that is put back to a snapshot needs a guard that is `clear`ed, or put back, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from .engine import guard as native
from .engine.points import set_guard
from .errors import EngineError
from .stop import Guarded, Wrong

if TYPE_CHECKING:
    from .machine import Machine

MASK = (1 << 64) - 1
HEAP_GRANULE = 8
NEVER, MARGIN, FREED, FREED_BEGIN = native.NEVER, native.MARGIN, native.FREED, native.FREED_BEGIN
"""Shadow bytes of what is in no block; `engine.guard` has all of them."""


@dataclass(frozen=True)
class Kept:
    """What is guarded: a `memory` of physical addresses, in `granule`s of a power of two of bytes.

    `keeper` and `users` are the virtual addresses of their code. `gives`, one or two (size, ...), and `take(address,
    size, ...)` are the keeper's functions; `base` is what is subtracted from the addresses that they deal in to get
    physical ones. `whole`: blocks are given back as they were handed out, not in parts.
    """

    memory: range
    granule: int
    keeper: range
    users: range
    gives: tuple[int, ...]
    take: int
    base: int = 0
    whole: bool = True


@dataclass(frozen=True)
class Event:
    """A call about a block: its number, from 1; whether the block was handed out or given `back`; and which hart's."""

    call: int
    back: bool
    paddr: int
    size: int
    hart: int


class Guard:
    """Judges accesses to `kept` in `machine` while it is attached (`with`); one guard at a time.

    `loads`: those of users are judged, too, which takes longer. `margin`: each block gets so many bytes more than
    was asked for, a multiple of 8, so that something lies behind each; the keeper sees that. EngineError for a second
    guard.
    """

    def __init__(self, machine: Machine, kept: Kept, *, loads: bool = False, margin: int = 0) -> None:
        self.machine, self.kept, self.margin = machine, kept, margin
        self._words = np.zeros(native.WORDS, dtype=np.int64)
        self._rows = np.zeros((native.ROWS, native.ROW // 8), dtype=np.int64)
        self.shadow: npt.NDArray[np.uint8] = np.full(-(-len(kept.memory) // kept.granule) + 8, NEVER, dtype=np.uint8)
        """A byte for each granule, and some behind them."""
        self._set(native.G_FIRST, kept.memory.start)
        self._set(native.G_END, kept.memory.stop)
        self._set(native.G_SHIFT, kept.granule.bit_length() - 1)
        self._set(native.G_SHADOW, int(self.shadow.ctypes.data))
        self._set(native.G_LOADS, loads)
        self._set(native.G_KEEPER_FIRST, kept.keeper.start)
        self._set(native.G_KEEPER_END, kept.keeper.stop)
        self._set(native.G_USERS_FIRST, kept.users.start)
        self._set(native.G_USERS_END, kept.users.stop)
        self._set(native.G_GIVE, kept.gives[0])
        self._set(native.G_GIVE_TOO, kept.gives[-1])
        self._set(native.G_TAKE, kept.take)
        self._set(native.G_BASE, kept.base)
        self._set(native.G_WHOLE, kept.whole)
        self._set(native.G_MARGIN, margin)
        self._set(native.G_ROWS, int(self._rows.ctypes.data))

    # --- being there ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self.machine.guard is not None:
            raise EngineError("the machine has a guard already: expected one at a time")
        self.machine.guard = self
        set_guard(self.machine.engine, int(self._words.ctypes.data))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.machine.guard = None
        set_guard(self.machine.engine, 0)

    def clear(self) -> None:
        """Nothing is handed out, and nothing ever was."""
        self.shadow[:] = NEVER
        for word in (native.G_CALLS, native.G_TRACKED, native.G_STOP_AT, native.G_TRACK):
            self._set(word, 0)
        self._words[native.G_PENDING >> 3:] = 0

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def calls(self) -> int:
        """Calls of the keeper's functions by others that have begun."""
        return self._get(native.G_CALLS)

    def stop_at(self, call: int) -> None:
        """Stop (Guarded, Wrong.CALL) as this call begins; 0 for none."""
        self._set(native.G_STOP_AT, call)

    def track(self, paddr: int) -> None:
        """Write down the calls about blocks that have this byte, from now on: `events`."""
        self._set(native.G_TRACK, paddr)
        self._set(native.G_TRACKED, 0)

    def events(self) -> list[Event]:
        """What was written down, the last 4096 calls, oldest first."""
        count = self._get(native.G_TRACKED)
        rows = [self._rows[number % native.ROWS].tolist() for number in range(max(0, count - native.ROWS), count)]
        return [Event(call, role == native.ROLE_TAKE, paddr, size, hart) for call, role, paddr, size, hart in rows]

    def found(self) -> Guarded:
        """What the machine has stopped for."""
        get = self._get
        return Guarded(Wrong(get(native.G_WHAT)), get(native.G_HART), get(native.G_PC) & MASK,
                       get(native.G_ADDRESS) & MASK, get(native.G_PADDR) & MASK, get(native.G_SIZE),
                       get(native.G_NUMBER), get(native.G_FOUND))

    def state(self, paddr: int) -> int:
        """The shadow byte of the granule that physical address `paddr` is in; NEVER outside of the memory."""
        if paddr not in self.kept.memory:
            return NEVER
        return int(self.shadow[(paddr - self.kept.memory.start) // self.kept.granule])

    def _get(self, word: int) -> int:
        return int(self._words[word >> 3])

    def _set(self, word: int, value: int) -> None:
        value &= MASK
        self._words[word >> 3] = value - (1 << 64) if value >> 63 else value
