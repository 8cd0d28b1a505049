"""The common operations of the memory manager, each measured with cold and with warm caches.

    for measured in measure_operations(kernel):
        print(measured.name, measured.cold.cycles, measured.warm.cycles)

An operation and the one that undoes it are measured apart. Before anything is measured, both have run, so
that the allocators' own caches have what they need. *Cold* is with every hart's caches and TLBs empty,
*warm* after ROUNDS runs. Afterwards the kernel's memory is as free as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.layout import Layout
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.vm_space.vm_space import VmSpace

from .cost import Cost

if TYPE_CHECKING:
    from kernel.kernel import Kernel
    from kernel.mm.context import Mm

ROUNDS: Final = 32
"""Runs before an operation counts as warm: the caches replace lines at random, so one run does not warm them."""
SMALL, LARGE = Layout(64, 8), Layout(2 * PAGE_SIZE, 8)
PAGE: Final = range(1 << 30, (1 << 30) + PAGE_SIZE)
"""Where a page is mapped for the measurement."""


@dataclass(frozen=True)
class Operation:
    """An operation, and the one that undoes it: what both are called, and what they do.

    `begin` prepares what the operation is done on; `do` gets that and gives what `undo` needs; `end` tidies up.
    An `undoing` of "" is part of the tidying, and not measured.
    """

    doing: str
    undoing: str
    do: Callable[[Mm, Any], Any]
    undo: Callable[[Mm, Any], None]
    begin: Callable[[Mm], Any] = lambda mm: None
    end: Callable[[Mm, Any], None] = lambda mm, prepared: None


@dataclass(frozen=True)
class Measured:
    """What an operation costs with caches and TLBs empty, and with what it needs in them."""

    name: str
    cold: Cost
    warm: Cost


def _drop(mm: Mm, handle: Any) -> None:
    handle.drop()


def _mapped(mm: Mm, space: VmSpace) -> VmSpace:
    frame = FrameAllocOptions(mm).zeroed(False).alloc_frame()
    with space.cursor_mut(PAGE) as cursor:
        cursor.map(frame.into_uframe(), PageProperty.new_user(PageFlags.RW))
    return space


def _unmap(mm: Mm, space: VmSpace) -> None:
    with space.cursor_mut(PAGE) as cursor:
        cursor.unmap(PAGE_SIZE)


def _begin_walk(mm: Mm) -> VmSpace:
    return _mapped(mm, VmSpace(mm))


def _walk(mm: Mm, space: VmSpace) -> None:
    with space.cursor(PAGE) as cursor:
        cursor.query()


def _end_walk(mm: Mm, space: VmSpace) -> None:
    _unmap(mm, space)
    space.drop()


OPERATIONS: Final = (
    Operation("allocate a frame", "drop it",
              lambda mm, _: FrameAllocOptions(mm).zeroed(False).alloc_frame(), _drop),
    Operation("allocate a zeroed frame", "drop it", lambda mm, _: FrameAllocOptions(mm).alloc_frame(), _drop),
    Operation("allocate 8 frames (order 3)", "drop them",
              lambda mm, _: FrameAllocOptions(mm).zeroed(False).alloc_segment(8), _drop),
    Operation("allocate 8 zeroed frames", "drop them", lambda mm, _: FrameAllocOptions(mm).alloc_segment(8), _drop),
    Operation("allocate 64 bytes of heap", "free them", lambda mm, _: mm.heap.alloc(SMALL),
              lambda mm, address: mm.heap.dealloc(address, SMALL)),
    Operation("allocate 8 KiB of heap", "free them", lambda mm, _: mm.heap.alloc(LARGE),
              lambda mm, address: mm.heap.dealloc(address, LARGE)),
    Operation("map a new page for users", "unmap it", _mapped, _unmap, VmSpace, lambda mm, space: space.drop()),
    Operation("look up a user's page", "", _walk, lambda mm, _: None, _begin_walk, _end_walk),
)
"""What is measured, in the order in which it is shown."""


def measure_operations(kernel: Kernel) -> Iterator[Measured]:
    """Each of OPERATIONS, and what undoes it, measured on `kernel` as the CPU that its Python code runs as."""
    for operation in OPERATIONS:
        prepared = operation.begin(kernel.mm)
        try:
            _run(kernel, operation, prepared)
            cold = _run(kernel, operation, prepared, empty=True)
            for _ in range(ROUNDS):
                warm = _run(kernel, operation, prepared)
        finally:
            operation.end(kernel.mm, prepared)
        yield Measured(operation.doing, cold[0], warm[0])
        if operation.undoing:
            yield Measured(operation.undoing, cold[1], warm[1])


def _run(kernel: Kernel, operation: Operation, prepared: Any, *, empty: bool = False) -> tuple[Cost, Cost]:
    """Do and undo it once, each with empty caches if wanted."""
    timing = kernel.machine.timing if empty else None
    if timing is not None:
        timing.empty_caches()
    with kernel.measure() as doing:
        done = operation.do(kernel.mm, prepared)
    if timing is not None:
        timing.empty_caches()
    with kernel.measure() as undoing:
        operation.undo(kernel.mm, done)
    return doing, undoing
