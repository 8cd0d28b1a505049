"""Defragmentation: live frames move elsewhere, so that the memory they were in becomes one free piece.

        range to be freed      │ . M . . M │        M: a MovableMeta frame, mapped once in a user space
        1  look it up by its address (`Frame.access`), which no other kind of frame allows
        2  find its mapping by its metadata, take it out, flush the TLBs
        3  `make_inaccessible`: nobody gets at it while it is copied
        4  map the copy where the frame was, drop the frame

This is what accessible pages are for (the source document's third use). Frames that somebody else holds
a count on, or that are not movable, stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kernel.errors import CorruptionError, NoMemory
from kernel.mm.fields import u64
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.frame.frame import Frame
from kernel.mm.frame.meta import REF_COUNT, UNUSED, VTABLE
from kernel.mm.frame.meta_type import Accessible, AnyUFrameMeta, FrameMeta
from kernel.mm.page_table.pte import PageProperty
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SIZE
from kernel.mm.vm_space.cursors import MappedRam
from kernel.mm.vm_space.vm_space import VmSpace

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class MovableMeta(AnyUFrameMeta, Accessible):
    """A user page that can be moved: mapped once, at `vaddr` of the space whose root is at physical `space`."""

    space = u64()
    vaddr = u64()


class InTransit(FrameMeta):
    """A page that is being copied elsewhere."""


@dataclass(frozen=True)
class Compaction:
    """What a compaction did: frames `moved` (old address, new address), and addresses in use that `stayed`."""

    moved: tuple[tuple[int, int], ...]
    stayed: tuple[int, ...]


def map_movable(space: VmSpace, vaddr: int, prop: PageProperty) -> int:
    """Map a new zeroed page at `vaddr` that compaction may move later; its physical address now.

    NoMemory, and what `CursorMut.map` raises.
    """
    mm = space._mm
    meta = MovableMeta(space=space.root_paddr, vaddr=vaddr)
    frame = FrameAllocOptions(mm).alloc_frame_with(meta).into_uframe()
    paddr = frame.paddr
    try:
        with space.cursor_mut(range(vaddr, vaddr + PAGE_SIZE)) as cursor:
            cursor.map(frame, prop)
    except BaseException:
        if frame.held:  # otherwise the mapping has it
            frame.drop()
        raise
    return paddr


def compact(mm: Mm, start: int, end: int) -> Compaction:
    """Move all movable frames out of physical start … end, which are multiples of 4096.

    NoMemory when there is no frame outside of the range left for the next one; those moved stay moved.
    """
    slot, count = mm.slots.slot(start), end - start >> 12
    counts = mm.port.load_column(slot + REF_COUNT, count, META_SLOT_SIZE)
    movable = mm.port.load_column(slot + VTABLE, count, META_SLOT_SIZE) == mm.types.vtable(MovableMeta)
    moved, stayed, rejected = [], [], []
    try:
        for index in np.flatnonzero(movable & (counts != UNUSED)).tolist():
            paddr = start + index * PAGE_SIZE
            target = FrameAllocOptions(mm).zeroed(False).alloc_frame_with(MovableMeta())
            while start <= target.paddr < end:
                rejected.append(target)
                target = FrameAllocOptions(mm).zeroed(False).alloc_frame_with(MovableMeta())
            to = target.paddr
            try:
                done = _move(mm, paddr, target)
            finally:
                if target.held:
                    target.drop()
            if done:
                moved.append((paddr, to))
            else:
                stayed.append(paddr)
    except NoMemory:
        raise NoMemory(f"no free frame outside of {start:#x}-{end:#x} to move to; {len(moved)} were moved") from None
    finally:
        for frame in rejected:
            frame.drop()
    return Compaction(tuple(moved), tuple(stayed))


def _move(mm: Mm, paddr: int, target: Frame[MovableMeta]) -> bool:
    """Move one frame to `target`, which is used up; False, with nothing changed, if somebody else holds it."""
    frame = Frame.access(mm, paddr, MovableMeta)
    if frame is None:
        return False
    if frame.reference_count != 2:  # ours, and the mapping's
        frame.drop()
        return False
    root, vaddr = frame.meta.space, frame.meta.vaddr
    mm.slots.get_from_in_use(root)
    with VmSpace.from_raw(mm, root) as space, space.cursor_mut(range(vaddr, vaddr + PAGE_SIZE)) as cursor:
        _, item = cursor.query()
        if not isinstance(item, MappedRam) or item.frame.paddr != paddr:
            frame.drop()
            raise CorruptionError(f"movable frame {paddr:#x} says that it is mapped at {vaddr:#x}, where it is not")
        prop = item.prop
        cursor.unmap(PAGE_SIZE)
        cursor.flusher.sync_tlb_flush()
        cursor.jump(vaddr)
        unique = frame.make_inaccessible(lambda old: InTransit())
        if unique is None:  # somebody looked it up in between: back to where it was
            cursor.map(_untyped(frame), prop)
            return False
        mm.port.copy(target.paddr, paddr, PAGE_SIZE)
        target.meta.space, target.meta.vaddr = root, vaddr
        cursor.map(_untyped(target), prop)
    unique.drop()
    return True


def _untyped(frame: Frame[MovableMeta]) -> Frame[Any]:
    return frame.into_uframe()
