"""CPU-local variables that are allocated at run time lie a page apart in chunks, and go back with them."""

from __future__ import annotations

import pytest

from kernel.errors import BootError, HeapMisuse, InvalidArgs, NoMemory, UseAfterMove
from kernel.mm import PAGE_SIZE, Mm
from kernel.mm.fields import u8, u32, u64
from kernel.mm.io.pod import Array
from kernel.osdk.heap_allocator.cpu_local_box import CpuLocalAllocator, CpuLocalBox, alloc_cpu_local
from tests.kernel.mm.heap.heaps import CountedFrames, allocator, heap_frames, make_mm


@pytest.fixture
def mm() -> Mm:
    return make_mm(harts=3, frames=CountedFrames)


def test_each_cpu_has_its_own_page_of_a_chunk(mm: Mm) -> None:
    with alloc_cpu_local(mm, u64, lambda cpu: 100 + cpu) as box:
        addresses = [box.address_on(cpu) for cpu in range(3)]
        assert addresses == [addresses[0] + n * PAGE_SIZE for n in range(3)]
        assert [mm.port.load(mm.vaddr_to_paddr(address)) for address in addresses] == [100, 101, 102]


def test_value_is_that_of_the_cpu_that_the_kernel_runs_as(mm: Mm) -> None:
    with alloc_cpu_local(mm, u32, lambda cpu: cpu) as box:
        mm.cpu = 2
        assert box.get() == 2
        box.set(7)
        mm.cpu = 0
        assert box.get() == 0
        assert [box.get_on_cpu(cpu) for cpu in range(3)] == [0, 1, 7]


def test_values_of_more_than_32_bytes_are_refused(mm: Mm) -> None:
    with alloc_cpu_local(mm, Array(u64, 4), lambda cpu: [cpu] * 4) as box:
        assert list(box.get_on_cpu(1)) == [1] * 4
    with pytest.raises(InvalidArgs):
        alloc_cpu_local(mm, Array(u64, 5), lambda cpu: [0] * 5)


def test_items_of_a_chunk_are_used_again(mm: Mm) -> None:
    one, other = (alloc_cpu_local(mm, u64, lambda cpu: 0) for _ in range(2))
    address = one.address_on(0)
    assert other.address_on(0) == address + 8
    one.drop()
    with alloc_cpu_local(mm, u8, lambda cpu: 1) as again:
        assert again.address_on(0) == address
    other.drop()


def test_full_chunk_is_followed_by_a_new_one_and_one_empty_chunk_stays(mm: Mm) -> None:
    items = CpuLocalAllocator(mm, 32)
    addresses = [items.alloc() for _ in range(3 * 128)]
    assert len(set(addresses)) == 3 * 128
    assert len(items.chunks()) == 3
    for address in addresses:
        items.dealloc(address)
    assert len(items.chunks()) == 1
    assert len(CpuLocalAllocator(mm, 16).chunks()) == 0


def test_wrong_frees_are_named(mm: Mm) -> None:
    items = CpuLocalAllocator(mm, 16)
    address = items.alloc()
    for wrong in (address + 8, address + PAGE_SIZE, 0, mm.paddr_to_vaddr(mm.slots.max_paddr - PAGE_SIZE), address + 16):
        with pytest.raises(HeapMisuse, match="CpuLocalAllocator.dealloc"):
            items.dealloc(wrong)
    with pytest.raises(HeapMisuse):
        CpuLocalAllocator(mm, 8).dealloc(address)
    items.dealloc(address)
    with pytest.raises(HeapMisuse, match="free"):
        items.dealloc(address)


def test_unknown_cpu_is_named(mm: Mm) -> None:
    with alloc_cpu_local(mm, u64, lambda cpu: 0) as box:
        for cpu in (-1, 3):
            with pytest.raises(BootError, match=f"CPU {cpu}"):
                box.get_on_cpu(cpu)


def test_dropped_box_is_of_no_use(mm: Mm) -> None:
    box: CpuLocalBox[int] = alloc_cpu_local(mm, u64, lambda cpu: 0)
    box.drop()
    with pytest.raises(UseAfterMove):
        box.get()


def test_initialiser_that_fails_gives_the_item_back(mm: Mm) -> None:
    def fails(cpu: int) -> int:
        return 1 // (1 - cpu)

    with alloc_cpu_local(mm, u64, lambda cpu: 0) as box:
        address = box.address_on(0)
    with pytest.raises(ZeroDivisionError) as caught:
        alloc_cpu_local(mm, u64, fails)
    assert caught.tb is not None, "keeps the variables of alloc_cpu_local, which must not be what frees the item"
    with alloc_cpu_local(mm, u64, lambda cpu: 0) as box:
        assert box.address_on(0) == address


@pytest.mark.parametrize("left", range(8))
def test_allocation_that_fails_at_the_nth_frame_leaks_nothing(mm: Mm, left: int) -> None:
    frames = mm.frame_allocator.inner
    assert isinstance(frames, CountedFrames)
    frames.left = left
    try:
        alloc_cpu_local(mm, u64, lambda cpu: 0).drop()
    except NoMemory:
        assert CpuLocalAllocator(mm, 8).chunks() == []
        allocator(mm).reclaim()
        assert heap_frames(mm) == {}


def test_item_is_zeroed_on_every_cpu(mm: Mm) -> None:
    items = CpuLocalAllocator(mm, 16)
    address = items.alloc()
    for cpu in range(3):
        mm.port.fill(mm.vaddr_to_paddr(address) + cpu * PAGE_SIZE, 16, 0xff)
    items.dealloc(address)
    assert items.alloc() == address
    for cpu in range(3):
        assert mm.port.read(mm.vaddr_to_paddr(address) + cpu * PAGE_SIZE, 16) == bytes(16)
