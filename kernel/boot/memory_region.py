"""The boot memory regions: what each part of physical memory is when the kernel starts (`ostd::boot::memory_region`).

    what the boot loader says            into_non_overlapping()
    |---- Usable ---------------|        | Unknown | Usable | Kernel | Usable | Reserved |
         |- Kernel -|    |- Reserved -|  0                                               the end

Where regions overlap, the kind of the lower value wins; what no region covers is Unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain

from kernel.errors import InvalidArgs, NotEnoughResources
from kernel.mm.paging import PAGE_SIZE

MAX_REGIONS = 512
"""Regions that a table of them holds (`MAX_REGIONS`)."""
PADDR_END = 1 << 56
"""The end of what RISC-V can address: 44 bits of page number and 12 of offset."""


class MemoryRegionType(IntEnum):
    """What a region is; on overlap the lowest value wins (`MemoryRegionType`)."""

    BAD_MEMORY = 0
    UNKNOWN = 1
    NON_VOLATILE_SLEEP = 2
    RESERVED = 3
    KERNEL = 4
    MODULE = 5
    FRAMEBUFFER = 6
    RECLAIMABLE = 7
    USABLE = 8

    @property
    def is_physical(self) -> bool:
        """Whether the region is memory, so that the frame metadata must reach to its end."""
        return self in _PHYSICAL

    def __str__(self) -> str:
        return _NAMES[self]


_PHYSICAL = frozenset({
    MemoryRegionType.NON_VOLATILE_SLEEP, MemoryRegionType.KERNEL, MemoryRegionType.MODULE,
    MemoryRegionType.RECLAIMABLE, MemoryRegionType.USABLE,
})
_NAMES = {kind: "".join(word.capitalize() for word in kind.name.split("_")) for kind in MemoryRegionType}


@dataclass(frozen=True, slots=True, order=True)
class MemoryRegion:
    """`size` bytes from physical address `base` that are `kind` (`MemoryRegion`).

    Neither has to be aligned. InvalidArgs for a negative number or an end above 2^56.
    """

    base: int
    size: int
    kind: MemoryRegionType

    def __post_init__(self) -> None:
        if self.base < 0 or self.size < 0 or self.base + self.size > PADDR_END:
            raise InvalidArgs(f"memory region of {self.size:#x} bytes at {self.base:#x}: expected an end in "
                              f"0 … {PADDR_END:#x}, the physical address space")

    @property
    def end(self) -> int:
        """The first address behind the region."""
        return self.base + self.size

    def as_aligned(self) -> MemoryRegion:
        """The region in whole pages: a Usable one shrinks, any other grows.

        A Usable region without a whole page becomes empty, and so does an empty one of any kind
        (upstream: an underflow, and a page).
        """
        up, down = _up(self.base), self.base & -PAGE_SIZE
        if self.kind == MemoryRegionType.USABLE:
            return MemoryRegion(up, max(0, (self.end & -PAGE_SIZE) - up), self.kind)
        return MemoryRegion(down, _up(self.end) - down if self.size else 0, self.kind)

    def __str__(self) -> str:
        return f"{self.base:#x}-{self.end:#x} {self.kind}"


@dataclass
class MemoryRegionArray:
    """At most `capacity` regions, in order of `push` (`MemoryRegionArray`)."""

    capacity: int = MAX_REGIONS
    _regions: list[MemoryRegion] = field(default_factory=list)

    def push(self, region: MemoryRegion) -> None:
        """Append `region`; NotEnoughResources if the array is full."""
        if len(self._regions) >= self.capacity:
            raise NotEnoughResources(f"memory region {region}: the array has its {self.capacity} regions")
        self._regions.append(region)

    def into_non_overlapping(self) -> MemoryRegionArray:
        """The array that `into_non_overlapping` makes of this one."""
        return MemoryRegionArray(self.capacity, into_non_overlapping(self._regions, self.capacity))

    def __len__(self) -> int:
        return len(self._regions)

    def __iter__(self) -> Iterator[MemoryRegion]:
        return iter(self._regions)

    def __getitem__(self, index: int) -> MemoryRegion:
        return self._regions[index]


def into_non_overlapping(regions: Iterable[MemoryRegion], capacity: int = MAX_REGIONS) -> list[MemoryRegion]:
    """The regions in whole pages, ascending, without overlap or gap from 0 on, equal neighbours merged.

    It reaches to the largest end, rounded down to a page; a non-Usable region that ends within the
    page behind keeps all of that page. Nothing from nothing. NotEnoughResources if there are more than
    `capacity` regions, given or resulting. Source: `MemoryRegionArray::into_non_overlapping`.
    """
    given = [region for region in regions if region.size]
    if len(given) > capacity:
        raise NotEnoughResources(f"{len(given)} memory regions are given; the array has room for {capacity}")
    # At each edge, one region of a kind begins (+1) or ends (-1); `live` counts those that cover the sweep's place.
    edges: list[tuple[int, int, int]] = []
    end = 0
    for region in given:
        aligned = region.as_aligned()
        end = max(end, region.end & -PAGE_SIZE)
        if aligned.size:
            edges += [(aligned.base, aligned.kind, 1), (aligned.end, aligned.kind, -1)]
    edges.sort()
    live = [0] * len(MemoryRegionType)
    result: list[MemoryRegion] = []
    at = 0
    for address, kind, change in chain(edges, [(end, 0, 0)]):
        if address > at:
            here = next((kind for kind in MemoryRegionType if live[kind]), MemoryRegionType.UNKNOWN)
            start = result.pop().base if result and result[-1].kind == here else at
            result.append(MemoryRegion(start, address - start, here))
            at = address
        live[kind] += change
    if len(result) > capacity:
        raise NotEnoughResources(f"{len(result)} memory regions remain without overlap; the array has room for "
                                 f"{capacity}")
    return result


def _up(address: int) -> int:
    return -(-address // PAGE_SIZE) * PAGE_SIZE
