"""The heap: slabs in their caches, the CPUs' object caches, large allocations, and who has live objects."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kernel.mm.frame.linked_list import FrameChain
from kernel.mm.frame.meta import REF_COUNT_MAX
from kernel.mm.heap.slab import SlabMeta
from kernel.mm.heap.slot import LargeAllocFrameMeta
from kernel.mm.paging import PAGE_SIZE
from kernel.osdk.heap_allocator.cpu_local_box import CpuLocalChunkMeta
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from kernel.osdk.heap_allocator.slab_cache import SlabCache
from kernel.osdk.heap_allocator.slab_counter import load_total_slab_size

from .census import Census
from .slabs import Slab, walk_objects


def check_large(census: Census) -> set[int]:
    """Large allocations, and chunks of CPU-local variables; the addresses of the large ones that are live."""
    live: set[int] = set()
    linear = census.mm.paging.linear_base
    large = census.of_type(LargeAllocFrameMeta)
    shared = census.counts < REF_COUNT_MAX
    end, expected = -1, (0, 0)
    for index in np.flatnonzero(large).tolist():
        size, head, alive = (int(column[index]) for column in census.storage[:3])
        paddr = census.paddr(index)
        census.references[index] += 1
        if index < end:
            if (size, head) != expected or alive:
                census.breach(f"frame {paddr:#x} says that it is part of {head:#x} ({size} bytes, live {alive}), "
                              f"those before it are of {expected[1]:#x} ({expected[0]} bytes)")
            continue
        end, expected = index + size // PAGE_SIZE, (size, head)
        if head != paddr or size % PAGE_SIZE or not size or end > census.size or alive > 1 or not (
                large & shared)[index:end].all():
            census.breach(f"frame {paddr:#x} is no head of a large allocation: it says {head:#x}, {size} bytes, "
                          f"live {alive}")
            end = index
        elif alive:
            live.add(head + linear)
    census.references[census.of_type(CpuLocalChunkMeta)] += 1
    return live


def check_heap_allocator(census: Census, heap: HeapAllocator, slabs: dict[int, Slab], in_hand: Iterable[int]) -> None:
    """Slabs are in the right list of the right cache, and every slot is free, live, or in one CPU's object cache.

    `in_hand` are the addresses of slots that somebody has as HeapSlots.
    """
    mm = census.mm
    cpus = range(mm.cpu_locals.count)
    if heap._lock.holder is not None:
        census.breach(f"the heap is locked by CPU {heap._lock.holder}")
    out: dict[int, int] = {}  # by slab: slots that are in object caches, or in somebody's hand
    for address in in_hand:
        paddr = address - mm.paging.linear_base
        slab = slabs.get(census.index(paddr))
        size = slab.size if slab else PAGE_SIZE
        _put_out(census, slabs, out, paddr & -PAGE_SIZE, 1 << (paddr & PAGE_SIZE - 1) // size, "somebody's hand")
    for number, cache in enumerate(heap.slabs):
        size = cache.slot_size
        its = tuple((slab.paddr, slab.list) for slab in slabs.values() if slab.size == size)
        for cpu in cpus:
            objects = heap.object_caches(cpu)[number]
            name = f"CPU {cpu}'s object cache of {size}-byte slots"
            found = walk_objects(mm.port.load(objects.list.head), size, mm.paging.linear_base, its)
            if found.wrong:
                census.breach(f"{name} {found.wrong}")
            if objects.size != found.number * size:
                census.breach(f"{name} counts {objects.size} bytes, and has {found.number} slots")
            for paddr, mask in found.slots.items():
                _put_out(census, slabs, out, paddr, mask, name)
    counted, listed = 0, set()
    for cache in heap.slabs:
        for index in _check_cache(census, cache, slabs):
            listed.add(index)
            counted += PAGE_SIZE
            slab = slabs.get(index)
            if slab is not None and (lost := ~(slab.free | slab.live | out.get(index, 0)) & (1 << slab.capacity) - 1):
                at = slab.paddr + mm.paging.linear_base + (lost.bit_length() - 1) * slab.size
                census.breach(f"slab {slab.paddr:#x}: slot {at:#x} is neither free nor live nor in an object cache")
    if counted != load_total_slab_size(mm):
        census.breach(f"{load_total_slab_size(mm)} bytes of slabs are counted; the caches have {counted}")
    for index in np.flatnonzero(census.of_type(SlabMeta) & (census.in_list != 0)).tolist():
        if index not in listed:
            census.breach(f"slab {census.paddr(index):#x} says that it is in list {census.in_list[index]}, "
                          "which is no slab cache's")


def _put_out(census: Census, slabs: dict[int, Slab], out: dict[int, int], paddr: int, mask: int, where: str) -> None:
    """Take down the slots `mask` of the slab at `paddr` as being in `where`, and nowhere else."""
    frame = census.index(paddr)
    slab = slabs.get(frame)
    if slab is None:
        census.breach(f"{where} has slots of {paddr:#x}, which is no slab")
        return
    if twice := mask & (slab.free | slab.live | out.get(frame, 0)):
        at = paddr + census.mm.paging.linear_base + (twice.bit_length() - 1) * slab.size
        census.breach(f"{where} has slot {at:#x}, which is live, free in its slab, or out already")
    out[frame] = out.get(frame, 0) | mask


def _check_cache(census: Census, cache: SlabCache, slabs: dict[int, Slab]) -> list[int]:
    """One size class; its slabs' frame numbers."""
    found: list[int] = []
    chains: dict[str, FrameChain] = {"full": cache.full, "partial": cache.partial, "empty": cache.empty}
    for name, chain in chains.items():
        name_of = f"the list of {name} slabs of {cache.slot_size}-byte slots"
        for index in census.chain(chain.head, name_of):
            census.own(census.paddr(index), name_of)
            found.append(index)
            slab = slabs.get(index)
            if slab is None:
                census.breach(f"frame {census.paddr(index):#x} in {name_of} is no slab")
                continue
            right = "empty" if not slab.allocated else "full" if slab.allocated == slab.capacity else "partial"
            if slab.size != cache.slot_size or name != right:
                census.breach(f"slab {slab.paddr:#x}: {slab.allocated} of {slab.capacity} slots of {slab.size} bytes "
                              f"are allocated, and it is in {name_of}")
    return found


def live_slots(census: Census, slabs: dict[int, Slab]) -> set[int]:
    """Kernel virtual addresses of all live slots of slabs."""
    linear = census.mm.paging.linear_base
    found: set[int] = set()
    for slab in slabs.values():
        live, base = slab.live, slab.paddr + linear
        while live:
            low = live & -live
            found.add(base + (low.bit_length() - 1) * slab.size)
            live ^= low
    return found


def check_objects(census: Census, live: set[int], known: Iterable[int]) -> None:
    """The live objects of the heap are those of somebody: `known` are all of their addresses."""
    owners = list(known)
    owned = set(owners)
    if len(owned) != len(owners):
        again = next(address for address in owned if owners.count(address) > 1)
        census.breach(f"the heap object {again:#x} has two owners")
    for address in sorted(live - owned):
        census.breach(f"the heap object {address:#x} is live, and nobody has it: it is lost")
    for address in sorted(owned - live):
        census.breach(f"somebody has the heap object {address:#x}, which is not live")
