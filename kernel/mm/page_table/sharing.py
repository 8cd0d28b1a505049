"""Mapping frames in rows, a table of 512 entries at a time: new ones, and those that another table maps, too.

        source          R W  frame A            R    frame A, count 2       target      R    frame A
                        R    frame B    ──►     R    frame B, count 2                   R    frame B
                        I/O  page C             I/O  page C                             nothing

Fork needs it. With copy-on-write, W is taken from both; each entry of the source changes by compare-and-swap,
as those of every operation, so that an A or D that a hart sets meanwhile is not lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from kernel.errors import FrameMisuse, KernelPanic
from kernel.mm.operations import Moment, OperationKind, tell
from kernel.mm.paging import ENTRIES, PAGE_SHIFT, PAGE_SIZE

from . import node
from .config import Tracking
from .cursor import runs
from .cursor_mut import ALREADY_MAPPED, CursorMut
from .pte import ACCESSED, DIRTY, PPN_MASK, VALID, WRITE

if TYPE_CHECKING:
    from .pte import PageProperty


class Shared(NamedTuple):
    """Pages in a row that are mapped in both tables now, and how many of them have lost W."""

    va: int
    pages: int
    weakened: int


def share(source: CursorMut, target: CursorMut, length: int, *, copy_on_write: bool) -> Iterator[Shared]:
    """Map the tracked pages of the next `length` bytes of `source` in `target`, at the same addresses.

    Both cursors end behind the bytes; A and D are not set in the target. Errors before anything is changed:
    FrameMisuse for tables of two kernels, KernelPanic if `length` is not a multiple of 4096 or leaves a range.
    On the way: KernelPanic where the target maps something already, NoMemory; what was shared until then stays.
    """
    mm, va = source._mm, source._va
    if target._mm is not mm:
        raise FrameMisuse("share", va, length, "pages of another kernel", "two page tables of one kernel")
    source._require_length(length)
    if not target._start <= va <= target._end - length:
        raise KernelPanic(f"len exceeds the other cursor's range: {length:#x} bytes from {va:#x}, which has "
                          f"{target._start:#x}-{target._end:#x}")
    end = va + length
    while source._find(end - source._va, subtree=False, split=False):
        level, va = source._level, source._va
        if level > 1:  # a huge page, which nobody counts
            source._forward()
            source._va = min(source._va, end)
            continue
        at = source._path[1] + (va >> PAGE_SHIFT & ENTRIES - 1) * 8
        count = min(ENTRIES - (va >> PAGE_SHIFT & ENTRIES - 1), end - va >> PAGE_SHIFT)
        column = mm.port.load_column(at, count)
        for first, last in runs(source._config.tracked_in(column)):
            low = va + first * PAGE_SIZE
            weakened = _map_run(target, low, column[first:last], copy_on_write)
            if weakened:
                _weaken(source, low, at + 8 * first, column[first:last])
            yield Shared(low, last - first, weakened)
        source._va, source._level = va + count * PAGE_SIZE, source._guard_level
    target._va, target._level = end, target._guard_level


def _map_run(target: CursorMut, va: int, column: npt.NDArray[np.uint64], copy_on_write: bool) -> int:
    """Map the frames of `column` in a row from `va` on, each with one more holder; how many of them had W to lose."""
    mm, slots = target._mm, target._mm.slots
    heard, size = mm.operations is not None, len(column) * PAGE_SIZE
    if heard:
        tell(mm, OperationKind.MAP, Moment.CALL, va, size, root=target._root)
    held: list[int] = []
    lost = ACCESSED | DIRTY | (WRITE if copy_on_write else 0)
    try:
        for pte in column.tolist():
            paddr = (pte & PPN_MASK) << 2
            slots.add_holder(paddr)
            held.append(paddr)
        _put(target, va, column & np.uint64(~lost & (1 << 64) - 1))
    except BaseException:
        for paddr in held:
            slots.drop_holder(paddr)
        raise
    if heard:
        tell(mm, OperationKind.MAP, Moment.RETURN, va, size, root=target._root)
    return int(np.count_nonzero(column & np.uint64(WRITE))) if copy_on_write else 0


def _put(cursor: CursorMut, va: int, column: npt.NDArray[np.uint64]) -> None:
    """Write entries from `va` on, within one table. KernelPanic if one is present, NoMemory: nothing is changed."""
    port, count = cursor._port, len(column)
    cursor.jump(va)
    if cursor._level != 1:
        cursor._descend(1)
    table = cursor._path[1]
    at = table + (va >> PAGE_SHIFT & ENTRIES - 1) * 8
    taken = port.load_column(at, count) & np.uint64(VALID)
    if taken.any():
        raise KernelPanic(f"{ALREADY_MAPPED}: {va + int(taken.argmax()) * PAGE_SIZE:#x}")
    port.store_column(at, column, count)
    node.add_children(cursor._mm, table, count)


def map_row(cursor: CursorMut, frames: Sequence[int], prop: PageProperty) -> None:
    """Map frames, each with a count that its mapping takes over, in a row from the cursor on, and move behind them.

    KernelPanic if they do not lie within one table and the range, or something is mapped there; NoMemory. The counts
    are the caller's then.
    """
    va, size, mm = cursor._va, len(frames) * PAGE_SIZE, cursor._mm
    if not frames:
        return
    heard = mm.operations is not None
    if heard:
        tell(mm, OperationKind.MAP, Moment.CALL, va, size, root=cursor._root)
    if va + size > cursor._end or va >> PAGE_SHIFT + 9 != va + size - 1 >> PAGE_SHIFT + 9:
        raise KernelPanic(f"cursor virtual address out-of-bound for mapping: {va:#x}, {size:#x} bytes in one table")
    if prop.bits < 0 or cursor._config.TRACKING is Tracking.NEVER_TRACKED:
        cursor._refuse(prop)
    _put(cursor, va, np.array(frames, dtype=np.uint64) >> np.uint64(2)
         | np.uint64((prop.bits & cursor._keep | cursor._tracked) & (1 << 64) - 1))
    cursor._va, cursor._level = va + size, cursor._guard_level
    if heard:
        tell(mm, OperationKind.MAP, Moment.RETURN, va, size, root=cursor._root)


def _weaken(source: CursorMut, va: int, at: int, column: npt.NDArray[np.uint64]) -> None:
    """Take W from the entries from `at` on, which were `column` a moment ago."""
    mm, port, size = source._mm, source._mm.port, len(column) * PAGE_SIZE
    heard = mm.operations is not None
    if heard:
        tell(mm, OperationKind.PROTECT, Moment.CALL, va, size, root=source._root)
    for pte in column.tolist():
        while pte & WRITE and (was := port.compare_exchange(at, pte, pte & ~WRITE)) != pte:
            pte = was  # a hart has just set A or D
        at += 8
    if heard:
        tell(mm, OperationKind.PROTECT, Moment.RETURN, va, size, root=source._root)
