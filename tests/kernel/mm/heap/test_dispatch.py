"""The heap's face: addresses in the linear mapping, of the asked size and alignment, whose contents are the user's."""

from __future__ import annotations

import pytest

from kernel.errors import InvalidArgs, NoMemory, UseAfterMove
from kernel.mm import Access, Layout, Mm
from kernel.mm.heap.box import HeapBox
from tests.kernel.mm.heap.heaps import L64, PAGE, CountedFrames, allocator, heap_frames, make_mm, state


def _fill(mm: Mm, address: int, data: bytes) -> None:
    mm.port.write(mm.vaddr_to_paddr(address), data)


def _read(mm: Mm, address: int, size: int) -> bytes:
    return mm.port.read(mm.vaddr_to_paddr(address), size)


@pytest.mark.parametrize("align", [1, 8, 64, 2048, 4096, 8192, 1 << 16])
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 2000, 2048, 2049, 4096, 4097, 20000])
def test_alloc_gives_what_the_layout_asks_for(mm: Mm, size: int, align: int) -> None:
    """Alignments above the page, and of the page for small sizes, have no slots upstream."""
    layout = Layout(size, align)
    first, second = mm.heap.alloc(layout), mm.heap.alloc(layout)
    assert first % align == second % align == 0
    assert abs(first - second) >= size
    _fill(mm, first, b"1" * size)
    _fill(mm, second, b"2" * size)
    assert _read(mm, first, size) == b"1" * size
    assert mm.heap.is_live(first, layout)
    for address in (first, second):
        mm.heap.dealloc(address, layout)
    assert not mm.heap.is_live(first, layout)
    allocator(mm).reclaim()
    assert heap_frames(mm) == {}


def test_alloc_zeroed_zeroes_what_was_there(mm: Mm) -> None:
    for layout in (L64, PAGE, Layout(100, 1)):
        address = mm.heap.alloc(layout)
        _fill(mm, address, b"\xff" * layout.size)
        mm.heap.dealloc(address, layout)
        assert mm.heap.alloc_zeroed(layout) == address
        assert _read(mm, address, layout.size) == bytes(layout.size)


@pytest.mark.parametrize("old,new", [(64, 65), (64, 5000), (5000, 64), (100, 90), (4096, 4097), (9000, 5000), (8, 9)])
def test_realloc_keeps_contents_up_to_the_smaller_size(mm: Mm, old: int, new: int) -> None:
    layout = Layout(old, 8)
    address = mm.heap.alloc(layout)
    data = bytes(n * 7 & 0xff for n in range(old))
    _fill(mm, address, data)
    moved = mm.heap.realloc(address, layout, new)
    assert _read(mm, moved, min(old, new)) == data[:new]
    assert mm.heap.is_live(moved, Layout(new, 8))
    mm.heap.dealloc(moved, Layout(new, 8))
    allocator(mm).reclaim()
    assert heap_frames(mm) == {}


def test_realloc_within_the_slot_stays(mm: Mm) -> None:
    address = mm.heap.alloc(Layout(33, 8))
    assert mm.heap.realloc(address, Layout(33, 8), 64) == address


def test_realloc_without_memory_leaves_the_object(mm: Mm) -> None:
    address = mm.heap.alloc(L64)
    _fill(mm, address, b"kept")
    before = state(mm)
    with pytest.raises(NoMemory):
        mm.heap.realloc(address, L64, 1 << 40)
    assert state(mm) == before
    assert mm.heap.is_live(address, L64)
    assert _read(mm, address, 4) == b"kept"


def test_out_of_memory_is_an_error_and_the_heap_goes_on(mm: Mm) -> None:
    """Upstream aborts the kernel (#666, #1245)."""
    held = []
    with pytest.raises(NoMemory):
        while True:
            held.append(mm.heap.alloc(PAGE))
    with pytest.raises(NoMemory):
        mm.heap.alloc(Layout(2048, 8))
    for address in held:
        mm.heap.dealloc(address, PAGE)
    mm.heap.dealloc(mm.heap.alloc(L64), L64)
    allocator(mm).reclaim()
    assert heap_frames(mm) == {}


@pytest.mark.parametrize("size", [8, 64, 2048, 4096, 12288])
def test_allocation_that_fails_at_the_nth_frame_leaks_nothing(size: int) -> None:
    mm = make_mm(frames=CountedFrames)
    frames, layout = mm.frame_allocator.inner, Layout(size, 8)
    assert isinstance(frames, CountedFrames)
    for left in range(12):
        before, frames.left = heap_frames(mm), left
        held = []
        try:
            for _ in range(600):
                held.append(mm.heap.alloc(layout))
        except NoMemory:
            assert frames.left == 0
        frames.left = None
        assert len(set(held)) == len(held)
        for address in held:
            mm.heap.dealloc(address, layout)
        allocator(mm).reclaim()
        assert heap_frames(mm) == before == {}


def test_box_is_zeroed_memory_that_frees_itself(mm: Mm) -> None:
    with HeapBox(mm, 100) as box:
        assert box.read() == bytes(100)
        box.write(96, b"last")
        assert box.read(96) == b"last"
        assert mm.heap.is_live(box.address, Layout(100, 8))
        address = box.address
    assert not mm.heap.is_live(address, Layout(100, 8))
    with pytest.raises(UseAfterMove):
        box.read()


@pytest.mark.parametrize("offset,size", [(-1, 1), (0, 101), (100, 1), (5, -1), (1 << 64, 0)])
def test_box_reads_and_writes_nothing_beyond_its_ends(mm: Mm, offset: int, size: int) -> None:
    with HeapBox(mm, 100) as box:
        with pytest.raises(InvalidArgs):
            box.read(offset, size)
        with pytest.raises(InvalidArgs):
            box.write(101 - max(size, 0), bytes(max(size, 0) + 1))


def test_box_grows_with_zeroes_and_shrinks(mm: Mm) -> None:
    with HeapBox(mm, 60) as box:
        box.write(0, b"x" * 60)
        box.resize(5000)
        assert box.read() == b"x" * 60 + bytes(4940)
        box.resize(10)
        box.resize(60)
        assert box.read() == b"x" * 10 + bytes(50)


def test_box_gives_up_its_memory(mm: Mm) -> None:
    address, layout = HeapBox(mm, 24).into_raw()
    assert mm.heap.is_live(address, layout)
    mm.heap.dealloc(address, layout)


def test_forgotten_box_frees_itself_and_warns(mm: Mm) -> None:
    box = HeapBox(mm, 24)
    address = box.address
    with pytest.warns(ResourceWarning):
        del box
    assert not mm.heap.is_live(address, Layout(24, 8))


class BulkLoads:
    """Sizes of the bulk loads at one address."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.sizes: list[int] = []

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        if kind is Access.LOAD and size > 8 and address == self.address:
            self.sizes.append(size)


@pytest.mark.parametrize("old,new", [(60, 100), (9000, 5000), (9000, 20000)])
def test_realloc_copies_no_byte_that_is_not_the_objects(mm: Mm, old: int, new: int) -> None:
    address = mm.heap.alloc(Layout(old, 8))
    loads = BulkLoads(mm.vaddr_to_paddr(address))
    with mm.port.observed(loads):
        mm.heap.realloc(address, Layout(old, 8), new)
    assert loads.sizes == [min(old, new)]
