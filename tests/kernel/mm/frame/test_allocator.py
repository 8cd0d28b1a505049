"""Allocation options and the dispatcher (OSTD `mm/frame/allocator.rs`)."""

from __future__ import annotations

import random

import pytest

from kernel import Choices
from kernel.errors import AllocatorFault, InvalidArgs, MetaTypeError, NoMemory
from kernel.mm import PAGE_SIZE, FrameAllocOptions, Layout, Mm, Segment
from kernel.mm.check import check
from kernel.mm.fields import u32, u64
from kernel.mm.frame.meta import Kind
from kernel.mm.frame.meta_type import FrameMeta
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from tests.helpers.kernels import boot


class Counted(FrameMeta):
    number = u64()


def test_alloc_dealloc(mm: Mm) -> None:
    """Random allocations and releases survive."""
    dice, held = random.Random(1), list[Segment[FrameMeta]]()
    for _ in range(400):
        if held and dice.random() < 0.5:
            held.pop(dice.randrange(len(held))).drop()
        else:
            held.append(FrameAllocOptions(mm).alloc_segment(dice.choice((1, 1, 2, 3, 8, 17))).into_dyn())
    check(mm, held)
    for segment in held:
        segment.drop()
    check(mm, [])


def test_a_metadata_callback_that_raises_gives_everything_back(mm: Mm) -> None:
    before = mm.frame_allocator.inner.load_total_free_size()  # type: ignore[attr-defined]

    def third(paddr: int) -> Counted:
        seen.append(paddr)
        if len(seen) == 3:
            raise RuntimeError("third")
        return Counted(number=len(seen))

    seen: list[int] = []
    with pytest.raises(RuntimeError, match="third"):
        FrameAllocOptions(mm).alloc_segment_with(5, third)
    assert mm.frame_allocator.inner.load_total_free_size() == before  # type: ignore[attr-defined]
    check(mm, [])


def test_metadata_of_two_types_in_a_segment_is_refused(mm: Mm) -> None:
    metas = iter([Counted(), FrameMeta()])
    with pytest.raises(MetaTypeError, match="FrameMeta, those before Counted"):
        FrameAllocOptions(mm).alloc_segment_with(2, lambda paddr: next(metas))
    check(mm, [])


def test_on_drop_that_raises_keeps_the_frame_with_its_holder(mm: Mm) -> None:
    class Sticky(FrameMeta):
        stuck = u32()

        def on_drop(self, mm: Mm, paddr: int) -> None:
            if self.stuck:
                raise RuntimeError("stuck")

    frame = FrameAllocOptions(mm).alloc_frame_with(Sticky(stuck=1))
    with pytest.raises(RuntimeError, match="stuck"):
        frame.drop()
    assert frame.held
    assert frame.reference_count == 1
    check(mm, [frame])
    frame.meta.stuck = 0
    frame.drop()
    check(mm, [])


def test_sizes_that_are_no_frames_are_refused(mm: Mm) -> None:
    for size in (0, 1, 4095, 4097):
        with pytest.raises(InvalidArgs, match="not a number of frames"):
            mm.frame_allocator.alloc(Layout(size, 1))
    with pytest.raises(InvalidArgs, match="at least one"):
        FrameAllocOptions(mm).alloc_segment(-1)
    with pytest.raises(NoMemory):
        FrameAllocOptions(mm).alloc_segment(1 << 50)


@pytest.mark.parametrize(("answer", "why"), [
    (0x8100_0800, "not a multiple of"), (1 << 52, "physical memory is"), (-4096, "physical memory is"),
    (0x8020_0000, "in use by 1 as KernelMeta"),
])
def test_answers_that_cannot_be_right_are_refused_by_the_allocators_name(answer: int, why: str) -> None:
    class Lying(FrameAllocator):
        __slots__ = ()
        lies = False

        def alloc(self, layout: Layout) -> int | None:
            return answer if type(self).lies else super().alloc(layout)

    with boot(Choices(frame_allocator=Lying)) as kernel:
        Lying.lies = True
        with pytest.raises(AllocatorFault, match=f"Lying: alloc gave {answer:#x} .*{why}"):
            FrameAllocOptions(kernel.mm).alloc_frame()
        with pytest.raises(AllocatorFault, match="Lying: alloc gave"):
            FrameAllocOptions(kernel.mm).alloc_segment(3)
        Lying.lies = False
        check(kernel.mm, [])


def test_an_allocation_larger_than_what_was_asked_for_is_not_noticed_but_stays_free(mm: Mm) -> None:
    """Three pages come from a chunk of four: the fourth is still the allocator's."""
    with FrameAllocOptions(mm).alloc_segment(3) as segment:
        assert mm.slots.state(segment.end_paddr).kind in (Kind.FREE, Kind.UNIQUE)
        assert segment.size == 3 * PAGE_SIZE
