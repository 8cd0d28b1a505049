"""Allocation records: against the frame map at every frame, at past points, and without a trace in memory."""

from __future__ import annotations

import gc
import hashlib
import random
import weakref
from collections.abc import Iterator

import pytest

from emulator import Board, Machine
from kernel import Choices, Kernel
from kernel.mm import FrameAllocOptions, Layout, Mm, PageFlags, VmSpace
from kernel.mm.frame.meta import Kind
from kernel.mm.operations import Moment, Operation, OperationKind
from kernel.picture import FrameMap
from kernel.track import Place, Point, Tracker
from tests.kernel.picture.workload import PAGE, RW, Workload

SMALL = Layout(64, 8)
K = OperationKind
BACK = (K.FRAME_DEALLOC, K.ADD_FREE_MEMORY)
Tracked = tuple[Kernel, Tracker]


def boot(harts: int = 1) -> Tracked:
    machine = Machine(Board(memory=32 << 20, harts=harts))
    tracker = Tracker(machine)
    return Kernel.boot(machine, Choices(operations=tracker)), tracker


@pytest.fixture
def tracked(request: pytest.FixtureRequest) -> Iterator[Tracked]:
    """A kernel that was tracked from its boot on."""
    mark = request.node.get_closest_marker("board")
    kernel, tracker = boot(**(mark.kwargs if mark is not None else {}))
    yield kernel, tracker
    gc.collect()
    kernel.close()


def free_frames(mm: Mm) -> set[int]:
    free = (run for run in FrameMap.read(mm) if run.state.kind is Kind.FREE)
    return {paddr for run in free for paddr in range(run.start, run.end, PAGE)}


def free_by_records(kernel: Kernel, tracker: Tracker, at: Point | int | None = None, step: int = 1) -> set[int]:
    """The frames, every `step`th, whose last record is that they went to the allocator."""
    slots = kernel.mm.slots
    histories = ((paddr, tracker.frame(paddr, at))
                 for paddr in range(slots.first_paddr, slots.max_paddr, step * PAGE))
    return {paddr for paddr, history in histories if history and history[-1].kind in BACK}


@pytest.mark.board(harts=2)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_last_record_of_every_frame_says_whether_it_is_free(tracked: Tracked, seed: int) -> None:
    kernel, tracker = tracked
    work = Workload(kernel, seed)
    work.run(150)
    assert free_by_records(kernel, tracker) == free_frames(kernel.mm)
    work.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_records_of_a_past_point_say_what_was_then(tracked: Tracked, seed: int) -> None:
    kernel, tracker = tracked
    work, points, start = Workload(kernel, seed), [], kernel.mm.slots.first_paddr // PAGE
    for _ in range(4):
        work.run(60)
        points.append((tracker.now, free_frames(kernel.mm)))
        if random.Random(seed).random() < 0.5:
            kernel.log("something")  # the harts go on between some of them
    for point, free in points:
        assert free_by_records(kernel, tracker, point, 7) == {paddr for paddr in free if paddr // PAGE % 7 == start % 7}
    # A number of instructions takes all that was done at it.
    last = points[-1][0]
    assert tracker.frame(work.mm.kspace.root_paddr, last.instruction) == tracker.frame(work.mm.kspace.root_paddr, last)
    work.close()


def test_nothing_is_known_of_a_frame_before_the_kernel_had_an_allocator(tracked: Tracked) -> None:
    kernel, tracker = tracked
    root = kernel.mm.kspace.root_paddr
    history = tracker.frame(root)
    assert [record.kind for record in history] == [K.ADD_FREE_MEMORY, K.FRAME_ALLOC]
    assert [record.stage for record in history] == ["frame-allocator", "kernel-page-table"]
    assert tracker.frame(root, history[0].instruction - 1) == ()
    assert tracker.frame(root, history[1].instruction)[-1].kind is K.FRAME_ALLOC
    assert tracker.frame(0x8020_0000) == (), "the kernel's image was never the allocator's"


@pytest.mark.parametrize("seed", [1, 2])
def test_heap_objects_have_their_last_user(tracked: Tracked, seed: int) -> None:
    kernel, tracker = tracked
    work = Workload(kernel, seed)
    work.run(300)
    assert work.objects
    for address, (layout, _) in work.objects.items():
        last = tracker.heap(address)[-1]
        assert (last.kind, last.address, last.size) == (K.HEAP_ALLOC, address, layout.size)
        assert tracker.heap(address + layout.size - 1)[-1] == last
        assert last.stack[0].function == "Workload.new_object"
    address = next(iter(work.objects))
    layout, _ = work.objects.pop(address)
    kernel.mm.heap.dealloc(address, layout)
    assert [record.kind for record in tracker.heap(address)[-2:]] == [K.HEAP_ALLOC, K.HEAP_DEALLOC]
    work.close()


def test_a_question_about_a_range_finds_all_objects_that_have_a_byte_of_it(tracked: Tracked) -> None:
    kernel, tracker = tracked
    addresses = [kernel.mm.heap.alloc(SMALL) for _ in range(5)][1:]  # the first is from another slab
    first = min(addresses)
    assert {record.address for record in tracker.heap(first, 256)} == set(addresses)
    assert {record.address for record in tracker.heap(first + 63, 2)} == {first, first + 64}
    assert {record.address for record in tracker.heap(first + 64)} == {first + 64}
    assert tracker.heap(first - 1) == ()


def test_stack_names_who_it_was_and_not_the_allocators_fronts(tracked: Tracked) -> None:
    kernel, tracker = tracked

    def somebody() -> int:
        with FrameAllocOptions(kernel.mm).alloc_frame() as frame:
            return frame.paddr

    taken, given = tracker.frame(somebody())[-2:]
    assert (taken.kind, given.kind) == (K.FRAME_ALLOC, K.FRAME_DEALLOC)
    here = "test_stack_names_who_it_was_and_not_the_allocators_fronts.<locals>.somebody"
    assert taken.stack[0].function == here
    assert taken.stack[0].file == "tests/kernel/track/test_tracker.py"
    assert [place.function for place in given.stack[:2]] == ["MetaSlots.drop_last", "MetaSlots.drop_holder"]
    assert here in [place.function for place in given.stack]
    files = {place.file for record in (taken, given) for place in record.stack}
    assert not files & {"kernel/mm/frame/allocator.py", "kernel/mm/operations.py", "kernel/track/tracker.py"}
    assert str(Place("a.py", 3, "f")) == "f (a.py:3)"


def test_pages_have_a_history_in_their_own_table(tracked: Tracked) -> None:
    kernel, tracker = tracked
    va, spaces = 0x1000_0000, [VmSpace(kernel.mm) for _ in range(2)]
    for space in spaces:
        with space.cursor_mut(range(va, va + PAGE)) as cursor:
            cursor.map(FrameAllocOptions(kernel.mm).alloc_frame().into_uframe(), RW)
    with spaces[0].cursor_mut(range(va, va + PAGE)) as cursor:
        cursor.protect_next(PAGE, lambda flags, cache: (PageFlags.R, cache))
        cursor.jump(va)
        cursor.unmap(PAGE)
    assert [record.kind for record in tracker.page(va + 0xABC, spaces[0].root_paddr)] == [K.MAP, K.PROTECT, K.UNMAP]
    assert [record.kind for record in tracker.page(va, spaces[1].root_paddr)] == [K.MAP]
    assert tracker.page(va + PAGE, spaces[0].root_paddr) == ()
    for space in spaces:
        space.drop()


def test_a_million_frames_at_once_are_one_record(tracked: Tracked) -> None:
    kernel, tracker = tracked
    before = len(tracker)
    segment = FrameAllocOptions(kernel.mm).alloc_segment(1000)
    assert len(tracker) == before + 1
    assert tracker.frame(segment.start_paddr + 999 * PAGE)[-1].size == 1000 * PAGE
    segment.drop()


# --- nothing is changed by it ----------------------------------------------------------------------------------------


@pytest.mark.board(harts=2)
def test_memory_and_time_are_the_same_with_and_without(tracked: Tracked) -> None:
    digests = []
    for kernel in (tracked[0], Kernel.boot(Machine(Board(memory=32 << 20, harts=2)))):
        work = Workload(kernel, 7)
        work.run(300)
        machine, bank = kernel.machine, kernel.machine.board.banks[0]
        digests.append((hashlib.sha256(machine.bus.read(bank.base, bank.size)).hexdigest(), machine.console,
                        machine.instructions, [hart.cycles for hart in machine.harts]))
        work.close()
    assert digests[0] == digests[1]


def test_records_hold_nothing_of_the_kernels() -> None:
    kernel, tracker = boot()
    mm = weakref.ref(kernel.mm)
    frame = FrameAllocOptions(kernel.mm).alloc_frame()
    paddr = frame.paddr
    with pytest.warns(ResourceWarning, match="was not dropped"):
        del frame
    assert tracker.frame(paddr)[-1].kind is K.FRAME_DEALLOC, "nobody else had the handle"
    kernel.close()
    del kernel
    gc.collect()
    assert mm() is None


# --- time travel -----------------------------------------------------------------------------------------------------


def test_rewinding_forgets_the_future_at_the_same_instruction(tracked: Tracked) -> None:
    kernel, tracker = tracked
    frame = FrameAllocOptions(kernel.mm).alloc_frame()
    point, paddr = tracker.now, frame.paddr
    frame.drop()
    assert tracker.now.instruction == point.instruction
    assert tracker.frame(paddr)[-1].kind is K.FRAME_DEALLOC
    assert tracker.frame(paddr, point)[-1].kind is K.FRAME_ALLOC
    tracker.rewind(point)
    assert tracker.now == point
    assert tracker.frame(paddr)[-1].kind is K.FRAME_ALLOC


def test_records_of_a_future_that_a_restored_machine_has_left_are_forgotten() -> None:
    kernel, tracker = boot()
    machine, paddr = kernel.machine, FrameAllocOptions(kernel.mm).alloc_frame().into_raw()
    then, before = machine.snapshot(), len(tracker.frame(paddr))
    kernel.log("the machine goes on")
    later = FrameAllocOptions(kernel.mm).alloc_segment(3)
    gone = later.start_paddr
    assert tracker.frame(gone)[-1].instruction > then.instructions
    machine.restore(then)
    later.drop()
    attached = Kernel.attach(machine, Choices(operations=tracker))
    FrameAllocOptions(attached.mm).alloc_frame().drop()
    assert all(record.instruction <= then.instructions for record in tracker.frame(gone))
    assert len(tracker.frame(paddr)) == before
    attached.close()
    machine.close()


def test_operations_that_have_done_nothing_are_not_recorded(tracked: Tracked) -> None:
    _, tracker = tracked
    before = len(tracker)
    tracker(Operation(K.FRAME_ALLOC, Moment.CALL, None, PAGE, PAGE, 0, 0, ""))
    tracker(Operation(K.FRAME_ALLOC, Moment.RETURN, None, PAGE, PAGE, 0, 0, ""))
    assert len(tracker) == before
