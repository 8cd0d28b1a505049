"""Heap slots cannot be forged, copied, or used twice (R3.10)."""

from __future__ import annotations

import copy
import pickle

import pytest

from kernel.errors import HeapMisuse, KernelPanic, NoMemory, UseAfterMove
from kernel.mm import PAGE_SIZE, Mm
from kernel.mm.heap.slab import Slab
from kernel.mm.heap.slot import HeapSlot, LargeAllocFrameMeta, LargeSlot, SlabSlot
from tests.kernel.mm.heap.heaps import heap_frames


def test_forging_a_slot_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be made by hand"):
        HeapSlot()


def test_subclassing_a_slot_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be subclassed"):
        type("Forged", (HeapSlot,), {})


def test_slot_can_neither_be_copied_nor_pickled(mm: Mm) -> None:
    with HeapSlot.alloc_large(mm, PAGE_SIZE) as slot:
        for copying in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                copying(slot)


def test_slot_tells_where_and_what_it_is(mm: Mm) -> None:
    with HeapSlot.alloc_large(mm, 3 * PAGE_SIZE) as slot:
        assert slot.address == mm.paddr_to_vaddr(slot.paddr)
        assert slot.size == 3 * PAGE_SIZE
        assert slot.info == LargeSlot(3 * PAGE_SIZE) != SlabSlot(3 * PAGE_SIZE)


def test_used_up_slot_tells_nothing_and_does_nothing(mm: Mm) -> None:
    slot = HeapSlot.alloc_large(mm, PAGE_SIZE)
    slot.dealloc_large()
    for use in (lambda: slot.address, lambda: slot.paddr, lambda: slot.size, lambda: slot.info, slot.dealloc_large,
                slot.drop):
        with pytest.raises(UseAfterMove):
            use()


def test_large_slot_has_its_size_and_head_in_every_frames_metadata(mm: Mm) -> None:
    with HeapSlot.alloc_large(mm, 3 * PAGE_SIZE) as slot:
        for paddr in range(slot.paddr, slot.paddr + slot.size, PAGE_SIZE):
            meta = LargeAllocFrameMeta.at(mm.port, mm.slots.slot(paddr))
            assert (meta.size, meta.head, meta.live) == (3 * PAGE_SIZE, slot.paddr, 0)


def test_all_pages_of_a_large_slot_go_back(mm: Mm) -> None:
    """Upstream once leaked all but the first (#2063)."""
    before = heap_frames(mm)
    slot = HeapSlot.alloc_large(mm, 7 * PAGE_SIZE)
    assert heap_frames(mm)["LargeAllocFrameMeta"] == before.get("LargeAllocFrameMeta", 0) + 7
    slot.dealloc_large()
    assert heap_frames(mm) == before


@pytest.mark.parametrize("size", [0, -4096, 1, 4095, 4097])
def test_large_slot_of_no_whole_pages_panics(mm: Mm, size: int) -> None:
    with pytest.raises(KernelPanic):
        HeapSlot.alloc_large(mm, size)


@pytest.mark.parametrize("size", [1 << 30, 1 << 62, 1 << 70])
def test_large_slot_that_does_not_fit_is_no_memory(mm: Mm, size: int) -> None:
    with pytest.raises(NoMemory):
        HeapSlot.alloc_large(mm, size)


def test_large_slot_can_be_aligned_beyond_a_page(mm: Mm) -> None:
    with HeapSlot.alloc_large(mm, PAGE_SIZE), HeapSlot.alloc_large(mm, PAGE_SIZE, 1 << 16) as slot:
        assert slot.paddr % (1 << 16) == 0


def test_slab_slot_is_no_large_one(mm: Mm) -> None:
    slab = Slab.new(mm, 64)
    slot = slab.alloc()
    for operation in (slot.dealloc_large, slot.drop):
        with pytest.raises(HeapMisuse, match="expected a large slot"):
            operation()
    slab.dealloc(slot)
    slab.drop()


def test_lost_slot_warns_that_it_leaks(mm: Mm) -> None:
    slab = Slab.new(mm, 64)
    with pytest.warns(ResourceWarning, match="memory leaks"):
        slab.alloc()
    assert slab.nr_allocated == 1
    slab.into_raw()
