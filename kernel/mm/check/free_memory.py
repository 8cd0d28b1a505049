"""The default frame allocator's books: pools, caches, counters."""

from __future__ import annotations

import numpy as np

from kernel.errors import CorruptionError
from kernel.mm.frame.meta import UNIQUE
from kernel.mm.paging import PAGE_SIZE
from kernel.osdk.frame_allocator.buddy_set import BuddySet
from kernel.osdk.frame_allocator.chunk import FreeHeadMeta
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator

from .census import Census, Mask


def free_heads(census: Census) -> Mask:
    """The frames that are heads of free chunks."""
    return (census.words == census.mm.types.vtable(FreeHeadMeta)) & (census.counts == UNIQUE)


def check_frame_allocator(census: Census, allocator: FrameAllocator) -> None:
    """Every chunk and cache entry, their sums, the counter, and that buddies are merged."""
    total = _check_set(census, allocator.pools.global_set)
    if lock := allocator.pools.lock.holder:
        census.breach(f"the global frame pool is locked by CPU {lock}")
    for cpu, part in enumerate(allocator.cpus):
        total += _check_set(census, part.local.set)
        if part.lock.holder is not None:
            census.breach(f"the frame pool of CPU {cpu} is locked")
        for cache in part.caches:
            try:
                for paddr, size in cache.ranges():
                    census.own_free(paddr, size)
                    total += size
            except CorruptionError as why:
                census.breach(str(why))
    said = allocator.load_total_free_size()
    if said != total:
        census.breach(f"the frame allocator counts {said} free bytes, its blocks and caches have {total}")
    census.judge_free(free_heads(census))


def _check_set(census: Census, buddies: BuddySet) -> int:
    """One pool; the bytes in it."""
    total = 0
    for order in range(buddies.orders):
        if not buddies.chunk_count(order):
            continue
        size = PAGE_SIZE << order
        try:
            chunks = list(buddies.chunks(order))
        except CorruptionError as why:
            census.breach(str(why))
            continue
        for paddr in chunks:
            census.own_free(paddr, size)
        total += size * len(chunks)
        if order + 1 < buddies.orders and len(chunks) > 1:
            pairs = np.sort(np.array(chunks, dtype=np.uint64) >> np.uint64(order + 13))
            for twin in pairs[1:][pairs[1:] == pairs[:-1]].tolist():
                census.breach(f"{buddies.name}: both halves of the chunk of order {order + 1} at {twin << order + 13:#x} "
                              "are free, and not merged")
    if total != buddies.total_size:
        census.breach(f"{buddies.name} counts {buddies.total_size} bytes, its chunks have {total}")
    return total
