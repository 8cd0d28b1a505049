"""Page tables for tests: a kind that maps untracked pages only, and what upstream's tests share."""

from __future__ import annotations

from collections.abc import Iterator

from kernel.mm import Mm
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.page_table.bulk import largest_pages
from kernel.mm.page_table.config import PageTableConfig, UserPtConfig
from kernel.mm.page_table.cursor_mut import ProtectOp
from kernel.mm.page_table.page_table import PageTable
from kernel.mm.page_table.pte import CachePolicy, PageFlags, PageProperty, PrivilegedPageFlags
from kernel.mm.paging import PAGE_SIZE

P = PAGE_SIZE
HUGE = 512 * P
RW = PageProperty.new_user(PageFlags.RW)
ALL_FLAGS = PageFlags.RWX | PageFlags.ACCESSED | PageFlags.DIRTY | PageFlags.AVAIL2
ALL_PRIVATE = PrivilegedPageFlags.USER | PrivilegedPageFlags.GLOBAL | PrivilegedPageFlags.AVAIL1


class UntrackedPtConfig(PageTableConfig):
    """Upstream's `TestPtConfig`: lower half, all mappings untracked."""

    ROOT_INDICES = range(256)


def subsets(full: int) -> Iterator[int]:
    """All subsets of the bits of `full`, descending (upstream's `SubsetIter`)."""
    subset = full
    while True:
        yield subset
        if not subset:
            return
        subset = subset - 1 & full


def all_page_properties() -> Iterator[PageProperty]:
    """Every combination of flags and the cache policies that RISC-V has."""
    for flags in subsets(ALL_FLAGS):
        for private in subsets(ALL_PRIVATE):
            for cache in (CachePolicy.WRITEBACK, CachePolicy.UNCACHEABLE):
                yield PageProperty(PageFlags(flags), cache, PrivilegedPageFlags(private))


def map_untracked(table: PageTable, va: range, pa: int, prop: PageProperty = RW) -> None:
    """Map `va` to `pa` with the largest pages, one by one."""
    with table.cursor_mut(va) as cursor:
        for paddr, level in largest_pages(va.start, pa, va.stop - va.start, table._mm.paging.highest_leaf_level):
            cursor.map_untracked(paddr, level, prop)


def protect_range(table: PageTable, va: range, op: ProtectOp) -> None:
    """Protect all that is mapped in `va`, which must not go beyond it."""
    with table.cursor_mut(va) as cursor:
        while (done := cursor.protect_next(va.stop - cursor.virt_addr, op)) is not None:
            assert va.start <= done.start < done.stop <= va.stop


def user_table_mapped_at(mm: Mm, va: range) -> PageTable:
    """A user page table that maps a frame at the start of `va`."""
    table = PageTable.empty(mm, UserPtConfig)
    frame = FrameAllocOptions(mm).alloc_frame()
    try:
        with table.cursor_mut(va) as cursor:
            cursor.map(frame, RW)
    except BaseException:
        table.drop()
        frame.drop()
        raise
    return table
