"""The check: every frame in exactly one place, every count equal to its holders, every list well linked.

        census      the slots of all frames in columns
        free        pools, caches: each free frame once; buddies merged; counters right
        heap        slabs, slots, live bits, object caches, large allocations
        tables      nodes, entries, shared halves, what the kernel must have mapped
        areas       kernel virtual addresses, and that nothing is mapped outside of those taken
        judgement   for each frame, what was found against what its slot says

It reads emulated memory and nothing else, so it judges a live kernel, an attached one, and one that a
guest has scribbled over, alike. It costs a millisecond or two for 32 MiB of memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kernel.boot.boot_record import BootRecord
from kernel.errors import CorruptionError, KernelError
from kernel.mm.frame.frame import Frame
from kernel.mm.frame.handle import Handle
from kernel.mm.frame.linked_list import LinkedList
from kernel.mm.frame.meta_type import (
    EarlyAllocatedFrameMeta,
    FrameMeta,
    KernelMeta,
    MetaPageMeta,
    ReservedMemoryMeta,
    UnusableMemoryMeta,
)
from kernel.mm.frame.segment import Segment
from kernel.mm.frame.unique import UniqueFrame
from kernel.mm.heap.box import HeapBox
from kernel.mm.heap.slot import HeapSlot, SlabSlot
from kernel.mm.kspace.range_allocator import Block
from kernel.mm.page_table.cursor import Cursor
from kernel.mm.page_table.page_table import PageTable, StaticPageTable
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.port import looks
from kernel.mm.tlb.flusher import TlbFlusher
from kernel.mm.vm_space import cursors as vm_cursors
from kernel.mm.vm_space.vm_space import VmSpace
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator.cpu_local_box import BITMAP, ITEM_SIZES
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator

from .census import Census
from .free_memory import check_frame_allocator, free_heads
from .heap import check_heap_allocator, check_large, check_objects, live_slots
from .page_tables import check_areas_mapped, check_page_tables
from .slabs import find_slabs

if TYPE_CHECKING:
    from kernel.mm.context import Mm

BOOT_TYPES = (EarlyAllocatedFrameMeta, KernelMeta, MetaPageMeta, ReservedMemoryMeta, UnusableMemoryMeta)
"""Metadata of frames that the boot claimed for good: one count each."""


class InvariantError(KernelError):
    """The memory manager's state breaks its own rules; `breaches` says how, a line each."""

    def __init__(self, breaches: list[str], more: int) -> None:
        super().__init__("\n".join(breaches) + (f"\n… and {more} more" if more else ""))
        self.breaches = tuple(breaches)


@looks
def check(mm: Mm, holders: Iterable[Handle] | None = None, *, handed_out: Iterable[tuple[int, int]] = (),
          objects: Iterable[int] | None = None, frames: Sequence[int] = (), locked: bool = False) -> None:
    """Walk everything; InvariantError if something does not fit.

    With `holders`, all handles that are held (frames, segments, lists, address spaces, …), counts must be
    exactly what they and memory account for; without, at least that. With `objects`, the addresses of all
    heap objects that were allocated without a handle, every live object of the heap must have an owner.
    `frames` are the addresses that `Frame.into_raw` gave, one for each count that is held without a handle.
    `handed_out` are ranges (address, bytes) that somebody got from the frame allocator and has not
    claimed; `locked` says that cursors are open. Allocators other than the default ones keep their books
    where the check cannot look.
    """
    held = [holder for holder in holders or () if holder.held]
    census = Census(mm)
    census.judge_states()
    heads = free_heads(census)
    inner = mm.frame_allocator.inner
    if isinstance(inner, FrameAllocator):
        check_frame_allocator(census, inner, heads)
    slabs, large = find_slabs(census), check_large(census)
    if isinstance(mm.heap.inner, HeapAllocator):
        in_hand = [slot.address for slot in held if isinstance(slot, HeapSlot) and isinstance(slot.info, SlabSlot)]
        check_heap_allocator(census, mm.heap.inner, slabs, in_hand)
    records = check_page_tables(census, locked=locked)
    blocks = _check_areas(census)
    for kind in BOOT_TYPES:
        census.references[census.of_type(kind)] += 1
    heads_of_lists = _refer(census, held)
    census.refer_all(frames, "a count without a handle")
    waiting = np.zeros(census.size, dtype=np.bool_)
    for paddr, size in handed_out:
        waiting[census.index(paddr):census.index(paddr) + size // PAGE_SIZE] = True
    census.judge_taken(waiting)
    census.judge_holders(heads, exact=holders is not None)
    if objects is not None:
        known = [*objects, *records, *heads_of_lists, *(block.address for block in blocks), *_own_objects(census)]
        known += [box.address for box in held if isinstance(box, HeapBox)]
        check_objects(census, live_slots(census, slabs) | large, known)
    if census.breaches:
        raise InvariantError(census.breaches, census.more)


def _refer(census: Census, holders: list[Handle]) -> list[int]:
    """Count what handles hold; the heads of the lists among them that are heap objects."""
    frames: list[int] = []
    heads: list[int] = []
    types = census.mm.types
    for holder in holders:
        if isinstance(holder, Frame):
            frames.append(holder.paddr)
            _compare_type(census, holder.paddr, holder._type, holder)
        elif isinstance(holder, Segment):
            first, end = census.index(holder.start_paddr), census.index(holder.end_paddr - PAGE_SIZE) + 1
            census.references[first:end] += 1
            if (census.words[first:end] != types.vtable(holder._type)).any():
                census.breach(f"not all frames of {holder} have its metadata type")
        elif isinstance(holder, UniqueFrame):
            census.own(holder.paddr, holder)
            _compare_type(census, holder.paddr, holder._type, holder)
        elif isinstance(holder, LinkedList):
            for index in census.chain(holder._chain.head, repr(holder)):
                census.own(census.paddr(index), holder)
                _compare_type(census, census.paddr(index), holder._type, holder)
            if holder._own_head:
                heads.append(census.mm.paddr_to_vaddr(holder._chain.head))
        elif isinstance(holder, VmSpace) or (isinstance(holder, PageTable) and not isinstance(holder, StaticPageTable)):
            frames.append(holder.root_paddr)
        elif isinstance(holder, Cursor):
            frames.append(holder._root)
        elif isinstance(holder, vm_cursors.Cursor):
            frames.append(holder._cursor._root)
            if isinstance(holder, vm_cursors.CursorMut):
                frames += holder.flusher._waiting + holder.flusher._flushed
        elif isinstance(holder, TlbFlusher):
            frames += holder._waiting + holder._flushed
    census.refer_all(frames, "a handle")
    return heads


def _compare_type(census: Census, paddr: int, kind: type[FrameMeta], holder: Handle) -> None:
    index = census.index(paddr)
    if index >= 0 and census.words[index] != census.mm.types.vtable(kind):
        state = census.mm.slots.state(paddr)
        census.breach(f"frame {paddr:#x} of {holder} has metadata of another type: it is {state}")


def _check_areas(census: Census) -> list[Block]:
    """The blocks of kernel virtual addresses: all of them, and what is mapped is in those that are taken."""
    areas = census.mm.kspace.areas
    blocks: list[Block] = []
    try:
        blocks = list(areas.blocks())
    except CorruptionError as why:
        census.breach(str(why))
        return blocks
    if areas.lock.holder is not None:
        census.breach(f"the virtual areas are locked by CPU {areas.lock.holder}")
    if blocks and blocks[-1].end != areas.end:
        census.breach(f"the virtual ranges end at {blocks[-1].end:#x}, not at {areas.end:#x}")
    for before, block in zip(blocks, blocks[1:], strict=False):
        if not before.taken and not block.taken:
            census.breach(f"the free virtual ranges {before.start:#x} and {block.start:#x} touch, and are not merged")
    check_areas_mapped(census, blocks)
    return blocks


def _own_objects(census: Census) -> list[int]:
    """The heap objects of the kernel itself: the boot information, and the records of CPU-local variables."""
    mm = census.mm
    found = [address for address in (BootRecord(mm.statics).boot_info,) if address]
    area = mm.statics.area("cpu_local_dyn", 8 * (len(ITEM_SIZES) + 1))
    for word in range(area, area + 8 * len(ITEM_SIZES), 8):
        at = word
        while (record := mm.port.load(at)) and mm.port.has(record - mm.paging.linear_base, BITMAP):
            if record in found:
                census.breach(f"the list of chunks of CPU-local variables comes back to {record:#x}")
                break
            found.append(record)
            at = mm.vaddr_to_paddr(record)
    return found
