"""The default frame allocator's books: pools, caches, counters."""

from __future__ import annotations

import numpy as np

from kernel.errors import CorruptionError
from kernel.mm.frame.linked_list import HEAD_SIZE
from kernel.mm.paging import PAGE_SHIFT, PAGE_SIZE
from kernel.osdk.frame_allocator.buddy_set import BuddySet
from kernel.osdk.frame_allocator.chunk import FreeHeadMeta
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator

from .census import Census, Mask


def free_heads(census: Census) -> Mask:
    """The frames that are heads of free chunks."""
    heads: Mask = census.of_type(FreeHeadMeta) & census.unique
    return heads


def check_frame_allocator(census: Census, allocator: FrameAllocator, heads: Mask) -> None:
    """Every chunk and cache entry, their sums, the counter, and that buddies are merged."""
    pools = allocator.pools
    total = _check_set(census, pools.global_set, heads)
    if pools.lock.holder is not None:
        census.breach(f"the global frame pool is locked by CPU {pools.lock.holder}")
    snapshot = census.mm.port.load(pools._snapshot)
    if snapshot != pools.global_set.total_size:
        census.breach(f"the global frame pool has {pools.global_set.total_size} bytes; the snapshot that CPUs balance "
                      f"by says {snapshot}")
    for cpu, part in enumerate(allocator.cpus):
        total += _check_set(census, part.local.set, heads)
        if part.lock.holder is not None:
            census.breach(f"the frame pool of CPU {cpu} is locked")
        for cache in part.caches:
            try:
                entries = list(cache.entries())
            except CorruptionError as why:
                census.breach(str(why))
                continue
            census.own_free(entries, cache.shape.pages)
            total += len(entries) * cache.shape.pages * PAGE_SIZE
    said = allocator.load_total_free_size()
    if said != total:
        census.breach(f"the frame allocator counts {said} free bytes, its blocks and caches have {total}")
    census.judge_free(heads)


def _check_set(census: Census, buddies: BuddySet, heads: Mask) -> int:
    """One pool; the bytes in it."""
    total = 0
    words = HEAD_SIZE // 8
    lists = census.mm.port.load_column(buddies._lists, words * buddies.orders).reshape(buddies.orders, words)
    for order in np.flatnonzero(lists[:, :words - 1].any(axis=1)).tolist():  # all but those of an empty list and its id
        members = census.chain(buddies._chains[order].head, f"{buddies.name}, order {order}")
        if not members:
            continue
        frames = np.array(members, dtype=np.int64)
        numbers = frames + census.first
        for index in frames[~heads[frames] | (census.storage[2][frames] != order)
                            | (numbers & (1 << order) - 1 != 0)].tolist():
            paddr = census.paddr(index)
            census.breach(f"{buddies.name}: {paddr:#x} is in the list of order {order}, but it is "
                          f"{census.mm.slots.state(paddr)}, of order {census.storage[2][index]}")
        census.own_free((numbers << PAGE_SHIFT).tolist(), 1 << order)
        total += len(members) * PAGE_SIZE << order
        if order + 1 < buddies.orders and len(members) > 1:
            pairs = np.sort(numbers >> order + 1)
            for twin in pairs[1:][pairs[1:] == pairs[:-1]].tolist():
                census.breach(f"{buddies.name}: both halves of the chunk of order {order + 1} at "
                              f"{twin << order + 1 + PAGE_SHIFT:#x} are free, and not merged")
    if total != buddies.total_size:
        census.breach(f"{buddies.name} counts {buddies.total_size} bytes, its chunks have {total}")
    return total
