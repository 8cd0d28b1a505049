"""What listeners of the memory manager's operations hear: all of them, before anything is done, and after."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulator import Board, Machine
from kernel import Choices, Kernel
from kernel.errors import FrameMisuse, HeapMisuse, InvalidArgs, KernelPanic, NoMemory
from kernel.mm import FrameAllocOptions, Layout, Mm, PageFlags, PageProperty, VmSpace
from kernel.mm.hotplug import offline, online
from kernel.mm.operations import Moment, Operation, OperationKind, told_to
from kernel.picture import Picture
from tests.kernel.picture.workload import PAGE, RW

SMALL = Layout(64, 8)
VA = 0x1000_0000
K, CALL, RETURN = OperationKind, Moment.CALL, Moment.RETURN


def heard(mm: Mm, do: Callable[[], object]) -> list[Operation]:
    """What is told while something is done."""
    told: list[Operation] = []
    mm.operations = told.append
    try:
        do()
    finally:
        mm.operations = None
    return told


def briefly(told: list[Operation]) -> list[tuple[OperationKind, Moment]]:
    return [(operation.kind, operation.moment) for operation in told]


def test_a_frame_is_told_before_and_after(kernel: Kernel) -> None:
    mm = kernel.mm
    frames = []
    told = heard(mm, lambda: frames.append(FrameAllocOptions(mm).alloc_frame()))
    paddr = frames[0].paddr
    assert told == [Operation(K.FRAME_ALLOC, CALL, None, PAGE, PAGE, 0, 0, ""),
                    Operation(K.FRAME_ALLOC, RETURN, paddr, PAGE, PAGE, 0, 0, "")]
    told = heard(mm, frames[0].drop)
    assert told == [Operation(K.FRAME_DEALLOC, moment, paddr, PAGE, 1, 0, 0, "") for moment in (CALL, RETURN)]
    assert str(told[0]) == f"frame_dealloc: 4096 bytes at {paddr:#x}, CPU 0"


@pytest.mark.board(harts=2)
def test_the_cpu_is_told(kernel: Kernel) -> None:
    with kernel.on_cpu(1):
        told = heard(kernel.mm, lambda: FrameAllocOptions(kernel.mm).alloc_frame().drop())
    assert [operation.cpu for operation in told] == [1] * 4


def test_segments_and_ranges_are_told_as_a_whole(kernel: Kernel) -> None:
    mm = kernel.mm
    told = heard(mm, lambda: FrameAllocOptions(mm).alloc_segment(100).drop())
    assert briefly(told)[:2] == [(K.FRAME_ALLOC, CALL), (K.FRAME_ALLOC, RETURN)]
    assert told[1].size == 100 * PAGE
    returned = [operation for operation in told[2:] if operation.moment is RETURN]
    assert sum(operation.size for operation in returned) == 100 * PAGE
    start = next(run.start for run in Picture.take(kernel).frames if run.state.kind.name == "FREE" and run.frames > 16)
    told = heard(mm, lambda: offline(mm, start, 4 * PAGE))
    assert (K.FRAME_ALLOC, start, 4 * PAGE) in [(told.kind, told.address, told.size) for told in told]
    told = heard(mm, lambda: online(mm, start, 4 * PAGE))
    assert [(each.kind, each.moment, each.address, each.size) for each in told] == \
        [(K.ADD_FREE_MEMORY, moment, start, 4 * PAGE) for moment in (CALL, RETURN)]


def test_a_heap_object_is_told_with_the_frames_that_it_takes_inside(kernel: Kernel) -> None:
    mm = kernel.mm
    addresses: list[int] = []
    told = heard(mm, lambda: addresses.append(mm.heap.alloc(SMALL)))
    kinds = briefly(told)
    assert kinds[0] == (K.HEAP_ALLOC, CALL)
    assert kinds[-1] == (K.HEAP_ALLOC, RETURN)
    assert (K.FRAME_ALLOC, RETURN) in kinds[1:-1], "its first slab is made"
    assert (told[-1].address, told[-1].size, told[-1].align) == (addresses[0], 64, 8)
    told = heard(mm, lambda: mm.heap.dealloc(addresses[0], SMALL))
    assert [(each.kind, each.moment, each.address) for each in told] == \
        [(K.HEAP_DEALLOC, moment, addresses[0]) for moment in (CALL, RETURN)]


def test_pages_are_told_with_their_root(kernel: Kernel) -> None:
    mm = kernel.mm
    with VmSpace(mm) as space:
        frame = FrameAllocOptions(mm).alloc_frame().into_uframe()
        with space.cursor_mut(range(VA, VA + 2 * PAGE)) as cursor:
            told = [each for each in heard(mm, lambda: cursor.map(frame, RW)) if each.kind is K.MAP]
            assert told == [Operation(K.MAP, moment, VA, PAGE, 1, 0, space.root_paddr, "") for moment in (CALL, RETURN)]
            cursor.jump(VA)
            told = heard(mm, lambda: cursor.protect_next(PAGE, lambda flags, cache: (PageFlags.R, cache)))
            assert [(each.kind, each.moment, each.address) for each in told] == \
                [(K.PROTECT, moment, VA) for moment in (CALL, RETURN)]
            cursor.jump(VA)
            told = heard(mm, lambda: cursor.unmap(2 * PAGE))
            unmapped = [each for each in told if each.kind is K.UNMAP and each.moment is RETURN and each.address]
            assert [(each.address, each.size, each.root) for each in unmapped] == [(VA, PAGE, space.root_paddr)]
    told = heard(mm, lambda: mm.kspace.page_table.page_walk(VA))
    assert told == []


def test_untracked_pages_are_told(kernel: Kernel) -> None:
    mm = kernel.mm
    start = mm.paging.kvirt_base
    with mm.kspace.page_table.cursor_mut(range(start, start + 4 * PAGE)) as cursor:
        prop = PageProperty.new_kernel(PageFlags.RW)
        for do, size in ((lambda: cursor.map_untracked(0x1000_0000, 1, prop), PAGE),
                         (lambda: cursor.map_range(0x1000_0000, 3 * PAGE, prop), 3 * PAGE)):
            at = cursor.virt_addr
            told = [each for each in heard(mm, do) if each.kind is K.MAP]
            assert [(each.moment, each.address, each.size) for each in told] == \
                [(CALL, at, size), (RETURN, at, size)]
        cursor.jump(start)
        while cursor.take_next(start + 4 * PAGE - cursor.virt_addr) is not None:
            pass


# --- failures --------------------------------------------------------------------------------------------------------


def test_what_fails_is_called_and_does_not_return(kernel: Kernel) -> None:
    mm = kernel.mm
    frame = FrameAllocOptions(mm).alloc_frame()
    for do, error, kind in (
            (lambda: mm.frame_allocator.dealloc(frame.paddr, PAGE), FrameMisuse, K.FRAME_DEALLOC),
            (lambda: mm.frame_allocator.alloc(Layout(PAGE + 1, PAGE)), InvalidArgs, K.FRAME_ALLOC),
            (lambda: mm.frame_allocator.add_free_memory(frame.paddr, PAGE), FrameMisuse, K.ADD_FREE_MEMORY),
            (lambda: mm.heap.dealloc(mm.paging.linear_base + frame.paddr, SMALL), HeapMisuse, K.HEAP_DEALLOC)):
        told: list[Operation] = []
        mm.operations = told.append
        with pytest.raises(error):
            do()
        mm.operations = None
        assert briefly(told) == [(kind, CALL)]
    frame.drop()


def test_an_allocation_that_has_nothing_to_give_returns_no_address(kernel: Kernel) -> None:
    told: list[Operation] = []
    kernel.mm.operations = told.append
    with pytest.raises(NoMemory):
        FrameAllocOptions(kernel.mm).alloc_segment(1 << 20)
    kernel.mm.operations = None
    assert [(each.moment, each.address) for each in told] == [(CALL, None), (RETURN, None)]


class Refused(Exception):  # noqa: N818 - a decision, not an error
    """The listener wants no more."""


def refuse(operation: Operation) -> None:
    if operation.moment is CALL:
        raise Refused


@pytest.mark.parametrize("name", ["frame", "segment", "drop", "heap", "free", "map", "unmap", "protect", "online"])
def test_call_is_told_before_anything_is_changed(kernel: Kernel, name: str) -> None:
    """A listener that raises there keeps the operation from being done: not a byte of memory is another."""
    mm, machine = kernel.mm, kernel.machine
    space, object_, frame = VmSpace(mm), mm.heap.alloc(SMALL), FrameAllocOptions(mm).alloc_frame()
    mapped, more = (FrameAllocOptions(mm).alloc_frame().into_uframe() for _ in range(2))
    free = next(run.start for run in Picture.take(kernel).frames if run.state.kind.name == "FREE" and run.frames > 16)
    offline(mm, free, PAGE)
    cursor = space.cursor_mut(range(VA, VA + 2 * PAGE))
    cursor.map(mapped, RW)
    cursor.jump(VA + PAGE if name == "map" else VA)
    do: dict[str, Callable[[], object]] = {
        "frame": lambda: mm.frame_allocator.alloc(Layout(PAGE, PAGE)),
        "segment": lambda: mm.frame_allocator.alloc(Layout(16 * PAGE, PAGE)),
        "drop": lambda: mm.frame_allocator.dealloc(free, PAGE), "heap": lambda: mm.heap.alloc(Layout(256, 8)),
        "free": lambda: mm.heap.dealloc(object_, SMALL), "map": lambda: cursor.map(more, RW),
        "unmap": lambda: cursor.unmap(PAGE),
        "protect": lambda: cursor.protect_next(PAGE, lambda flags, cache: (PageFlags.R, cache)),
        "online": lambda: mm.frame_allocator.add_free_memory(free, PAGE)}
    bank = machine.board.banks[0]
    before = machine.bus.read(bank.base, bank.size)
    mm.operations = refuse
    with pytest.raises(Refused):
        do[name]()
    mm.operations = None
    assert machine.bus.read(bank.base, bank.size) == before
    cursor.drop()
    for handle in (more, space, frame):
        handle.drop()
    mm.heap.dealloc(object_, SMALL)


@pytest.mark.parametrize("name", ["unmap", "protect"])
def test_call_is_told_before_a_large_page_is_split(kernel: Kernel, name: str) -> None:
    mm, start = kernel.mm, kernel.mm.paging.kvirt_base
    with mm.kspace.page_table.cursor_mut(range(start, start + (2 << 20))) as cursor:
        cursor.map_range(0x4000_0000, 2 << 20, PageProperty.new_kernel(PageFlags.RW))
        cursor.jump(start)
        before = Picture.take(kernel)
        mm.operations = refuse
        with pytest.raises(Refused):
            if name == "unmap":
                cursor.take_next(PAGE)
            else:
                cursor.protect_next(PAGE, lambda prop: PageProperty.new_kernel(PageFlags.R))
        mm.operations = None
        assert Picture.take(kernel) == before
        cursor.take_next(2 << 20)


def test_several_listeners_are_told_in_order_until_one_refuses(kernel: Kernel) -> None:
    order: list[str] = []

    def first(_: Operation) -> None:
        order.append("first")

    kernel.mm.operations = told_to(first, refuse, lambda _: order.append("third"))
    with pytest.raises(Refused):
        FrameAllocOptions(kernel.mm).alloc_frame()
    kernel.mm.operations = None
    assert order == ["first"]


# --- the boot --------------------------------------------------------------------------------------------------------


def test_the_boot_is_heard_from_its_first_operation_with_its_stages() -> None:
    told: list[Operation] = []
    machine = Machine(Board(memory=32 << 20, harts=2))
    kernel = Kernel.boot(machine, Choices(operations=told.append))
    assert briefly(told)[0] == (K.ADD_FREE_MEMORY, CALL)
    stages = list(dict.fromkeys(each.stage for each in told))
    assert stages == ["frame-allocator", "kernel-page-table", "boot-info", "dismiss-boot-page-table"]
    added = sum(each.size for each in told if each.kind is K.ADD_FREE_MEMORY and each.moment is RETURN)
    taken = sum(each.size for each in told if each.kind is K.FRAME_ALLOC and each.moment is RETURN)
    back = sum(each.size for each in told if each.kind is K.FRAME_DEALLOC and each.moment is RETURN)
    assert added - taken + back == Picture.take(kernel).buddy.free, "what was told accounts for every free byte"
    with FrameAllocOptions(kernel.mm).alloc_frame():
        assert told[-1].stage == ""
    attached = Kernel.attach(machine, Choices(operations=told.append))
    before = len(told)
    FrameAllocOptions(attached.mm).alloc_frame().drop()
    assert len(told) == before + 4
    kernel.close()
    machine.close()


def test_a_cursor_that_maps_where_something_is_mapped_is_called_and_does_not_return(kernel: Kernel) -> None:
    mm = kernel.mm
    with VmSpace(mm) as space, space.cursor_mut(range(VA, VA + PAGE)) as cursor:
        cursor.map(FrameAllocOptions(mm).alloc_frame().into_uframe(), RW)
        cursor.jump(VA)
        told: list[Operation] = []
        mm.operations = told.append
        extra = FrameAllocOptions(mm).alloc_frame().into_uframe()
        with pytest.raises(KernelPanic, match="already mapped"):
            cursor.map(extra, RW)
        mm.operations = None
        assert briefly(told)[2:] == [(K.MAP, CALL)]
        extra.drop()
