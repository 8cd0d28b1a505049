"""Every wrong free is reported by name, and nothing is changed by it (R2.3, R3.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kernel.errors import HeapMisuse, InvalidArgs
from kernel.mm import FrameAllocOptions, Layout, Mm
from kernel.mm.heap.slab import Slab
from kernel.mm.heap.slot import LargeAllocFrameMeta
from tests.kernel.mm.heap.heaps import L8, L16, L64, L2048, PAGE, allocator, heap_frames, state

SIZES = [1, 8, 16, 24, 32, 64, 100, 1024, 2048, 2049, 4096, 10000]


@pytest.fixture
def refused(mm: Mm) -> Iterator[Callable[..., HeapMisuse]]:
    """Frees, and expects HeapMisuse about that address, and a heap that is as it was."""

    def refused(address: int, layout: Layout, state_match: str) -> HeapMisuse:
        before = state(mm)
        for operation in ("dealloc", "realloc"):
            with pytest.raises(HeapMisuse, match=state_match) as caught:
                if operation == "dealloc":
                    mm.heap.dealloc(address, layout)
                else:
                    mm.heap.realloc(address, layout, 5 * layout.size + 4096)
            error = caught.value
            assert (error.operation, error.address, error.size) == (operation, address, layout.size)
            assert f"{address:#x}" in str(caught.value)
            assert not mm.heap.is_live(address, layout)
        assert state(mm) == before
        return caught.value

    yield refused


@pytest.mark.parametrize("size", SIZES)
def test_double_free(mm: Mm, refused: Callable[..., HeapMisuse], size: int) -> None:
    layout = Layout(size, 8)
    address = mm.heap.alloc(layout)
    mm.heap.dealloc(address, layout)
    frame_is_gone = size > 2048
    refused(address, layout, "no heap memory: its frame is" if frame_is_gone else "not live: it was freed, or never")


def test_double_free_of_a_slot_that_is_back_in_its_slab(mm: Mm, refused: Callable[..., HeapMisuse]) -> None:
    _, keep, address = (mm.heap.alloc(L64) for _ in range(3))
    assert keep & -4096 == address & -4096
    mm.heap.dealloc(address, L64)
    allocator(mm).reclaim()
    refused(address, L64, "not live")
    mm.heap.dealloc(keep, L64)


def test_double_free_of_a_slot_whose_slab_is_gone(mm: Mm, refused: Callable[..., HeapMisuse]) -> None:
    address = mm.heap.alloc(L64)
    mm.heap.dealloc(address, L64)
    allocator(mm).reclaim()
    refused(address, L64, "no heap memory: its frame is")


def test_free_of_a_slot_that_was_never_allocated(mm: Mm, refused: Callable[..., HeapMisuse]) -> None:
    address = mm.heap.alloc(L64)
    neighbour = (address & -4096) + (address + 64 & 4095)
    refused(neighbour, L64, "not live: it was freed, or never allocated")


@pytest.mark.parametrize("size", SIZES)
def test_free_of_an_address_inside_an_object(mm: Mm, refused: Callable[..., HeapMisuse], size: int) -> None:
    layout = Layout(size, 1)
    address = mm.heap.alloc(layout)
    error = refused(address + 1, layout, "inside the")
    assert f"{address:#x}" in error.state
    mm.heap.dealloc(address, layout)


def test_free_of_a_later_page_of_a_large_object(mm: Mm, refused: Callable[..., HeapMisuse]) -> None:
    layout = Layout(5 * 4096, 8)
    address = mm.heap.alloc(layout)
    error = refused(address + 4096, layout, "inside the large slot")
    assert f"{address:#x} (20480 bytes)" in error.state
    mm.heap.dealloc(address, layout)


@pytest.mark.parametrize("size,other", [(64, 65), (64, 32), (8, 16), (2048, 2049), (4096, 2048), (4096, 4097),
                                        (8192, 4096)])
def test_free_with_another_size_class(mm: Mm, refused: Callable[..., HeapMisuse], size: int, other: int) -> None:
    address = mm.heap.alloc(Layout(size, 8))
    error = refused(address, Layout(other, 8), "in a slab of|a large slot of")
    assert str(size) in error.state
    mm.heap.dealloc(address, Layout(size, 8))


def test_issue_3920_kind_of_slot_is_compared_when_freeing(mm: Mm, refused: Callable[..., HeapMisuse]) -> None:
    """A 4096-byte slab slot is not the large slot of 4096 bytes that the layout has."""
    slab = Slab.new(mm, 4096)
    slot = slab.alloc()
    refused(slot.address, PAGE, "in a slab of 4096-byte slots")
    slab.dealloc(slot)
    slab.drop()


def test_free_with_an_alignment_that_the_address_has_not(mm: Mm, refused: Callable[..., HeapMisuse]) -> None:
    address = mm.heap.alloc(Layout(8192, 8))
    while address % 32768 == 0:
        address = mm.heap.alloc(Layout(8192, 8))
    refused(address, Layout(8192, 32768), "not a multiple of 32768")
    refused(mm.heap.alloc(L16), Layout(16, 32), "in a slab of 16-byte slots")


def test_free_of_memory_that_is_not_the_heaps(mm: Mm, refused: Callable[..., HeapMisuse]) -> None:
    with FrameAllocOptions(mm).alloc_frame() as frame:
        paddr = frame.paddr
        refused(mm.paddr_to_vaddr(paddr), L64, r"no heap memory: its frame is in use by 1 as \(\)")
    refused(mm.paddr_to_vaddr(paddr), PAGE, "no heap memory: its frame is")
    refused(mm.paddr_to_vaddr(mm.statics.base), L8, "no heap memory: its frame is in use by 1 as ")


@pytest.mark.parametrize("address", [0, 8, 0x8000_0000, 0xffff_ffff_8020_0000, (1 << 64) - 8, 1 << 70])
def test_free_outside_of_the_linear_mapping(mm: Mm, refused: Callable[..., HeapMisuse], address: int) -> None:
    refused(address, L64, "not in the linear mapping of memory")


def test_free_beyond_all_memory(mm: Mm, refused: Callable[..., HeapMisuse]) -> None:
    refused(mm.paddr_to_vaddr(mm.slots.max_paddr), L64, "not in the linear mapping of memory")


def test_free_of_a_slot_that_its_allocator_holds(mm: Mm, refused: Callable[..., HeapMisuse]) -> None:
    slab = Slab.new(mm, 64)
    slot = slab.alloc()
    refused(slot.address, L64, "not live")
    slab.dealloc(slot)
    slab.drop()


def test_live_object_cannot_be_put_into_its_slab(mm: Mm) -> None:
    """Even with a handle for it, which only a broken kernel could have."""
    from kernel.mm.heap.slab import SlabMeta
    from kernel.mm.heap.slot import SLAB_SLOTS, HeapSlot

    address = mm.heap.alloc(L2048)
    slot = HeapSlot._adopt(mm, address, SLAB_SLOTS[2048])
    meta = SlabMeta.at(mm.port, mm.slots.slot(mm.vaddr_to_paddr(address) & -4096))
    with pytest.raises(HeapMisuse, match="live: its user has it"):
        meta.dealloc(mm, slot)
    slot._take()
    mm.heap.dealloc(address, L2048)


def test_live_large_object_cannot_be_given_back_by_its_allocator(mm: Mm) -> None:
    from kernel.mm.heap.slot import HeapSlot, LargeSlot

    address = mm.heap.alloc(PAGE)
    slot = HeapSlot._adopt(mm, address, LargeSlot(4096))
    with pytest.raises(HeapMisuse, match="live: its user has it"):
        slot.dealloc_large()
    slot._take()
    mm.heap.dealloc(address, PAGE)


def test_free_after_each_misuse_still_works(mm: Mm, refused: Callable[..., HeapMisuse]) -> None:
    address = mm.heap.alloc(L64)
    refused(address + 8, L64, "inside")
    refused(address, L16, "slab of 64-byte slots")
    assert mm.heap.is_live(address, L64)
    mm.heap.dealloc(address, L64)
    allocator(mm).reclaim()
    assert heap_frames(mm) == {}


def test_layouts_that_cannot_be(mm: Mm) -> None:
    for size, align in ((-1, 8), (8, 3), (8, 0), (1 << 63, 8)):
        with pytest.raises(InvalidArgs):
            mm.heap.alloc(Layout(size, align))


def test_frame_that_only_looks_like_heap_memory_is_named(mm: Mm, refused: Callable[..., HeapMisuse]) -> None:
    with FrameAllocOptions(mm).alloc_unique(LargeAllocFrameMeta(size=4096)) as unique:
        unique.meta.head, unique.meta.live = unique.paddr, 1
        refused(mm.paddr_to_vaddr(unique.paddr), PAGE, "no heap memory: its frame is unique, as LargeAllocFrameMeta")
    with Slab.new(mm, 64).into_frame() as shared:
        shared.meta.live = 1
        refused(mm.paddr_to_vaddr(shared.paddr), L64, "no heap memory: its frame is in use by 1 as SlabMeta")
