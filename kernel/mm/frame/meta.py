"""Metadata slots: 64 bytes for each frame of physical memory (OSTD `mm/frame/meta.rs`).

        +0   storage    the metadata, as its type declares it, 40 bytes
        +40  ref_count  see below
        +48  vtable     the metadata's type; for an unused frame, whose it is
        +56  in_list    id of the LinkedList that the frame is in, 0 for none

The slot of the frame at physical address PA is at kernel virtual address 0xffff_e000_0000_0000 + PA / 64
(Sv48), and at physical `MetaSlots.base` + PA / 64.

        ref_count           state       who may touch the slot
        2^64-1              UNUSED      nobody; vtable FREE: the frame is in the frame allocator's hands,
                                        anything else: it was handed out (or never given to the allocator)
        2^64-2              UNIQUE      the one holder of the UniqueFrame
        0                   BUSY        whoever set it: the frame is being built, torn down, or locked
        1 … 2^63-2          shared      that many Frames, Segments and page-table entries
        others              illegal     the kernel stops: CorruptionError

FREE is ours: upstream cannot tell a frame that is free from one that was handed out and has no holder
yet, and so takes back what it never gave. With it every misuse is named before anything is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from kernel.errors import (
    Busy, CorruptionError, FrameMisuse, InUse, MetaTypeError, NotAligned, OutOfBound, Unique, Unused,
)
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SIZE

from .meta_type import AllocatorMeta, FrameMeta, refuse_allocators

if TYPE_CHECKING:
    from kernel.mm.context import Mm

REF_COUNT, VTABLE, IN_LIST = 40, 48, 56
"""Offsets in a slot."""
UNUSED, UNIQUE, BUSY = (1 << 64) - 1, (1 << 64) - 2, 0
REF_COUNT_MAX = (1 << 63) - 1
"""Counts from here on, up to UNIQUE, are illegal."""
FREE = int.from_bytes(b"FREE", "little")
TAKEN = int.from_bytes(b"TAKEN", "little")
"""The vtable word of a frame that was handed out and not claimed yet."""


class Kind(Enum):
    """States of a frame."""

    FREE = "free"
    TAKEN = "handed out, without a holder"
    BUSY = "busy"
    UNIQUE = "unique"
    SHARED = "in use"
    ILLEGAL = "corrupt"


@dataclass(frozen=True)
class FrameState:
    """What a frame's slot says: its `kind`, the number of holders, and the metadata type's name ("" for none)."""

    kind: Kind
    count: int
    type_name: str

    def __str__(self) -> str:
        if self.kind is Kind.SHARED:
            return f"in use by {self.count} as {self.type_name}"
        if self.kind is Kind.UNIQUE:
            return f"unique, as {self.type_name}"
        return str(self.kind.value)


class MetaSlots:
    """The metadata slots of the frames from `first_paddr` to `max_paddr`.

    Frame 0's is, or would be, at physical `base`.
    """

    __slots__ = ("_mm", "_port", "_virtual", "base", "first_paddr", "max_paddr")

    def __init__(self, mm: Mm, base: int, max_paddr: int, first_paddr: int = 0) -> None:
        self.base, self.max_paddr, self.first_paddr = base, max_paddr, first_paddr
        self._mm, self._port = mm, mm.port
        self._virtual = mm.paging.meta_base - base

    # --- addresses ------------------------------------------------------------------------------------------

    def slot(self, paddr: int) -> int:
        """Physical address of the slot of the frame at `paddr`; NotAligned or OutOfBound."""
        if paddr & PAGE_SIZE - 1:
            raise NotAligned(f"{paddr:#x} is not the address of a frame: not a multiple of {PAGE_SIZE}", paddr)
        if not self.first_paddr <= paddr < self.max_paddr:
            raise OutOfBound(f"{paddr:#x} has no metadata: physical memory is "
                             f"{self.first_paddr:#x}-{self.max_paddr:#x}", paddr)
        return self.base + (paddr >> 6)

    def frame_of(self, slot: int) -> int:
        """Physical address of the frame whose slot is at physical `slot`."""
        return (slot - self.base) << 6

    def to_virtual(self, slot: int) -> int:
        """Kernel virtual address of the slot at physical `slot`."""
        return slot + self._virtual

    # --- states ---------------------------------------------------------------------------------------------

    def state(self, paddr: int) -> FrameState:
        """The state of the frame at `paddr`; NotAligned or OutOfBound."""
        slot = self.slot(paddr)
        count, vtable = self._port.load(slot + REF_COUNT), self._port.load(slot + VTABLE)
        if count == UNUSED:
            return FrameState(Kind.FREE if vtable == FREE else Kind.TAKEN, 0, "")
        if count == BUSY:
            return FrameState(Kind.BUSY, 0, "")
        try:
            name = self._mm.types.kind(vtable).type_name()
        except CorruptionError:
            name = f"unknown type {vtable:#x}"
        if count == UNIQUE:
            return FrameState(Kind.UNIQUE, 1, name)
        return FrameState(Kind.SHARED if count < REF_COUNT_MAX else Kind.ILLEGAL, count, name)

    def kind(self, paddr: int) -> type[FrameMeta]:
        """The metadata type of the frame at `paddr`, which has a holder."""
        return self._mm.types.kind(self._port.load(self.slot(paddr) + VTABLE))

    # --- claims ---------------------------------------------------------------------------------------------

    def claim(self, paddr: int, meta: FrameMeta, count: int = 1, *, free: bool = False) -> int:
        """Give the unused frame at `paddr` the metadata `meta` and `count` (1, or UNIQUE); its slot.

        The frame must have been handed out by the frame allocator, or be in the allocator's own hands
        if `free`. Raises Unique, Busy or InUse when it is not unused, FrameMisuse when it is the wrong one's,
        MetaTypeError when `meta` is not what its claimer may use.
        """
        slot = self.slot(paddr)
        port, vtable = self._port, self._mm.types.vtable(type(meta))  # nothing may fail when the slot is busy
        was = port.compare_exchange(slot + REF_COUNT, UNUSED, BUSY)
        if was != UNUSED:
            if was == UNIQUE:
                raise Unique(f"frame {paddr:#x} has a holder of its own: {self.state(paddr)}", paddr)
            if was == BUSY:
                raise Busy(f"frame {paddr:#x} is busy", paddr)
            raise InUse(f"frame {paddr:#x} is {self.state(paddr)}", paddr)
        if (port.load(slot + VTABLE) == FREE) is not free:
            port.store(slot + REF_COUNT, UNUSED)
            raise FrameMisuse("claim", paddr, PAGE_SIZE, str(self.state(paddr)),
                              "a frame in the allocator's hands" if free else "one that the allocator handed out")
        if isinstance(meta, AllocatorMeta) is not free:
            port.store(slot + REF_COUNT, UNUSED)
            if not free:
                refuse_allocators(type(meta))
            raise MetaTypeError(f"frame {paddr:#x} is free: only an allocator may claim it, with AllocatorMeta, "
                                f"not {meta.type_name()}; everybody else asks FrameAllocOptions")
        port.store(slot + VTABLE, vtable)
        if meta.SIZE:
            port.write(slot, meta.to_bytes())
        port.store(slot + REF_COUNT, count)
        return slot

    def claim_range(self, start: int, end: int, meta: FrameMeta) -> None:
        """`claim` every frame of start … end, in bulk, each with a copy of `meta`; all of them or none."""
        if end <= start:
            return
        self.slot(start)
        slot, count = self.slot(end - PAGE_SIZE) - (end - PAGE_SIZE - start >> 6), end - start >> 12
        self.require_handed_out("claim", start, end)
        port = self._port
        port.store_column(slot + REF_COUNT, BUSY, count, META_SLOT_SIZE)
        port.store_column(slot + VTABLE, self._mm.types.vtable(type(meta)), count, META_SLOT_SIZE)
        words = np.frombuffer(meta.to_bytes().ljust(-(-meta.SIZE // 8) * 8, b"\0"), dtype=np.uint64)
        for i, word in enumerate(words):
            port.store_column(slot + 8 * i, int(word), count, META_SLOT_SIZE)
        port.store_column(slot + REF_COUNT, 1, count, META_SLOT_SIZE)

    def require_handed_out(self, operation: str, start: int, end: int) -> None:
        """FrameMisuse unless every frame of start … end is unused and not in the allocator's hands."""
        self._require(operation, start, end, False, "frames handed out and without a holder")

    def require_free(self, operation: str, start: int, end: int) -> None:
        """FrameMisuse unless every frame of start … end is in the allocator's hands."""
        self._require(operation, start, end, True, "frames in the allocator's hands")

    def _require(self, operation: str, start: int, end: int, free: bool, expected: str) -> None:
        port, block = self._port, 1 << 30  # by the GiB, to keep the columns small
        for low in range(start, end, block):
            slot, count = self.base + (low >> 6), min(block, end - low) >> 12
            wrong = port.load_column(slot + REF_COUNT, count, META_SLOT_SIZE) != UNUSED
            owners = port.load_column(slot + VTABLE, count, META_SLOT_SIZE)
            wrong |= owners != FREE if free else owners == FREE
            if wrong.any():
                first = low + int(wrong.argmax()) * PAGE_SIZE
                raise FrameMisuse(operation, start, end - start, f"{first:#x} is {self.state(first)}", expected)

    def mark(self, start: int, end: int, word: int) -> None:
        """Set whose the unused frames of start … end are: FREE or TAKEN."""
        self._port.store_column(self.base + (start >> 6) + VTABLE, word, end - start >> 12, META_SLOT_SIZE)

    # --- counts ---------------------------------------------------------------------------------------------

    def get_from_in_use(self, paddr: int) -> int:
        """Add a holder to a frame that has some; its slot.

        A conditional update, never a blind add: a count on its way to zero is never revived (R1.5).
        Raises NotAligned, OutOfBound, Unused, Busy, Unique.
        """
        slot = self.slot(paddr)
        port = self._port
        count = port.load(slot + REF_COUNT)
        while True:
            if count == UNUSED:
                raise Unused(f"frame {paddr:#x} is unused", paddr)
            if count == UNIQUE:
                raise Unique(f"frame {paddr:#x} has a holder of its own", paddr)
            if count == BUSY:
                raise Busy(f"frame {paddr:#x} is busy", paddr)
            if count >= REF_COUNT_MAX - 1:
                raise CorruptionError(f"frame {paddr:#x}: reference count {count:#x} is illegal, or would become so")
            was = port.compare_exchange(slot + REF_COUNT, count, count + 1)
            if was == count:
                return slot
            count = was

    def add_holder(self, paddr: int) -> None:
        """Add a holder to a frame of which the caller is one (`inc_ref_count`)."""
        was = self._port.fetch_add(self.base + (paddr >> 6) + REF_COUNT, 1)
        if not 0 < was < REF_COUNT_MAX - 1:
            self._port.fetch_add(self.base + (paddr >> 6) + REF_COUNT, -1)
            raise CorruptionError(f"frame {paddr:#x}: reference count {was:#x} is not that of a frame in use")

    def drop_holder(self, paddr: int) -> None:
        """Take a holder away; the last one makes the frame unused and gives it back to the allocator."""
        slot = self.base + (paddr >> 6)
        was = self._port.fetch_add(slot + REF_COUNT, -1)
        if was == 1:
            self.drop_last(paddr, slot, 1)
        elif not 0 < was < REF_COUNT_MAX:
            self._port.fetch_add(slot + REF_COUNT, 1)
            raise CorruptionError(f"frame {paddr:#x}: reference count {was:#x} is not that of a frame in use")

    def drop_last(self, paddr: int, slot: int, restore: int) -> None:
        """Make the busy frame at `paddr` unused and give it back to the allocator (`drop_last_in_place`).

        UNUSED is published before the allocator hears of the frame. If the metadata's on_drop raises, or the
        slot has no type any more, the count becomes `restore` again.
        """
        self._drop_meta(paddr, slot, restore)
        self._port.store(slot + REF_COUNT, UNUSED)
        self._mm.frame_allocator.dealloc(paddr, PAGE_SIZE)

    def reset(self, paddr: int, slot: int) -> None:
        """Make the allocator's unique frame at `paddr` unused, in its hands; FrameMisuse for a user's frame."""
        if not issubclass(self._mm.types.kind(self._port.load(slot + VTABLE)), AllocatorMeta):
            raise FrameMisuse("reset_as_unused", paddr, PAGE_SIZE, str(self.state(paddr)),
                              "a frame that an allocator claimed with AllocatorMeta; others are dropped")
        self._port.store(slot + REF_COUNT, BUSY)
        self._port.store(slot + VTABLE, FREE)
        self._port.store(slot + REF_COUNT, UNUSED)

    def _drop_meta(self, paddr: int, slot: int, restore: int) -> None:
        try:
            kind = self._mm.types.kind(self._port.load(slot + VTABLE))
            if kind.on_drop is not FrameMeta.on_drop:
                kind.at(self._port, slot).on_drop(self._mm, paddr)
        except BaseException:
            self._port.store(slot + REF_COUNT, restore)
            raise
