"""The machine that an allocator is tried in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emulator import Board, Machine
from hartwell.lab.errors import SpecError
from kernel.mm.paging import PAGE_SIZE

if TYPE_CHECKING:
    from emulator.timing.profile import Profile

CALL_BUDGET: Final = 1_000_000
"""Instructions that a call of the allocator may take."""
PER_BYTE: Final = 8
"""... or so many for each byte of a block, if that is more: an allocator may clear what it gives."""
SHARE: Final = 4
"""The allocator is given one part in so many of the machine's memory, at most, and a power of two."""


@dataclass(frozen=True)
class Setting:
    """The machine that a subject is tried in.

    `harts` of them, `memory` bytes of RAM, of which the allocator gets `given` (a quarter, and a power of two, by
    default); `timing` is the core whose cycles are counted; `budget` is what a call may take: instructions of guest
    code, lines of Python.
    """

    harts: int = 1
    memory: int = 64 << 20
    given: int | None = None
    timing: Profile | None = None
    budget: int = CALL_BUDGET
    pieces: tuple[tuple[int, int], ...] = ()

    @property
    def share(self) -> int:
        """Bytes that the allocator is given. SpecError if they are no positive multiple of 4096."""
        given = self.given if self.given is not None else 1 << (self.memory // SHARE).bit_length() - 1
        if given <= 0 or given % PAGE_SIZE:
            raise SpecError(f"{given} bytes for the allocator: expected a positive multiple of {PAGE_SIZE}")
        return given

    def allowed(self, size: int) -> int:
        """Instructions that a call may take, of those that ask for `size` bytes at most, alignment and all."""
        return max(self.budget, PER_BYTE * min(size, self.share))

    def machine(self) -> Machine:
        """A machine as it says, that has not run yet."""
        return Machine(Board(harts=self.harts, memory=self.memory), self.timing)
