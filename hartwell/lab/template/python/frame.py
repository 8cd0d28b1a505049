"""A frame allocator for Hartwell's allocator lab: a starting point that passes. Make it yours.

The whole kernel lives on it: page tables, metadata and the heap come from here, too.
"""

import numpy as np

from kernel.mm import PAGE_SIZE, Layout, Mm


class MyAllocator:
    """First fit: the lowest run of free frames that is long enough, and begins at a multiple of the alignment."""

    def __init__(self, mm: Mm) -> None:
        self.base = mm.slots.first_paddr // PAGE_SIZE  # the number of the first frame of memory
        self.free = np.zeros(mm.slots.max_paddr // PAGE_SIZE - self.base, dtype=bool)  # by number, from that on

    def add_free_memory(self, paddr: int, size: int) -> None:
        """These frames are ours from now on."""
        self.free[self._frames(paddr, size)] = True

    def alloc(self, layout: Layout) -> int | None:
        """The physical address of `layout.size` bytes, at a multiple of `layout.align`; None if there is no memory."""
        need = layout.size // PAGE_SIZE
        before = np.concatenate(([0], np.cumsum(self.free)))  # how many free frames there are before each frame
        fits = before[need:] - before[:-need] == need  # whether `need` free frames begin at each frame
        for start in np.flatnonzero(fits):
            paddr = (int(start) + self.base) * PAGE_SIZE
            if paddr % layout.align == 0:
                self.free[self._frames(paddr, layout.size)] = False
                return paddr
        return None

    def dealloc(self, paddr: int, size: int) -> None:
        """Take back any part of an allocation that consists of whole frames."""
        self.free[self._frames(paddr, size)] = True

    def _frames(self, paddr: int, size: int) -> slice:
        """The numbers of the frames of `size` bytes from `paddr` on."""
        start = paddr // PAGE_SIZE - self.base
        return slice(start, start + size // PAGE_SIZE)
