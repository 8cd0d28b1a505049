"""A CPU's object cache keeps less than eight pages of slots, and is filled and shrunk to two."""

from __future__ import annotations

import pytest

from kernel.errors import CorruptionError, NoMemory
from kernel.mm import PAGE_SIZE, Layout, Mm
from kernel.osdk.heap_allocator.cpu_cache import ObjectCache
from kernel.osdk.heap_allocator.heap_allocator import SIZE_CLASSES
from tests.kernel.mm.heap.heaps import L64, CountedFrames, allocator, heap_frames, make_mm


def _cache(mm: Mm, size: int) -> ObjectCache:
    return allocator(mm).object_caches(mm.cpu)[SIZE_CLASSES.index(size)]


@pytest.mark.parametrize("size", SIZE_CLASSES)
def test_empty_cache_fetches_two_pages_of_slots_and_the_one_asked_for(mm: Mm, size: int) -> None:
    mm.heap.alloc(Layout(size, 8))
    assert _cache(mm, size).size == 2 * PAGE_SIZE
    assert len(_cache(mm, size).list.addresses()) == 2 * PAGE_SIZE // size
    assert list(allocator(mm).use())[SIZE_CLASSES.index(size)].allocated == 2 * PAGE_SIZE // size + 1


@pytest.mark.parametrize("size", SIZE_CLASSES)
def test_cache_that_would_come_to_eight_pages_shrinks_to_two(mm: Mm, size: int) -> None:
    layout, cache = Layout(size, 8), _cache(mm, size)
    held = [mm.heap.alloc(layout) for _ in range(8 * PAGE_SIZE // size)]
    cache.flush()
    for n, address in enumerate(held, 1):
        mm.heap.dealloc(address, layout)
        if n * size < 8 * PAGE_SIZE:
            assert cache.size == n * size
    assert n * size == 8 * PAGE_SIZE
    assert cache.size == 2 * PAGE_SIZE
    assert len(cache.list.addresses()) == 2 * PAGE_SIZE // size


def test_slot_freed_last_is_handed_out_first(mm: Mm) -> None:
    addresses = [mm.heap.alloc(L64) for _ in range(5)]
    for address in addresses:
        mm.heap.dealloc(address, L64)
    assert [mm.heap.alloc(L64) for _ in range(5)] == addresses[::-1]


def test_caches_are_each_cpus_own() -> None:
    mm = make_mm(harts=3)
    address = mm.heap.alloc(L64)
    mm.cpu = 2
    assert _cache(mm, 64).size == 0
    mm.heap.dealloc(address, L64)
    assert _cache(mm, 64).list.addresses() == [address]
    assert mm.heap.alloc(L64) == address
    mm.cpu = 1
    assert mm.heap.alloc(L64) != address
    assert _cache(mm, 64).size == 2 * PAGE_SIZE


def test_steady_use_of_a_cache_takes_no_lock_and_no_slab(mm: Mm) -> None:
    address = mm.heap.alloc(L64)
    lock = mm.statics.area("heap.slabs", 9 * 96 + 8) + 9 * 96
    mm.port.store(lock, 99)
    for _ in range(50):
        mm.heap.dealloc(address, L64)
        address = mm.heap.alloc(L64)
    mm.port.store(lock, 0)


def test_cache_is_filled_as_far_as_memory_goes() -> None:
    mm = make_mm(frames=CountedFrames)
    frames = mm.frame_allocator.inner
    assert isinstance(frames, CountedFrames)
    frames.left = 1
    held = [mm.heap.alloc(L64) for _ in range(64)]
    assert len(set(held)) == 64
    with pytest.raises(NoMemory):
        mm.heap.alloc(L64)
    for address in held:
        mm.heap.dealloc(address, L64)
    allocator(mm).reclaim()
    assert heap_frames(mm) == {}


def test_write_after_free_is_named_when_the_slot_is_next_and_nothing_is_handed_out(mm: Mm) -> None:
    first, second = mm.heap.alloc(L64), mm.heap.alloc(L64)
    mm.heap.dealloc(first, L64)
    mm.heap.dealloc(second, L64)
    mm.port.write(mm.vaddr_to_paddr(second), b"gotcha!!")
    for _ in range(3):
        with pytest.raises(CorruptionError, match=f"slot {second:#x} links to 0x2121616863746f67"):
            mm.heap.alloc(L64)
    third = second
    mm.port.store(mm.vaddr_to_paddr(third), first)
    assert [mm.heap.alloc(L64), mm.heap.alloc(L64)] == [second, first]


def test_list_cut_short_by_a_write_after_free_is_named(mm: Mm) -> None:
    address = mm.heap.alloc(L64)
    mm.heap.dealloc(address, L64)
    mm.port.store(mm.vaddr_to_paddr(address), 0)
    assert mm.heap.alloc(L64) == address
    with pytest.raises(CorruptionError, match="has 0 of them, but 8192 bytes by its own count"):
        mm.heap.alloc(L64)
    with pytest.raises(CorruptionError, match="has 0 of them"):
        _cache(mm, 64).flush()


def test_list_that_is_longer_than_its_count_is_named_and_stays(mm: Mm) -> None:
    mm.heap.alloc(L64)
    cache = _cache(mm, 64)
    before = cache.list.addresses()
    mm.port.store(cache.list.head + 8, 0)
    with pytest.raises(CorruptionError, match="has 128 of them, but 0 bytes"):
        mm.heap.alloc(L64)
    with pytest.raises(CorruptionError, match="has 128 of them, but 0 bytes"):
        cache.flush()
    assert cache.list.addresses() == before


def test_cycle_made_by_a_write_after_free_hands_no_slot_out_twice(mm: Mm) -> None:
    held = [mm.heap.alloc(L64) for _ in range(3)]
    for address in held:
        mm.heap.dealloc(address, L64)
    mm.port.store(mm.vaddr_to_paddr(held[0]), held[2])
    got = []
    with pytest.raises(CorruptionError, match=f"slot {held[0]:#x} links to {held[2]:#x}"):
        for _ in range(200):
            got.append(mm.heap.alloc(L64))
    assert got == held[:0:-1]


def test_cycle_ends_a_flush_with_its_name_and_moves_nothing(mm: Mm) -> None:
    held = [mm.heap.alloc(L64) for _ in range(3)]
    for address in held:
        mm.heap.dealloc(address, L64)
    cache, before = _cache(mm, 64), list(allocator(mm).use())
    link = mm.port.load(mm.vaddr_to_paddr(held[0]))
    mm.port.store(mm.vaddr_to_paddr(held[0]), held[2])
    with pytest.raises(CorruptionError, match=f"slot {held[0]:#x} links to {held[2]:#x}"):
        cache.flush()
    mm.port.store(mm.vaddr_to_paddr(held[0]), link)
    assert list(allocator(mm).use()) == before


def test_free_that_finds_the_list_broken_frees_nothing(mm: Mm) -> None:
    layout, cache = Layout(2048, 8), _cache(mm, 2048)
    held = [mm.heap.alloc(layout) for _ in range(16)]
    cache.flush()
    for address in held[:15]:
        mm.heap.dealloc(address, layout)
    link = mm.port.load(mm.vaddr_to_paddr(held[9]))
    mm.port.store(mm.vaddr_to_paddr(held[9]), 0x41)
    with pytest.raises(CorruptionError, match=f"slot {held[9]:#x} links to 0x41"):
        mm.heap.dealloc(held[15], layout)
    assert mm.heap.is_live(held[15], layout)
    mm.port.store(mm.vaddr_to_paddr(held[9]), link)
    mm.heap.dealloc(held[15], layout)
    assert cache.size == 2 * PAGE_SIZE


def test_flush_that_finds_the_slabs_list_broken_keeps_the_rest_in_the_cache(mm: Mm) -> None:
    held = [mm.heap.alloc(Layout(2048, 8)) for _ in range(5)]
    cache = _cache(mm, 2048)
    cache.flush()
    for address in held:
        mm.heap.dealloc(address, Layout(2048, 8))
    meta = mm.slots.slot(mm.vaddr_to_paddr(held[3]) & -PAGE_SIZE)
    right = mm.port.load(meta + 8)
    mm.port.store(meta + 8, 0x1234)
    with pytest.raises(CorruptionError):
        cache.flush()
    mm.port.store(meta + 8, right)
    assert cache.size == 2048 * len(cache.list.addresses())
