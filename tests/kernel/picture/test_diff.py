"""What changed between two pictures: against a comparison frame by frame and page by page, and step by step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator import Board, Machine
from kernel import Kernel
from kernel.errors import InvalidArgs
from kernel.mm import FrameAllocOptions, KVirtArea, Layout, Mm, PageFlags, PageProperty, UniqueFrame, VmSpace
from kernel.mm.frame.meta import Kind
from kernel.mm.vm_space.vm_space import deactivate
from kernel.picture import (
    Difference, FrameChangeKind, FrameMap, MappingChange, MappingChangeKind, Picture, difference,
)
from tests.helpers import page_tables

from .workload import KERNEL_RW, PAGE, RW, NumberMeta, Workload

SEEDS = (1, 2, 3)
State = tuple[Kind, int, str]
FREE: State = (Kind.FREE, 0, "")
READ = PageProperty.new_user(PageFlags.R)


def frame_states(picture: Picture) -> dict[int, State]:
    """What every frame is; the head of a free chunk is as free as the others."""
    states = {}
    for run in picture.frames:
        state = FREE if run.state.kind is Kind.FREE else (run.state.kind, run.state.count, run.state.type_name)
        states |= dict.fromkeys(range(run.start, run.end, PAGE), state)
    return states


def pages(mm: Mm, picture: Picture) -> dict[tuple[int, int], tuple[int, object]]:
    """Where every 4 KiB page of the user spaces and of the KVirtAreas leads, by another walk than the picture's."""
    found: dict[tuple[int, int], tuple[int, object]] = {}
    for space in picture.spaces:
        for item in page_tables.walk(mm, space.root):
            if isinstance(item, page_tables.Leaf) and item.level == 1:
                found[space.root, item.va] = item.paddr, item.prop.bits
    return found


def changed_pages(found: Difference) -> Iterator[tuple[int, int, int | None, int | None]]:
    """Root, page, and where it led and leads, of every page of user spaces and KVirtAreas in a difference."""
    for space in found.spaces:
        for change in space.mappings:
            for va in range(change.start, change.end, PAGE):
                yield space.thing.root, va, at(change, 0, va), at(change, 1, va)


def at(change: MappingChange, side: int, va: int) -> int | None:
    target = (change.before, change.after)[side]
    return None if target is None else target[0] + va - change.start


@pytest.mark.board(harts=2)
@pytest.mark.parametrize("seed", SEEDS)
def test_difference_is_what_comparing_frame_by_frame_and_page_by_page_finds(kernel: Kernel, seed: int) -> None:
    work = Workload(kernel, seed)
    work.run(200)
    before = Picture.take(kernel)
    was, mapped_before = frame_states(before), pages(kernel.mm, before)
    work.run(60)
    after = Picture.take(kernel)
    now, mapped_after = frame_states(after), pages(kernel.mm, after)
    found = difference(before, after)

    told = {}
    for change in found.frames:
        states = tuple(FREE if state.kind is Kind.FREE else (state.kind, state.count, state.type_name)
                       for state in (change.before, change.after))
        told |= dict.fromkeys(range(change.start, change.end, PAGE), states)
    assert told == {paddr: (was[paddr], now[paddr]) for paddr in was if was[paddr] != now[paddr]}
    for one, other in zip(found.frames, found.frames[1:], strict=False):
        assert one.end < other.start or (one.before, one.after) != (other.before, other.after), "one run told as two"

    expected = {}
    for key in mapped_before.keys() | mapped_after.keys():
        old, new = mapped_before.get(key), mapped_after.get(key)
        if old != new:
            expected[key] = (None if old is None else old[0], None if new is None else new[0])
    assert {(root, va): (old, new) for root, va, old, new in changed_pages(found)} == expected
    assert [slab.thing.paddr for slab in found.slabs if slab.before is None] == sorted(
        {slab.paddr for slab in after.heap.slabs} - {slab.paddr for slab in before.heap.slabs})
    assert found.free == (before.buddy.free, after.buddy.free)
    work.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_difference_of_a_picture_with_itself_is_empty_and_backwards_it_is_reversed(kernel: Kernel, seed: int) -> None:
    work = Workload(kernel, seed)
    work.run(100)
    before = Picture.take(kernel)
    work.run(50)
    after = Picture.take(kernel)
    assert difference(before, before).empty
    assert difference(after, Picture.take(kernel)).empty
    there, back = difference(before, after), difference(after, before)
    assert not there.empty
    assert [(each.start, each.end, each.after, each.before) for each in back.frames] == \
        [(each.start, each.end, each.before, each.after) for each in there.frames]
    assert [(each.taken, each.given) for each in back.slabs] == [(each.given, each.taken) for each in there.slabs]
    work.close()


def test_types_are_compared_by_name_not_by_their_words() -> None:
    """Two boots that met the types in another order have other words for them."""
    pictures, words = [], []
    for kinds in ((NumberMeta, PartMeta), (PartMeta, NumberMeta)):
        machine = Machine(Board(memory=32 << 20))
        kernel = Kernel.boot(machine)
        for kind in kinds:
            FrameAllocOptions(kernel.mm).alloc_frame_with(kind(number=1)).drop()
        with FrameAllocOptions(kernel.mm).alloc_frame_with(NumberMeta(number=1)):
            pictures.append(Picture.take(kernel))
        words.append(kernel.mm.types.vtable(NumberMeta))
        kernel.close()
        machine.close()
    assert words[0] != words[1]
    assert difference(*pictures).frames == ()


# --- one operation at a time ----------------------------------------------------------------------------------------


class Since:
    """What has changed since the last time one asked."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.last = kernel, Picture.take(kernel)

    def changes(self) -> Difference:
        before, self.last = self.last, Picture.take(self.kernel)
        return difference(before, self.last)


def frames_of(found: Difference) -> list[tuple[str, int, int]]:
    return [(change.kind.name, change.start, change.frames) for change in found.frames]


def test_a_frame_is_allocated_shared_retyped_and_freed(kernel: Kernel) -> None:
    since, mm = Since(kernel), kernel.mm
    frame = FrameAllocOptions(mm).alloc_frame_with(NumberMeta(number=1))
    paddr = frame.paddr
    found = since.changes()
    assert frames_of(found) == [("ALLOCATED", paddr, 1)]
    assert found.free[0] - found.free[1] == PAGE
    assert not (found.spaces or found.slabs or found.classes or found.areas or found.large)
    clone = frame.clone()
    assert frames_of(since.changes()) == [("HOLDERS", paddr, 1)]
    clone.drop()
    unique = frame.try_into_unique()
    assert isinstance(unique, UniqueFrame)
    (change,) = since.changes().frames
    assert (change.kind, change.before.kind, change.after.kind) == (FrameChangeKind.HOLDERS, Kind.SHARED, Kind.UNIQUE)
    other = unique.repurpose(PartMeta())
    (change,) = since.changes().frames
    assert (change.kind, change.before.type_name, change.after.type_name) == \
        (FrameChangeKind.RETYPED, "NumberMeta", "PartMeta")
    other.drop()
    found = since.changes()
    assert frames_of(found) == [("FREED", paddr, 1)]
    assert found.free[1] - found.free[0] == PAGE
    assert since.changes().empty


class PartMeta(NumberMeta):
    """Another type."""


def test_many_frames_alike_are_one_change(kernel: Kernel) -> None:
    since = Since(kernel)
    segment = FrameAllocOptions(kernel.mm).alloc_segment(300)
    assert frames_of(since.changes()) == [("ALLOCATED", segment.start_paddr, 300)]
    segment.drop()


def test_free_chunks_that_split_and_merge_are_no_changes_of_frames(kernel: Kernel) -> None:
    since, mm = Since(kernel), kernel.mm
    mm.frame_allocator.inner.drain()
    heads = {run.start for run in FrameMap.read(mm) if run.state.type_name == "FreeHeadMeta"}
    assert heads != {run.start for run in since.last.frames if run.state.type_name == "FreeHeadMeta"}
    found = since.changes()
    assert found.frames == ()
    assert found.free[0] == found.free[1]
    assert found.orders
    assert found.pools


def test_pages_are_mapped_protected_moved_and_unmapped(kernel: Kernel) -> None:
    mm, since, va = kernel.mm, Since(kernel), 0x1000_0000
    space = VmSpace(mm)
    found = since.changes()
    assert [(change.before, change.thing.root) for change in found.spaces if change.thing.kind == "user"] == \
        [(None, space.root_paddr)]
    frames = [FrameAllocOptions(mm).alloc_frame() for _ in range(3)]
    paddrs = [frame.paddr for frame in frames]
    with space.cursor_mut(range(va, va + 3 * PAGE)) as cursor:
        for frame in frames:
            cursor.map(frame.into_uframe(), RW)
    (change,) = since.changes().spaces
    assert change.before is not None
    assert change.after is not None
    assert sum(change.after.nodes) == sum(change.before.nodes) + 3
    assert [(each.kind, va) for each in change.mappings for va in range(each.start, each.end, PAGE)] == \
        [(MappingChangeKind.ADDED, va + n * PAGE) for n in range(3)]
    assert [at(each, 1, va) for each in change.mappings for va in range(each.start, each.end, PAGE)] == paddrs
    with space.cursor_mut(range(va, va + 2 * PAGE)) as cursor:
        cursor.protect_next(2 * PAGE, lambda flags, cache: (PageFlags.R, cache))
    (change,) = since.changes().spaces
    assert [(each.kind, each.start, each.size, each.rights()) for each in change.mappings] == \
        [(MappingChangeKind.RIGHTS, va, PAGE, ("rw-u---", "r--u---"))]
    new = FrameAllocOptions(mm).alloc_frame()
    new_paddr = new.paddr
    with space.cursor_mut(range(va, va + PAGE)) as cursor:
        cursor.unmap(PAGE)
        cursor.flusher.dispatch_tlb_flush()
        cursor.flusher.sync_tlb_flush()
        cursor.jump(va)
        cursor.map(new.into_uframe(), READ)
    found = since.changes()
    (change,) = found.spaces
    assert [(each.kind, at(each, 0, va), at(each, 1, va)) for each in change.mappings] == \
        [(MappingChangeKind.MOVED, paddrs[0], new_paddr)]
    root = space.root_paddr
    space.drop()
    found = since.changes()
    assert [(change.after, change.thing.root) for change in found.spaces] == [(None, root)]
    assert {each.kind for each in found.spaces[0].mappings} == {MappingChangeKind.REMOVED}


@pytest.mark.board(harts=2)
def test_an_address_space_that_becomes_active_has_a_cpu(kernel: Kernel) -> None:
    space = VmSpace(kernel.mm)
    since = Since(kernel)
    space.activate()
    sides = {change.thing.kind: [side.cpus for side in (change.before, change.after) if side is not None]
             for change in since.changes().spaces}
    assert sides == {"kernel": [(0, 1), (1,)], "user": [(), (0,)]}
    deactivate(kernel.mm)
    space.drop()


def test_heap_objects_large_allocations_and_areas_come_and_go(kernel: Kernel) -> None:
    mm = kernel.mm
    first = mm.heap.alloc(Layout(64, 8))
    since = Since(kernel)
    address = mm.heap.alloc(Layout(64, 8))
    found = since.changes()
    assert found.frames == ()
    (slab,) = found.slabs
    index = (address - mm.paging.linear_base - slab.thing.paddr) // 64
    assert (slab.taken, slab.given) == (1 << index, 0)
    (of,) = found.classes
    assert of.before is not None
    assert of.after is not None
    assert (of.thing.slot_size, of.after.active - of.before.active) == (64, 1)
    large, area = mm.heap.alloc(Layout(3 * PAGE, 8)), KVirtArea.map_frames(
        mm, 4 * PAGE, 0, [FrameAllocOptions(mm).alloc_frame()], KERNEL_RW)
    found = since.changes()
    assert [(each.before, each.thing.paddr, each.thing.size) for each in found.large] == \
        [(None, large - mm.paging.linear_base, 3 * PAGE)]
    assert [(each.before, each.thing.start, each.thing.mapped) for each in found.areas] == [(None, area.start, PAGE)]
    start = area.start
    area.drop()
    mm.heap.dealloc(large, Layout(3 * PAGE, 8))
    mm.heap.dealloc(first, Layout(64, 8))
    found = since.changes()
    assert [each.after for each in found.large] == [None]
    assert [(each.after, each.thing.start) for each in found.areas] == [(None, start)]
    assert sum(each.given.bit_count() for each in found.slabs if each.thing.slot_size == 64) == 1
    mm.heap.dealloc(address, Layout(64, 8))


@pytest.mark.parametrize(("board", "words"), [
    (Board(memory=64 << 20), "memory 0x80000000-0x82000000 and 0x"), (Board(memory=32 << 20, mmu="sv39"), "paging"),
    (Board(memory=32 << 20, harts=2), "CPUs 1 and 2")], ids=["memory", "paging", "CPUs"])
def test_pictures_of_different_kernels_are_refused(kernel: Kernel, board: Board, words: str) -> None:
    machine = Machine(board)
    other = Kernel.boot(machine)
    with pytest.raises(InvalidArgs, match=f"the pictures are of different kernels: {words}"):
        difference(Picture.take(kernel), Picture.take(other))
    other.close()
    machine.close()
