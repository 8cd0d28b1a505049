"""Two kernels in one process: what is one's is refused by the other, by name, and both stay as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from kernel.errors import AccessDenied, FrameMisuse, HeapMisuse, Misuse
from kernel.mm import Frame, FrameAllocOptions, KVirtArea, Link, LinkedList, Mm, TlbFlusher, TlbFlushOp, Unit, VmSpace
from kernel.mm.check import check
from kernel.mm.frame.meta import Kind
from kernel.mm.heap.slab import Slab
from kernel.mm.heap.slot_list import SlabSlotList
from kernel.mm.io_mem import IoMem
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.paging import PAGE_SIZE as P
from tests.helpers.kernels import boot

RW = PageProperty.new_user(PageFlags.RW)
PAGES = range(0x10000, 0x10000 + 8 * P)


class Linked(Link):
    pass


class Two(NamedTuple):
    ours: Mm
    theirs: Mm
    frame: Frame[Any]
    """Another kernel's frame, at an address that is free here."""


@pytest.fixture
def two() -> Iterator[Two]:
    one, other = boot(), boot()
    head, rest = FrameAllocOptions(other.mm).alloc_segment(256).split(P)
    frame = rest.next_frame()
    assert one.mm.slots.state(frame.paddr).kind is Kind.FREE
    yield Two(one.mm, other.mm, frame)
    if frame.held:
        frame.drop()
    head.drop()
    rest.drop()
    check(one.mm, [])
    check(other.mm, [])
    one.close()
    other.close()


def _map_kernel(mm: Mm, frame: Frame[Any]) -> None:
    KVirtArea.map_frames(mm, 4 * P, 0, [frame], RW).drop()


def _map_user(mm: Mm, frame: Frame[Any]) -> None:
    with VmSpace(mm) as space, space.cursor_mut(PAGES) as cursor:
        cursor.map(frame, RW)


def _flush(mm: Mm, frame: Frame[Any]) -> None:
    with TlbFlusher(mm, lambda: 1) as flusher:
        flusher.issue_tlb_flush_with(TlbFlushOp.for_all(), frame)


@pytest.mark.parametrize("give", [_map_kernel, _map_user, _flush])
def test_another_kernels_frame_is_refused_by_name(two: Two, give: Callable[[Mm, Frame[Any]], None]) -> None:
    with pytest.raises(FrameMisuse, match=f"{two.frame.paddr:#x} .*a frame of another kernel"):
        give(two.ours, two.frame)
    assert two.frame.held


@pytest.mark.parametrize("give", [_map_kernel, _map_user, _flush])
def test_a_unique_frame_has_no_count_to_give(two: Two, give: Callable[[Mm, Any], None]) -> None:
    with FrameAllocOptions(two.ours).alloc_unique(Unit()) as unique:
        with pytest.raises(TypeError, match="takes a Frame, not <UniqueFrame"):
            give(two.ours, unique)
        assert unique.held


def test_one_of_many_frames_that_is_another_kernels_keeps_all_from_being_mapped(two: Two) -> None:
    with FrameAllocOptions(two.ours).alloc_frame() as ours:
        with pytest.raises(FrameMisuse, match="another kernel"):
            KVirtArea.map_frames(two.ours, 4 * P, 0, [ours, two.frame], RW)
        assert ours.reference_count == 1
        assert not any(block.taken for block in two.ours.kspace.areas.blocks())


def test_a_list_takes_no_frame_of_another_kernel(two: Two) -> None:
    taken = [FrameAllocOptions(two.theirs).alloc_unique(Linked()) for _ in range(16)]
    with LinkedList(two.ours, Linked) as frames:
        with pytest.raises(FrameMisuse, match="another kernel"):
            frames.push_back(taken[-1])
        assert frames.is_empty
    for frame in taken:
        frame.drop()


def test_a_slot_list_takes_no_slot_of_another_kernel(two: Two) -> None:
    with Slab.new(two.theirs, 64) as slab:
        slot = slab.alloc()
        slots = SlabSlotList(two.ours, 64, two.ours.statics.area("a_test", 8))
        with pytest.raises(HeapMisuse, match="another kernel's slot"):
            slots.push(slot)
        assert slots.is_empty
        slab.dealloc(slot)


def test_io_memory_of_another_machine_that_is_ram_here_is_refused(two: Two) -> None:
    where = two.frame.paddr
    elsewhere = IoMem(where, P)  # as a machine without memory there would give it
    with VmSpace(two.ours) as space, space.cursor_mut(PAGES) as cursor:
        with pytest.raises(AccessDenied, match="has RAM in it"):
            cursor.map_iomem(elsewhere, RW, P, 0)
        assert cursor.find_iomem_by_paddr(where) is None


def test_a_handle_that_is_given_twice_is_mapped_not_at_all(two: Two) -> None:
    with FrameAllocOptions(two.ours).alloc_frame() as frame:
        with pytest.raises(Misuse, match="one of them twice"):
            KVirtArea.map_frames(two.ours, 4 * P, 0, [frame, frame], RW)
        assert frame.reference_count == 1
        assert not any(block.taken for block in two.ours.kspace.areas.blocks())
