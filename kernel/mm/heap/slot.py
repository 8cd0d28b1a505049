"""Heap slots: the unit in which heap memory changes hands (OSTD `mm/heap/slot.rs`).

        slab free list ──► HeapSlot ──► object cache ──► HeapSlot ──► LIVE, an address in its user's hands
                     ◄──          ◄──             ◄──           ◄──

A slot between two places is a HeapSlot. Only slabs, slot lists, large allocations and the dispatcher make
one, and each use consumes it, so that nobody can free, hand out or keep what is not his.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from kernel.errors import HeapMisuse, KernelPanic, NoMemory
from kernel.mm.fields import u64
from kernel.mm.frame.handle import Handle
from kernel.mm.frame.meta_type import FrameMeta
from kernel.mm.frame.segment import Segment
from kernel.mm.layout import Layout
from kernel.mm.paging import PAGE_SIZE

if TYPE_CHECKING:
    from kernel.mm.context import Mm


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """What kind of slot serves a layout, and its `size` in bytes: a SlabSlot or a LargeSlot (`SlotInfo`)."""

    size: int


@dataclass(frozen=True, slots=True)
class SlabSlot(SlotInfo):
    """A slot of a slab: 8 … 4096 bytes, a power of two."""


@dataclass(frozen=True, slots=True)
class LargeSlot(SlotInfo):
    """Whole frames: a multiple of 4096 bytes."""


SLAB_SLOTS = {size: SlabSlot(size) for size in (8 << i for i in range(10))}
"""The one SlabSlot of each size that a slab can have."""


class LargeAllocFrameMeta(FrameMeta):
    """Metadata of each frame of a large allocation (`LargeAllocFrameMeta`).

    `head` is the physical address of its first frame, `size` that of all of them in bytes. `live`, in
    the first frame, is 1 while a user has the allocation.
    """

    size = u64()
    head = u64()
    live = u64()


class HeapSlot(Handle):
    """A slot of heap memory that is on its way from one owner to the next (`HeapSlot`).

    Move-only: putting it in a list, slab or large deallocation, or returning it to the dispatcher, uses
    it up. UseAfterMove after that. One that is lost leaks its memory, as upstream; it warns ResourceWarning.
    """

    __slots__ = ("_address", "_info")

    _address: int
    _info: SlotInfo

    @classmethod
    def _adopt(cls, mm: Mm, address: int, info: SlotInfo) -> HeapSlot:
        """OSTD's own: the handle for a slot that is in nobody else's hands."""
        slot: HeapSlot = object.__new__(cls)
        slot._mm, slot._address, slot._info, slot._held = mm, address, info, True
        return slot

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("a HeapSlot cannot be subclassed: nobody but OSTD makes heap slots")

    def __repr__(self) -> str:
        return f"<HeapSlot {self._address:#x} {self._info}{'' if self._held else ', gone'}>"

    @property
    def address(self) -> int:
        """Kernel virtual address of the slot, in the linear mapping (`as_ptr`)."""
        self._check()
        return self._address

    @property
    def paddr(self) -> int:
        """Physical address of the slot."""
        self._check()
        return self._address - self._mm.paging.linear_base

    @property
    def size(self) -> int:
        """Bytes of the slot."""
        self._check()
        return self._info.size

    @property
    def info(self) -> SlotInfo:
        """Kind and size of the slot."""
        self._check()
        return self._info

    @staticmethod
    def alloc_large(mm: Mm, size: int, align: int = PAGE_SIZE) -> HeapSlot:
        """A large slot of `size` bytes, a positive multiple of 4096 (KernelPanic), at a multiple of `align`.

        The contents are whatever was there. Raises NoMemory, and what FrameDispatch.alloc raises.
        """
        if size <= 0 or size & PAGE_SIZE - 1:
            raise KernelPanic(f"a large slot of {size} bytes: not a positive multiple of {PAGE_SIZE}")
        if size >= 1 << 62:
            raise NoMemory(f"no {size} bytes in a row")
        mm.types.vtable(LargeAllocFrameMeta)  # nothing may fail between the allocation and the claim
        paddr = mm.frame_allocator.alloc(Layout(size, max(align, PAGE_SIZE)))
        if paddr is None:
            raise NoMemory(f"no {size // PAGE_SIZE} free frames in a row for a large slot")
        meta = LargeAllocFrameMeta(size=size, head=paddr)
        if size == PAGE_SIZE:
            mm.slots.claim(paddr, meta)
        else:
            mm.slots.claim_range(paddr, paddr + size, meta)
        return HeapSlot._adopt(mm, paddr + mm.paging.linear_base, LargeSlot(size))

    def dealloc_large(self) -> None:
        """Give the frames of a large slot back; HeapMisuse for a slab's slot, and for a live allocation."""
        self._check()
        mm, address, size = self._mm, self._address, self._info.size
        if not isinstance(self._info, LargeSlot):
            raise HeapMisuse("dealloc_large", address, size, f"a {self._info}", "a large slot")
        paddr = address - mm.paging.linear_base
        meta = LargeAllocFrameMeta.at(mm.port, mm.slots.slot(paddr))
        if meta.live:
            raise HeapMisuse("dealloc_large", address, size, "live: its user has it", "a slot that was freed")
        self._take()
        Segment._adopt(mm, paddr, paddr + size, LargeAllocFrameMeta).drop()

    def drop(self) -> None:
        """`dealloc_large`; HeapMisuse for a slab's slot, which goes back to its slab or into a slot list."""
        self.dealloc_large()

    def __del__(self) -> None:
        if getattr(self, "_held", False) and not self._mm.closed:
            self._held = False
            warnings.warn(f"{self!r} was lost: its memory leaks", ResourceWarning, source=self, stacklevel=2)
