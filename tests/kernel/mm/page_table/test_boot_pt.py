"""The boot page table: bulk mapping, splitting, tags, and its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.errors import KernelPanic, NoMemory
from kernel.mm import FrameAllocOptions, Mm
from kernel.mm.frame.meta_type import EarlyAllocatedFrameMeta
from kernel.mm.page_table.boot_pt import BootPageTable
from kernel.mm.page_table.config import KernelPtConfig
from kernel.mm.page_table.page_table import page_walk
from kernel.mm.page_table.pte import (
    LeafEntry,
    PageFlags,
    PageProperty,
    PageTableFlags,
    TableEntry,
    from_repr,
    table_pte,
    to_repr,
)
from kernel.mm.paging import PAGE_SIZE as P
from tests.kernel.mm.page_table.scarce import census

HUGE, GIB = 512 * P, 512 * 512 * P
RW = PageProperty.new_kernel(PageFlags.RW)
CODE = PageProperty.new_kernel(PageFlags.RWX)


@pytest.fixture
def root(mm: Mm) -> Iterator[int]:
    """The root of a table like the one in the kernel's image: a leaf of 1 GiB, and a table with one of 2 MiB."""
    mm.port.store(mm.statics.area("boot_pt", 16) + 8, 0)
    with FrameAllocOptions(mm).alloc_segment(3) as segment:
        root, upper, lower = range(segment.paddr, segment.paddr + 3 * P, P)
        mm.port.store(root, table_pte(upper))
        mm.port.store(upper + 8, from_repr(LeafEntry(GIB, CODE), 3))
        mm.port.store(upper, table_pte(lower))
        mm.port.store(lower, from_repr(LeafEntry(0, CODE), 2))
        yield root


@pytest.fixture
def table(mm: Mm, root: int) -> BootPageTable:
    return BootPageTable.from_current_pt(mm, mm.paging.satp(root))


def walk(mm: Mm, table: BootPageTable, va: int) -> tuple[int, PageProperty] | None:
    return page_walk(mm, table.root_address, va, KernelPtConfig)


def test_3920_protecting_a_page_of_a_1_gib_page_keeps_every_other_translation(mm: Mm, table: BootPageTable) -> None:
    page = GIB + 3 * HUGE + 5 * P
    table.protect_base_page(page, lambda prop: prop.with_flags(PageFlags.R))
    assert walk(mm, table, page + 7) == (page + 7, CODE.with_flags(PageFlags.R))
    for va in (GIB, GIB + 3 * HUGE, page - P, page + P, GIB + 4 * HUGE, GIB + 511 * HUGE + 511 * P):
        assert walk(mm, table, va + 9) == (va + 9, CODE)


def test_tables_that_were_there_are_tagged_and_those_made_here_are_not(mm: Mm, table: BootPageTable, root: int) -> None:
    table.map_base_page(2 * GIB, 0, RW)
    upper = to_repr(mm.port.load(root), 4)
    assert isinstance(upper, TableEntry) and upper.flags is PageTableFlags.AVAIL1
    flags = [entry.flags for i in range(3) if isinstance(entry := to_repr(mm.port.load(upper.paddr + 8 * i), 3),
                                                         TableEntry)]
    assert flags == [PageTableFlags.AVAIL1, PageTableFlags.NONE]


def test_a_range_is_mapped_by_base_pages_over_several_tables(mm: Mm, table: BootPageTable) -> None:
    start, count = 2 * GIB + 500 * P, 600
    table.map_base_range(start, 7 * P, count * P, RW)
    for i in (0, 11, 12, 599):
        assert walk(mm, table, start + i * P) == ((7 + i) * P, RW)
    assert walk(mm, table, start - P) is None
    assert walk(mm, table, start + count * P) is None


def test_a_range_with_a_mapped_page_in_it_is_refused_before_anything_is_mapped(mm: Mm, table: BootPageTable) -> None:
    table.map_base_page(2 * GIB + 700 * P, 0, RW)
    with pytest.raises(KernelPanic, match="mapping an already mapped page in the boot page table"):
        table.map_base_range(2 * GIB, 0, 800 * P, RW)
    assert walk(mm, table, 2 * GIB) is None


def test_a_page_inside_a_huge_page_is_refused(table: BootPageTable) -> None:
    with pytest.raises(KernelPanic, match="mapping an already mapped huge page in the boot page table"):
        table.map_base_page(GIB, 0, RW)


def test_a_range_is_mapped_by_the_largest_pages(mm: Mm, table: BootPageTable) -> None:
    table.map_range(2 * GIB - P + GIB, HUGE - P, 3 * HUGE, RW)
    for offset in (0, P, HUGE, 3 * HUGE - 1):
        assert walk(mm, table, 3 * GIB - P + offset) == (HUGE - P + offset, RW)


def test_a_range_whose_addresses_do_not_match_is_mapped_by_base_pages(mm: Mm, table: BootPageTable) -> None:
    table.map_range(3 * GIB, P, 3 * HUGE, RW)
    for offset in (0, P, HUGE, 3 * HUGE - 1):
        assert walk(mm, table, 3 * GIB + offset) == (P + offset, RW)


def test_protecting_an_unmapped_table_or_page_is_refused(table: BootPageTable) -> None:
    table.map_base_page(2 * GIB, 0, RW)
    for va in (2 * GIB + P, 2 * GIB + HUGE, 512 * GIB):
        with pytest.raises(KernelPanic, match="protecting an unmapped page in the boot page table"):
            table.protect_base_page(va, lambda prop: prop)


def test_the_last_cpu_to_dismiss_it_frees_exactly_the_tables_made_here(mm: Mm, root: int) -> None:
    before = census(mm)
    table = BootPageTable.from_current_pt(mm, mm.paging.satp(root))
    table.map_base_range(2 * GIB, 0, 600 * P, RW)
    table.protect_base_page(GIB, lambda prop: prop)
    name = f"{EarlyAllocatedFrameMeta.__module__}.{EarlyAllocatedFrameMeta.__qualname__}"
    assert census(mm)[name] == before.get(name, 0) + 5
    table.dismiss(0)
    assert census(mm) == before


@pytest.mark.board(harts=2)
def test_it_lives_until_every_cpu_has_dismissed_it(mm: Mm, table: BootPageTable) -> None:
    table.map_base_page(2 * GIB, 0, RW)
    table.dismiss(1)
    assert walk(mm, table, 2 * GIB) == (0, RW)
    table.dismiss(0)
    assert walk(mm, table, 2 * GIB) is None


def test_a_cpu_that_has_dismissed_it_cannot_use_it(table: BootPageTable) -> None:
    table.dismiss(0)
    for use in (lambda: table.map_base_page(2 * GIB, 0, RW), lambda: table.dismiss(0),
                lambda: table.protect_base_page(GIB, lambda prop: prop)):
        with pytest.raises(KernelPanic, match="has dismissed the boot page table"):
            use()


def test_before_the_frame_allocator_its_tables_come_from_the_function_given(mm: Mm, root: int) -> None:
    spare = FrameAllocOptions(mm).alloc_segment(1)
    pages = [spare.paddr]
    table = BootPageTable(mm, root, lambda: pages.pop() if pages else None)
    there = mm.frame_allocator
    del mm.frame_allocator
    try:
        with pytest.raises(NoMemory):
            table.map_base_page(2 * GIB, 0, RW)
        assert not pages
    finally:
        mm.frame_allocator = there
    mm.port.fill(root, P)
    spare.drop()
