"""Upstream's tests of user address spaces (`ostd/src/mm/test.rs`, `mod vmspace`), by their names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.errors import AccessDenied, KernelPanic
from kernel.mm import FrameAllocOptions, Mm, UFrame
from kernel.mm.io_mem import IoMem
from kernel.mm.page_table.pte import CachePolicy, PageFlags, PageProperty
from kernel.mm.tlb.flusher import TlbFlushOp
from kernel.mm.vm_space.cursors import Cursor, CursorMut, MappedIoMem, MappedRam
from kernel.mm.vm_space.vm_space import VmSpace, activated_vm_space, deactivate

IOMEM_PADDR = 0x100_000_000_000
R = PageProperty.new_user(PageFlags.R)
RW = PageProperty.new_user(PageFlags.RW)
IO = PageProperty.new_user(PageFlags.RW, CachePolicy.UNCACHEABLE)
USIZE_MAX = (1 << 64) - 1


@pytest.fixture
def space(mm: Mm) -> Iterator[VmSpace]:
    with VmSpace(mm) as space:
        yield space


@pytest.fixture
def frame(mm: Mm) -> Iterator[UFrame]:
    with FrameAllocOptions(mm).alloc_frame().into_uframe() as frame:
        yield frame


def is_mapped(cursor: Cursor | CursorMut, va: range, frame: UFrame, prop: PageProperty) -> bool:
    found, item = cursor.query()
    return isinstance(item, MappedRam) and (found, item.frame.paddr, item.prop) == (va, frame.paddr, prop)


def map_at(space: VmSpace, va: range, frame: UFrame, prop: PageProperty) -> None:
    with space.cursor_mut(va) as cursor:
        cursor.map(frame, prop)


def test_vmspace_creation(space: VmSpace) -> None:
    with space.cursor(range(0, 0x1000)) as cursor:
        assert cursor.query() == (range(0, 0x1000), None)


def test_vmspace_map_unmap(space: VmSpace, frame: UFrame) -> None:
    va = range(0x1000, 0x2000)
    with space.cursor_mut(va) as changes:
        assert changes.query() == (va, None)
        changes.map(frame.clone(), R)
    with space.cursor(va) as cursor:
        assert cursor.virt_addr == va.start
        assert is_mapped(cursor, va, frame, R)
    with space.cursor_mut(va) as changes:
        assert changes.unmap(0x1000) == 1
    with space.cursor(va) as cursor:
        assert cursor.query() == (va, None)


def test_vmspace_map_twice(space: VmSpace, frame: UFrame) -> None:
    va = range(0x1000, 0x2000)
    map_at(space, va, frame.clone(), R)
    with space.cursor(va) as cursor:
        assert is_mapped(cursor, va, frame, R)
    with frame.clone() as again, pytest.raises(KernelPanic, match="mapping over an already mapped page"):
        map_at(space, va, again, R)


def test_vmspace_unmap_twice(space: VmSpace, frame: UFrame) -> None:
    va = range(0x1000, 0x2000)
    map_at(space, va, frame.clone(), R)
    for unmapped in (1, 0):
        with space.cursor_mut(va) as changes:
            assert changes.unmap(0x1000) == unmapped
    with space.cursor(va) as cursor:
        assert cursor.query() == (va, None)


def test_vmspace_activate(mm: Mm, space: VmSpace) -> None:
    space.activate()
    assert activated_vm_space(mm) == space.root_paddr
    with VmSpace(mm) as other:
        other.activate()
        assert activated_vm_space(mm) == other.root_paddr
    deactivate(mm)


def test_cursor_mut_flusher(space: VmSpace, frame: UFrame) -> None:
    va = range(0x4000, 0x5000)
    map_at(space, va, frame.clone(), R)
    with space.cursor(va) as cursor:
        assert is_mapped(cursor, va, frame, R)
    with space.cursor_mut(va) as changes:
        changes.flusher.issue_tlb_flush(TlbFlushOp.for_all())
        changes.flusher.dispatch_tlb_flush()
    with space.cursor(va) as cursor:
        assert is_mapped(cursor, va, frame, R)


def test_vmspace_reader_writer(mm: Mm, space: VmSpace, frame: UFrame) -> None:
    map_at(space, range(0x4000, 0x5000), frame.clone(), R)
    for window in (space.reader, space.writer):
        with pytest.raises(AccessDenied):
            window(0x4000, 0x1000)
    space.activate()
    for window in (space.reader, space.writer):
        window(0x4000, 0x1000)
        with pytest.raises(AccessDenied):
            window(0x4000, USIZE_MAX)
    deactivate(mm)


def test_overlapping_cursors(space: VmSpace) -> None:
    with space.cursor(range(0x5000, 0x6000)), pytest.raises(AccessDenied):
        space.cursor(range(0x5800, 0x6800))


def test_protect_next(space: VmSpace, frame: UFrame) -> None:
    va = range(0x7000, 0x8000)
    with space.cursor_mut(va) as changes:
        changes.map(frame.clone(), RW)
        changes.jump(va.start)
        assert changes.protect_next(0x1000, lambda flags, cache: (PageFlags.R, cache)) == va
    with space.cursor(va) as cursor:
        assert is_mapped(cursor, va, frame, R)


def test_unaligned_unmap_panics(space: VmSpace) -> None:
    with space.cursor_mut(range(0xa000, 0xb000)) as changes, pytest.raises(KernelPanic):
        changes.unmap(0x800)


def test_protect_out_range_page(space: VmSpace) -> None:
    with space.cursor_mut(range(0xb000, 0xc000)) as changes, pytest.raises(KernelPanic):
        changes.protect_next(0x2000, lambda flags, cache: (flags, cache))


# These show an uncacheable page's policy back, which the entries can say with Svpbmt only. The harts of this
# machine have none, so the space is not activated.


@pytest.fixture
def io_space(mm: Mm) -> Iterator[VmSpace]:
    mm.kspace.page_table.svpbmt = True
    with VmSpace(mm) as space:
        yield space


def acquire(mm: Mm, first: int, last: int) -> IoMem:
    return IoMem.acquire(mm, range(IOMEM_PADDR + first, IOMEM_PADDR + last))


def test_vmspace_map_query_iomem(mm: Mm, io_space: VmSpace) -> None:
    va, io = range(0x1000, 0x2000), acquire(mm, 0, 0x1000)
    with io_space.cursor_mut(va) as changes:
        assert changes.query() == (va, None)
        changes.map_iomem(io, IO, 0x1000, 0)
    with io_space.cursor(va) as cursor:
        assert cursor.virt_addr == va.start
        found, item = cursor.query()
        assert found == va
        assert isinstance(item, MappedIoMem)
        assert (item.paddr, item.prop.flags, item.prop.cache) == (IOMEM_PADDR, IO.flags, IO.cache)
    with io_space.cursor_mut(va) as changes:
        assert changes.find_iomem_by_paddr(IOMEM_PADDR) == (io, 0)
        assert changes.find_iomem_by_paddr(IOMEM_PADDR + 0x80) == (io, 0x80)
        assert changes.find_iomem_by_paddr(IOMEM_PADDR + 0x1000) is None


def test_vmspace_map_iomem_with_offset(mm: Mm, io_space: VmSpace) -> None:
    va, io = range(0x2000, 0x3000), acquire(mm, 0x1000, 0x3000)
    with io_space.cursor_mut(va) as changes:
        changes.map_iomem(io, IO, 0x1000, 0x1000)
    with io_space.cursor(va) as cursor:
        found, item = cursor.query()
        assert found == va
        assert isinstance(item, MappedIoMem)
        assert (item.paddr, item.prop.flags, item.prop.cache) == (IOMEM_PADDR + 0x2000, IO.flags, IO.cache)
    with io_space.cursor_mut(va) as changes:
        assert changes.find_iomem_by_paddr(IOMEM_PADDR + 0x2000) == (IoMem(IOMEM_PADDR + 0x1000, 0x2000), 0x1000)


def test_vmspace_iomem_persistence(mm: Mm, io_space: VmSpace) -> None:
    va = range(0x3000, 0x4000)
    with io_space.cursor_mut(va) as changes:
        changes.map_iomem(acquire(mm, 0x3000, 0x4000), IO, 0x1000, 0)
    with io_space.cursor_mut(va) as changes:
        assert changes.find_iomem_by_paddr(IOMEM_PADDR + 0x3000) is not None
        changes.unmap(0x1000)
    with io_space.cursor_mut(va) as changes:
        assert changes.find_iomem_by_paddr(IOMEM_PADDR + 0x3000) is not None
