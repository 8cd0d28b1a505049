"""Frames, segments and lists behave as upstream's tests say (OSTD `mm/frame/test.rs`, same names)."""

from __future__ import annotations

import pytest

from kernel.errors import InvalidArgs, KernelPanic, MetaTypeError, UseAfterMove
from kernel.mm import FrameAllocOptions, Link, LinkedList, Mm, Segment, UniqueFrame
from kernel.mm.fields import u32, u64
from kernel.mm.frame.frame import Frame
from kernel.mm.frame.meta_type import AnyUFrameMeta, FrameMeta, Unit
from kernel.mm.paging import PAGE_SIZE


class MockFrameMeta(FrameMeta):
    value = u32()


class MockUFrameMeta(AnyUFrameMeta):
    value = u32()


class MockLink(Link):
    value = u64()


def _unique(mm: Mm, value: int) -> UniqueFrame[MockLink]:
    return FrameAllocOptions(mm).alloc_unique(MockLink(value=value))


def _values(linked: LinkedList[MockLink]) -> list[int]:
    cursor, values = linked.cursor_front_mut(), []
    while (meta := cursor.current_meta()) is not None:
        values.append(meta.value)
        cursor.move_next()
    return values


def test_frame_allocation(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_frame_with(MockFrameMeta(value=42)) as frame:
        assert frame.meta.value == 42
        assert frame.reference_count == 1
        assert frame.size == PAGE_SIZE
        assert frame.map_level == 1


def test_frame_clone(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_frame_with(MockFrameMeta(value=42)) as frame, frame.clone() as other:
        assert other.paddr == frame.paddr
        assert other == frame
        assert frame.reference_count == other.reference_count == 2


def test_frame_drop(mm: Mm) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    paddr = frame.paddr
    frame.drop()
    with FrameAllocOptions(mm).alloc_frame() as again:
        assert again.paddr == paddr


def test_frame_to_uframe(mm: Mm) -> None:
    frame = FrameAllocOptions(mm).alloc_frame_with(MockUFrameMeta(value=3))
    with frame.into_uframe() as uframe:
        assert uframe.dyn_meta.value == 3  # type: ignore[attr-defined]
        assert uframe.reference_count == 1
    assert not frame.held


def test_frame_conversions(mm: Mm) -> None:
    frame = FrameAllocOptions(mm).alloc_frame_with(MockFrameMeta(value=42))
    dyn = frame.into_dyn()
    with pytest.raises(MetaTypeError, match="MockFrameMeta, not MockUFrameMeta"):
        dyn.downcast(MockUFrameMeta)
    with pytest.raises(MetaTypeError):
        dyn.into_uframe()
    with dyn.downcast(MockFrameMeta) as typed:
        assert typed.meta.value == 42
        assert typed.reference_count == 1


def test_linked_list_push_pop(mm: Mm) -> None:
    with LinkedList(mm, MockLink) as linked:
        for value in (1, 2, 3):
            linked.push_front(_unique(mm, value))
        assert linked.size == 3
        popped = []
        while (frame := linked.pop_front()) is not None:
            popped.append(frame.meta.value)
            frame.drop()
        assert popped == [3, 2, 1]
        assert linked.is_empty
        for value in (1, 2, 3):
            linked.push_back(_unique(mm, value))
        assert _values(linked) == [1, 2, 3]
        last = linked.pop_back()
        assert last is not None
        assert last.meta.value == 3
        last.drop()
        cursor = linked.cursor_back_mut()
        cursor.move_next()
        assert cursor.current_meta() is None
        cursor.move_next()
        meta = cursor.current_meta()
        assert meta is not None
        assert meta.value == 1


def test_linked_list_cursor_at(mm: Mm) -> None:
    with LinkedList(mm, MockLink) as linked, LinkedList(mm, MockLink) as other:
        paddrs = []
        for value in range(3):
            frame = _unique(mm, value)
            paddrs.append(frame.paddr)
            linked.push_back(frame)
        stranger = _unique(mm, 9)
        other.push_back(_unique(mm, 10))
        assert all(linked.contains(paddr) for paddr in paddrs)
        assert not any(other.contains(paddr) for paddr in paddrs)
        assert not linked.contains(stranger.paddr)
        assert linked.cursor_mut_at(stranger.paddr) is None
        assert linked.cursor_mut_at(1) is None
        assert linked.cursor_mut_at(1 << 60) is None
        cursor = linked.cursor_mut_at(paddrs[1])
        assert cursor is not None
        meta = cursor.current_meta()
        assert meta is not None
        assert meta.value == 1
        stranger.drop()


def test_linked_list_cursor_ops(mm: Mm) -> None:
    with LinkedList(mm, MockLink) as linked:
        cursor = linked.cursor_front_mut()
        cursor.insert_before(_unique(mm, 1))
        cursor.insert_before(_unique(mm, 3))
        cursor = linked.cursor_back_mut()
        cursor.insert_before(_unique(mm, 2))
        assert _values(linked) == [1, 2, 3]
        cursor.move_prev()
        taken = cursor.take_current()
        assert taken is not None
        assert taken.meta.value == 2
        meta = cursor.current_meta()
        assert meta is not None
        assert meta.value == 3
        cursor.move_next()
        assert cursor.current_meta() is None
        assert cursor.take_current() is None
        cursor.insert_before(taken)
        assert _values(linked) == [1, 3, 2]
        assert cursor.as_list().size == 3
        cursor.move_prev()
        cursor.move_prev()
        cursor.move_prev()
        cursor.move_prev()
        assert cursor.current_meta() is None


def test_segment_creation(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_segment_with(512, lambda paddr: MockFrameMeta(value=paddr >> 12)) as segment:
        assert segment.size == 512 * PAGE_SIZE
        assert segment.end_paddr - segment.start_paddr == segment.size
        for frame in segment.clone():
            assert frame.meta.value == frame.paddr >> 12
            frame.drop()


def test_max_segment_creation(mm: Mm) -> None:
    with pytest.raises(KernelPanic):
        FrameAllocOptions(mm).alloc_segment((1 << 64) - 1)


def test_empty_segment_creation(mm: Mm) -> None:
    with pytest.raises(InvalidArgs):
        FrameAllocOptions(mm).alloc_segment(0)


def test_zeroed_segment_creation(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_segment(3) as dirty:
        dirty.write_bytes(0, b"\xff" * dirty.size)
    with FrameAllocOptions(mm).zeroed(True).alloc_segment(3) as segment:
        assert segment.read_bytes(0, segment.size) == bytes(3 * PAGE_SIZE)


def test_segment_split(mm: Mm) -> None:
    segment = FrameAllocOptions(mm).alloc_segment(4)
    start, end = segment.start_paddr, segment.end_paddr
    first, second = segment.split(2 * PAGE_SIZE)
    assert (first.start_paddr, first.end_paddr) == (start, start + 2 * PAGE_SIZE)
    assert (second.start_paddr, second.end_paddr) == (start + 2 * PAGE_SIZE, end)
    first.drop()
    second.drop()


def test_segment_slice(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_segment(4) as segment, segment.slice(PAGE_SIZE, 3 * PAGE_SIZE) as part:
        assert part.start_paddr == segment.start_paddr + PAGE_SIZE
        assert part.size == 2 * PAGE_SIZE


def test_segment_iteration(mm: Mm) -> None:
    segment = FrameAllocOptions(mm).alloc_segment_with(5, lambda paddr: MockFrameMeta(value=7))
    frames = list(segment)
    assert len(frames) == 5
    assert not segment.held
    for frame in frames:
        assert frame.meta.value == 7
        assert frame.reference_count == 1
        frame.drop()


def test_invalid_segment_split(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_segment(2) as segment:
        with pytest.raises(KernelPanic, match="segment virtual address out-of-bound for splitting"):
            segment.split(0)
        assert segment.held


def test_segment_slice_out_of_bounds(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_segment(2) as segment:
        for start, end in ((0, 3 * PAGE_SIZE), (1 << 63, (1 << 63) + PAGE_SIZE), (PAGE_SIZE, 0)):
            with pytest.raises(KernelPanic, match="segment virtual address out-of-bound for slicing"):
                segment.slice(start, end)


def test_an_empty_slice_which_would_own_nothing_is_refused(mm: Mm) -> None:
    """#3892: upstream's keeps an address without holding a frame."""
    with FrameAllocOptions(mm).alloc_segment(2) as segment:
        for at in (0, PAGE_SIZE, 2 * PAGE_SIZE):
            with pytest.raises(KernelPanic, match="out-of-bound for slicing"):
                segment.slice(at, at)


def test_a_handle_that_is_gone_has_no_address(mm: Mm) -> None:
    frame, segment = FrameAllocOptions(mm).alloc_frame(), FrameAllocOptions(mm).alloc_segment(2)
    frame.drop()
    segment.drop()
    for use in (lambda: frame.paddr, lambda: frame.meta, frame.clone, frame.drop, lambda: segment.start_paddr,
                lambda: segment.end_paddr, segment.clone, frame.into_raw, lambda: segment.split(PAGE_SIZE)):
        with pytest.raises(UseAfterMove):
            use()


def test_segment_to_usegment(mm: Mm) -> None:
    dyn = FrameAllocOptions(mm).alloc_segment(2).into_dyn()
    with dyn.into_usegment() as usegment:
        usegment.write_bytes(PAGE_SIZE - 2, b"abcd")
        assert usegment.read_bytes(PAGE_SIZE - 2, 4) == b"abcd"
    typed = FrameAllocOptions(mm).alloc_segment_with(2, lambda paddr: MockFrameMeta()).into_dyn()
    with pytest.raises(MetaTypeError):
        typed.into_usegment()
    typed.drop()


def test_segment_to_segment(mm: Mm) -> None:
    dyn = FrameAllocOptions(mm).alloc_segment_with(2, lambda paddr: MockFrameMeta(value=5)).into_dyn()
    with pytest.raises(MetaTypeError):
        dyn.downcast(MockUFrameMeta)
    with dyn.downcast(MockFrameMeta) as typed:
        frame = typed.next_frame()
        assert frame.meta.value == 5
        frame.drop()


def test_frame_to_segment(mm: Mm) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    paddr = frame.paddr
    with Segment.from_frame(frame) as segment:
        assert (segment.start_paddr, segment.size) == (paddr, PAGE_SIZE)
    assert not frame.held


def test_segment_drop(mm: Mm) -> None:
    segment = FrameAllocOptions(mm).alloc_segment(4)
    start = segment.start_paddr
    segment.drop()
    with FrameAllocOptions(mm).alloc_segment(4) as again:
        assert again.start_paddr == start


def test_untyped_frame_reader_writer(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_frame() as frame:
        assert frame.reader().remain == frame.writer().avail == PAGE_SIZE
        frame.writer().write_val(u64, 0x1122_3344_5566_7788)
        assert frame.reader().read_val(u64) == 0x1122_3344_5566_7788


def test_untyped_segment_reader_writer(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_segment(2) as segment:
        assert segment.reader().remain == segment.writer().avail == 2 * PAGE_SIZE
        segment.writer().skip(PAGE_SIZE - 4).write_val(u64, 0x1122_3344_5566_7788)
        assert segment.reader().skip(PAGE_SIZE - 4).read_val(u64) == 0x1122_3344_5566_7788


def test_frame_ref_preserves_refcnt(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_frame() as frame:
        ref = frame.borrow()
        assert ref.paddr == frame.paddr
        assert frame.reference_count == 1
        with ref.clone():
            assert ref.reference_count == 2
        del ref
        assert frame.reference_count == 1


def test_frame_impls_non_null_ptr(mm: Mm) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    paddr = frame.into_raw()
    assert mm.slots.state(paddr).count == 1
    with Frame.from_raw(mm, paddr) as again:
        assert again.paddr == paddr
        assert again.reference_count == 1
        assert again.borrow().get() is again
        assert type(again.dyn_meta) is Unit
