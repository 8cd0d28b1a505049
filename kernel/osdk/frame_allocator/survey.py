"""What the frame allocator has, read from emulated memory: for views (`buddyinfo`) and for checks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernel.errors import CorruptionError
from kernel.mm.frame.meta import FREE, REF_COUNT, UNUSED, VTABLE
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SHIFT, PAGE_SIZE

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


def check(allocator: FrameAllocator) -> Survey:
    """`survey`, with everything verified that the allocator promises; CorruptionError names what is wrong.

    Pieces do not overlap; every frame in them is unused and in the allocator's hands, but for heads;
    no pool has both of two buddies; sizes and the free-size counter are right. The CPUs are at rest.
    """
    found = survey(allocator)
    sets = [allocator.pools.global_set] + [part.local.set for part in allocator.cpus]
    for pool, its_set in zip(found.pools, sets, strict=True):
        if pool.total_size != its_set.total_size:
            raise CorruptionError(f"{pool.name} says {its_set.total_size} bytes; its chunks have {pool.total_size}")
        for order, chunks in enumerate(pool.chunks[:-1]):
            both = set(chunks) & {paddr ^ size_of_order(order) for paddr in chunks}
            if both:
                raise CorruptionError(f"{pool.name}: {min(both):#x} of order {order} and its buddy are not merged")
    before, whose = 0, ""
    for paddr, size, name in found.ranges():
        if paddr < before:
            raise CorruptionError(f"free frame {paddr:#x} is in the {name}, and in the {whose}")
        before, whose = paddr + size, name
    _check_frames(allocator, found)
    counted = allocator.load_total_free_size()
    if counted != found.total_size:
        raise CorruptionError(f"{counted} bytes are counted as free; pools and caches have {found.total_size}")
    return found


def _pool(its_set: BuddySet, cpu: int | None) -> PoolSurvey:
    return PoolSurvey(its_set.name, cpu, tuple(tuple(its_set.chunks(order)) for order in range(its_set.orders)))


def _check_frames(allocator: FrameAllocator, found: Survey) -> None:
    slots, port = allocator.mm.slots, allocator.mm.port
    heads = {paddr for pool in found.pools for chunks in pool.chunks for paddr in chunks}
    for paddr, size, name in found.ranges():
        first = paddr + PAGE_SIZE if paddr in heads else paddr
        count = paddr + size - first >> PAGE_SHIFT
        if count <= 0:
            continue
        slot = slots.slot(first)
        wrong = port.load_column(slot + REF_COUNT, count, META_SLOT_SIZE) != np.uint64(UNUSED)
        wrong |= port.load_column(slot + VTABLE, count, META_SLOT_SIZE) != np.uint64(FREE)
        if wrong.any():
            frame = first + int(wrong.argmax()) * PAGE_SIZE
            raise CorruptionError(f"frame {frame:#x} in the {name} is {slots.state(frame)}; expected a free one")
