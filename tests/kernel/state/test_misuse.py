"""Nonsense from callers: always a typed error, never another one, and nothing has changed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kernel.errors import KernelError, UseAfterMove
from kernel.mm import PAGE_SIZE, Frame, FrameAllocOptions, Layout, LinkedList, Segment, UniqueFrame, Unit
from kernel.mm.check import check
from kernel.mm.frame.handle import Handle
from kernel.mm.frame.meta_type import Link
from kernel.mm.heap.box import HeapBox
from kernel.mm.heap.slab import Slab
from kernel.mm.heap.slot import HeapSlot
from kernel.mm.io_mem import IoMem
from kernel.mm.kspace.kvirt_area import KVirtArea
from kernel.mm.page_table.page_table import PageTable
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.vm_space.vm_space import VmSpace
from tests.helpers.kernels import boot
from tests.kernel.state.part import free_size

RW = PageProperty.new_user(PageFlags.RW)
NUMBERS = [-1 << 64, -1 << 63, -PAGE_SIZE, -1, 1, 7, PAGE_SIZE - 1, PAGE_SIZE + 1,
           0x8000_0000, 0x8020_0000, 0x8040_0008, 1 << 47, 1 << 56, 1 << 62,
           (1 << 63) - 1, 1 << 63, (1 << 64) - PAGE_SIZE, (1 << 64) - 1, 1 << 64, 1 << 200,
           0xffff_8000_8040_0000, 0xffff_e000_0000_0000, 0xffff_ffff_8020_0000]
STRANGE = [None, "1", b"1", 1.5, [1], object()]


class PlainLink(Link):
    """Of a frame in a list."""


class World:
    """A kernel with one of each handle."""

    def __init__(self) -> None:
        self.kernel = boot(memory=16 << 20)
        self.mm = mm = self.kernel.mm
        options = FrameAllocOptions(mm)
        self.frame: Frame[Any] = options.alloc_frame()
        self.segment = options.alloc_segment(4)
        self.unique = options.alloc_unique(PlainLink())
        self.list = LinkedList(mm, PlainLink)
        self.list.push_back(options.alloc_unique(PlainLink()))
        self.box, self.slab = HeapBox(mm, 100), Slab.new(mm, 64)
        self.slot = HeapSlot.alloc_large(mm, 2 * PAGE_SIZE)
        self.space = VmSpace(mm)
        self.area = KVirtArea.map_untracked_frames(mm, 4 * PAGE_SIZE, 0, range(0), RW)
        self.object = mm.heap.alloc(Layout(64))
        with self.space.cursor_mut(range(0, 8 * PAGE_SIZE)) as cursor:
            cursor.map(self.frame.clone().into_uframe(), RW)

    def handles(self) -> list[Handle]:
        return [self.frame, self.segment, self.unique, self.list, self.box, self.slab, self.slot, self.space]

    def check(self) -> None:
        check(self.mm, self.handles(), objects=[self.object])


def with_cursor(world: World, act: Callable[[Any], object]) -> object:
    """`act` on a cursor over the first pages."""
    with world.space.cursor_mut(range(0, 8 * PAGE_SIZE)) as cursor:
        return act(cursor)


def resize(world: World, size: Any) -> None:
    """Make the box another size, and as large as it was."""
    world.box.resize(size)
    world.box.resize(100)


CALLS: dict[str, Callable[[World, Any], object]] = {
    "alloc_segment": lambda w, n: FrameAllocOptions(w.mm).alloc_segment(n),
    "alloc frames, size": lambda w, n: w.mm.frame_allocator.alloc(Layout(n, PAGE_SIZE)) and None,
    "alloc frames, align": lambda w, n: Layout(PAGE_SIZE, n) and None,
    "dealloc frames, address": lambda w, n: w.mm.frame_allocator.dealloc(n, PAGE_SIZE),
    "dealloc frames, size": lambda w, n: w.mm.frame_allocator.dealloc(w.frame.paddr, n),
    "add_free_memory": lambda w, n: w.mm.frame_allocator.add_free_memory(n, PAGE_SIZE),
    "Frame.from_in_use": lambda w, n: Frame.from_in_use(w.mm, n),
    "Segment.from_unused, start": lambda w, n: Segment.from_unused(w.mm, n, w.segment.end_paddr, lambda _: Unit()),
    "Segment.from_unused, end": lambda w, n: Segment.from_unused(w.mm, w.segment.paddr, n, lambda _: Unit()),
    "UniqueFrame.from_raw": lambda w, n: UniqueFrame.from_raw(w.mm, n),
    "split": lambda w, n: w.segment.split(n),
    "slice, start": lambda w, n: w.segment.slice(n, 2 * PAGE_SIZE),
    "slice, end": lambda w, n: w.segment.slice(0, n),
    "read_bytes, offset": lambda w, n: w.frame.read_bytes(n, 8) and None,
    "read_bytes, size": lambda w, n: w.frame.read_bytes(0, n) and None,
    "write_bytes, offset": lambda w, n: w.frame.write_bytes(n, bytes(PAGE_SIZE)),
    "list.contains": lambda w, n: w.list.contains(n) and None,
    "list.cursor_mut_at": lambda w, n: w.list.cursor_mut_at(n) and None,
    "list.push_back": lambda w, n: w.list.push_back(n),
    "heap.alloc, size": lambda w, n: w.mm.heap.dealloc(w.mm.heap.alloc(Layout(n)), Layout(n)),
    "heap.alloc, align": lambda w, n: w.mm.heap.dealloc(w.mm.heap.alloc(Layout(8, n)), Layout(8, n)),
    "heap.dealloc, address": lambda w, n: w.mm.heap.dealloc(n, Layout(64)),
    "heap.dealloc, size": lambda w, n: w.mm.heap.dealloc(w.object, Layout(n + 100)),
    "heap.realloc, size": lambda w, n: w.mm.heap.realloc(w.object + 8, Layout(64), n),
    "heap.is_live": lambda w, n: w.mm.heap.is_live(n, Layout(64)) and None,
    "HeapBox": lambda w, n: HeapBox(w.mm, n),
    "box.resize": resize,
    "box.read": lambda w, n: w.box.read(n, 10) and None,
    "box.write": lambda w, n: w.box.write(n, bytes(101)),
    "Slab.new": lambda w, n: Slab.new(w.mm, n),
    "slab.dealloc": lambda w, n: w.slab.dealloc(n),
    "slab.dealloc of a large slot": lambda w, n: w.slab.dealloc(w.slot),
    "HeapSlot.alloc_large": lambda w, n: HeapSlot.alloc_large(w.mm, n),
    "cursor range": lambda w, n: w.space.cursor_mut(range(n, n + PAGE_SIZE)),
    "cursor.jump": lambda w, n: with_cursor(w, lambda cursor: cursor.jump(n)),
    "cursor.unmap": lambda w, n: with_cursor(w, lambda cursor: cursor.jump(PAGE_SIZE) or cursor.unmap(n) and None),
    "cursor.protect_next": lambda w, n: with_cursor(
        w, lambda cursor: cursor.jump(PAGE_SIZE) or cursor.protect_next(n, n)),
    "cursor.find_next": lambda w, n: with_cursor(w, lambda cursor: cursor.find_next(n) and None),
    "cursor.map": lambda w, n: with_cursor(w, lambda cursor: cursor.map(n, RW)),
    "map_untracked, address": lambda w, n: map_untracked(w, n, 1),
    "map_untracked, level": lambda w, n: map_untracked(w, 1 << 44, n),
    "IoMem.acquire": lambda w, n: IoMem.acquire(w.mm, range(n, n + PAGE_SIZE)) and None,
    "page_walk": lambda w, n: w.space.page_table.page_walk(n) and None,
    "reader": lambda w, n: w.space.reader(n, 8) and None,
    "PageTable.from_raw": lambda w, n: PageTable.from_raw(w.mm, n),
    "VmSpace.from_raw": lambda w, n: VmSpace.from_raw(w.mm, n),
    "KVirtArea, size": lambda w, n: KVirtArea.map_untracked_frames(w.mm, n, 0, range(0), RW),
    "KVirtArea, offset": lambda w, n: KVirtArea.map_untracked_frames(w.mm, PAGE_SIZE, n, range(0), RW),
    "KVirtArea, frames": lambda w, n: KVirtArea.map_frames(w.mm, PAGE_SIZE, 0, n, RW),
    "KVirtArea.from_raw": lambda w, n: KVirtArea.from_raw(w.mm, n),
    "area.query": lambda w, n: w.area.query(n) and None,
    "area.split": lambda w, n: w.area.split(n),
    "LinkedList": lambda w, n: LinkedList(w.mm, n),
    "paddr_to_vaddr": lambda w, n: w.mm.paddr_to_vaddr(n) and None,
    "vaddr_to_paddr": lambda w, n: w.mm.vaddr_to_paddr(n) and None,
}


TAKES_HANDLES = ("list.push_back", "slab.dealloc", "cursor.map", "KVirtArea, frames")


def map_untracked(world: World, paddr: Any, level: Any) -> object:
    """Map one page in the page table, and take it out again."""
    with world.space.page_table.cursor_mut(range(PAGE_SIZE, 8 * PAGE_SIZE)) as cursor:
        cursor.map_untracked(paddr, level, RW)
        cursor.jump(PAGE_SIZE)
        return cursor.take_next(PAGE_SIZE) and None


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.kernel.close()


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_is_refused_by_a_typed_error_and_changes_nothing(world: World, name: str) -> None:
    call = CALLS[name]
    with world.space.cursor_mut(range(1 << 46, (1 << 46) + PAGE_SIZE)):
        pass
    world.check()
    for value in [0, *NUMBERS, *STRANGE]:
        free = free_size(world.mm)
        try:
            result = call(world, value)
        except (KernelError, TypeError, ValueError, AttributeError) as error:
            # AttributeError: something without a handle's methods came where a handle was wanted.
            assert not isinstance(error, AttributeError) or value in STRANGE or name in TAKES_HANDLES
            assert world.segment.held and world.object
            assert free_size(world.mm) == free, f"{name}({value!r})"
        else:
            assert value not in STRANGE or result is None, f"{name}({value!r}) went through"
            if isinstance(result, Handle):
                result.drop()
        try:
            world.check()
        except KernelError as error:
            raise AssertionError(f"after {name}({value!r}): {error}") from None


def test_every_handle_is_dead_after_its_drop(world: World) -> None:
    for handle in [*world.handles(), world.area]:
        handle.drop()
        for use in ("drop", "clone", "borrow", "into_raw", "split", "reader", "writer", "resize", "size",
                    "activate", "into_frame", "into_dyn", "into_segment", "alloc", "pop_front", "__enter__"):
            method = getattr(type(handle), use, None)
            if method is None or isinstance(method, property):
                continue
            arguments: tuple[Any, ...] = {"split": (PAGE_SIZE,), "resize": (10,)}.get(use, ())
            if isinstance(handle, VmSpace) and use in ("reader", "writer"):
                arguments = (0, 8)
            with pytest.raises(UseAfterMove):
                method(handle, *arguments)
    world.mm.heap.dealloc(world.object, Layout(64))
    check(world.mm, [], objects=[])
