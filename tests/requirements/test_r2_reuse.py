"""R2: the hang on reuse (the source document), and that it cannot happen: misuse is refused by name."""

from __future__ import annotations

import gc
import inspect
from pathlib import Path

import pytest

import kernel.mm
from kernel import Choices
from kernel.errors import AllocatorHung, FrameMisuse, InUse, MetaTypeError, OutOfBound, Unique
from kernel.mm import FrameAllocOptions, Layout, Mm, UniqueFrame
from kernel.mm.check import check
from kernel.mm.frame.meta import Kind
from kernel.mm.frame.meta_type import AllocatorMeta, Unit
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from tests.helpers.kernels import boot

TESTS = Path(__file__).resolve().parents[1]


def _ten_then_a_hundred(mm: Mm) -> None:
    for count in (10, 100):
        FrameAllocOptions(mm).alloc_segment(count).drop()
    check(mm, [])


@pytest.mark.board(memory=128 << 20)
def test_r2_1_a_page_from_outside_the_allocator_is_refused_at_once(mm: Mm) -> None:
    """The scenario of the document: a page at 0x1000 that no allocator gave."""
    with pytest.raises(InUse, match="0x1000 is in use by 1 as ReservedMemoryMeta"):
        UniqueFrame.from_unused(mm, 0x1000, Unit())
    _ten_then_a_hundred(mm)


def test_r2_1_on_a_machine_whose_metadata_begins_with_its_memory(mm: Mm) -> None:
    with pytest.raises(OutOfBound, match="0x1000 has no metadata"):
        UniqueFrame.from_unused(mm, 0x1000, Unit())
    _ten_then_a_hundred(mm)


class ForeignMeta(AllocatorMeta):
    """Metadata of somebody who takes himself for the allocator."""


def test_r2_1_free_pages_cannot_be_made_into_frames_by_hand(mm: Mm) -> None:
    """Upstream, the tail of a free chunk can be claimed and dropped: it is then free twice, a later merge panics."""
    allocator = mm.frame_allocator.inner
    assert isinstance(allocator, FrameAllocator)
    chunk = next(allocator.pools.global_set.chunks(6))
    with pytest.raises(Unique):
        UniqueFrame.from_unused(mm, chunk, Unit())
    with pytest.raises(MetaTypeError, match="only an allocator may claim it"):
        UniqueFrame.from_unused(mm, chunk + 4096, Unit())
    tail = UniqueFrame.from_unused(mm, chunk + 4096, ForeignMeta())
    with pytest.raises(FrameMisuse, match="free: the frame allocator keeps its ForeignMeta there"):
        tail.drop()
    assert tail.held, "the refused frame went nowhere"
    tail.reset_as_unused()
    _ten_then_a_hundred(mm)


def test_r2_2_no_public_name_makes_frames_but_the_allocation_options(mm: Mm) -> None:
    assert "MetaSlots" not in kernel.mm.__all__
    for name in ("Frame", "Segment", "HeapSlot"):
        with pytest.raises(TypeError):
            getattr(kernel.mm, name)()
        with pytest.raises(TypeError):
            getattr(kernel.mm, name)(mm, 0x8040_0000)
    assert not hasattr(kernel.mm.Frame, "from_unused")
    frame = FrameAllocOptions(mm).alloc_frame()
    with pytest.raises(InUse):
        UniqueFrame.from_unused(mm, frame.paddr, Unit())
    frame.drop()


def _refused(mm: Mm, paddr: int, size: int, match: str, *handed_out: tuple[int, int]) -> None:
    with pytest.raises(FrameMisuse, match=match) as caught:
        mm.frame_allocator.dealloc(paddr, size)
    assert caught.value.paddr == paddr
    assert caught.value.size == size
    assert caught.value.state
    check(mm, handed_out=handed_out)


def _a_free_frame(mm: Mm) -> int:
    addresses = range(mm.slots.max_paddr - 4096, 0, -4096)
    return next(paddr for paddr in addresses if mm.slots.state(paddr).kind is Kind.FREE)


def test_r2_3_freeing_what_was_never_allocated_is_refused(mm: Mm) -> None:
    free = _a_free_frame(mm)
    _refused(mm, free, 4096, f"{free:#x} is free; expected frames handed out")


def test_r2_3_freeing_the_tail_of_a_free_chunk_is_refused(mm: Mm) -> None:
    assert isinstance(mm.frame_allocator.inner, FrameAllocator)
    chunk = next(mm.frame_allocator.inner.pools.global_set.chunks(4))
    _refused(mm, chunk + 4096, 4096, "is free")
    _refused(mm, chunk, 4096, "is unique, as FreeHeadMeta")


def test_r2_3_freeing_twice_is_refused(mm: Mm) -> None:
    paddr = mm.frame_allocator.alloc(Layout(4 * 4096, 4096))
    assert paddr is not None
    mm.frame_allocator.dealloc(paddr + 4096, 4096)
    rest = (paddr, 4096), (paddr + 2 * 4096, 2 * 4096)
    _refused(mm, paddr + 4096, 4096, "is free", *rest)
    _refused(mm, paddr, 4 * 4096, f"{paddr + 4096:#x} is free", *rest)
    mm.frame_allocator.dealloc(paddr, 4096)
    mm.frame_allocator.dealloc(paddr + 2 * 4096, 2 * 4096)
    check(mm, [])


def test_r2_3_freeing_what_somebody_holds_is_refused(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_frame() as frame:
        _refused(mm, frame.paddr, 4096, "is in use by 1")


@pytest.mark.parametrize(("paddr", "size", "match"), [
    (0x8100_0001, 4096, "not a range of whole frames"),
    (0x8100_0000, 4095, "not a range of whole frames"),
    (0x8100_0000, 0, "not a range of whole frames"),
    (0x8100_0000, -4096, "not a range of whole frames"),
    (1 << 50, 4096, "physical memory is"),
    (0x8100_0000, 1 << 60, "physical memory is"),
    (-4096, 4096, "physical memory is"),
])
def test_r2_3_ranges_that_are_none_are_refused(mm: Mm, paddr: int, size: int, match: str) -> None:
    _refused(mm, paddr, size, match)


def test_r2_3_memory_cannot_be_given_to_the_allocator_twice(mm: Mm) -> None:
    free = _a_free_frame(mm)
    for paddr in (free, mm.slots.base):
        with pytest.raises(FrameMisuse, match="add_free_memory"):
            mm.frame_allocator.add_free_memory(paddr // 4096 * 4096, 4096)
    check(mm, [])


def test_r2_4_the_last_reference_gives_the_page_back(mm: Mm) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    paddr, other = frame.paddr, frame.clone()
    frame.drop()
    assert mm.slots.state(paddr).kind is Kind.SHARED
    other.drop()
    assert mm.slots.state(paddr).kind is Kind.FREE


def test_r2_4_so_does_the_garbage_collector_with_a_warning(mm: Mm) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    paddr = frame.paddr
    with pytest.warns(ResourceWarning, match=f"{paddr:#x} .* was not dropped"):
        del frame
        gc.collect()
    assert mm.slots.state(paddr).kind is Kind.FREE
    check(mm, [])


class Looping(FrameAllocator):
    """Follows a list that goes in a circle, as the set-based buddy of the document did, when asked for 100 pages."""

    __slots__ = ()

    def alloc(self, layout: Layout) -> int | None:
        if layout.size == 100 * 4096:
            node = 0
            while node != 3:
                node = (node + 2) % 4
        return super().alloc(layout)


def test_r2_5_an_allocator_that_loops_is_stopped_and_named() -> None:
    with boot(Choices(frame_allocator=Looping, watchdog_lines=100_000)) as kernel:
        FrameAllocOptions(kernel.mm).alloc_segment(10).drop()
        with pytest.raises(AllocatorHung, match="Looping: alloc did not end within 100000 lines") as caught:
            FrameAllocOptions(kernel.mm).alloc_segment(100)
        line = inspect.getsourcelines(Looping.alloc)[1]
        assert "Looping.alloc (line" in caught.value.where[0]
        assert line < int(caught.value.where[0].split("line ")[1].rstrip(")")) <= line + 6
        FrameAllocOptions(kernel.mm).alloc_segment(10).drop()
        check(kernel.mm, [])


def test_r2_5_so_is_one_that_loops_when_it_is_given_memory() -> None:
    class Greedy(FrameAllocator):
        __slots__ = ()

        def add_free_memory(self, paddr: int, size: int) -> None:
            while True:
                size += 1

    with pytest.raises(AllocatorHung, match="Greedy: add_free_memory did not end within 1000 lines"):
        boot(Choices(frame_allocator=Greedy, watchdog_lines=1000))


def test_r2_5_it_is_stopped_at_the_same_place_every_time() -> None:
    places = []
    for _ in range(2):
        with boot(Choices(frame_allocator=Looping, watchdog_lines=5_000)) as kernel:
            with pytest.raises(AllocatorHung) as caught:
                FrameAllocOptions(kernel.mm).alloc_segment(100)
            places.append(caught.value.where)
    assert places[0] == places[1]


def test_r2_6_fixtures_give_tests_frames_from_the_allocator_only() -> None:
    """Claims of frames are for allocators, and for the tests of claims themselves."""
    for name in ("helpers/kernels.py", "kernel/conftest.py", "requirements/conftest.py"):
        path = TESTS / name
        text = path.read_text(encoding="utf-8")
        for way in ("from_unused", "claim", "MetaSlots", "from_raw", "_adopt"):
            assert way not in text, f"{name} reaches round the allocator with {way}"
