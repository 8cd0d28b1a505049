"""Memory hot-plug: a range of frames leaves the kernel's use at run time, and comes back.

        online   the allocator has the free frames, holders the others
           │ offline: movable frames are moved away, the rest must be free
        offline  every frame is claimed as OfflineMemoryMeta, count 1: nobody can get at it
           │ online
        online   all of them are the allocator's

The metadata slots stay; only memory that had slots at boot can be unplugged and plugged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from kernel.errors import FrameMisuse, InvalidArgs
from kernel.mm.compaction import Compaction, compact
from kernel.mm.frame.meta import FREE, REF_COUNT, TAKEN, UNIQUE, UNUSED, VTABLE
from kernel.mm.frame.meta_type import AllocatorMeta, FrameMeta
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SIZE

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class OfflineMemoryMeta(FrameMeta):
    """Memory that is unplugged."""


def offline(mm: Mm, paddr: int, size: int) -> Compaction:
    """Take `size` bytes at physical `paddr` out of use; what was moved for that.

    FrameMisuse names the first frame that can be neither moved nor taken; the others are in use as before.
    InvalidArgs for a range that is not of whole frames, NoMemory when there is no room for what must move.
    """
    _require_range(mm, paddr, size)
    moved = compact(mm, paddr, paddr + size)
    if not mm.frame_allocator.take_range(paddr, size):
        used = next(_in_use(mm, paddr, size), paddr)
        raise FrameMisuse("offline", paddr, size, f"{used:#x} is {mm.slots.state(used)}", "free or movable frames")
    mm.slots.claim_range(paddr, paddr + size, OfflineMemoryMeta())
    return moved


def online(mm: Mm, paddr: int, size: int) -> None:
    """Put `size` bytes at physical `paddr` back into use: the frame allocator gets them.

    FrameMisuse unless all of it is offline.
    """
    _require_range(mm, paddr, size)
    slot, count = mm.slots.slot(paddr), size >> 12
    wrong = mm.port.load_column(slot + VTABLE, count, META_SLOT_SIZE) != mm.types.vtable(OfflineMemoryMeta)
    wrong |= mm.port.load_column(slot + REF_COUNT, count, META_SLOT_SIZE) != 1
    if wrong.any():
        first = paddr + int(wrong.argmax()) * PAGE_SIZE
        raise FrameMisuse("online", paddr, size, f"{first:#x} is {mm.slots.state(first)}", "memory that is offline")
    mm.port.store_column(slot + VTABLE, TAKEN, count, META_SLOT_SIZE)
    mm.port.store_column(slot + REF_COUNT, UNUSED, count, META_SLOT_SIZE)
    mm.frame_allocator.add_free_memory(paddr, size)


def _in_use(mm: Mm, paddr: int, size: int) -> Iterator[int]:
    """The frames that the allocator does not have: neither free, nor the head of free memory."""
    slot, count = mm.slots.slot(paddr), size >> 12
    counts = mm.port.load_column(slot + REF_COUNT, count, META_SLOT_SIZE)
    free = (counts == UNUSED) & (mm.port.load_column(slot + VTABLE, count, META_SLOT_SIZE) == FREE)
    for index in np.flatnonzero(~free).tolist():
        frame = paddr + index * PAGE_SIZE
        if counts[index] != UNIQUE or not issubclass(mm.slots.kind(frame), AllocatorMeta):
            yield frame


def _require_range(mm: Mm, paddr: int, size: int) -> None:
    if (paddr | size) & PAGE_SIZE - 1 or size <= 0:
        raise InvalidArgs(f"{paddr:#x} ({size} bytes) is not a range of whole frames")
    mm.slots.slot(paddr)
    mm.slots.slot(paddr + size - PAGE_SIZE)
