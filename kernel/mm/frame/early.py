"""The allocator for the time before there is one (`ostd::mm::frame::allocator::EarlyFrameAllocator`).

    largest Usable piece below 4 GiB           largest Usable piece above
    | allocated |        free        |         | allocated |        free        |
    start     tail                 end         start     tail                 end

It hands out from the start and takes nothing back. Its seven words lie in the statics:

    +0 state (0 none, 1 serving, 2 retired)   +8 low start, tail, end   +32 high start, tail, end
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kernel.boot.memory_region import MemoryRegion, MemoryRegionType
from kernel.errors import BootError, CorruptionError, KernelPanic
from kernel.mm.layout import Layout
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.statics import Statics

AREA, AREA_SIZE = "early_frames", 64
NONE, SERVING, RETIRED = range(3)
FOUR_GIB = 1 << 32
_LOW, _HIGH = 8, 32


@dataclass(frozen=True, slots=True)
class Piece:
    """One of the two ranges: `start` to `tail` is allocated, `tail` to `end` free."""

    start: int
    tail: int
    end: int


class EarlyFrameAllocator:
    """The early allocator whose words are in `statics`; see `create` for the first time.

    CorruptionError if the words cannot be those of an early allocator.
    """

    __slots__ = ("_area", "_port")

    def __init__(self, statics: Statics) -> None:
        self._port = statics.port
        self._area = statics.area(AREA, AREA_SIZE)
        if self._port.load(self._area) > RETIRED:
            raise CorruptionError(f"early allocator at {self._area:#x}: state {self._port.load(self._area)}, "
                                  "expected 0 to 2")
        for piece in self._pieces():
            if not piece.start <= piece.tail <= piece.end or (piece.start | piece.tail | piece.end) % PAGE_SIZE:
                raise CorruptionError(f"early allocator at {self._area:#x}: {piece.start:#x}, {piece.tail:#x}, "
                                      f"{piece.end:#x} are not a range's start, tail and end")

    @classmethod
    def create(cls, statics: Statics, regions: Iterable[MemoryRegion]) -> EarlyFrameAllocator:
        """Begin to serve from `regions`, which do not overlap.

        KernelPanic if it has begun before, BootError if none of the regions is Usable.
        """
        early = cls(statics)
        if early.state != NONE:
            raise KernelPanic("EarlyFrameAllocator: initialised twice")
        low = high = (0, 0)
        for region in regions:
            if region.kind == MemoryRegionType.USABLE:
                low = _larger(low, (region.base, min(region.end, FOUR_GIB)))
                high = _larger(high, (max(region.base, FOUR_GIB), region.end))
        if low == high == (0, 0):
            raise BootError("no memory to boot with: no region is Usable")
        port = statics.port
        for offset, (start, end) in ((_LOW, low), (_HIGH, high)):
            for n, word in enumerate((start, start, end)):
                port.store(early._area + offset + 8 * n, word)
        port.store(early._area, SERVING)
        return early

    @property
    def state(self) -> int:
        """NONE, SERVING or RETIRED."""
        return self._port.load(self._area)

    def alloc(self, layout: Layout) -> int | None:
        """Physical address of memory for `layout`, in whole pages; None if neither piece has room.

        Contents are whatever they were. The gap that alignment leaves counts as allocated.
        KernelPanic before `create` and after `retire`.
        """
        place = self._place(layout)
        if place is None:
            return None
        tail_word, address, _ = place
        self._port.store(tail_word, address + _pages(layout))
        return address

    def gap(self, layout: Layout) -> int | None:
        """Bytes that alignment would cost `alloc`; None where that would answer None."""
        place = self._place(layout)
        return place[2] if place else None

    def need(self, layout: Layout, purpose: str) -> int:
        """`alloc`, for what the kernel cannot boot without: BootError says what was missing for `purpose`."""
        address = self.alloc(layout)
        if address is None:
            raise BootError(f"no memory for {purpose}: {_pages(layout)} contiguous bytes are needed, and the "
                            f"largest piece of usable memory has {self.largest_piece()}")
        return address

    def largest_piece(self) -> int:
        """Free bytes in the larger of the two pieces."""
        return max(piece.end - piece.tail for piece in self._pieces())

    def allocated_regions(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The (start, end) of what was handed out, below 4 GiB and above; still known after `retire`."""
        low, high = self._pieces()
        return (low.start, low.tail), (high.start, high.tail)

    def free_ranges(self, regions: Iterable[MemoryRegion]) -> list[tuple[int, int]]:
        """The (paddr, size) of all Usable memory in `regions` that was not handed out, in order."""
        free: list[tuple[int, int]] = []
        for region in regions:
            if region.kind == MemoryRegionType.USABLE:
                at = region.base
                for start, end in sorted(self.allocated_regions()):
                    if start < region.end and at < end:
                        free.append((at, start - at))
                        at = end
                free.append((at, region.end - at))
        return [(paddr, size) for paddr, size in free if size > 0]

    def retire(self, regions: Iterable[MemoryRegion]) -> list[tuple[int, int]]:
        """End the service: `free_ranges`, which are the next allocator's now. KernelPanic if not serving."""
        self._serving()
        free = self.free_ranges(regions)
        self._port.store(self._area, RETIRED)
        return free

    def _place(self, layout: Layout) -> tuple[int, int, int] | None:
        """The tail word of the piece that has room for `layout`, the address, and the gap before it."""
        self._serving()
        size, align = _pages(layout), max(layout.align, PAGE_SIZE)
        for offset, piece in zip((_LOW, _HIGH), self._pieces(), strict=True):
            address = -(-piece.tail // align) * align
            if address + size <= piece.end:
                return self._area + offset + 8, address, address - piece.tail
        return None

    def _pieces(self) -> tuple[Piece, Piece]:
        load, area = self._port.load, self._area
        return (Piece(load(area + 8), load(area + 16), load(area + 24)),
                Piece(load(area + 32), load(area + 40), load(area + 48)))

    def _serving(self) -> None:
        state = self.state
        if state != SERVING:
            raise KernelPanic("EarlyFrameAllocator: used " + ("after it was retired" if state else "before it was "
                                                              "initialised"))


def _larger(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return other if other[1] - other[0] > one[1] - one[0] else one


def _pages(layout: Layout) -> int:
    """The layout's size in whole pages, in bytes; at least one, so that no two allocations share an address."""
    return max(-(-layout.size // PAGE_SIZE), 1) * PAGE_SIZE
