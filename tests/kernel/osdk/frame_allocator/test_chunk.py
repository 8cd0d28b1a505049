"""Orders and chunks."""

from __future__ import annotations

import pytest

from kernel.errors import FrameMisuse, InUse, InvalidArgs, KernelPanic, UseAfterMove
from kernel.mm import PAGE_SIZE
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.frame.meta import FREE, TAKEN, Kind
from kernel.osdk.frame_allocator.chunk import (
    FreeChunk,
    FreeHeadMeta,
    greater_order_of,
    lesser_order_of,
    max_order_from,
    size_of_order,
    split_to_chunks,
    split_to_order,
)
from tests.kernel.osdk.frame_allocator.memory import memory, region


def test_greater_order_of_works() -> None:
    assert [greater_order_of(frames * PAGE_SIZE) for frames in range(1, 10)] == [0, 1, 2, 2, 3, 3, 3, 3, 4]


def test_lesser_order_of_works() -> None:
    assert [lesser_order_of(frames * PAGE_SIZE) for frames in range(1, 10)] == [0, 1, 1, 2, 2, 2, 2, 3, 3]


def test_max_order_from_works() -> None:
    assert [max_order_from(frame * PAGE_SIZE) for frame in range(13)] == [52, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2]


@pytest.mark.parametrize(("first", "frames", "chunks"), [
    (0, 0, []),
    (0, 1, [(0, 0)]),
    (0, 2, [(0, 1)]),
    (6, 32, [(6, 1), (8, 3), (16, 4), (32, 2), (36, 1)]),
    (7, 5, [(7, 0), (8, 2)]),
    (12, 16, [(12, 2), (16, 3), (24, 2)]),
    (1024, 1024, [(1024, 10)]),
])
def test_split_to_chunks_works(first: int, frames: int, chunks: list[tuple[int, int]]) -> None:
    expected = [(frame * PAGE_SIZE, order) for frame, order in chunks]
    assert list(split_to_chunks(first * PAGE_SIZE, frames * PAGE_SIZE)) == expected


def test_split_to_order_works() -> None:
    for split_order in (3, 2, 1, 0):
        expected = [frame * PAGE_SIZE for frame in range(0, 8, 1 << split_order)]
        assert list(split_to_order(0, 3, split_order)) == expected


def test_free_chunk_ops() -> None:
    mm = memory((0, 64)).mm
    with region(mm, 8) as first:
        quarter, half = first + size_of_order(1), first + size_of_order(2)
        chunk = FreeChunk.from_unused(mm, first, 3)
        assert (chunk.order, chunk.paddr, chunk.buddy) == (3, first, first ^ size_of_order(3))
        left, right = chunk.split_free()
        assert (left.order, left.paddr, left.buddy) == (2, first, half)
        assert (right.order, right.paddr, right.buddy) == (2, half, first)
        r1, r2 = left.split_free()
        assert (r1.order, r1.paddr, r1.buddy) == (1, first, quarter)
        assert (r2.order, r2.paddr, r2.buddy) == (1, quarter, first)
        chunk = r1.merge_free(r2).merge_free(right)
        assert (chunk.order, chunk.paddr) == (3, first)
        chunk.into_unique_head().reset_as_unused()


# --- ours --------------------------------------------------------------------------------------------------


def test_orders_of_0_pages_do_not_underflow() -> None:
    assert greater_order_of(0) == 0
    with pytest.raises(InvalidArgs, match="0 bytes hold no chunk"):
        lesser_order_of(0)


def test_a_part_of_a_page_counts_as_a_page() -> None:
    assert greater_order_of(1) == 0
    assert greater_order_of(PAGE_SIZE + 1) == 1
    assert greater_order_of(65 * 1024) == 5


def test_chunks_can_be_kept_below_an_order() -> None:
    assert list(split_to_chunks(0, 8 * PAGE_SIZE, 1)) == [(frame * PAGE_SIZE, 1) for frame in (0, 2, 4, 6)]


def test_ranges_that_are_not_of_pages_have_no_chunks() -> None:
    for paddr, size in ((1, PAGE_SIZE), (0, 1), (0, -PAGE_SIZE)):
        with pytest.raises(KernelPanic):
            list(split_to_chunks(paddr, size))
    with pytest.raises(KernelPanic):
        max_order_from(1)
    with pytest.raises(KernelPanic):
        split_to_order(PAGE_SIZE, 1, 0)
    with pytest.raises(KernelPanic):
        split_to_order(0, 1, 2)


def test_only_the_head_of_a_chunk_is_claimed() -> None:
    mm = memory((0, 64)).mm
    with region(mm, 4) as first:
        chunk = FreeChunk.from_unused(mm, first, 2)
        states = [mm.slots.state(first + tail * PAGE_SIZE) for tail in range(4)]
        assert states[0].kind is Kind.UNIQUE
        assert states[0].type_name == "FreeHeadMeta"
        assert [state.kind for state in states[1:]] == [Kind.FREE] * 3
        assert FreeHeadMeta.at(mm.port, mm.slots.slot(first)).order == 2
        chunk.into_unique_head().reset_as_unused()


def test_a_chunk_with_a_tail_that_is_not_free_is_refused_and_its_head_stays_free() -> None:
    mm = memory((0, 64)).mm
    with region(mm, 4) as first:
        mm.slots.mark(first + PAGE_SIZE, first + 2 * PAGE_SIZE, TAKEN)
        with pytest.raises(FrameMisuse, match="handed out"):
            FreeChunk.from_unused(mm, first, 2)
        assert mm.slots.state(first).kind is Kind.FREE
        mm.slots.mark(first + PAGE_SIZE, first + 2 * PAGE_SIZE, FREE)


def test_a_chunk_whose_head_is_used_is_refused() -> None:
    mm = memory((0, 64)).mm
    with FrameAllocOptions(mm).alloc_frame() as frame:
        with pytest.raises(InUse):
            FreeChunk.from_unused(mm, frame.paddr, 0)
        assert frame.reference_count == 1


def test_chunks_move() -> None:
    mm = memory((0, 64)).mm
    with region(mm, 4) as first:
        chunk = FreeChunk.from_unused(mm, first, 2)
        left, right = chunk.split_free()
        with pytest.raises(UseAfterMove):
            chunk.split_free()
        whole = left.merge_free(right)
        for gone in (left, right):
            with pytest.raises(UseAfterMove):
                _ = gone.order
        whole.into_unique_head().reset_as_unused()
        with pytest.raises(UseAfterMove):
            whole.into_unique_head()


def test_only_buddies_merge_and_single_frames_do_not_split() -> None:
    mm = memory((0, 64)).mm
    with region(mm, 4) as first:
        one, two, four = (FreeChunk.from_unused(mm, first + frame * PAGE_SIZE, 0) for frame in (1, 2, 3))
        with pytest.raises(KernelPanic, match="are not buddies"):
            one.merge_free(two)
        with pytest.raises(KernelPanic, match="cannot be split"):
            one.split_free()
        pair = two.merge_free(four)
        with pytest.raises(KernelPanic, match="are not buddies"):
            one.merge_free(pair)
        for chunk in (one, pair):
            chunk.into_unique_head().reset_as_unused()


def test_a_chunk_lies_at_a_multiple_of_its_size() -> None:
    mm = memory((0, 64)).mm
    with region(mm, 4) as first, pytest.raises(KernelPanic, match="no chunk of order 1"):
        FreeChunk.from_unused(mm, first + PAGE_SIZE, 1)
