"""The check: every frame in exactly one place, every count equal to its holders, every list well linked.

        census      the slots of all frames in columns
        free        pools, caches: each free frame once; buddies merged; counters right
        heap        slabs, slots, live bits, object caches, large allocations
        tables      nodes, entries, shared halves
        judgement   for each frame, what was found against what its slot says

It reads emulated memory and nothing else, so it judges a live kernel, an attached one, and one that a
guest has scribbled over, alike. It costs about a millisecond for 32 MiB of memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from kernel.errors import CorruptionError, KernelError
from kernel.mm.frame.frame import Frame
from kernel.mm.frame.handle import Handle
from kernel.mm.frame.meta_type import (
    EarlyAllocatedFrameMeta, KernelMeta, MetaPageMeta, ReservedMemoryMeta, UnusableMemoryMeta,
)
from kernel.mm.frame.segment import Segment
from kernel.mm.frame.unique import UniqueFrame
from kernel.mm.page_table.page_table import PageTable
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.vm_space.vm_space import VmSpace
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator

from .census import Census
from .free_memory import check_frame_allocator, free_heads
from .heap import check_heap_allocator, check_slabs
from .page_tables import check_page_tables

if TYPE_CHECKING:
    from kernel.mm.context import Mm

BOOT_TYPES = (EarlyAllocatedFrameMeta, KernelMeta, MetaPageMeta, ReservedMemoryMeta, UnusableMemoryMeta)
"""Metadata of frames that the boot claimed for good: one count each."""


class InvariantError(KernelError):
    """The memory manager's state breaks its own rules; `breaches` says how, a line each."""

    def __init__(self, breaches: list[str], more: int) -> None:
        super().__init__("\n".join(breaches) + (f"\n… and {more} more" if more else ""))
        self.breaches = tuple(breaches)


def check(mm: Mm, holders: Iterable[Handle] | None = None, *, handed_out: Iterable[tuple[int, int]] = (),
          locked: bool = False) -> None:
    """Walk everything; InvariantError if something does not fit.

    With `holders`, all handles that are held (frames, segments, address spaces, …), counts must be exactly
    what they and memory account for; without, at least that. `handed_out` are ranges (address, bytes)
    that somebody got from the frame allocator and has not claimed; `locked` says that cursors are open.
    Allocators other than the default ones keep their books where the check cannot look.
    """
    census = Census(mm)
    census.judge_states()
    heads = free_heads(census)
    inner = mm.frame_allocator.inner
    if isinstance(inner, FrameAllocator):
        check_frame_allocator(census, inner)
    check_slabs(census)
    if isinstance(mm.heap.inner, HeapAllocator):
        check_heap_allocator(census, mm.heap.inner)
    check_page_tables(census, locked=locked)
    _check_areas(census)
    for kind in BOOT_TYPES:
        census.references[census.of_type(kind)] += 1
    for holder in holders or ():
        _refer(census, holder)
    waiting = np.zeros(census.size, dtype=np.bool_)
    for paddr, size in handed_out:
        waiting[census.index(paddr):census.index(paddr) + size // PAGE_SIZE] = True
    census.judge_taken(waiting)
    census.judge_holders(heads, exact=holders is not None)
    if census.breaches:
        raise InvariantError(census.breaches, census.more)


def _refer(census: Census, holder: Handle) -> None:
    """Count what a handle holds."""
    if not holder.held:
        return
    if isinstance(holder, Frame):
        census.refer(holder.paddr, repr(holder))
    elif isinstance(holder, Segment):
        census.references[census.index(holder.start_paddr):census.index(holder.end_paddr - PAGE_SIZE) + 1] += 1
    elif isinstance(holder, UniqueFrame):
        census.own(holder.paddr, repr(holder))
    elif isinstance(holder, PageTable | VmSpace):
        census.refer(holder.root_paddr, repr(holder))


def _check_areas(census: Census) -> None:
    """The blocks of kernel virtual addresses."""
    blocks = []
    try:
        blocks = list(census.mm.kspace.areas.blocks())
    except CorruptionError as why:
        census.breach(str(why))
    for before, block in zip(blocks, blocks[1:], strict=False):
        if not before.taken and not block.taken:
            census.breach(f"the free virtual ranges {before.start:#x} and {block.start:#x} touch, and are not merged")
