"""Cursors: what upstream gets wrong, locks, handles, and the bits of entries."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest

from kernel.errors import InvalidVaddrRange, KernelPanic, LockHeld, UnalignedVaddr, UseAfterMove
from kernel.mm import FrameAllocOptions, Mm
from tests.helpers import page_tables as survey
from kernel.mm.page_table.config import UserPtConfig
from kernel.mm.page_table.items import Mapped, StrayPageTable, Tracked, TrackedRef, Untracked
from kernel.mm.page_table.page_table import PageTable
from kernel.mm.page_table.pte import (
    PBMT_IO,
    CachePolicy,
    LeafEntry,
    PageFlags,
    PageProperty,
    from_repr,
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


@pytest.fixture
def user(mm: Mm) -> Iterator[PageTable]:
    before = census(mm)
    with PageTable.empty(mm, UserPtConfig) as table:
        yield table
        survey.check(mm, table.root_paddr)
    assert census(mm) == before


# --- #3731: a range that is exactly one huge page ------------------------------------------------------------


@pytest.mark.parametrize("level", [2, 3])
def test_3731_a_huge_page_can_be_mapped_into_a_range_of_its_size(table: PageTable, level: int) -> None:
    size = HUGE if level == 2 else GIB
    with table.cursor_mut(range(3 * size, 4 * size)) as cursor:
        cursor.map_untracked(7 * size, level, RW)
        assert cursor.virt_addr == 4 * size
        cursor.jump(3 * size)
        assert cursor.query() == (range(3 * size, 4 * size), Untracked(7 * size, level, RW))


def test_3731_a_range_of_one_huge_page_excludes_others_and_takes_small_pages(table: PageTable) -> None:
    with table.cursor_mut(range(HUGE, 2 * HUGE)) as cursor:
        for i in range(512):
            cursor.map_untracked(i * P, 1, RW)
        with pytest.raises(LockHeld):
            table.cursor(range(HUGE + P, HUGE + 2 * P))
        cursor.jump(HUGE)
        taken = [cursor.take_next(2 * HUGE - cursor.virt_addr) for _ in range(513)]
        assert all(isinstance(one, Mapped) for one in taken[:512]) and taken[512] is None


# --- what a huge page may be ---------------------------------------------------------------------------------


def test_a_huge_page_without_rwx_is_refused_because_it_would_read_as_a_table(table: PageTable) -> None:
    nothing = PageProperty.new_user(PageFlags.NONE)
    with table.cursor_mut(range(0, 2 * HUGE)) as cursor:
        with pytest.raises(KernelPanic, match="would read as a page table"):
            cursor.map_untracked(0, 2, nothing)
        cursor.map_untracked(0, 2, RW)
        cursor.jump(0)
        with pytest.raises(KernelPanic, match="would read as a page table"):
            cursor.protect_next(HUGE, lambda prop: nothing)
        assert cursor.query() == (range(0, HUGE), Untracked(0, 2, RW))
        cursor.jump(HUGE)
        cursor.map_range(0, HUGE, nothing)
        cursor.jump(HUGE)
        assert cursor.query() == (range(HUGE, HUGE + P), Untracked(0, 1, nothing))


def test_a_page_of_the_roots_level_is_refused(mm: Mm, table: PageTable) -> None:
    with table.cursor_mut(range(0, 1024 * GIB)) as cursor, \
            pytest.raises(KernelPanic, match="cursor level not suitable for mapping"):
        cursor.map_untracked(0, mm.paging.levels, RW)


@pytest.mark.parametrize("paddr, what", [(HUGE + P, "not aligned"), (1 << 56, "does not fit")])
def test_a_physical_address_that_no_entry_can_hold_is_refused(table: PageTable, paddr: int, what: str) -> None:
    with table.cursor_mut(range(0, 2 * HUGE)) as cursor, pytest.raises(KernelPanic, match=what):
        cursor.map_untracked(paddr, 2, RW)


def test_a_page_beyond_the_range_is_refused(table: PageTable) -> None:
    with table.cursor_mut(range(0, HUGE + P)) as cursor:
        cursor.jump(HUGE)
        with pytest.raises(KernelPanic, match="cursor virtual address out-of-bound for mapping"):
            cursor.map_untracked(0, 2, RW)
        cursor.map_untracked(0, 1, RW)
        with pytest.raises(KernelPanic, match="end of the cursor's range"):
            cursor.map_untracked(0, 1, RW)


def test_mapping_into_a_huge_page_is_refused_and_leaves_it_whole(mm: Mm, table: PageTable) -> None:
    map_untracked(table, range(0, HUGE), 0)
    nodes = sum(isinstance(item, survey.Node) for item in survey.walk(mm, table.root_paddr))
    with table.cursor_mut(range(0, 2 * HUGE)) as cursor:
        cursor.jump(5 * P)
        with pytest.raises(KernelPanic, match="mapping over an already mapped page"):
            cursor.map_untracked(0, 1, RW)
    assert sum(isinstance(item, survey.Node) for item in survey.walk(mm, table.root_paddr)) == nodes


@pytest.mark.parametrize("policy", [CachePolicy.WRITE_COMBINING, CachePolicy.WRITE_PROTECTED, CachePolicy.WRITETHROUGH])
def test_a_cache_policy_that_riscv_does_not_have_is_refused(mm: Mm, user: PageTable, policy: CachePolicy) -> None:
    with FrameAllocOptions(mm).alloc_frame() as frame, user.cursor_mut(range(0, P)) as cursor, \
            pytest.raises(KernelPanic, match="unsupported cache policy"):
        cursor.map(frame, RW.with_cache(policy))


def test_uncacheable_is_dropped_without_svpbmt_and_is_pbmt_io_with_it() -> None:
    entry = LeafEntry(0x1000, RW.with_cache(CachePolicy.UNCACHEABLE))
    assert from_repr(entry, 1) == from_repr(LeafEntry(0x1000, RW), 1)
    assert from_repr(entry, 1, svpbmt=True) == from_repr(LeafEntry(0x1000, RW), 1) | PBMT_IO


# --- locks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [range(0, P), range(0, GIB), range(0, 2 * GIB), range(P, 3 * P)])
def test_overlapping_cursors_of_one_thread_raise_lock_held_and_leave_no_lock(table: PageTable, other: range) -> None:
    with table.cursor_mut(range(0, 2 * P)), pytest.raises(LockHeld, match="CPU 0 waits"):
        table.cursor(other)
    table.cursor(other).drop()


def test_a_wide_cursor_leaves_no_lock_behind_when_a_deep_table_is_locked(mm: Mm, table: PageTable) -> None:
    for i in range(4):
        map_untracked(table, range(i * HUGE, i * HUGE + P), 0)
    with table.cursor(range(3 * HUGE, 3 * HUGE + P)):
        with pytest.raises(LockHeld):
            table.cursor(range(0, GIB))
        locks = {node.paddr for node in survey.walk(mm, table.root_paddr) if isinstance(node, survey.Node)
                 and UntrackedPtConfig.at(mm.port, mm.slots.slot(node.paddr)).lock}
        assert len(locks) == 1


def test_cursors_of_different_tables_do_not_exclude_each_other(table: PageTable) -> None:
    with table.cursor_mut(range(0, P)) as one, table.cursor_mut(range(HUGE, HUGE + P)) as other:
        one.map_untracked(0, 1, RW)
        other.map_untracked(P, 1, RW)


def test_a_waiting_cursor_asks_spin_until_the_lock_is_free(table: PageTable) -> None:
    holder = table.cursor(range(0, P))
    table.spin = holder.drop
    table.cursor(range(0, P)).drop()
    assert not holder.held


def test_a_stray_guard_node_is_looked_for_again(mm: Mm, table: PageTable) -> None:
    map_untracked(table, range(0, P), 0)
    wide = table.cursor_mut(range(0, 2 * HUGE))

    def take_away() -> None:
        taken = wide.take_next(HUGE)
        assert isinstance(taken, StrayPageTable)
        stray.append(taken)
        wide.drop()

    stray: list[StrayPageTable] = []
    table.spin = take_away
    with table.cursor_mut(range(0, P)) as cursor:
        cursor.map_untracked(5 * P, 1, RW)
    assert table.page_walk(0) == (5 * P, RW)
    stray[0].pt.drop()


def test_a_stray_node_on_the_way_gets_no_table_and_is_left(mm: Mm, table: PageTable) -> None:
    map_untracked(table, range(0, P), 0)
    wide = table.cursor_mut(range(0, 2 * GIB))

    def take_away() -> None:
        taken = wide.take_next(GIB)
        assert isinstance(taken, StrayPageTable) and taken.len == GIB
        stray.append(taken)
        wide.drop()

    stray: list[StrayPageTable] = []
    table.spin = take_away
    with table.cursor_mut(range(HUGE, HUGE + P)) as cursor:
        cursor.map_untracked(5 * P, 1, RW)
    assert table.page_walk(HUGE) == (5 * P, RW)
    stray[0].pt.drop()


# --- positions -----------------------------------------------------------------------------------------------


def test_a_jump_back_from_the_end_leaves_the_last_table(table: PageTable) -> None:
    with table.cursor_mut(range(HUGE - P, HUGE + 2 * P)) as cursor:
        for i in range(3):
            cursor.map_untracked((7 + i) * P, 1, RW)
        assert cursor.virt_addr == HUGE + 2 * P
        for i in range(3):
            cursor.jump(HUGE + (i - 1) * P)
            assert cursor.query()[1] == Untracked((7 + i) * P, 1, RW)


def test_a_jump_back_from_a_clamped_end_finds_what_was_before(table: PageTable) -> None:
    map_untracked(table, range(0, P), 3 * P)
    map_untracked(table, range(2 * HUGE - P, 2 * HUGE), 0)
    with table.cursor_mut(range(0, GIB + 3 * HUGE + 5 * P)) as cursor:
        cursor.jump(2 * HUGE)
        assert cursor.find_next(cursor.span.stop - cursor.virt_addr) is None
        assert cursor.virt_addr == cursor.span.stop
        cursor.jump(0)
        assert cursor.query()[1] == Untracked(3 * P, 1, RW)


# --- handles -------------------------------------------------------------------------------------------------


def test_a_dropped_cursor_cannot_be_used(table: PageTable) -> None:
    cursor = table.cursor_mut(range(0, 2 * P))
    cursor.drop()
    for use in (cursor.query, lambda: cursor.jump(0), lambda: cursor.map_untracked(0, 1, RW),
                lambda: cursor.take_next(P), lambda: cursor.find_next(P), cursor.drop):
        with pytest.raises(UseAfterMove):
            use()


def test_a_forgotten_cursor_warns_and_unlocks(table: PageTable) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table.cursor(range(0, P))
        gc.collect()
    assert [warning.category for warning in caught] == [ResourceWarning]
    table.cursor(range(0, P)).drop()


def test_a_queried_frame_is_lent_and_not_given(mm: Mm, user: PageTable) -> None:
    with user.cursor_mut(range(0, P)) as cursor:
        cursor.map(FrameAllocOptions(mm).alloc_frame(), RW)
        cursor.jump(0)
        item = cursor.query()[1]
        assert isinstance(item, TrackedRef)
        lent = item.frame.get()
        for use in (lent.drop, lent.into_raw, lent.into_dyn, lent.try_into_unique,
                    lambda: lent.make_inaccessible(lambda old: old)):
            with pytest.raises(UseAfterMove):
                use()
        with item.frame.clone() as mine:
            assert mine.reference_count == 2
        assert item.frame.reference_count == 1


def test_a_mapping_holds_the_frame_and_take_next_gives_it_back(mm: Mm, user: PageTable) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    with user.cursor_mut(range(0, P)) as cursor:
        cursor.map(frame.clone(), RW)
        assert frame.reference_count == 2
        cursor.jump(0)
        taken = cursor.take_next(P)
        assert isinstance(taken, Mapped) and isinstance(taken.item, Tracked) and taken.item.frame == frame
        assert frame.reference_count == 2
        taken.item.frame.drop()
    assert frame.reference_count == 1
    frame.drop()


def test_a_moved_frame_is_not_mapped(mm: Mm, user: PageTable) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    frame.drop()
    with user.cursor_mut(range(0, P)) as cursor:
        with pytest.raises(UseAfterMove):
            cursor.map(frame, RW)
        assert cursor.query() == (range(0, P), None)


def test_dropping_a_page_table_drops_what_it_maps(mm: Mm) -> None:
    before = census(mm)
    frames = [FrameAllocOptions(mm).alloc_frame() for _ in range(600)]
    with PageTable.empty(mm, UserPtConfig) as user:
        with user.cursor_mut(range(0, 600 * P)) as cursor:
            for frame in frames:
                cursor.map(frame, RW)
        map_untracked(user, range(GIB, GIB + HUGE), 1 << 44)
        # A table lives as long as a cursor over it.
        cursor = user.cursor(range(0, P))
    assert cursor.query()[1] is not None
    cursor.drop()
    assert census(mm) == before


# --- ranges --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("va, error", [
    (range(0, 0), InvalidVaddrRange), (range(P, 0), InvalidVaddrRange), (range(5, 5), InvalidVaddrRange),
    (range(-P, P), InvalidVaddrRange), (range(0, 1 << 47 | P), InvalidVaddrRange), (range(0, P + 1), UnalignedVaddr),
    (range(1, P), UnalignedVaddr), (range(0, 1 << 64), InvalidVaddrRange), (range(0, 2 * P, P), InvalidVaddrRange)])
def test_a_range_is_checked_for_its_bounds_and_then_its_alignment(
        user: PageTable, va: range, error: type[Exception]) -> None:
    with pytest.raises(error):
        user.cursor(va)


def test_the_whole_lower_half_is_a_range(user: PageTable) -> None:
    with user.cursor(range(0, 1 << 47)) as cursor:
        assert cursor.find_next(1 << 47) is None
        assert cursor.virt_addr == 1 << 47


@pytest.mark.parametrize("length", [P + 1, -P])
def test_a_length_that_cannot_be_one_is_refused(table: PageTable, length: int) -> None:
    with table.cursor_mut(range(0, 4 * P)) as cursor:
        for use in (cursor.find_next, cursor.take_next, lambda n: cursor.protect_next(n, lambda p: p)):
            with pytest.raises(KernelPanic):
                use(length)


def test_a_kernel_root_entry_is_never_taken(mm: Mm) -> None:
    with PageTable.new_kernel_page_table(mm) as kernel:
        base = 0xffff_c000_0000_0000
        with kernel.cursor_mut(range(base, base + 1024 * GIB)) as cursor:
            cursor.map_untracked(0, 1, RW)
            cursor.jump(base)
        with kernel.cursor_mut(range(base, base + 1024 * GIB)) as cursor:
            taken = cursor.take_next(1024 * GIB)
            assert isinstance(taken, StrayPageTable) and taken.len == GIB
            taken.pt.drop()
            assert cursor.take_next(base + 1024 * GIB - cursor.virt_addr) is None
        assert len(survey.path(mm, kernel.root_paddr, base)) == 2
