"""Out of memory is an error everywhere, and undoes what was begun: each request for a frame refused in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from kernel.errors import NoMemory
from kernel.mm import (
    PAGE_SIZE,
    AnyUFrameMeta,
    Frame,
    FrameAllocOptions,
    FrameMeta,
    Layout,
    LinkedList,
    Mm,
    UniqueFrame,
)
from kernel.mm.fields import u64
from kernel.mm.frame.meta_type import EarlyAllocatedFrameMeta, Link
from kernel.mm.heap.box import HeapBox
from kernel.mm.heap.slab import Slab
from kernel.mm.heap.slot import SLAB_SLOTS, HeapSlot
from kernel.mm.io_mem import IoMem
from kernel.mm.kspace.kvirt_area import KVirtArea
from kernel.mm.page_table.boot_pt import BootPageTable
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.vm_space.cursors import CursorMut
from kernel.mm.vm_space.vm_space import VmSpace
from kernel.osdk.heap_allocator.cpu_local_box import alloc_cpu_local

from tests.kernel.oom.failing import RefusingFrames, Trial

USER = PageProperty.new_user(PageFlags.RW)
KERNEL = PageProperty.new_kernel(PageFlags.RW)
HUGE = 512 * PAGE_SIZE


class ListedMeta(Link):
    """Of a frame that can be in a list."""

    tag = u64()


class OddMeta(AnyUFrameMeta):
    """Of a frame of bytes."""

    tag = u64()


@pytest.fixture
def trial() -> Iterator[Trial]:
    made = Trial()
    yield made
    made.kernel.close()


# --- frames and segments ---------------------------------------------------------------------------------------------


def test_a_frame(trial: Trial) -> None:
    made: list[Frame[Any]] = []
    assert trial.fails_cleanly(lambda: made.append(FrameAllocOptions(trial.mm).alloc_frame()),
                               undo=lambda: made.pop().drop()) == 1


def test_a_unique_frame(trial: Trial) -> None:
    made: list[UniqueFrame[Any]] = []
    assert trial.fails_cleanly(lambda: made.append(FrameAllocOptions(trial.mm).alloc_unique(ListedMeta(tag=1))),
                               undo=lambda: made.pop().drop()) == 1


@pytest.mark.parametrize("pages", [1, 2, 5, 300])
def test_a_segment(trial: Trial, pages: int) -> None:
    made: list[Any] = []
    options = FrameAllocOptions(trial.mm)
    assert trial.fails_cleanly(lambda: made.append(options.alloc_segment(pages)), undo=lambda: made.pop().drop()) == 1
    assert trial.fails_cleanly(lambda: made.append(options.alloc_segment_with(pages, lambda paddr: OddMeta(tag=paddr))),
                               undo=lambda: made.pop().drop()) == 1


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_segment_whose_metadata_runs_out_of_memory(trial: Trial, at: int) -> None:
    """The function that gives the metadata allocates itself; all frames go back when it cannot."""
    made: list[Frame[Any]] = []

    def meta(paddr: int) -> FrameMeta:
        if len(made) >= at:
            made.append(FrameAllocOptions(trial.mm).alloc_frame())
        return OddMeta(tag=paddr)

    def act() -> None:
        try:
            trial.hold(FrameAllocOptions(trial.mm).alloc_segment_with(5, meta))
        except NoMemory:
            for frame in made:
                frame.drop()
            raise
        finally:
            trial.hold(*(frame for frame in made if frame.held))
            made.clear()

    def undo() -> None:
        for handle in trial.held:
            handle.drop()
        trial.held.clear()

    assert trial.fails_cleanly(act, undo=undo) >= 1


# --- the heap --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, 16, 32, 64, 256, 2048, 2049, 4096, 100_000])
def test_a_heap_object_of_an_empty_heap(trial: Trial, size: int) -> None:
    """New slabs, their bitmaps, spare slabs, the refill of the object cache; or frames."""
    layout = Layout(size)
    trial.kernel.mm.heap.inner.reclaim()  # type: ignore[attr-defined]

    def undo() -> None:
        trial.mm.heap.dealloc(trial.objects.pop(), layout)
        trial.mm.heap.inner.reclaim()  # type: ignore[attr-defined]

    def act() -> None:
        trial.objects.append(trial.mm.heap.alloc(layout))

    assert trial.fails_cleanly(act, undo=undo, may_manage=True) >= 1


@pytest.mark.parametrize("size", [8, 64, 2048])
def test_many_heap_objects(trial: Trial, size: int) -> None:
    """Past the first slabs: an object that cannot be had leaves those before as they are."""
    layout = Layout(size)

    def act() -> None:
        trial.objects.append(trial.mm.heap.alloc(layout))

    for _ in range(3):
        for _ in range(8 * PAGE_SIZE // size):
            act()
        trial.fails_cleanly(act, may_manage=True)
    for address in trial.objects:
        trial.mm.heap.dealloc(address, layout)
    trial.objects.clear()
    trial.check()


@pytest.mark.parametrize(("old", "new"), [(8, 16), (60, 5000), (5000, 60), (5000, 50_000), (50_000, 5000),
                                          (2048, 4096)])
def test_realloc_keeps_the_old_object(trial: Trial, old: int, new: int) -> None:
    layout = Layout(old)
    address = trial.mm.heap.alloc(layout)
    trial.objects.append(address)
    trial.mm.port.fill(trial.mm.vaddr_to_paddr(address), old, 0x5a)
    trial.mm.heap.inner.reclaim()  # type: ignore[attr-defined]

    def act() -> None:
        try:
            trial.objects[0] = trial.mm.heap.realloc(trial.objects[0], layout, new)
        finally:
            kept = trial.mm.port.read(trial.mm.vaddr_to_paddr(trial.objects[0]), min(old, new))
            assert kept == b"\x5a" * len(kept)

    def undo() -> None:
        trial.objects[0] = trial.mm.heap.realloc(trial.objects[0], Layout(new), old)
        trial.mm.port.fill(trial.mm.vaddr_to_paddr(trial.objects[0]), old, 0x5a)
        trial.mm.heap.inner.reclaim()  # type: ignore[attr-defined]

    assert trial.fails_cleanly(act, undo=undo, may_manage=True) >= 1


@pytest.mark.parametrize("size", list(SLAB_SLOTS))
def test_a_slab_and_its_bitmap(trial: Trial, size: int) -> None:
    trial.mm.heap.inner.reclaim()  # type: ignore[attr-defined]
    made: list[Slab] = []

    def act() -> None:
        made.append(Slab.new(trial.mm, size))
        trial.hold(made[0])

    def undo() -> None:
        trial.held.clear()
        made.pop().drop()

    assert trial.fails_cleanly(act, undo=undo) in (1, 2)


def test_a_large_slot(trial: Trial) -> None:
    made: list[HeapSlot] = []
    assert trial.fails_cleanly(lambda: made.append(HeapSlot.alloc_large(trial.mm, 3 * PAGE_SIZE)),
                               undo=lambda: made.pop().drop()) == 1


def test_a_box_that_grows(trial: Trial) -> None:
    box = HeapBox(trial.mm, 100)
    trial.hold(box)
    box.write(0, b"contents")

    def act() -> None:
        try:
            box.resize(9000)
        finally:
            assert box.read(0, 8) == b"contents"

    assert trial.fails_cleanly(act, undo=lambda: box.resize(100), may_manage=True) >= 1
    box.drop()


def test_a_cpu_local_variable(trial: Trial) -> None:
    made: list[Any] = []
    trial.mm.heap.inner.reclaim()  # type: ignore[attr-defined]

    def undo() -> None:
        trial.held.clear()
        made.pop().drop()

    def act() -> None:
        made.append(alloc_cpu_local(trial.mm, u64, lambda cpu: cpu))
        trial.hold(made[0])

    assert trial.fails_cleanly(act, undo=undo, may_manage=True) >= 1


def test_a_list_whose_head_cannot_be_allocated(trial: Trial) -> None:
    trial.mm.heap.inner.reclaim()  # type: ignore[attr-defined]
    made: list[LinkedList[ListedMeta]] = []

    def act() -> None:
        made.append(LinkedList(trial.mm, ListedMeta))
        trial.hold(made[0])

    def undo() -> None:
        trial.held.clear()
        made.pop().drop()
        trial.mm.heap.inner.reclaim()  # type: ignore[attr-defined]

    assert trial.fails_cleanly(act, undo=undo, may_manage=True) >= 1


# --- page tables -----------------------------------------------------------------------------------------------------


def drop_space(trial: Trial, space: VmSpace) -> None:
    trial.held.remove(space)
    space.drop()


def test_a_space(trial: Trial) -> None:
    made: list[VmSpace] = []

    def act() -> None:
        made.append(VmSpace(trial.mm))
        trial.hold(made[0])

    assert trial.fails_cleanly(act, undo=lambda: drop_space(trial, made.pop())) == 1


def test_a_cursor_makes_tables_or_none(trial: Trial) -> None:
    space = VmSpace(trial.mm)
    trial.hold(space)

    def act() -> None:
        space.cursor_mut(range(HUGE, HUGE + PAGE_SIZE)).drop()

    def undo() -> None:
        drop_space(trial, trial.held[0])  # type: ignore[arg-type]

    assert trial.fails_cleanly(act) <= 3
    undo()


@pytest.mark.parametrize("pages", [1, 600])
def test_mapping_frames(trial: Trial, pages: int) -> None:
    """The tables on the way to a page; the frame stays its owner's."""
    space = VmSpace(trial.mm)
    trial.hold(space)
    frame: Frame[Any] = FrameAllocOptions(trial.mm).alloc_frame()
    trial.hold(frame)
    whole = range(0, 1 << 40)

    def act() -> None:
        with space.cursor_mut(whole) as cursor:
            done = 0
            try:
                for va in range(HUGE - 16 * PAGE_SIZE, HUGE + (pages - 16) * PAGE_SIZE, PAGE_SIZE):
                    clone = frame.clone()
                    try:
                        cursor.jump(va)
                        cursor.map(clone, USER)
                    except NoMemory:
                        clone.drop()
                        raise
                    done += 1
            except NoMemory:
                clear(cursor)
                raise

    def clear(cursor: CursorMut) -> None:
        cursor.jump(0)
        cursor.unmap(1 << 40)

    def undo() -> None:
        with space.cursor_mut(whole) as cursor:
            clear(cursor)

    assert trial.fails_cleanly(act, undo=undo) == {1: 3, 600: 5}[pages]
    frame.drop()
    drop_space(trial, space)
    trial.check()


def test_splitting_huge_pages(trial: Trial) -> None:
    """Unmapping or protecting a part of one needs tables; without, nothing changes."""
    space = VmSpace(trial.mm)
    trial.hold(space)
    table, whole = space.page_table, range(0, 2 << 30)
    with table.cursor_mut(whole) as cursor:
        cursor.map_range(1 << 44, 2 << 30, USER)

    def walk() -> list[Any]:
        return [table.page_walk(va) for va in (0, HUGE, HUGE + PAGE_SIZE, (1 << 30) - PAGE_SIZE, 1 << 30)]

    def unmap() -> None:
        with table.cursor_mut(whole) as cursor:
            cursor.jump(HUGE + PAGE_SIZE)
            before = walk()
            try:
                cursor.take_next(PAGE_SIZE)
            finally:
                if trial.refusals.met:
                    assert walk()[1] == before[1] and walk()[3:] == before[3:]

    def protect() -> None:
        with table.cursor_mut(whole) as cursor:
            cursor.jump((1 << 30) + HUGE)
            cursor.protect_next(PAGE_SIZE, lambda prop: prop.with_flags(PageFlags.R))

    free = trial.free
    for act in (unmap, protect):
        for after in (0, 1):
            trial.refusals.after = after
            with pytest.raises(NoMemory):
                act()
            trial.refusals.after = None
            trial.check()
        act()
        trial.check()
    assert free - trial.free <= 4 * PAGE_SIZE
    drop_space(trial, space)
    trial.check()


def test_io_memory_and_its_record(trial: Trial) -> None:
    trial.mm.heap.inner.reclaim()  # type: ignore[attr-defined]
    space = VmSpace(trial.mm)
    trial.hold(space)
    io_mem = IoMem.acquire(trial.mm, range(1 << 44, (1 << 44) + 4 * HUGE))

    def act() -> None:
        with space.cursor_mut(range(0, 1 << 40)) as cursor:
            cursor.map_iomem(io_mem, USER, 3 * HUGE, 0)

    free, failures, met = trial.free, 0, True
    while met:
        trial.refusals.after = failures
        try:
            act()
        except NoMemory:
            assert not list(space.iomems) and space.page_table.page_walk(0) is None
        met, trial.refusals.after = trial.refusals.met, None
        trial.check()
        with space.cursor_mut(range(0, 1 << 40)) as cursor:
            cursor.unmap(1 << 40)
        space.iomems.clear()
        trial.mm.heap.inner.reclaim()  # type: ignore[attr-defined]
        assert trial.free == free
        failures += met
    assert failures >= 5
    drop_space(trial, space)
    trial.check()


@pytest.mark.parametrize("tracked", [True, False])
def test_a_kernel_virtual_area(trial: Trial, tracked: bool) -> None:
    """Its block of addresses, its page tables; the frames stay their owner's."""
    trial.mm.heap.inner.reclaim()  # type: ignore[attr-defined]
    frames = [FrameAllocOptions(trial.mm).alloc_frame() for _ in range(3)]
    trial.hold(*frames)
    made: list[KVirtArea] = []

    def act() -> None:
        if tracked:
            clones = [frame.clone() for frame in frames]
            try:
                made.append(KVirtArea.map_frames(trial.mm, 1200 * PAGE_SIZE, PAGE_SIZE, clones, KERNEL))
            except NoMemory:
                for clone in clones:
                    clone.drop()
                raise
        else:
            made.append(KVirtArea.map_untracked_frames(trial.mm, 1200 * PAGE_SIZE, 0,
                                                       range(0x8020_1000, 0x8020_1000 + 1100 * PAGE_SIZE), KERNEL))

    for lasting in (False, True):
        after, met = 0, True
        while met:
            trial.check()
            trial.refusals.after, trial.refusals.lasting = after, lasting
            with suppress(NoMemory):
                act()
            met, trial.refusals.after = trial.refusals.met, None
            trial.check()
            if made:
                made.pop().drop()
            trial.check()
            after += 1
    for frame in frames:
        frame.drop()
    trial.check()


def test_splitting_an_area(trial: Trial) -> None:
    area = KVirtArea.map_untracked_frames(trial.mm, 8 * PAGE_SIZE, 0, range(0), KERNEL)
    while len(trial.objects) < 4096:  # until no 32-byte slot is left over anywhere
        trial.refusals.after, trial.refusals.lasting = 0, True
        try:
            trial.objects.append(trial.mm.heap.alloc(Layout(32)))
        except NoMemory:
            break
    with pytest.raises(NoMemory):
        area.split(PAGE_SIZE)
    trial.check()
    assert area.held and area.size == 8 * PAGE_SIZE
    trial.refusals.after = None
    parts = area.split(PAGE_SIZE)
    trial.check()
    for part in parts:
        part.drop()
    trial.check()


def test_the_boot_page_table_after_the_metadata(trial: Trial) -> None:
    mm: Mm = trial.mm
    mm.port.store(mm.statics.area("boot_pt", 16) + 8, 0)  # as if it had not been dismissed yet
    root = FrameAllocOptions(mm).alloc_frame_with(EarlyAllocatedFrameMeta()).into_raw()
    table = BootPageTable(mm, root)
    free = trial.free
    for after in range(3):
        trial.refusals.after = 0
        with pytest.raises(NoMemory):
            table.map_base_page(HUGE, 0x8020_0000, KERNEL)
        assert trial.free == free - after * PAGE_SIZE  # tables that were made stay, as it says
        trial.check()
        trial.refusals.after = 1
        if after < 2:
            with pytest.raises(NoMemory):
                table.map_base_page(HUGE, 0x8020_0000, KERNEL)
        trial.refusals.after = None
        trial.check()
    table.map_base_page(HUGE, 0x8020_0000, KERNEL)
    assert trial.free == free - 3 * PAGE_SIZE
    trial.check()


# --- and at the very end of memory -----------------------------------------------------------------------------------


def test_the_last_page_can_be_had_and_all_come_back(trial: Trial) -> None:
    inner = trial.mm.frame_allocator.inner
    assert isinstance(inner, RefusingFrames)
    free = trial.free
    options = FrameAllocOptions(trial.mm).zeroed(False)
    for _ in range(free // PAGE_SIZE):
        trial.hold(options.alloc_frame())
    assert trial.free == 0
    with pytest.raises(NoMemory):
        options.alloc_frame()
    with pytest.raises(NoMemory):
        VmSpace(trial.mm)
    with pytest.raises(NoMemory):
        trial.mm.heap.alloc(Layout(5000))
    trial.check()
    for frame in trial.held:
        frame.drop()
    trial.held.clear()
    assert trial.free == free
    trial.check()
