"""What the frame allocator has, read from emulated memory, for views (`buddyinfo`)."""

from __future__ import annotations

from dataclasses import dataclass

from kernel.mm.paging import PAGE_SHIFT, PAGE_SIZE

from .buddy_set import BuddySet
from .chunk import size_of_order
from .frame_allocator import FrameAllocator


@dataclass(frozen=True)
class PoolSurvey:
    """One pool: whose (`cpu`, None for the global one), and the addresses of its free chunks by order.

    `chunks[k]` are those of order k, the next to be allocated first.
    """

    name: str
    cpu: int | None
    chunks: tuple[tuple[int, ...], ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Free chunks of each order, as /proc/buddyinfo shows them."""
        return tuple(len(chunks) for chunks in self.chunks)

    @property
    def total_size(self) -> int:
        """Bytes."""
        return sum(count << order + PAGE_SHIFT for order, count in enumerate(self.counts))


@dataclass(frozen=True)
class CacheSurvey:
    """One CPU's cache of entries of `pages` pages: addresses, the next to be allocated first."""

    cpu: int
    pages: int
    entries: tuple[int, ...]

    @property
    def total_size(self) -> int:
        """Bytes."""
        return len(self.entries) * self.pages * PAGE_SIZE


@dataclass(frozen=True)
class Survey:
    """All free memory, and in whose hands it is: `pools`, the global one first, and `caches`."""

    pools: tuple[PoolSurvey, ...]
    caches: tuple[CacheSurvey, ...]

    @property
    def total_size(self) -> int:
        """Bytes."""
        return sum(pool.total_size for pool in self.pools) + sum(cache.total_size for cache in self.caches)

    def ranges(self) -> list[tuple[int, int, str]]:
        """Every free piece, ascending: address, bytes, and where it is."""
        pieces = [(paddr, size_of_order(order), pool.name) for pool in self.pools
                  for order, chunks in enumerate(pool.chunks) for paddr in chunks]
        pieces += [(paddr, cache.pages * PAGE_SIZE, f"cache of CPU {cache.cpu}") for cache in self.caches
                   for paddr in cache.entries]
        return sorted(pieces)


def survey(allocator: FrameAllocator) -> Survey:
    """What `allocator` has now. CorruptionError if a list or a cache is broken."""
    cpus = allocator.cpus
    pools = [_pool(allocator.pools.global_set, None)]
    pools += [_pool(part.local.set, cpu) for cpu, part in enumerate(cpus)]
    caches = [CacheSurvey(cpu, cache.shape.pages, tuple(cache.entries()))
              for cpu, part in enumerate(cpus) for cache in part.caches]
    return Survey(tuple(pools), tuple(caches))


def _pool(its_set: BuddySet, cpu: int | None) -> PoolSurvey:
    return PoolSurvey(its_set.name, cpu, tuple(tuple(its_set.chunks(order)) for order in range(its_set.orders)))
