"""A CPU's caches of free pages: last in, first out (osdk-frame-allocator `cache.rs`).

        CPU-local area "frame_cache"
        +0    1 page  × 12     count u64, addresses u64 × 12; the last of `count` is the next to go
        +104  2 pages × 6
        +160  3 pages × 6
        +216  4 pages × 6

An empty cache fetches two thirds of its capacity from the pools in one piece. When there is no such
piece it goes on with smaller ones, down to single entries: upstream gives up, and so cannot allocate
the last pages of a machine, nor any page between allocated ones. A full cache gives two thirds back.

The CPU's frame-pool lock guards its caches. FrameAllocator has the commonest operations, one page from
and to a cache that is neither empty nor full, written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from kernel.errors import CorruptionError, FrameMisuse
from kernel.mm.frame.meta import REF_COUNT, UNUSED
from kernel.mm.paging import PAGE_SIZE

if TYPE_CHECKING:
    from kernel.mm.context import Mm

    from .pools import LocalPool, Pools

AREA = "frame_cache"
MAX_PAGES = 4
"""Pages of the largest allocation that is cached."""


class CacheShape(NamedTuple):
    """Where the cache of `pages`-page entries is in the area, and how many it takes."""

    pages: int
    offset: int
    capacity: int

    @property
    def share(self) -> int:
        """Entries that are fetched or given back at once."""
        return self.capacity * 2 // 3


SHAPES = (CacheShape(1, 0, 12), CacheShape(2, 104, 6), CacheShape(3, 160, 6), CacheShape(4, 216, 6))
AREA_SIZE = 272


class FrameCache:
    """One CPU's cache of entries of one size; its state is at physical `address`."""

    __slots__ = ("_address", "_mm", "_port", "_slots", "name", "shape")

    def __init__(self, mm: Mm, cpu: int, area: int, shape: CacheShape) -> None:
        self._mm, self._port, self._slots = mm, mm.port, mm.slots.base
        self._address, self.shape = area + shape.offset, shape
        self.name = f"CPU {cpu}'s cache of {shape.pages} pages"

    def __len__(self) -> int:
        count = self._port.load(self._address)
        if count > self.shape.capacity:
            raise CorruptionError(f"{self.name} has {count} entries of {self.shape.capacity}")
        return count

    def entries(self) -> Iterator[int]:
        """Physical addresses of the entries, the next to be allocated first."""
        slots = self._mm.slots
        for i in range(len(self), 0, -1):
            paddr = self._port.load(self._address + 8 * i)
            if paddr & PAGE_SIZE - 1 or not slots.first_paddr <= paddr < slots.max_paddr:
                raise CorruptionError(f"{self.name}: {paddr:#x} is not the address of a frame")
            yield paddr

    def ranges(self) -> list[tuple[int, int]]:
        """The entries as ranges: address and bytes."""
        size = self.shape.pages * PAGE_SIZE
        return [(paddr, size) for paddr in self.entries()]

    def clear(self) -> None:
        """Forget the entries, which somebody else has now."""
        self._port.store(self._address, 0)

    # --- allocation -------------------------------------------------------------------------------------------

    def alloc(self, pools: Pools, local: LocalPool, align: int) -> int | None:
        """An entry at a multiple of `align`, at most the entries' size; None if the pools have none either."""
        count = len(self)
        size = self.shape.pages * PAGE_SIZE
        if not count:
            return self._refill(pools, local)
        paddr = self._port.load(self._address + 8 * count)
        if paddr & align - 1:  # freed as part of something larger: upstream would hand it out
            return pools.alloc(local, size, align)
        self._port.store(self._address, count - 1)
        return paddr

    def _refill(self, pools: Pools, local: LocalPool) -> int | None:
        size, share = self.shape.pages * PAGE_SIZE, self.shape.share
        # The first entry of a piece is at a multiple of a power of two that is no less than the entry: aligned enough.
        first = pools.alloc(local, share * size, PAGE_SIZE)
        if first is not None:
            rest = list(range(first + size, first + share * size, size))
        else:
            first = pools.alloc(local, size, PAGE_SIZE)
            if first is None:
                return None
            rest, piece = [], share // 2
            while piece:
                if len(rest) + piece < share and (base := pools.alloc(local, piece * size, PAGE_SIZE)) is not None:
                    rest += range(base, base + piece * size, size)
                else:
                    piece //= 2
        for i, paddr in enumerate(rest, 1):
            self._port.store(self._address + 8 * i, paddr)
        self._port.store(self._address, len(rest))
        return first

    # --- free ---------------------------------------------------------------------------------------------------

    def dealloc(self, pools: Pools, local: LocalPool, paddr: int) -> None:
        """Put the entry at `paddr` in; if the cache is full, give it and two thirds of the others to the pools.

        FrameMisuse, with nothing changed, if a frame of the entry is in use, or one of those that are to go
        to the pools is not free, or is there already.
        """
        count, capacity, load = len(self), self.shape.capacity, self._port.load
        size = self.shape.pages * PAGE_SIZE
        for page in range(paddr + PAGE_SIZE, paddr + size, PAGE_SIZE):
            if load(self._slots + (page >> 6) + REF_COUNT) != UNUSED:
                raise FrameMisuse("dealloc", paddr, size, f"{page:#x} is {self._mm.slots.state(page)}", "unused frames")
        if count < capacity:
            self._port.store(self._address + 8 + 8 * count, paddr)
            self._port.store(self._address, count + 1)
            return
        share = self.shape.share
        pools.dealloc(local, [(paddr, size), *self.ranges()[:share]])
        self._port.store(self._address, count - share)
