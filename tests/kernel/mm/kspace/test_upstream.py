"""Upstream's tests of kernel space (`ostd/src/mm/kspace/test.rs`), by their names."""

from __future__ import annotations

from kernel.mm import FrameAllocOptions, Mm
from kernel.mm.kspace.kvirt_area import KVirtArea
from kernel.mm.page_table.items import TrackedRef, Untracked
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.paging import PAGE_SIZE as P

PROP = PageProperty.new_user(PageFlags.RW)


def require_in_range(mm: Mm, area: KVirtArea) -> None:
    assert area.size == 2 * P
    assert mm.paging.kvirt_base <= area.start < area.end <= mm.paging.meta_base


def test_kvirt_area_tracked_map_pages(mm: Mm) -> None:
    segment = FrameAllocOptions(mm).alloc_segment(2)
    paddr = segment.paddr
    with KVirtArea.map_frames(mm, 2 * P, 0, list(segment), PROP) as area:
        require_in_range(mm, area)
        for i in range(2):
            item = area.query(area.start + i * P)
            assert isinstance(item, TrackedRef)
            assert item.frame.paddr == paddr + i * P
            assert (item.prop.flags, item.prop.cache) == (PROP.flags, PROP.cache)


def test_kvirt_area_untracked_map_pages(mm: Mm) -> None:
    end = mm.slots.max_paddr
    with KVirtArea.map_untracked_frames(mm, 2 * P, 0, range(end, end + 2 * P), PROP) as area:
        require_in_range(mm, area)
        for i in range(2):
            assert area.query(area.start + i * P) == Untracked(end + i * P, 1, PROP)


def test_kvirt_area_tracked_drop(mm: Mm) -> None:
    KVirtArea.map_frames(mm, 2 * P, 0, list(FrameAllocOptions(mm).alloc_segment(2)), PROP).drop()
    with KVirtArea.map_frames(mm, 2 * P, 0, [], PROP) as area:
        assert area.query(area.start) is None


def test_kvirt_area_untracked_drop(mm: Mm) -> None:
    end = mm.slots.max_paddr
    KVirtArea.map_untracked_frames(mm, 2 * P, 0, range(end, end + 2 * P), PROP).drop()
    with KVirtArea.map_untracked_frames(mm, 2 * P, 0, range(0), PROP) as area:
        assert area.query(area.start) is None


def test_manual_paddr_to_vaddr(mm: Mm) -> None:
    assert mm.paddr_to_vaddr(0x1000) == mm.paging.linear_base + 0x1000
