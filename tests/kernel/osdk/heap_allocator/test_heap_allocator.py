"""The default heap allocator: size classes, several CPUs, all state in memory, everything goes back."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from kernel.errors import LockHeld
from kernel.mm import PAGE_SIZE, Layout, Mm
from kernel.mm.heap.dispatch import AllocDispatch
from kernel.mm.heap.slot import LargeSlot, SlabSlot, SlotInfo
from kernel.osdk.heap_allocator.heap_allocator import SIZE_CLASSES, HeapAllocator
from kernel.osdk.heap_allocator.slab_counter import SlabCounter, load_total_slab_size
from tests.kernel.mm.heap.heaps import L64, allocator, consistent, heap_frames, make_mm


@pytest.mark.parametrize("size,align,info", [
    (0, 1, SlabSlot(8)), (1, 1, SlabSlot(8)), (8, 8, SlabSlot(8)), (9, 1, SlabSlot(16)), (16, 16, SlabSlot(16)),
    (1, 64, SlabSlot(64)), (65, 8, SlabSlot(128)), (1025, 1, SlabSlot(2048)), (2048, 8, SlabSlot(2048)),
    (8, 2048, SlabSlot(2048)), (2049, 8, LargeSlot(4096)), (4096, 4096, LargeSlot(4096)), (4097, 8, LargeSlot(8192)),
    (1, 4096, LargeSlot(4096)), (0, 4096, LargeSlot(4096)), (100, 8192, LargeSlot(4096)),
    (9000, 65536, LargeSlot(12288)),
])
def test_slot_map(mm: Mm, size: int, align: int, info: SlotInfo) -> None:
    assert allocator(mm).slot_map(Layout(size, align)) == info


def test_slot_of_every_size_is_of_the_smallest_class_that_fits(mm: Mm) -> None:
    for size in range(2049):
        slot = allocator(mm).alloc(Layout(size, 1))
        assert slot.size == next(fits for fits in SIZE_CLASSES if fits >= size)
        allocator(mm).dealloc(slot)


def test_several_objects_are_the_same_allocator(mm: Mm) -> None:
    addresses = [mm.heap.alloc(L64) for _ in range(500)]
    again = AllocDispatch(mm, HeapAllocator(mm))
    assert list(again.inner.use()) == list(allocator(mm).use())  # type: ignore[attr-defined]
    for address in addresses:
        again.dealloc(address, L64)
    assert again.alloc(L64) == addresses[-1]


def test_use_counts_what_there_is(mm: Mm) -> None:
    for _ in range(100):
        mm.heap.alloc(L64)
    use = next(use for use in allocator(mm).use() if use.slot_size == 64)
    assert (use.active, use.cached, use.allocated) == (100, (29,), 129)
    assert (use.full, use.partial, use.empty, use.slabs, use.total) == (2, 1, 2, 5, 320)


def test_everything_freed_and_reclaimed_leaves_no_frame(mm: Mm) -> None:
    layouts = [Layout(size, 8) for size in (*SIZE_CLASSES, 5000)] * 50
    held = [(mm.heap.alloc(layout), layout) for layout in layouts]
    random.Random(3).shuffle(held)
    assert heap_frames(mm)["LargeAllocFrameMeta"] == 100
    for address, layout in held:
        mm.heap.dealloc(address, layout)
    assert allocator(mm).reclaim() > 0
    assert heap_frames(mm) == {}
    assert load_total_slab_size(mm) == 0


def test_reclaim_empties_the_caches_of_all_cpus() -> None:
    mm = make_mm(harts=4)
    for cpu in range(4):
        mm.cpu = cpu
        mm.heap.dealloc(mm.heap.alloc(L64), L64)
    mm.cpu = 0
    assert heap_frames(mm)["SlabMeta"] >= 8
    allocator(mm).reclaim()
    assert heap_frames(mm) == {}


def test_slabs_are_counted_to_the_byte_whichever_cpu_frees_them() -> None:
    mm = make_mm(harts=2)
    held = [mm.heap.alloc(L64) for _ in range(5000)]
    assert load_total_slab_size(mm) == heap_frames(mm)["SlabMeta"] * PAGE_SIZE
    mm.cpu = 1
    for address in held:
        mm.heap.dealloc(address, L64)
    assert load_total_slab_size(mm) == heap_frames(mm)["SlabMeta"] * PAGE_SIZE
    allocator(mm).reclaim()
    assert load_total_slab_size(mm) == 0


def test_counter_is_never_negative(mm: Mm) -> None:
    SlabCounter(mm).add(-8)
    assert load_total_slab_size(mm) == 0
    SlabCounter(mm).add(16)
    assert load_total_slab_size(mm) == 8


def test_lock_that_another_cpu_holds_is_waited_for() -> None:
    """Nobody could release it here, and LockHeld says so, with nothing changed."""
    mm = make_mm(harts=2)
    lock = mm.statics.area("heap.slabs", 9 * 96 + 8) + 9 * 96
    mm.port.store(lock, 2)
    with pytest.raises(LockHeld, match="heap lock"):
        mm.heap.alloc(L64)
    mm.port.store(lock, 0)
    consistent(mm, Counter())
    mm.heap.alloc(L64)


def test_cost_does_not_depend_on_the_number_of_live_objects(mm: Mm) -> None:
    class Count:
        n = 0

        def access(self, kind: object, address: int, size: int, value: int | None) -> None:
            self.n += 1

    def cost() -> int:
        address, count = mm.heap.alloc(L64), Count()
        with mm.port.observed(count):
            for _ in range(20):
                mm.heap.dealloc(address, L64)
                address = mm.heap.alloc(L64)
        return count.n

    few = cost()
    for _ in range(20_000):
        mm.heap.alloc(L64)
    assert cost() == few
    assert few // 20 < 40, "port accesses for a pair"
