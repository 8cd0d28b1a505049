"""What the check knows of every frame: its slot's words, and who was found to hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from kernel.mm.frame.meta import BUSY, FREE, IN_LIST, REF_COUNT, REF_COUNT_MAX, UNIQUE, UNUSED, VTABLE
from kernel.mm.frame.meta_type import FrameMeta
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SIZE

if TYPE_CHECKING:
    from kernel.mm.context import Mm

Words: TypeAlias = npt.NDArray[np.uint64]
Mask: TypeAlias = npt.NDArray[np.bool_]
MOST = 20
"""Breaches that are told in words; beyond that they are only counted."""


class Census:
    """The slots of all frames, by frame number from the first, and what a walk finds out about them.

    `references` counts for each frame what holds a count on it, `sole` who is found to be its unique holder,
    `free` in how many free blocks or caches it is.
    """

    def __init__(self, mm: Mm) -> None:
        slots, port = mm.slots, mm.port
        self.mm, self.first = mm, slots.first_paddr >> 12
        self.size = (slots.max_paddr >> 12) - self.first
        column = slots.base + (slots.first_paddr >> 6)
        self.counts = port.load_column(column + REF_COUNT, self.size, META_SLOT_SIZE)
        self.words = port.load_column(column + VTABLE, self.size, META_SLOT_SIZE)
        self.in_list = port.load_column(column + IN_LIST, self.size, META_SLOT_SIZE)
        self.storage = port.load_column(column, self.size, META_SLOT_SIZE)
        """The first word of each slot's storage."""
        self.references = np.zeros(self.size, dtype=np.int64)
        self.sole = np.zeros(self.size, dtype=np.int64)
        self.free = np.zeros(self.size, dtype=np.int64)
        self.breaches: list[str] = []
        self.more = 0
        self.unique = self.counts == UNIQUE
        self.unused = self.counts == UNUSED

    def breach(self, text: str) -> None:
        """Take down a broken invariant."""
        if len(self.breaches) < MOST:
            self.breaches.append(text)
        else:
            self.more += 1

    def breaches_at(self, wrong: Mask, text: str) -> None:
        """Take down `text` for each frame of a mask, with the frame's address and state."""
        for index in np.flatnonzero(wrong)[:MOST].tolist():
            paddr = self.paddr(index)
            self.breach(f"frame {paddr:#x} ({self.mm.slots.state(paddr)}): {text}")

    def paddr(self, index: int) -> int:
        """Physical address of frame `index`."""
        return self.first + index << 12

    def index(self, paddr: int) -> int:
        """The frame at physical `paddr`; -1 if it has no slot."""
        index = (paddr >> 12) - self.first
        return index if 0 <= index < self.size else -1

    def of_type(self, kind: type[FrameMeta]) -> Mask:
        """The frames with a holder whose metadata is of type `kind`, exactly."""
        return (self.words == self.mm.types.vtable(kind)) & ~self.unused

    def refer(self, paddr: int, what: str) -> None:
        """Something holds a count on the frame at `paddr`."""
        index = self.index(paddr)
        if index < 0:
            self.breach(f"{what} refers to {paddr:#x}, which has no metadata")
        else:
            self.references[index] += 1

    def own(self, paddr: int, what: str) -> None:
        """Something is the unique holder of the frame at `paddr`."""
        index = self.index(paddr)
        if index < 0:
            self.breach(f"{what} refers to {paddr:#x}, which has no metadata")
        else:
            self.sole[index] += 1

    def own_free(self, paddr: int, size: int) -> None:
        """The frame allocator has `size` bytes at `paddr` as free."""
        index = self.index(paddr)
        if index < 0 or index + (size // PAGE_SIZE) > self.size:
            self.breach(f"the frame allocator has {paddr:#x} ({size} bytes), which has no metadata")
        else:
            self.free[index:index + size // PAGE_SIZE] += 1

    # --- judgement ----------------------------------------------------------------------------------------------

    def judge_states(self) -> None:
        """States that no frame may be in while nothing runs."""
        self.breaches_at(self.counts == BUSY, "busy while nothing runs")
        self.breaches_at((self.counts >= REF_COUNT_MAX) & ~self.unique & ~self.unused, "an illegal reference count")
        self.breaches_at((self.in_list != 0) & ~self.unique, "in a list, but not unique")

    def judge_free(self, heads: Mask) -> None:
        """Free frames are in exactly one free block or cache, and nothing else is."""
        says_free = self.unused & (self.words == FREE) | heads
        self.breaches_at(self.free > 1, "in more than one free block or cache")
        self.breaches_at(says_free & (self.free == 0), "free, but in no free block or cache: it is lost")
        self.breaches_at(~says_free & (self.free != 0), "in a free block or cache, but not free")

    def judge_taken(self, handed_out: Mask) -> None:
        """Frames without a holder are the allocator's, but for those that somebody has just been given."""
        self.breaches_at(self.unused & (self.words != FREE) & ~handed_out, "handed out, without a holder: it is lost")

    def judge_holders(self, heads: Mask, exact: bool) -> None:
        """Counts match holders."""
        shared = ~self.unused & ~self.unique & (self.counts != BUSY) & (self.counts < REF_COUNT_MAX)
        counts = np.where(shared, self.counts, np.uint64(0)).astype(np.int64)
        wrong = counts != self.references if exact else counts < self.references
        for index in np.flatnonzero(wrong)[:MOST].tolist():
            paddr = self.paddr(index)
            self.breach(f"frame {paddr:#x} ({self.mm.slots.state(paddr)}): {self.references[index]} holders were found")
        self.breaches_at(self.unique & (self.sole > 1), "unique, with several holders")
        self.breaches_at(~self.unique & (self.sole != 0), "held as a unique frame, but not unique")
        listed = self.in_list != 0
        if exact:
            self.breaches_at(self.unique & ~heads & (self.sole == 0) & ~listed, "unique, without a holder: it is lost")
