"""A guest that has written over the kernel's words: an error that names the place, no hang, and no half-done change."""

from __future__ import annotations

import pytest

from kernel.errors import CorruptionError
from kernel.mm import FrameAllocOptions, Layout, Link, LinkedList, Mm, VmSpace
from kernel.mm.check import check
from kernel.mm.fields import u64
from kernel.mm.frame.linked_list import SIZE
from kernel.mm.frame.meta import VTABLE
from kernel.mm.frame.meta_type import FrameMeta
from kernel.mm.io_mem import IoMem
from kernel.mm.page_table.config import STRAY
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.paging import PAGE_SIZE as P
from kernel.mm.vm_space.iomem_list import NEXT_AT
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator

RW = PageProperty.new_user(PageFlags.RW)
PAGES = range(0x10000, 0x10000 + 8 * P)
DEVICE = 1 << 40


class Linked(Link):
    pass


class Known(FrameMeta):
    value = u64()


def test_a_reachable_node_that_is_marked_stray_ends_the_search_for_a_lock(mm: Mm) -> None:
    with VmSpace(mm) as space:
        flag = mm.slots.slot(space.root_paddr) + STRAY
        with space.cursor_mut(PAGES):
            pass
        mm.port.store_sized(flag, 1, 1)
        with pytest.raises(CorruptionError, match=f"{space.root_paddr:#x} is marked as detached"):
            space.cursor_mut(range(0, 1 << 40))
        mm.port.store_sized(flag, 1, 0)
        check(mm, [space])


def test_a_list_of_io_memory_that_has_no_end_is_not_walked_forever(mm: Mm) -> None:
    with VmSpace(mm) as space, space.cursor_mut(PAGES) as cursor:
        cursor.map_iomem(IoMem.acquire(mm, range(DEVICE, DEVICE + P)), RW, P, 0)
        record = mm.port.load(space.iomems._head)
        link = mm.vaddr_to_paddr(record) + NEXT_AT
        mm.port.store(link, record)
        with pytest.raises(CorruptionError, match=f"links to {record:#x}"):
            cursor.find_iomem_by_paddr(0)
        with pytest.raises(CorruptionError, match=f"links to {record:#x}"):
            cursor.map_iomem(IoMem.acquire(mm, range(2 * DEVICE, 2 * DEVICE + P)), RW, P, 0)
        mm.port.store(link, 0)
    check(mm, [])


def test_a_frame_without_a_type_keeps_its_count_when_it_cannot_be_dropped(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_frame_with(Known()) as frame:
        word = mm.slots.slot(frame.paddr) + VTABLE
        vtable = mm.port.load(word)
        mm.port.store(word, 0x1234)
        with pytest.raises(CorruptionError, match="0x1234"):
            frame.drop()
        assert frame.reference_count == 1
        with pytest.raises(CorruptionError, match="0x1234"):
            frame.into_dyn()
        assert frame.held
        mm.port.store(word, vtable)


def test_a_type_name_with_a_zero_in_it_ends_there(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_frame_with(Known()) as frame:
        descriptor = mm.port.load(mm.slots.slot(frame.paddr) + VTABLE) - mm.paging.kernel_code_base
        was = mm.port.read(descriptor, 8)
        mm.port.write(descriptor, b"a.b\0c\0\0d")
        mm.types._types.clear()  # as a kernel that is attached begins
        assert mm.slots.kind(frame.paddr).type_name() == "b"
        mm.port.write(descriptor, was)
        mm.types._types.clear()


def test_a_list_with_frames_but_a_count_of_none_loses_nothing(mm: Mm) -> None:
    with LinkedList(mm, Linked) as frames:
        frames.push_back(FrameAllocOptions(mm).alloc_unique(Linked()))
        count = frames._chain.head + SIZE
        mm.port.store(count, 0)
        with pytest.raises(CorruptionError, match="none by its own count"):
            frames.pop_front()
        mm.port.store(count, 1)
    check(mm, [])


@pytest.mark.parametrize("total", [0, (1 << 64) - 1])
def test_a_pools_total_that_cannot_be_is_noticed_before_a_chunk_moves(mm: Mm, total: int) -> None:
    allocator = mm.frame_allocator.inner
    assert isinstance(allocator, FrameAllocator)
    pool = allocator.pools.global_set
    allocator.drain()
    was = pool.total_size
    mm.port.store(pool._address, total)
    with pytest.raises(CorruptionError, match="its total size is"):
        mm.frame_allocator.alloc(Layout(1024 * P, P))
    mm.port.store(pool._address, was)
    check(mm, [])


