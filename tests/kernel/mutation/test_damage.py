"""The check's power: whatever word of the memory manager's state is damaged, the check says so.

One kernel, one damaged word, one check; the message must name the breach.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.mm import PAGE_SIZE
from kernel.mm.check import InvariantError
from kernel.mm.frame.linked_list import BACK, FRONT, ID, NEXT, PREV, SIZE
from kernel.mm.frame.meta import BUSY, FREE, IN_LIST, REF_COUNT, TAKEN, UNIQUE, UNUSED, VTABLE
from kernel.mm.heap.slab import COUNTS, FREE_LIST, LIVE
from kernel.mm.page_table.config import LEVEL, LOCK, NR_CHILDREN, STRAY
from kernel.mm.page_table.pte import RSV1, SHIFT
from kernel.mm.vm_space.vm_space import cpus_of
from tests.kernel.mutation.busy import HUGE_VA, VA, Busy, busy

Damage = Callable[[Busy], object]
# --- damage that takes more than a word -------------------------------------------------------------------------------


def lose_frame(busy: Busy) -> None:
    """A frame that says it is free, and is in no block or cache."""
    slot = busy.slot(busy.typed.paddr)
    busy.port.store(slot + REF_COUNT, UNUSED)
    busy.port.store(slot + VTABLE, FREE)


def unmerge(busy: Busy) -> None:
    """Split a free chunk and leave the halves: taken as one, put back in pieces by hand."""
    pool = busy.frames.pools.global_set
    slot, order = busy.free_chunk()
    paddr = busy.mm.slots.frame_of(slot)
    pool.take_chunk(paddr, order)
    half = PAGE_SIZE << order - 1
    pool.insert_chunk(paddr, order - 1)
    ident = busy.port.load(pool._chains[order - 1].head + ID)
    busy.port.store(slot + IN_LIST, 0)  # the buddy is not seen
    pool.insert_chunk(paddr + half, order - 1)
    busy.port.store(slot + IN_LIST, ident)


def free_slots(busy: Busy, address: int) -> tuple[int, int]:
    """The first and the second slot in the free list of an object's slab, physical addresses."""
    first = busy.mm.vaddr_to_paddr(busy.port.load(busy.slab_of(address) + FREE_LIST))
    return first, busy.mm.vaddr_to_paddr(busy.port.load(first))


def slab_with_two_free(busy: Busy) -> int:
    """An address in a slab whose free list has two slots."""
    for cache in busy.heap.slabs[2:]:
        for chain in (cache.partial, cache.empty):
            for meta in chain:
                paddr = busy.mm.slots.frame_of(meta)
                first = busy.port.load(meta + FREE_LIST)
                if first and busy.port.load(busy.mm.vaddr_to_paddr(first)):
                    return busy.mm.paddr_to_vaddr(paddr)
    raise AssertionError("no slab has two free slots")


def break_free_slot(busy: Busy) -> None:
    first, _ = free_slots(busy, slab_with_two_free(busy))
    busy.port.store(first, 0xdead_beef)


def loop_free_list(busy: Busy) -> None:
    first, second = free_slots(busy, slab_with_two_free(busy))
    busy.port.store(second, busy.mm.paddr_to_vaddr(first))


def loop_cache(busy: Busy) -> None:
    head = busy.port.load(busy.heap.object_caches(0)[3].list.head)
    busy.port.store(busy.mm.vaddr_to_paddr(busy.port.load(busy.mm.vaddr_to_paddr(head))), head)


def give_bitmap(busy: Busy) -> None:
    slot = busy.slot(busy.port.load(busy.slab_of(busy.objects[32][0]) + LIVE) & -PAGE_SIZE)
    busy.port.store(slot + 16, 0)


def wrong_list(busy: Busy) -> None:
    cache = busy.heap.slabs[3]
    meta = cache.partial.back()
    cache.partial.remove(meta)
    cache.full.push_back(meta)


def break_linear(busy: Busy) -> None:
    """Other entries for the last page of the linear mapping: the table that it is in, emptied."""
    va = busy.mm.paging.linear_base + busy.mm.slots.max_paddr - PAGE_SIZE
    node = busy.mm.kspace.root_paddr
    for level in range(busy.mm.paging.levels, 0, -1):
        at = node + (va >> SHIFT[level] & 511) * 8
        pte = busy.port.load(at)
        if pte & 0xE:
            busy.port.store(at, 0)
            count = busy.slot(node) + NR_CHILDREN
            busy.port.store_sized(count, 2, busy.port.load_sized(count, 2) - 1)
            return
        node = pte >> 10 << 12


def empty_node(busy: Busy) -> int:
    """A table of the kernel's that maps nothing."""
    return busy.port.load(busy.mm.kspace.root_paddr + 300 * 8) >> 10 << 12


def block(busy: Busy, index: int) -> int:
    """Physical address of the n-th block of virtual addresses."""
    return busy.mm.vaddr_to_paddr(list(busy.mm.kspace.areas.blocks())[index].address)


DAMAGE: dict[str, tuple[Damage, str]] = {
    # --- metadata slots
    "a count too high": (lambda b: b.bump(b.slot(b.frame.paddr) + REF_COUNT), "holders were found"),
    "a count too low": (lambda b: b.bump(b.slot(b.frame.paddr) + REF_COUNT, -1), "holders were found"),
    "a count in a segment": (
        lambda b: b.bump(b.slot(b.segment.paddr + 2 * PAGE_SIZE) + REF_COUNT),
        "holders were found"),
    "a frame left busy": (lambda b: b.port.store(b.slot(b.typed.paddr) + REF_COUNT, BUSY), "busy while nothing runs"),
    "an illegal count": (
        lambda b: b.port.store(b.slot(b.typed.paddr) + REF_COUNT, UNIQUE - 5),
        "illegal reference count"),
    "a frame in use made unused": (
        lambda b: b.port.store(b.slot(b.typed.paddr) + REF_COUNT, UNUSED),
        "holders were found|lost"),
    "a unique frame shared": (
        lambda b: b.port.store(b.slot(b.unique.paddr) + REF_COUNT, 1),
        "held as a unique frame"),
    "a shared frame unique": (
        lambda b: b.port.store(b.slot(b.typed.paddr) + REF_COUNT, UNIQUE),
        "unique, without a holder"),
    "an unknown type": (lambda b: b.bump(b.slot(b.frame.paddr) + VTABLE, 8), "points to no metadata type"),
    "another type": (
        lambda b: b.port.store(b.slot(b.frame.paddr) + VTABLE, b.port.load(b.slot(b.typed.paddr) + VTABLE)),
        "has metadata of another type"),
    "another type in a segment": (
        lambda b: b.port.store(b.slot(b.segment.paddr + PAGE_SIZE) + VTABLE,
            b.port.load(b.slot(b.typed.paddr) + VTABLE)),
        "metadata type"),
    "a shared frame in a list": (
        lambda b: b.port.store(b.slot(b.frame.paddr) + IN_LIST, 3),
        "in a list, but not unique"),
    "the kernel's own frame free": (lambda b: b.port.store(b.slot(0x8020_0000) + REF_COUNT, UNUSED), "lost|free"),
    # --- lists of frames
    "a next link": (
        lambda b: b.bump(b.port.load(b.list._chain.head + FRONT) - b.mm.slots.to_virtual(0) + NEXT, 64),
        "list"),
    "a previous link": (
        lambda b: b.bump(b.port.load(b.list._chain.head + BACK) - b.mm.slots.to_virtual(0) + PREV, 64),
        "list"),
    "a link into nowhere": (
        lambda b: b.port.store(b.list._chain.head + FRONT, 12345),
        "not the address of a metadata slot"),
    "a list's size": (lambda b: b.bump(b.list._chain.head + SIZE), "list"),
    "a list's size too low": (lambda b: b.bump(b.list._chain.head + SIZE, -1), "list"),
    "a list's back": (lambda b: b.bump(b.list._chain.head + BACK, -64), "list"),
    "a list's id": (lambda b: b.bump(b.list._chain.head + ID), "list"),
    "a member's list": (lambda b: b.bump(b.list._chain.back() + IN_LIST), "list"),
    "a stranger in a list": (
        lambda b: b.port.store(b.slot(b.unique.paddr) + IN_LIST, b.list._chain.id()),
        "others say"),
    # --- buddies
    "a chunk's order": (lambda b: b.bump(b.free_chunk()[0] + 16, -1), "of order"),
    "a chunk's next link": (
        lambda b: b.port.store(b.free_chunk()[0] + NEXT, b.mm.slots.to_virtual(b.free_chunk(0)[0])),
        "order"),
    "a head that is not unique": (lambda b: b.port.store(b.free_chunk()[0] + REF_COUNT, 1), "holders|free|unique"),
    "a head of another type": (
        lambda b: b.port.store(b.free_chunk()[0] + VTABLE, b.port.load(b.slot(b.typed.paddr) + VTABLE)),
        "order|lost"),
    "a tail that is not free": (lambda b: b.port.store(b.free_chunk()[0] + 64 + VTABLE, TAKEN), "but not free"),
    "a tail in use": (
        lambda b: b.port.store(b.free_chunk()[0] + 64 + REF_COUNT, 1),
        "holders were found|but not free"),
    "a pool's total": (lambda b: b.bump(b.frames.pools.global_set._address, PAGE_SIZE), "counts"),
    "a pool's total of CPU 1": (lambda b: b.bump(b.frames.cpus[1].local.set._address, PAGE_SIZE), "counts"),
    "the snapshot": (lambda b: b.bump(b.frames.pools._snapshot, PAGE_SIZE), "snapshot"),
    "a pool's lock": (lambda b: b.port.store(b.frames.pools.lock._address, 1), "locked by CPU 0"),
    "a CPU's pool's lock": (lambda b: b.port.store(b.frames.cpus[1].lock_word, 1), "locked"),
    "buddies that are not merged": (unmerge, "not merged"),
    "the counter": (lambda b: b.bump(b.frames.cpus[0].counter, PAGE_SIZE), "free bytes"),
    "the counter of CPU 1": (lambda b: b.bump(b.frames.cpus[1].counter, -PAGE_SIZE), "free bytes"),
    # --- caches of pages
    "a cache's count": (lambda b: b.bump(b.cached()[0], -1), "lost"),
    "a cache's count beyond its end": (lambda b: b.port.store(b.cached()[0], 99), "entries of"),
    "a cache entry twice": (lambda b: b.port.store(b.cached()[0] + 8, b.cached()[1]), "more than one|lost"),
    "a cache entry in use": (lambda b: b.port.store(b.cached()[0] + 8, b.typed.paddr), "but not free"),
    "a cache entry that is no frame": (
        lambda b: b.port.store(b.cached()[0] + 8, 0x1234),
        "not the address of a frame"),
    "a free frame lost": (lose_frame, "it is lost"),
    # --- slabs
    "a slab's free list's head": (
        lambda b: b.bump(b.slab_of(b.objects[64][0]) + FREE_LIST, 64),
        "free list|free and"),
    "a slab's free list into nowhere": (
        lambda b: b.port.store(b.slab_of(b.objects[64][0]) + FREE_LIST, 8),
        "free list"),
    "a free slot's link": (break_free_slot, "free list"),
    "a free list that goes round": (loop_free_list, "in it already"),
    "a slab's allocated slots": (lambda b: b.bump(b.slab_of(b.objects[64][0]) + COUNTS), "free and"),
    "a slab's slot size": (lambda b: b.bump(b.slab_of(b.objects[64][0]) + COUNTS, 1 << 32), "slots of 65 bytes"),
    "a slab's slot size doubled": (lambda b: b.bump(b.slab_of(b.objects[64][0]) + COUNTS, 64 << 32), "slab"),
    "a live bit lost": (
        lambda b: b.port.store(b.slab_of(b.objects[64][0]) + LIVE, 0),
        "neither free nor live|not live"),
    "a live bit too many": (lambda b: b.port.store(b.slab_of(b.objects[64][0]) + LIVE, (1 << 64) - 1), "live"),
    "a live bit beyond the last slot": (
        lambda b: b.bump(b.slab_of(b.objects[256][0]) + LIVE, 1 << 40),
        "beyond the last"),
    "a bitmap's address": (lambda b: b.bump(b.slab_of(b.objects[8][0]) + LIVE, 64), "bitmap"),
    "a bitmap's bits": (lambda b: b.bump(b.port.load(b.slab_of(b.objects[32][0]) + LIVE)), "live"),
    "a bitmap not in use": (give_bitmap, "bitmap"),
    "a bitmap's lock": (lambda b: b.port.store(b.mm.statics.area("live_maps", 64) + 32, 2), "locked by CPU 1"),
    "a slab cache's list": (lambda b: b.bump(b.heap.slabs[3].partial.head + SIZE), "list of partial slabs"),
    "a slab in the wrong list": (wrong_list, "in the list of full"),
    "the count of slab bytes": (
        lambda b: b.bump(b.mm.cpu_locals.base(0) + b.mm.statics.local_area("slab_bytes", 8), 4096),
        "bytes of slabs"),
    "the heap's lock": (lambda b: b.port.store(b.heap._lock._address, 1), "heap is locked by CPU 0"),
    # --- object caches
    "an object cache's head": (lambda b: b.bump(b.heap.object_caches(0)[3].list.head, 64), "object cache"),
    "an object cache's head into nowhere": (
        lambda b: b.port.store(b.heap.object_caches(0)[3].list.head, 0x10),
        "no 64-byte slot"),
    "an object cache emptied": (lambda b: b.port.store(b.heap.object_caches(0)[3].list.head, 0), "counts|neither"),
    "an object cache's bytes": (lambda b: b.bump(b.heap.object_caches(0)[3].list.head + 8, 64), "counts"),
    "a cached slot's link": (
        lambda b: b.bump(b.mm.vaddr_to_paddr(b.port.load(b.heap.object_caches(0)[3].list.head)), 64),
        "object cache"),
    "a cache that goes round": (loop_cache, "does not end|already"),
    "a live slot in a cache": (
        lambda b: b.port.store(b.heap.object_caches(1)[3].list.head, b.objects[64][0]),
        "live"),
    "two CPUs with one list": (
        lambda b: b.port.store(b.heap.object_caches(1)[3].list.head,
            b.port.load(b.heap.object_caches(0)[3].list.head)),
        "out already"),
    # --- large allocations and variables
    "a large object's size": (lambda b: b.bump(b.slab_of(b.objects[20_000][0]), PAGE_SIZE), "large"),
    "a large object's head": (lambda b: b.bump(b.slab_of(b.objects[20_000][0]) + 8, PAGE_SIZE), "large"),
    "a large object's tail": (lambda b: b.bump(b.slab_of(b.objects[20_000][0]) + 64 + 8, PAGE_SIZE), "part of"),
    "a large object not live": (lambda b: b.bump(b.slab_of(b.objects[20_000][0]) + 16, -1), "not live"),
    "a large object's count": (
        lambda b: b.bump(b.slab_of(b.objects[20_000][0]) + 128 + REF_COUNT),
        "holders were found"),
    "a record of variables lost": (
        lambda b: b.port.store(b.mm.statics.area("cpu_local_dyn", 32), 0),
        "nobody has it"),
    # --- page tables
    "a node's entries": (lambda b: b.port.store_sized(b.slot(b.nodes()[-1]) + NR_CHILDREN, 2, 9), "counts 9 entries"),
    "a node's entries said to be none": (
        lambda b: b.port.store_sized(b.slot(b.nodes()[-1]) + NR_CHILDREN, 2, 0),
        "counts no|counts 0"),
    "a node's level": (lambda b: b.port.store_sized(b.slot(b.nodes()[-1]) + LEVEL, 1, 2), "of level"),
    "a node's level that is none": (lambda b: b.port.store_sized(b.slot(b.nodes()[-1]) + LEVEL, 1, 7), "level"),
    "a node stray": (lambda b: b.port.store_sized(b.slot(b.nodes()[-2]) + STRAY, 1, 1), "is stray"),
    "a node locked": (lambda b: b.port.store_sized(b.slot(b.nodes()[-1]) + LOCK, 1, 1), "is locked"),
    "an entry lost": (lambda b: b.port.store(b.nodes()[-1] + (VA >> 12 & 511) * 8, 0), "counts 3 entries, and has 2"),
    "an entry too many": (lambda b: b.port.store(b.nodes()[-1] + 300 * 8, b.frame.paddr >> 2 | 0x57), "has 4"),
    "an absent entry that is not 0": (lambda b: b.port.store(b.nodes()[-1] + 300 * 8, 0x100), "absent entry"),
    "a page's address": (lambda b: b.bump(b.nodes()[-1] + (VA >> 12 & 511) * 8, 1 << 20), "no metadata|holders"),
    "a page counted that was not": (
        lambda b: b.bump(b.nodes()[-1] + ((VA >> 12 & 511) + 2) * 8, -RSV1),
        "no metadata"),
    "a page not counted that was": (
        lambda b: b.bump(b.nodes()[-1] + (VA >> 12 & 511) * 8, RSV1),
        "holders were found"),
    "a huge page's address": (
        lambda b: b.bump(b.nodes(HUGE_VA)[-1] + (HUGE_VA >> SHIFT[2] & 511) * 8, 1 << 10),
        "no multiple of the page"),
    "a huge page counted": (
        lambda b: b.bump(b.nodes(HUGE_VA)[-1] + (HUGE_VA >> SHIFT[2] & 511) * 8, -RSV1),
        "counted entry"),
    "a table's address": (lambda b: b.bump(b.nodes()[0], 1 << 10), "points to|holders"),
    "a root's upper half": (lambda b: b.port.store(b.space.root_paddr + 300 * 8, 0), "upper half"),
    "a root of the kernel without a table": (
        lambda b: b.port.store(b.mm.kspace.root_paddr + 300 * 8, 0),
        "upper half|not all|counts"),
    "user addresses in the kernel's table": (
        lambda b: b.port.store(b.mm.kspace.root_paddr, 0x123),
        "maps user addresses"),
    "the linear mapping": (break_linear, "does not have"),
    "an unused node that is not empty": (lambda b: b.port.store(empty_node(b) + 8, 0x57), "counts no entries"),
    "a space's CPUs": (lambda b: cpus_of(b.mm, b.space.root_paddr).add(1), "is active on"),
    "the active space of a CPU": (
        lambda b: b.port.store(b.mm.cpu_locals.base(1) + b.mm.statics.local_area("vm_space", 8), b.space.root_paddr),
        "is active on|holders"),
    "I/O memory's records": (lambda b: b.port.store(b.space.iomems._head, 0), "nobody has it"),
    # --- virtual areas
    "a block's start": (lambda b: b.bump(block(b, 1), PAGE_SIZE), "virtual ranges"),
    "a block's end": (lambda b: b.bump(block(b, 1) + 8, -PAGE_SIZE), "virtual ranges"),
    "a block's next": (lambda b: b.port.store(block(b, 0) + 16, 0), "virtual ranges end|nobody has it"),
    "a block free that is in use": (lambda b: b.port.store(block(b, -1) + 24, 0), "in no virtual area|not merged"),
    "a block's flag": (lambda b: b.port.store(block(b, 1) + 24, 2), "taken 2"),
    "the areas' lock": (lambda b: b.port.store(b.mm.kspace.areas.lock._address, 1), "locked by CPU 0"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_the_check_names(what: str) -> None:
    damage, words = DAMAGE[what]
    with busy() as kernel:
        kernel.check()
        damage(kernel)
        with pytest.raises(InvariantError, match=words):
            kernel.check()


def test_a_handle_that_is_not_told_of_shows() -> None:
    with busy() as kernel:
        clone = kernel.frame.clone()
        with pytest.raises(InvariantError, match="holders were found"):
            kernel.check()
        clone.drop()
        kernel.check()


def test_an_object_that_is_not_told_of_shows() -> None:
    with busy() as kernel:
        kernel.objects[64].append(kernel.mm.heap.alloc(kernel.layouts[64]))
        kernel.check()
        lost = kernel.objects[64].pop()
        with pytest.raises(InvariantError, match=f"{lost:#x} is live, and nobody has it"):
            kernel.check()
