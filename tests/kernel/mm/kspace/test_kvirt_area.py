"""Kernel virtual areas: addresses, errors, and the TLB."""

from __future__ import annotations

import pytest

from kernel import Kernel
from kernel.cpu.probe import Fault, Probe
from kernel.errors import KernelPanic, UseAfterMove
from kernel.mm import FrameAllocOptions, Mm
from kernel.mm.kspace.kvirt_area import KVirtArea
from tests.helpers import page_tables as survey
from kernel.mm.page_table.config import KernelPtConfig
from kernel.mm.page_table.items import Untracked
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.paging import PAGE_SIZE as P
from tests.kernel.mm.page_table.scarce import census

HUGE = 512 * P
RW = PageProperty.new_kernel(PageFlags.RW)


def empty(mm: Mm, size: int) -> KVirtArea:
    return KVirtArea.map_frames(mm, size, 0, [], RW)


# --- addresses -----------------------------------------------------------------------------------------------


def test_areas_are_taken_from_the_end_of_the_first_free_block(mm: Mm) -> None:
    one, two, three = empty(mm, 2 * P), empty(mm, P), empty(mm, 3 * P)
    assert (one.end, two.end, three.end) == (mm.paging.meta_base, one.start, two.start)
    two.drop()
    with empty(mm, P) as first_fit:
        assert first_fit.end == three.start, "the lowest free block is the one before all areas"
    one.drop()
    three.drop()


def test_freed_addresses_become_one_block_again(mm: Mm) -> None:
    areas = [empty(mm, 2 * P) for _ in range(5)]
    for i in (1, 3, 2, 0, 4):
        areas[i].drop()
    assert [(block.start, block.end, block.taken) for block in mm.kspace.areas.blocks()] == [
        (mm.paging.kvirt_base, mm.paging.meta_base, False)]


def test_the_list_of_blocks_shows_what_is_taken(mm: Mm) -> None:
    area = empty(mm, P)
    assert [(block.start, block.taken) for block in mm.kspace.areas.blocks()] == [
        (mm.paging.kvirt_base, False), (area.start, True)]
    with KVirtArea.from_raw(mm, area.into_raw()) as again:
        assert again.range == area.range


def test_a_split_area_is_two_that_are_dropped_alone(mm: Mm) -> None:
    before = census(mm)
    area = KVirtArea.map_frames(mm, 4 * P, 0, list(FrameAllocOptions(mm).alloc_segment(4)), RW)
    whole = area.range
    left, right = area.split(P)
    assert (left.start, left.end, right.start, right.end) == (whole.start, whole.start + P, whole.start + P, whole.stop)
    with pytest.raises(UseAfterMove):
        area.query(whole.start)
    left.drop()
    assert right.query(right.start) is not None
    assert mm.kspace.page_table.page_walk(whole.start) is None
    right.drop()
    after = census(mm)
    name = f"{KernelPtConfig.__module__}.{KernelPtConfig.__qualname__}"
    assert {**after, name: 0, "heap objects": 0} == {**before, name: 0, "heap objects": 0}


@pytest.mark.parametrize("offset", [0, 1, P + 1, 2 * P, 3 * P, -P])
def test_a_split_outside_or_off_a_page_panics(mm: Mm, offset: int) -> None:
    with empty(mm, 2 * P) as area, pytest.raises(KernelPanic):
        area.split(offset)


def test_exhaustion_panics_and_misses_nothing(mm: Mm) -> None:
    size = mm.paging.meta_base - mm.paging.kvirt_base
    with pytest.raises(KernelPanic, match="virtual addresses are free"):
        empty(mm, size + P)
    with empty(mm, size) as area:
        assert area.start == mm.paging.kvirt_base
        with pytest.raises(KernelPanic, match="virtual addresses are free"):
            empty(mm, P)
    empty(mm, size).drop()


@pytest.mark.parametrize("size, offset, pa", [(P + 1, 0, range(0)), (P, 1, range(0)), (P, 0, range(1, P)),
                                              (P, 0, range(0, P + 1)), (P, P, range(0, P)), (P, 0, range(0, 2 * P)),
                                              (0, 0, range(0))])
def test_misalignment_and_overrun_panic_and_take_no_addresses(mm: Mm, size: int, offset: int, pa: range) -> None:
    empty(mm, P).drop()
    before = list(mm.kspace.areas.blocks())
    with pytest.raises(KernelPanic):
        KVirtArea.map_untracked_frames(mm, size, offset, pa, RW)
    assert list(mm.kspace.areas.blocks()) == before


def test_frames_that_do_not_fit_stay_with_the_caller(mm: Mm) -> None:
    frames = [FrameAllocOptions(mm).alloc_frame() for _ in range(2)]
    with pytest.raises(KernelPanic):
        KVirtArea.map_frames(mm, 2 * P, P, frames, RW)
    for frame in frames:
        frame.drop()


# --- contents ------------------------------------------------------------------------------------------------


def test_dropping_an_area_drops_its_frames(mm: Mm) -> None:
    frames = [FrameAllocOptions(mm).alloc_frame() for _ in range(3)]
    mine = [frame.clone() for frame in frames]
    with KVirtArea.map_frames(mm, 8 * P, P, frames, RW) as area:
        assert [frame.reference_count for frame in mine] == [2, 2, 2]
        assert area.query(area.start) is None
        assert area.query(area.start + P) is not None
        assert area.query(area.start + 4 * P) is None
    for frame in mine:
        assert frame.reference_count == 1
        frame.drop()


def test_large_areas_use_huge_pages_where_addresses_allow(mm: Mm) -> None:
    empty(mm, P).drop()
    with KVirtArea.map_untracked_frames(mm, 4 * HUGE, 0, range(0, 4 * HUGE), RW) as area:
        assert area.query(area.start + HUGE + P) == Untracked(HUGE, 2, RW)


def test_addresses_that_had_small_pages_can_be_mapped_by_huge_ones(mm: Mm) -> None:
    """Upstream leaves an empty table behind and panics when a huge page is to be mapped there."""
    base = mm.paging.meta_base
    with KVirtArea.map_untracked_frames(mm, HUGE, P, range(0, P), RW):
        pass
    with KVirtArea.map_untracked_frames(mm, 2 * HUGE, 0, range(0, 2 * HUGE), RW) as area:
        assert area.end == base
        assert mm.kspace.page_table.page_walk(base - 1) == (2 * HUGE - 1, RW)
    survey.check(mm, mm.kspace.root_paddr)


def test_query_outside_the_area_panics(mm: Mm) -> None:
    with empty(mm, P) as area:
        for va in (area.start - 1, area.end):
            with pytest.raises(KernelPanic):
                area.query(va)


# --- the hart ------------------------------------------------------------------------------------------------


def test_the_hart_reads_and_writes_an_area_and_faults_on_what_it_forbids(kernel: Kernel) -> None:
    mm, probe = kernel.mm, Probe(kernel.smp)
    frame = FrameAllocOptions(mm).alloc_frame()
    mine = frame.clone()
    with KVirtArea.map_frames(mm, 2 * P, 0, [frame], RW.with_flags(PageFlags.R)) as area:
        mm.port.store(mine.paddr, 99)
        assert probe.load(0, area.start) == 99
        assert probe.store(0, area.start, 1) == Fault(15, area.start)
        assert probe.load(0, area.start + P) == Fault(13, area.start + P)
    mine.drop()


@pytest.mark.parametrize("pages", [1, 3, 40])
@pytest.mark.board(harts=2)
def test_2849_dropping_an_area_flushes_the_tlbs_of_all_cpus(kernel: Kernel, pages: int) -> None:
    mm, probe = kernel.mm, Probe(kernel.smp)
    area = KVirtArea.map_frames(mm, pages * P, 0, list(FrameAllocOptions(mm).alloc_segment(pages)), RW)
    last = area.end - P
    for cpu in (0, 1):
        assert probe.load(cpu, last) == 0
    area.drop()
    for cpu in (0, 1):
        assert probe.load(cpu, last) == Fault(13, last)


def test_2849_dropping_an_area_of_untracked_pages_flushes_too(kernel: Kernel) -> None:
    mm, probe = kernel.mm, Probe(kernel.smp)
    with FrameAllocOptions(mm).alloc_frame() as frame:
        with KVirtArea.map_untracked_frames(mm, P, 0, range(frame.paddr, frame.paddr + P), RW) as area:
            assert probe.load(0, area.start) == 0
        assert probe.load(0, area.start) == Fault(13, area.start)


def test_2849_without_the_flush_the_hart_would_still_translate(kernel: Kernel) -> None:
    mm, probe = kernel.mm, Probe(kernel.smp)
    with KVirtArea.map_frames(mm, P, 0, list(FrameAllocOptions(mm).alloc_segment(1)), RW) as area:
        assert probe.load(0, area.start) == 0
        with mm.kspace.page_table.cursor_mut(area.range) as cursor:
            taken = cursor.take_next(P)
        assert taken is not None
        assert probe.load(0, area.start) == 0, "stale"
        mm.tlb.sfence_page(area.start)
        assert probe.load(0, area.start) == Fault(13, area.start)
        taken.item.frame.drop()  # type: ignore[union-attr]
