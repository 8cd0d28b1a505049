"""Upstream's tests of page tables (`ostd/src/mm/page_table/test.rs`), by their names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.errors import InvalidVaddr, KernelPanic, PageTableError
from kernel.mm import Mm
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.page_table.boot_pt import BootPageTable
from kernel.mm.page_table.config import KernelPtConfig, UserPtConfig
from kernel.mm.page_table.cursor_mut import CursorMut
from kernel.mm.page_table.items import Mapped, StrayPageTable, Untracked
from kernel.mm.page_table.node import tables_in
from kernel.mm.page_table.page_table import PageTable, page_walk
from kernel.mm.page_table.pte import (
    Absent,
    CachePolicy,
    LeafEntry,
    PageFlags,
    PageProperty,
    PageTableFlags,
    PrivilegedPageFlags,
    TableEntry,
    from_repr,
    to_repr,
)
from tests.kernel.mm.page_table.tables import (
    HUGE,
    RW,
    P,
    UntrackedPtConfig,
    all_page_properties,
    map_untracked,
    protect_range,
    subsets,
    user_table_mapped_at,
)

SIGN = 1 << 64


@pytest.fixture
def table(mm: Mm) -> Iterator[PageTable]:
    with PageTable.empty(mm, UntrackedPtConfig) as table:
        yield table


@pytest.fixture
def user(mm: Mm) -> Iterator[PageTable]:
    with PageTable.empty(mm, UserPtConfig) as table:
        yield table


def test_subset_iter() -> None:
    assert list(subsets(0b1011)) == [0b1011, 0b1010, 0b1001, 0b1000, 0b0011, 0b0010, 0b0001, 0b0000]


# --- create_page_table -------------------------------------------------------------------------------------


def test_create_user_page_table(mm: Mm) -> None:
    with PageTable.new_kernel_page_table(mm) as kernel, kernel.create_user_page_table() as user:
        ours, theirs = (tables_in(mm, table.root_paddr, 256, 512) for table in (kernel, user))
        assert ours == theirs
        assert [index for index, _ in ours] == list(range(256, 512))
        for _, node in ours:
            assert KernelPtConfig.at(mm.port, mm.slots.slot(node)).level == mm.paging.levels - 1


def test_new_kernel_page_table(mm: Mm) -> None:
    with PageTable.new_kernel_page_table(mm) as kernel:
        assert [index for index, _ in tables_in(mm, kernel.root_paddr, 0, 512)] == list(range(256, 512))


# --- range_checks ------------------------------------------------------------------------------------------


def test_range_check(mm: Mm, user: PageTable) -> None:
    user.cursor_mut(range(0, P)).drop()
    for refused in (range(0, P + 1), range(0, 0), range(P, 0), range(mm.paging.linear_base, mm.paging.linear_base + P)):
        with pytest.raises(PageTableError):
            user.cursor_mut(refused)


def test_boundary_conditions(user: PageTable) -> None:
    for refused in (range(0, 0), range(0xffff_8000_0000_0000, 0xffff_8000_0001_0000), range(1, P + 1)):
        with pytest.raises(PageTableError):
            user.cursor_mut(refused)


def test_start_boundary_mapping(mm: Mm) -> None:
    with user_table_mapped_at(mm, range(0, P)) as table:
        assert table.page_walk(0) is not None
        assert table.page_walk(P - 1) is not None


def test_end_boundary_mapping(mm: Mm) -> None:
    end = mm.paging.max_user_vaddr
    with user_table_mapped_at(mm, range(end - P, end)) as table:
        assert table.page_walk(end - P) is not None
        assert table.page_walk(end - 1) is not None


def test_overflow_boundary_mapping(mm: Mm) -> None:
    end = mm.paging.max_user_vaddr
    with pytest.raises(PageTableError):
        user_table_mapped_at(mm, range(end - P // 2, end + P // 2))


# --- page_properties ---------------------------------------------------------------------------------------


def test_map_preserves_page_property(mm: Mm) -> None:
    with PageTable.empty(mm, UserPtConfig, svpbmt=True) as table:
        for prop in all_page_properties():
            with table.cursor_mut(range(P, 2 * P)) as cursor:
                cursor.map(FrameAllocOptions(mm).alloc_frame(), prop)
            walked = table.page_walk(P + 100)
            assert walked is not None
            expected = PageProperty(prop.flags, prop.cache, prop.priv_flags & ~PrivilegedPageFlags.AVAIL1)
            assert walked[1] == expected
            with table.cursor_mut(range(P, 2 * P)) as cursor:
                taken = cursor.take_next(P)
                assert isinstance(taken, Mapped) and not isinstance(taken.item, Untracked)
                taken.item.frame.drop()


# --- arch_pte_impls ----------------------------------------------------------------------------------------


def test_zeroed_pte_is_absent_pte() -> None:
    assert all(to_repr(0, level) == Absent() for level in range(1, 5))


def test_cast_frame_pte_preserves_repr() -> None:
    for level in range(1, 4):
        for prop in all_page_properties():
            if prop.flags & PageFlags.R:
                entry = LeafEntry(0xff_c000_0000, prop)
                assert to_repr(from_repr(entry, level, svpbmt=True), level) == entry


def test_cast_pt_pte_preserves_repr() -> None:
    for level in range(2, 5):
        for flags in subsets(PageTableFlags.AVAIL1 | PageTableFlags.AVAIL2):
            entry = TableEntry(0xff_c000_0000, PageTableFlags(flags))
            assert to_repr(from_repr(entry, level), level) == entry


def test_cast_absent_pte_preserves_repr() -> None:
    assert all(to_repr(from_repr(Absent(), level), level) == Absent() for level in range(1, 5))


# --- overlapping_mappings ----------------------------------------------------------------------------------


def test_overlapping_mappings(table: PageTable) -> None:
    with table.cursor_mut(range(P, 2 * P)) as cursor:
        cursor.map_untracked(100 * P, 1, RW)
    with table.cursor_mut(range(P, 3 * P)) as cursor, \
            pytest.raises(KernelPanic, match="mapping over an already mapped page"):
        cursor.map_untracked(200 * P, 1, RW)


def test_unaligned_map(table: PageTable) -> None:
    with table.cursor_mut(range(P, HUGE + P)) as cursor, \
            pytest.raises(KernelPanic, match="cursor virtual address not aligned for mapping"):
        cursor.map_untracked(HUGE, 2, RW)


# --- navigation --------------------------------------------------------------------------------------------

FIRST, SECOND = 7 * P, 512 * HUGE


@pytest.fixture
def two(table: PageTable) -> Iterator[CursorMut]:
    """A cursor over a table with two distant mappings."""
    map_untracked(table, range(FIRST, FIRST + P), 0x1000_0000)
    map_untracked(table, range(SECOND, SECOND + P), 0x20_0000)
    with table.cursor_mut(range(0, SECOND + P)) as cursor:
        yield cursor


def test_jump(two: CursorMut) -> None:
    assert two.virt_addr == 0
    assert two.query()[1] is None
    two.jump(FIRST)
    assert two.virt_addr == FIRST
    assert two.query() == (range(FIRST, FIRST + P), Untracked(0x1000_0000, 1, RW))


def test_jump_from_end_and_query_huge_middle(table: PageTable) -> None:
    with table.cursor_mut(range(0, 2 * HUGE)) as cursor:
        cursor.jump(HUGE)
        cursor.map_untracked(0, 2, RW)
        with pytest.raises(InvalidVaddr):
            cursor.query()
        cursor.jump(0)
        assert cursor.query()[1] is None
        cursor.jump(2 * HUGE - HUGE // 2)
        assert cursor.query()[0] == range(HUGE, 2 * HUGE)


def test_jump_from_guard_level_end(table: PageTable) -> None:
    with table.cursor_mut(range(HUGE - P, HUGE)) as cursor:
        cursor.map_untracked(0, 1, RW)
        assert cursor.virt_addr == HUGE
        cursor.jump(HUGE - P)
        assert cursor.virt_addr == HUGE - P


def test_jump_near_address_space_end(mm: Mm) -> None:
    with PageTable.empty(mm, KernelPtConfig) as table, table.cursor_mut(range(SIGN - HUGE, SIGN - P)) as cursor:
        assert cursor.virt_addr == SIGN - HUGE
        cursor.map_untracked(0, 1, RW)
        assert cursor.virt_addr == SIGN - HUGE + P
        for target in (SIGN - HUGE // 2, SIGN - 2 * P):
            cursor.jump(target)
            assert cursor.virt_addr == target


def test_find_next(two: CursorMut) -> None:
    assert two.find_next(FIRST + P) == FIRST == two.virt_addr
    two.jump(FIRST + P)
    assert two.find_next(SECOND - FIRST) == SECOND == two.virt_addr


def test_find_next_keeps_va_around_barrier(table: PageTable) -> None:
    map_untracked(table, range(2 * HUGE, 2 * HUGE + P), 0)
    with table.cursor(range(HUGE - P, HUGE + P)) as cursor:
        assert cursor.find_next(2 * P) is None
        assert cursor.virt_addr == HUGE + P


def test_find_next_rejects_overflowing_len(two: CursorMut) -> None:
    two.jump(SECOND)
    with pytest.raises(KernelPanic, match="len exceeds remaining cursor range"):
        two.find_next(SIGN - SECOND)


# --- unmap -------------------------------------------------------------------------------------------------


def test_take_next_takes_something(table: PageTable) -> None:
    map_untracked(table, range(P, 2 * P), 100 * P)
    with table.cursor_mut(range(P, 2 * P)) as cursor:
        assert cursor.take_next(P) == Mapped(P, Untracked(100 * P, 1, RW))


def test_take_large_takes_subtree(table: PageTable) -> None:
    map_untracked(table, range(513 * P, 514 * P), P)
    with table.cursor_mut(range(0, 512 * HUGE)) as cursor:
        taken = cursor.take_next(512 * HUGE)
        assert isinstance(taken, StrayPageTable)
        assert (taken.va, taken.len, taken.num_frames) == (HUGE, HUGE, 1)
        taken.pt.drop()


# --- mapping -----------------------------------------------------------------------------------------------


def test_mixed_granularity_map_unmap(table: PageTable) -> None:
    first, last = 13245, 512 * 512 + 23456
    va, pa = range(first * P, last * P), (first - 11010) * P
    map_untracked(table, va, pa)
    for i in range(100):
        offset = i * (P + 1000)
        assert table.page_walk(va.start + offset) == (pa + offset, RW)
    gone = 13456 * P
    with table.cursor_mut(range(gone, gone + P)) as cursor:
        assert cursor.virt_addr == gone
        assert cursor.take_next(P) == Mapped(gone, Untracked(pa + gone - va.start, 1, RW))
    assert table.page_walk(gone) is None
    assert table.page_walk(gone + P - 1) is None
    for neighbour in (gone - P, gone + P):
        assert table.page_walk(neighbour) == (pa + neighbour - va.start, RW)


def test_mixed_granularity_protect_query(table: PageTable) -> None:
    first = 512 * 512 - 512
    va = range(first * P, (2 * 512 * 512 + 512 + 2) * P)
    delta = 512 * P
    pa = va.start - delta
    map_untracked(table, va, pa)
    with table.cursor(va) as cursor:
        seen = []
        while cursor.virt_addr < va.stop:
            mapped, item = cursor.query()
            assert isinstance(item, Untracked)
            assert item == Untracked(mapped.start - delta, item.level, RW)
            assert len(mapped) == (HUGE if item.level == 2 else P)
            seen.append(item.level)
            if mapped.stop == va.stop:
                break
            cursor.jump(mapped.stop)
        assert seen == [2] * 514 + [1] * 2
    changed = range((first + 18) * P, (first + 20) * P)
    protect_range(table, changed, lambda prop: prop.without(PageFlags.W))
    assert table.page_walk(changed.start - P) == (changed.start - P - delta, RW)
    assert table.page_walk(changed.stop) == (changed.stop - delta, RW)
    with table.cursor(changed) as cursor:
        for page in range(changed.start, changed.stop, P):
            cursor.jump(page)
            assert cursor.query() == (range(page, page + P), Untracked(page - delta, 1, RW.with_flags(PageFlags.R)))


# --- protection_and_query ----------------------------------------------------------------------------------


def test_base_protect_query(table: PageTable) -> None:
    map_untracked(table, range(P, 1000 * P), 0)
    assert all(table.page_walk(i * P) == ((i - 1) * P, RW) for i in range(1, 1000))
    protect_range(table, range(18 * P, 20 * P), lambda prop: prop.without(PageFlags.W))
    for i in range(1, 1000):
        flags = PageFlags.R if i in (18, 19) else PageFlags.RW
        assert table.page_walk(i * P) == ((i - 1) * P, RW.with_flags(flags))


def test_protect_next_empty_entry(table: PageTable) -> None:
    with table.cursor_mut(range(P, 2 * P)) as cursor:
        assert cursor.protect_next(P, lambda prop: prop.with_flags(PageFlags.R)) is None


def test_protect_next_touches_empty_range(table: PageTable) -> None:
    map_untracked(table, range(P, 2 * P), 2 * P)
    with table.cursor_mut(range(P, 3 * P)) as cursor:
        assert cursor.protect_next(2 * P, lambda prop: prop.with_flags(PageFlags.R)) == range(P, 2 * P)
    assert table.page_walk(P) == (2 * P, RW.with_flags(PageFlags.R))


# --- boot_pt -----------------------------------------------------------------------------------------------


@pytest.fixture
def boot_table(mm: Mm) -> Iterator[BootPageTable]:
    """A boot page table whose root is a frame, on a kernel that has not dismissed its own yet."""
    mm.port.store(mm.statics.area("boot_pt", 16) + 8, 0)
    root = FrameAllocOptions(mm).alloc_frame()
    table = BootPageTable(mm, root.paddr, svpbmt=True)
    yield table
    table.dismiss(0)
    root.drop()


def walk(mm: Mm, table: BootPageTable, va: int) -> tuple[int, PageProperty] | None:
    return page_walk(mm, table.root_address, va, KernelPtConfig)


def test_map_base_page(mm: Mm, boot_table: BootPageTable) -> None:
    boot_table.map_base_page(P, 2 * P, RW)
    assert walk(mm, boot_table, P + 1) == (2 * P + 1, RW)


def test_map_base_page_already_mapped(boot_table: BootPageTable) -> None:
    boot_table.map_base_page(P, 2 * P, RW)
    with pytest.raises(KernelPanic, match="mapping an already mapped page in the boot page table"):
        boot_table.map_base_page(P, 3 * P, RW)


def test_protect_base_page_unmapped(boot_table: BootPageTable) -> None:
    with pytest.raises(KernelPanic, match="protecting an unmapped page in the boot page table"):
        boot_table.protect_base_page(2 * P, lambda prop: prop.with_flags(PageFlags.R))


def test_map_protect(mm: Mm, boot_table: BootPageTable) -> None:
    boot_table.map_base_page(2 * P, 2 * P, RW)
    assert walk(mm, boot_table, 2 * P + 1) == (2 * P + 1, RW)
    boot_table.protect_base_page(2 * P, lambda prop: prop.with_flags(PageFlags.RX))
    assert walk(mm, boot_table, 2 * P + 1) == (2 * P + 1, PageProperty.new_user(PageFlags.RX))
    second = PageProperty.new_user(PageFlags.RX, CachePolicy.UNCACHEABLE)
    boot_table.map_base_page(3 * P, 3 * P, second)
    assert walk(mm, boot_table, 3 * P + 2) == (3 * P + 2, second)
    boot_table.protect_base_page(3 * P, lambda prop: prop.with_flags(PageFlags.RW))
    assert walk(mm, boot_table, 3 * P + 2) == (3 * P + 2, second.with_flags(PageFlags.RW))
