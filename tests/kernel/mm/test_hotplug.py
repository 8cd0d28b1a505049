"""Unplugging memory, and the movable pages that make it possible: what the errors leave behind, and whom they name."""

from __future__ import annotations

import gc

import pytest

from kernel.errors import FrameMisuse, KernelPanic
from kernel.mm import FrameAllocOptions, Mm, VmSpace
from kernel.mm.check import check
from kernel.mm.compaction import map_movable
from kernel.mm.hotplug import offline
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.paging import PAGE_SIZE as P

RW = PageProperty.new_user(PageFlags.RW)


def test_a_movable_page_that_cannot_be_mapped_is_dropped_once(mm: Mm) -> None:
    with VmSpace(mm) as space:
        map_movable(space, 0x10000, RW)
        with pytest.raises(KernelPanic, match="already mapped"):
            map_movable(space, 0x10000, RW)
        gc.collect()  # a second drop would come from here
        check(mm, [space])


def test_the_frame_that_keeps_memory_online_is_named_not_the_free_ones_before_it(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_segment(64) as whole:
        start = whole.paddr
        low, high = whole.split(32 * P)
    low.drop()
    with high, pytest.raises(FrameMisuse, match=f"offline: {start:#x} .*: {high.paddr:#x} is in use by 1 as"):
        offline(mm, start, 64 * P)
    check(mm, [])
