"""Entries: A and D, and long ranges written at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.mm import Access, FrameAllocOptions, Mm
from tests.helpers import page_tables as survey
from kernel.mm.page_table.config import KernelPtConfig
from kernel.mm.page_table.items import Mapped
from kernel.mm.page_table.page_table import PageTable
from kernel.mm.page_table.pte import (
    ACCESSED,
    DIRTY,
    PageFlags,
)
from tests.kernel.mm.page_table.scarce import census
from tests.kernel.mm.page_table.tables import HUGE, RW, P, UntrackedPtConfig, map_untracked

GIB = 512 * HUGE


@pytest.fixture
def table(mm: Mm) -> Iterator[PageTable]:
    before = census(mm)
    with PageTable.empty(mm, UntrackedPtConfig) as table:
        yield table
        survey.check(mm, table.root_paddr)
    assert census(mm) == before


# --- A and D -------------------------------------------------------------------------------------------------


def test_3856_kernel_mappings_have_a_and_d_from_the_start_and_do_not_show_them(mm: Mm) -> None:
    with PageTable.empty(mm, KernelPtConfig) as table:
        va = mm.paging.kvirt_base
        with table.cursor_mut(range(va, va + 2 * P)) as cursor:
            cursor.map_untracked(0, 1, RW)
            cursor.map(FrameAllocOptions(mm).alloc_frame(), RW)
            cursor.jump(va)
            while cursor.protect_next(va + 2 * P - cursor.virt_addr, lambda p: p.with_flags(PageFlags.R)):
                pass
        for page in (va, va + P):
            assert survey.path(mm, table.root_paddr, page)[-1].word & (ACCESSED | DIRTY) == ACCESSED | DIRTY
            walked = table.page_walk(page)
            assert walked is not None and walked[1].flags == PageFlags.R


class HartSetsDirty:
    """A hart that sets D in the entry at `address` right before the next atomic access to it."""

    def __init__(self, mm: Mm, address: int) -> None:
        self.mm, self.address, self.done = mm, address, False

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        if kind is Access.ATOMIC and address == self.address and not self.done:
            self.done = True
            self.mm.port.store(address, self.mm.port.load(address) | ACCESSED | DIRTY)


@pytest.mark.parametrize("what", ["protect", "take", "split"])
def test_a_dirty_bit_that_a_hart_sets_meanwhile_is_not_lost(mm: Mm, table: PageTable, what: str) -> None:
    map_untracked(table, range(0, HUGE), 0)
    entry = survey.path(mm, table.root_paddr, 0)[-1]
    hart = HartSetsDirty(mm, entry.table + entry.at * 8)
    with table.cursor_mut(range(0, HUGE)) as cursor, mm.port.observed(hart):
        if what == "protect":
            cursor.protect_next(HUGE, lambda p: p.with_flags(p.flags & ~PageFlags.W))
            flags = table.page_walk(0)[1].flags  # type: ignore[index]
        elif what == "take":
            taken = cursor.take_next(HUGE)
            assert isinstance(taken, Mapped)
            flags = taken.item.prop.flags
        else:
            cursor.protect_next(P, lambda p: p)
            flags = table.page_walk(7 * P)[1].flags  # type: ignore[index]
    assert hart.done
    assert flags & PageFlags.DIRTY


# --- long ranges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("va, pa, length", [
    (0x3fdff000, 0x3fdff000, 0x80002000 - 0x3fdff000), (0, 0, 3 * GIB), (P, HUGE + P, 3 * HUGE), (P, 0, 20 * HUGE),
    (GIB - P, 2 * GIB - P, 2 * P), (HUGE, HUGE, 513 * HUGE), (GIB - HUGE, GIB, GIB + 2 * HUGE)])
def test_a_range_is_mapped_with_the_largest_pages_as_one_by_one(mm: Mm, table: PageTable, va: int, pa: int,
                                                               length: int) -> None:
    map_untracked(table, range(va, va + length), pa)
    one_by_one = [item for item in survey.walk(mm, table.root_paddr) if isinstance(item, survey.Leaf)]
    with PageTable.empty(mm, UntrackedPtConfig) as other:
        with other.cursor_mut(range(va, va + length)) as cursor:
            cursor.map_range(pa, length, RW)
            assert cursor.virt_addr == va + length
        survey.check(mm, other.root_paddr)
        assert [item for item in survey.walk(mm, other.root_paddr) if isinstance(item, survey.Leaf)] == one_by_one


def test_a_range_is_mapped_around_an_empty_table_with_smaller_pages(mm: Mm, table: PageTable) -> None:
    with table.cursor_mut(range(0, 4 * HUGE)) as cursor:
        cursor.jump(HUGE + P)
        cursor.map_untracked(0, 1, RW)
        cursor.jump(HUGE + P)
        cursor.take_next(P)
        cursor.jump(0)
        cursor.map_range(0, 4 * HUGE, RW)
    leaves = [item.level for item in survey.walk(mm, table.root_paddr) if isinstance(item, survey.Leaf)]
    assert leaves == [2] + [1] * 512 + [2] * 2


def test_the_linear_mapping_beyond_512_gib_uses_pages_below_the_roots_level(mm: Mm) -> None:
    with PageTable.new_kernel_page_table(mm) as kernel:
        base, size = mm.paging.linear_base, 1 << 40
        with kernel.cursor_mut(range(base, base + size)) as cursor:
            cursor.map_range(0, size, RW)
        assert kernel.page_walk(base + size - 1) == (size - 1, RW)
        levels = {item.level for item in survey.walk(mm, kernel.root_paddr) if isinstance(item, survey.Leaf)}
        assert levels == {3}
