"""A slab cuts its frame into slots, and keeps the free ones in a list inside themselves."""

from __future__ import annotations

import pytest

from kernel.errors import CorruptionError, HeapMisuse, InvalidArgs, KernelPanic, NoMemory, UseAfterMove
from kernel.mm import PAGE_SIZE, Layout, Mm
from kernel.mm.heap.slab import Slab, SlabMeta
from kernel.mm.heap.slot import SLAB_SLOTS, HeapSlot, SlabSlot
from tests.kernel.mm.heap.heaps import L8, L64, CountedFrames, heap_frames, make_mm

SIZES = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]


@pytest.mark.parametrize("size", SIZES)
def test_slots_are_all_of_the_page_the_highest_first(mm: Mm, size: int) -> None:
    slab = Slab.new(mm, size)
    assert (slab.capacity, slab.nr_allocated) == (PAGE_SIZE // size, 0)
    slots = [slab.alloc() for _ in range(slab.capacity)]
    first = mm.paddr_to_vaddr(slab.paddr)
    assert [slot.address for slot in slots] == [first + n * size for n in reversed(range(slab.capacity))]
    assert {slot.info for slot in slots} == {SlabSlot(size)}
    assert slab.nr_allocated == slab.capacity
    for slot in slots:
        slab.dealloc(slot)
    slab.drop()


@pytest.mark.parametrize("size", [0, 1, 4, 7, 12, 24, 96, 1000, 4095, 8192, -8])
def test_issue_3911_slot_size_must_divide_the_page(mm: Mm, size: int) -> None:
    before = heap_frames(mm)
    with pytest.raises(InvalidArgs):
        Slab.new(mm, size)
    assert heap_frames(mm) == before


def test_free_list_is_threaded_through_the_slots_first_words(mm: Mm) -> None:
    slab = Slab.new(mm, 1024)
    first = mm.paddr_to_vaddr(slab.paddr)
    assert slab.meta.free_list == first + 3072
    assert [mm.port.load(slab.paddr + n * 1024) for n in range(4)] == [0, first, first + 1024, first + 2048]
    slab.drop()


def test_metadata_is_where_the_slot_shows_it(mm: Mm) -> None:
    slab = Slab.new(mm, 512)
    slot = slab.alloc()
    raw = mm.slots.slot(slab.paddr)
    assert mm.port.load(raw + 16) == mm.paddr_to_vaddr(slab.paddr) + 6 * 512
    assert mm.port.load(raw + 24) == 512 << 32 | 1
    assert mm.port.load(raw + 32) == 0
    assert SlabMeta.SIZE == 40
    slab.dealloc(slot)
    slab.drop()


def test_slot_that_was_freed_last_is_handed_out_first(mm: Mm) -> None:
    slab = Slab.new(mm, 64)
    slots = [slab.alloc() for _ in range(3)]
    address = slots[1].address
    slab.dealloc(slots[1])
    slots[1] = slab.alloc()
    assert slots[1].address == address
    for slot in slots:
        slab.dealloc(slot)
    slab.drop()


def test_full_slab_has_no_memory(mm: Mm) -> None:
    slab = Slab.new(mm, 4096)
    slot = slab.alloc()
    with pytest.raises(NoMemory, match="full"):
        slab.alloc()
    slab.dealloc(slot)
    slab.drop()


def test_slot_of_another_slab_is_refused(mm: Mm) -> None:
    one, other, large = Slab.new(mm, 64), Slab.new(mm, 64), Slab.new(mm, 128)
    slot = one.alloc()
    for slab in (other, large):
        with pytest.raises(HeapMisuse, match="of another slab"):
            slab.dealloc(slot)
    assert slot.held
    one.dealloc(slot)
    for slab in (one, other, large):
        slab.drop()


def test_slot_goes_back_once(mm: Mm) -> None:
    slab = Slab.new(mm, 64)
    slot = slab.alloc()
    slab.dealloc(slot)
    with pytest.raises(UseAfterMove):
        slab.dealloc(slot)
    assert slab.nr_allocated == 0
    slab.drop()


def test_slab_with_allocated_slots_cannot_be_dropped(mm: Mm) -> None:
    slab = Slab.new(mm, 8)
    slot = slab.alloc()
    with pytest.raises(KernelPanic, match="1 slots allocated when dropping a slab"):
        slab.drop()
    assert slab.held
    slab.dealloc(slot)
    slab.drop()


def test_dropped_slab_leaves_no_frame_behind(mm: Mm) -> None:
    before = heap_frames(mm)
    for size in SIZES:
        Slab.new(mm, size).drop()
    assert heap_frames(mm) == before


@pytest.mark.parametrize("allowed", range(2))
def test_slab_that_runs_out_of_frames_leaves_nothing_behind(allowed: int) -> None:
    mm = make_mm(frames=CountedFrames)
    frames, before = mm.frame_allocator.inner, heap_frames(mm)
    assert isinstance(frames, CountedFrames)
    frames.left = allowed  # a slab of small slots takes a frame for its bitmap, then one for itself
    with pytest.raises(NoMemory):
        Slab.new(mm, 8)
    assert heap_frames(mm) == before


@pytest.mark.parametrize("size", [8, 64, 1024])
@pytest.mark.parametrize("link", ["unaligned", "other page", "itself", "user space", "too early an end"])
def test_broken_free_list_is_reported_and_left_as_it_is(mm: Mm, size: int, link: str) -> None:
    slab = Slab.new(mm, size)
    head = slab.meta.free_list
    wrong = {"unaligned": head - size + 4, "other page": head + PAGE_SIZE, "itself": head,
             "user space": 0x4141414141414141, "too early an end": 0}[link]
    right = mm.port.load(mm.vaddr_to_paddr(head))
    mm.port.store(mm.vaddr_to_paddr(head), wrong)
    with pytest.raises(CorruptionError, match=f"slot {head:#x} links to {wrong:#x}"):
        slab.alloc()
    assert (slab.meta.free_list, slab.nr_allocated) == (head, 0)
    mm.port.store(mm.vaddr_to_paddr(head), right)
    slab.dealloc(slab.alloc())
    slab.drop()


def test_broken_head_of_a_free_list_is_reported(mm: Mm) -> None:
    slab = Slab.new(mm, 64)
    head, meta = slab.meta.free_list, slab.meta
    for wrong in (0, head + 8, head + PAGE_SIZE):
        meta.free_list = wrong
        with pytest.raises(CorruptionError, match="its head links to"):
            slab.alloc()
    meta.free_list = head
    slab.drop()


def test_slab_is_found_again_by_its_frame(mm: Mm) -> None:
    slab = Slab.new(mm, 64)
    slot = slab.alloc()
    again = Slab.from_raw(mm, slab.into_raw())
    assert (again.nr_allocated, again.meta.slot_size) == (1, 64)
    again.dealloc(slot)
    again.drop()


def test_last_free_slot_with_a_link_is_reported(mm: Mm) -> None:
    slab = Slab.new(mm, 1024)
    slots = [slab.alloc() for _ in range(3)]
    last, wrong = slab.meta.free_list, slots[0].address
    mm.port.store(mm.vaddr_to_paddr(last), wrong)
    with pytest.raises(CorruptionError, match=f"slot {last:#x} links to {wrong:#x}"):
        slab.alloc()
    for slot in slots:
        slab.dealloc(slot)
    slab.drop()


@pytest.mark.parametrize("layout", [L8, L64])
def test_free_list_that_links_to_a_live_object_is_reported(mm: Mm, layout: Layout) -> None:
    address = mm.heap.alloc(layout)
    slab = SlabMeta.at(mm.port, mm.slots.slot(mm.vaddr_to_paddr(address) & -PAGE_SIZE))
    head = slab.free_list
    right = mm.port.load(mm.vaddr_to_paddr(head))
    mm.port.store(mm.vaddr_to_paddr(head), address)
    for use in (slab.alloc, slab.free_slots):
        with pytest.raises(CorruptionError, match=f"slot {head:#x} links to {address:#x}"):
            use(mm)
    mm.port.store(mm.vaddr_to_paddr(head), right)


def test_slot_that_is_free_in_its_slab_is_refused_even_with_a_forged_handle(mm: Mm) -> None:
    slab = Slab.new(mm, 64)
    slot = slab.alloc()
    head = slab.meta.free_list
    forged = HeapSlot._adopt(mm, head, SLAB_SLOTS[64])
    with pytest.raises(HeapMisuse, match="free in its slab"):
        slab.dealloc(forged)
    slab.dealloc(slot)
    with pytest.raises(HeapMisuse, match="free in its slab"):
        slab.dealloc(forged)  # not the head any more, but nothing is allocated
    forged._take()
    slab.drop()


def test_walk_of_a_slab_counts_its_slots(mm: Mm) -> None:
    slab = Slab.new(mm, 1024)
    slab.meta.nr_allocated = 1
    with pytest.raises(CorruptionError, match="4 free and 1 allocated slots of 4"):
        slab.meta.free_slots(mm)
    slab.meta.nr_allocated = 0
    slab.drop()
