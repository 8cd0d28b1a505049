"""The heap: slabs, their slots, the CPUs' object caches, large allocations."""

from __future__ import annotations

import numpy as np

from kernel.errors import CorruptionError
from kernel.mm.frame.linked_list import FrameChain
from kernel.mm.heap.live_map import LiveMapMeta, LiveMaps
from kernel.mm.heap.slab import SMALL, SlabMeta
from kernel.mm.heap.slot import LargeAllocFrameMeta
from kernel.mm.paging import PAGE_SIZE
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from kernel.osdk.heap_allocator.slab_cache import SlabCache

from .census import Census


def check_slabs(census: Census) -> None:
    """Every slab, in whosever cache: its free list, counts and live bits; every large allocation."""
    mm = census.mm
    small = 0
    for index in np.flatnonzero(census.of_type(SlabMeta)).tolist():
        small += _check_slab(census, census.paddr(index))
    maps = LiveMaps(mm)
    try:
        for paddr in maps.frames():
            census.own(paddr, "the list of slab bitmaps")
        if maps.used() != small:
            census.breach(f"{maps.used()} slab bitmaps are in use, for {small} slabs of small slots")
    except CorruptionError as why:
        census.breach(str(why))
    census.breaches_at(census.of_type(LiveMapMeta) & (census.sole == 0), "a frame of slab bitmaps in no list")
    for index in np.flatnonzero(census.of_type(LargeAllocFrameMeta)).tolist():
        paddr = census.paddr(index)
        meta = LargeAllocFrameMeta.at(mm.port, mm.slots.slot(paddr))
        if not meta.head <= paddr < meta.head + meta.size or meta.size % PAGE_SIZE:
            census.breach(f"frame {paddr:#x} says that it is part of {meta.head:#x} ({meta.size} bytes)")
        census.references[index] += 1


def _check_slab(census: Census, paddr: int) -> int:
    """1 if the slab has a bitmap of its own."""
    mm = census.mm
    meta = SlabMeta.at(mm.port, mm.slots.slot(paddr))
    size = meta.slot_size
    if size < 8 or size > PAGE_SIZE or PAGE_SIZE % size:
        census.breach(f"slab {paddr:#x}: slots of {size} bytes")
        return 0
    capacity, first = PAGE_SIZE // size, paddr + mm.paging.linear_base
    links = mm.port.load_column(paddr, capacity, size).tolist()
    free: set[int] = set()
    address = meta.free_list
    while address:
        index, odd = divmod(address - first, size)
        if odd or not 0 <= index < capacity or index in free:
            census.breach(f"slab {paddr:#x}: the free list goes to {address:#x}, which is "
                          + ("in it already" if index in free else f"no {size}-byte slot of it"))
            break
        free.add(index)
        address = links[index]
    if len(free) + meta.nr_allocated != capacity:
        census.breach(f"slab {paddr:#x}: {len(free)} free and {meta.nr_allocated} allocated slots of {capacity}")
    live = {(slot - first) // size for slot in meta.live_slots(mm)}
    if live & free:
        census.breach(f"slab {paddr:#x}: slot {first + min(live & free) * size:#x} is live and in the free list")
    return int(size < SMALL)


def check_heap_allocator(census: Census, heap: HeapAllocator) -> None:
    """Slabs are in the right list of the right cache; slots that are neither live nor free are some CPU's."""
    mm = census.mm
    cpus = range(mm.cpu_locals.count)
    slabs = 0
    for number, cache in enumerate(heap.slabs):
        cached: set[int] = set()
        for cpu in cpus:
            objects = heap.object_caches(cpu)[number]
            try:
                addresses = objects.list.addresses()
            except CorruptionError as why:
                census.breach(str(why))
                continue
            if objects.size != len(addresses) * cache.slot_size:
                census.breach(f"CPU {cpu}'s object cache of {cache.slot_size}-byte slots counts {objects.size} bytes, "
                              f"and has {len(addresses)} slots")
            if cached & set(addresses):
                census.breach(f"slot {min(cached & set(addresses)):#x} is in two CPUs' object caches")
            cached |= set(addresses)
        slabs += _check_cache(census, cache, cached)
    in_lists = int(np.count_nonzero(census.of_type(SlabMeta) & (census.in_list != 0)))
    if slabs != in_lists:
        census.breach(f"{in_lists} slabs are in lists, {slabs} in the slab caches")


def _check_cache(census: Census, cache: SlabCache, cached: set[int]) -> int:
    """One size class; how many slabs it has."""
    mm, size = census.mm, cache.slot_size
    out, live, slabs = 0, 0, 0
    chains: tuple[tuple[str, FrameChain], ...] = (("full", cache.full), ("partial", cache.partial), ("empty", cache.empty))
    for name, chain in chains:
        try:
            for slot in chain:
                meta = SlabMeta.at(mm.port, slot)
                paddr = mm.slots.frame_of(slot)
                census.own(paddr, f"the list of {name} slabs")
                allocated = meta.nr_allocated
                right = "empty" if not allocated else "full" if allocated == meta.capacity else "partial"
                if meta.slot_size != size or name != right:
                    census.breach(f"slab {paddr:#x}: {allocated} of {meta.capacity} slots of {meta.slot_size} bytes are "
                                  f"allocated, and it is in the list of {name} slabs of {size}-byte slots")
                taken = meta.live_slots(mm)
                if cached.intersection(taken):
                    census.breach(f"slot {min(cached.intersection(taken)):#x} is live and in an object cache")
                out, live, slabs = out + allocated, live + len(taken), slabs + 1
        except CorruptionError as why:
            census.breach(str(why))
    if out != live + len(cached):
        census.breach(f"{size}-byte slots: {out} are out of their slabs, {live} live and {len(cached)} in object caches")
    return slabs
