"""A slab cache keeps its slabs in three lists by how full they are (R3.9)."""

from __future__ import annotations

import pytest

from kernel.errors import AllocatorFault, HeapMisuse, InvalidArgs, KernelPanic, NoMemory
from kernel.mm import Layout, Mm
from kernel.mm.heap.slab import SlabMeta
from kernel.mm.heap.slot import HeapSlot
from kernel.osdk.heap_allocator.slab_cache import SlabCache
from tests.kernel.mm.heap.heaps import CountedFrames, area, heap_frames, make_mm


def _lists(cache: SlabCache) -> tuple[int, int, int]:
    return len(cache.empty), len(cache.partial), len(cache.full)


def test_first_slot_makes_its_slab_and_four_spare_ones(mm: Mm) -> None:
    cache = SlabCache(mm, 1024, area(mm))
    assert _lists(cache) == (0, 0, 0)
    slot = cache.alloc()
    assert _lists(cache) == (4, 1, 0)
    cache.dealloc(slot)
    assert _lists(cache) == (5, 0, 0)
    cache.drop()


def test_slab_goes_from_empty_over_partial_to_full_and_back(mm: Mm) -> None:
    cache = SlabCache(mm, 1024, area(mm))
    slots, seen = [], []
    for _ in range(4):
        slots.append(cache.alloc())
        seen.append(_lists(cache))
    assert seen == [(4, 1, 0), (4, 1, 0), (4, 1, 0), (4, 0, 1)]
    seen = []
    for slot in slots:
        cache.dealloc(slot)
        seen.append(_lists(cache))
    assert seen == [(4, 1, 0), (4, 1, 0), (4, 1, 0), (5, 0, 0)]
    cache.drop()


def test_slab_of_one_slot_goes_straight_between_empty_and_full(mm: Mm) -> None:
    cache = SlabCache(mm, 4096, area(mm))
    slot = cache.alloc()
    assert _lists(cache) == (4, 0, 1)
    cache.dealloc(slot)
    assert _lists(cache) == (5, 0, 0)
    cache.drop()


def test_partial_slab_is_used_before_an_empty_one(mm: Mm) -> None:
    cache = SlabCache(mm, 2048, area(mm))
    first, second = cache.alloc(), cache.alloc()
    page = first.paddr & -4096
    assert second.paddr & -4096 == page
    third = cache.alloc()
    cache.dealloc(first)
    assert _lists(cache) == (3, 2, 0)
    again = cache.alloc()
    assert again.paddr & -4096 == page, "the slab that got a slot back last is the last partial one"
    for slot in (second, third, again):
        cache.dealloc(slot)
    cache.drop()


def test_slab_that_gets_a_slot_back_moves_behind_the_other_partial_ones(mm: Mm) -> None:
    cache = SlabCache(mm, 1024, area(mm))
    slots = [cache.alloc() for _ in range(8)]
    cache.dealloc(slots[0])
    cache.dealloc(slots[4])
    assert [mm.slots.frame_of(meta) for meta in cache.partial] == [slots[1].paddr & -4096, slots[5].paddr & -4096]
    cache.dealloc(slots[1])
    assert [mm.slots.frame_of(meta) for meta in cache.partial] == [slots[5].paddr & -4096, slots[2].paddr & -4096]
    for slot in (*slots[2:4], *slots[5:]):
        cache.dealloc(slot)
    cache.drop()


def test_more_than_sixteen_empty_slabs_shrink_to_four(mm: Mm) -> None:
    cache = SlabCache(mm, 2048, area(mm))
    slots = [cache.alloc() for _ in range(40)]
    assert _lists(cache) == (0, 0, 20)
    counts = []
    for slot in slots:
        cache.dealloc(slot)
        counts.append(len(cache.empty))
    assert max(counts) == 16
    assert counts[33] == 4, "the 17th empty slab makes 13 go"
    assert _lists(cache) == (7, 0, 0)
    cache.drop()


def test_dropping_a_cache_gives_all_frames_back(mm: Mm) -> None:
    lists = area(mm)
    before = heap_frames(mm)
    cache = SlabCache(mm, 8, lists)
    slots = [cache.alloc() for _ in range(3000)]
    assert heap_frames(mm) != before
    for slot in slots:
        cache.dealloc(slot)
    cache.drop()
    assert heap_frames(mm) == before


def test_dropping_a_cache_with_allocated_slots_panics_and_frees_nothing(mm: Mm) -> None:
    cache = SlabCache(mm, 2048, area(mm))
    slot = cache.alloc()
    with pytest.raises(KernelPanic, match="1 slots allocated when dropping a slab"):
        cache.drop()
    assert _lists(cache) == (4, 1, 0)
    cache.dealloc(slot)
    cache.drop()


def test_slot_of_another_cache_is_refused(mm: Mm) -> None:
    lists = area(mm, 192)
    one, other = SlabCache(mm, 64, lists), SlabCache(mm, 64, lists + 96)
    slot = one.alloc()
    with pytest.raises(HeapMisuse, match="not in this cache"):
        other.dealloc(slot)
    assert slot.held
    one.dealloc(slot)
    one.drop()
    other.drop()


def test_large_slot_is_refused(mm: Mm) -> None:
    cache = SlabCache(mm, 64, area(mm))
    slot = HeapSlot.alloc_large(mm, 4096)
    with pytest.raises(HeapMisuse, match="a slab's slot"):
        cache.dealloc(slot)
    slot.dealloc_large()


def test_spare_slabs_may_fail_to_be_made() -> None:
    mm = make_mm(frames=CountedFrames)
    cache, frames = SlabCache(mm, 64, area(mm)), mm.frame_allocator.inner
    assert isinstance(frames, CountedFrames)
    frames.left = 2
    slot = cache.alloc()
    assert _lists(cache) == (1, 1, 0)
    frames.left = 0
    more = [cache.alloc() for _ in range(127)]
    with pytest.raises(NoMemory):
        cache.alloc()
    assert _lists(cache) == (0, 0, 2)
    for one in (slot, *more):
        cache.dealloc(one)
    cache.drop()


def test_slabs_of_unfit_sizes_are_refused(mm: Mm) -> None:
    with pytest.raises(InvalidArgs):
        SlabCache(mm, 24, 0)


def test_cache_is_found_again_in_memory(mm: Mm) -> None:
    lists = area(mm)
    slots = [SlabCache(mm, 512, lists).alloc() for _ in range(9)]
    again = SlabCache(mm, 512, lists)
    assert _lists(again) == (3, 1, 1)
    assert again.allocated() == 9
    assert sorted(meta.nr_allocated for meta in again.metas()) == [0, 0, 0, 1, 8]
    assert all(isinstance(meta, SlabMeta) for meta in again.metas())
    for slot in slots:
        again.dealloc(slot)
    again.drop()


class Faulty(CountedFrames):
    """Hands out the same frame over and over when it should have nothing left."""

    __slots__ = ()

    def alloc(self, layout: Layout) -> int | None:
        return super().alloc(layout) or 0x8020_0000


def test_faulty_frame_allocator_is_named_and_loses_no_slot() -> None:
    mm = make_mm(frames=Faulty)
    cache, frames = SlabCache(mm, 64, area(mm)), mm.frame_allocator.inner
    assert isinstance(frames, Faulty)
    frames.left = 2
    with pytest.raises(AllocatorFault, match="Faulty: alloc gave 0x80200000"):
        cache.alloc()
    assert _lists(cache) == (2, 0, 0)
    assert cache.allocated() == 0
    cache.drop()


def test_empty_slab_that_became_so_last_is_used_first(mm: Mm) -> None:
    cache = SlabCache(mm, 4096, area(mm))
    slots = [cache.alloc() for _ in range(3)]
    paddrs = [slot.paddr for slot in slots]
    for slot in slots:
        cache.dealloc(slot)
    again = [cache.alloc() for _ in range(3)]
    assert [slot.paddr for slot in again] == paddrs[::-1]
    for slot in again:
        cache.dealloc(slot)
    cache.drop()
