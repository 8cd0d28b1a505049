"""Free memory: the pools' chunks by order, the CPUs' caches, and how fragmented it is.

Two indices, as Linux has them in /sys/kernel/debug/extfrag, for an allocation of each order:

    unusable index    share of the free memory that is in chunks too small for it: 0 all usable … 1 none
    extfrag index     why it fails: towards 0 for lack of memory, towards 1 for fragmentation; -1 when it succeeds
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.mm.paging import PAGE_SHIFT
from kernel.mm.port import looks
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.frame_allocator.survey import CacheSurvey, PoolSurvey, Survey, survey

from .reading import reading

if TYPE_CHECKING:
    from kernel.mm.context import Mm


@dataclass(frozen=True)
class BuddyPicture:
    """What the default frame allocator has: a `survey` of its pools and caches, and `free` bytes in all.

    `free` is the allocator's own counter. An allocator of somebody else's has a `name` and nothing that could be seen.
    """

    name: str
    survey: Survey
    free: int

    @property
    def pools(self) -> tuple[PoolSurvey, ...]:
        """The pools, the global one first."""
        return self.survey.pools

    @property
    def caches(self) -> tuple[CacheSurvey, ...]:
        """The CPUs' caches."""
        return self.survey.caches

    @property
    def orders(self) -> int:
        """Orders that the largest pool has."""
        return max((len(pool.chunks) for pool in self.pools), default=0)

    @property
    def counts(self) -> tuple[int, ...]:
        """Free chunks of each order, in all pools together."""
        return tuple(sum(pool.counts[order] for pool in self.pools if order < len(pool.counts))
                     for order in range(self.orders))

    def where(self, paddr: int) -> str:
        """The free chunk or cache that a frame is in, in words; "" if it is in none."""
        for start, size, name in self.survey.ranges():
            if start <= paddr < start + size:
                order = (size >> PAGE_SHIFT).bit_length() - 1
                what = f"chunk of order {order} at {start:#x}" if "cache" not in name else f"entry of {size} bytes"
                return f"{name}, {what}"
        return ""


@looks
def read_buddy(mm: Mm) -> BuddyPicture:
    """The free memory of a kernel; CorruptionError if a list, a cache or a lock's neighbour is damaged."""
    inner = mm.frame_allocator.inner
    if not isinstance(inner, FrameAllocator):
        return BuddyPicture(mm.frame_allocator.name, Survey((), ()), 0)
    with reading("free memory"):
        found = survey(inner)
        free = inner.load_total_free_size()
    return BuddyPicture(mm.frame_allocator.name, found, free)


def unusable_index(counts: tuple[int, ...], order: int) -> float:
    """Share of the free memory in `counts` chunks of each order that is in chunks below `order` (0 without any)."""
    free = sum(count << k for k, count in enumerate(counts))
    usable = sum(count << k for k, count in enumerate(counts) if k >= order)
    return (free - usable) / free if free else 0.0


def extfrag_index(counts: tuple[int, ...], order: int) -> float:
    """Linux's `__fragmentation_index`: -1 if a chunk of `order` or above is free, 0 if no chunk is at all."""
    blocks = sum(counts)
    if not blocks:
        return 0.0
    if any(counts[order:]):
        return -1.0
    free = sum(count << k for k, count in enumerate(counts))
    return (1000 - (1000 + free * 1000 // (1 << order)) // blocks) / 1000
