"""What the check knows of every frame: its slot's words, and who was found to hold it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from kernel.errors import CorruptionError
from kernel.mm.frame.linked_list import BACK, FRONT, ID, SIZE
from kernel.mm.frame.meta import BUSY, FREE, IN_LIST, REF_COUNT, REF_COUNT_MAX, UNIQUE, UNUSED, VTABLE
from kernel.mm.frame.meta_type import FrameMeta
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SIZE

if TYPE_CHECKING:
    from kernel.mm.context import Mm

Words: TypeAlias = npt.NDArray[np.uint64]
Indices: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]
MOST = 20
"""Breaches that are told in words; beyond that they are only counted."""


class Census:
    """The slots of all frames, by frame number from the first, and what a walk finds out about them.

    `references` counts for each frame what holds a count on it, `sole` who is found to be its unique holder.
    `storage` has the first five words of each slot, the metadata, in columns.
    """

    def __init__(self, mm: Mm) -> None:
        slots, port = mm.slots, mm.port
        self.mm, self.first = mm, slots.first_paddr >> 12
        self.size = (slots.max_paddr >> 12) - self.first
        column = slots.base + (slots.first_paddr >> 6)
        self.storage = tuple(port.load_column(column + at, self.size, META_SLOT_SIZE) for at in range(0, REF_COUNT, 8))
        self.counts = port.load_column(column + REF_COUNT, self.size, META_SLOT_SIZE)
        self.words = port.load_column(column + VTABLE, self.size, META_SLOT_SIZE)
        self.in_list = port.load_column(column + IN_LIST, self.size, META_SLOT_SIZE)
        self._links = tuple(memoryview(words) for words in (self.storage[0], self.storage[1], self.in_list))  # type: ignore[arg-type]
        self.references = np.zeros(self.size, dtype=np.int64)
        self.sole = np.zeros(self.size, dtype=np.int64)
        self._free: list[tuple[Indices, int]] = []
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
        if wrong.any():
            for index in np.flatnonzero(wrong).tolist():
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
        mask: Mask = (self.words == self.mm.types.vtable(kind)) & ~self.unused
        return mask

    # --- who holds what -----------------------------------------------------------------------------------------

    def refer(self, paddr: int, what: object) -> None:
        """Something holds a count on the frame at `paddr`."""
        index = self.index(paddr)
        if index < 0:
            self.breach(f"{what} refers to {paddr:#x}, which has no metadata")
        else:
            self.references[index] += 1

    def refer_all(self, paddrs: npt.NDArray[np.uint64] | Sequence[int], what: object) -> None:
        """Something holds a count on each of the frames at `paddrs`; one may occur several times."""
        indices = (np.asarray(paddrs, dtype=np.uint64) >> np.uint64(12)).astype(np.int64) - self.first
        if len(indices):
            wrong = (indices < 0) | (indices >= self.size)
            if wrong.any():
                self.breach(f"{what} refers to {self.paddr(int(indices[wrong][0])):#x}, which has no metadata")
                indices = indices[~wrong]
            np.add.at(self.references, indices, 1)

    def own(self, paddr: int, what: object) -> None:
        """Something is the unique holder of the frame at `paddr`."""
        index = self.index(paddr)
        if index < 0:
            self.breach(f"{what} refers to {paddr:#x}, which has no metadata")
        else:
            self.sole[index] += 1

    def own_free(self, paddrs: Sequence[int], pages: int) -> None:
        """The frame allocator has `pages` pages at each of `paddrs` as free."""
        if not paddrs:
            return
        indices = (np.array(paddrs, dtype=np.int64) >> 12) - self.first
        wrong = (indices < 0) | (indices + pages > self.size)
        if wrong.any():
            self.breach(f"the frame allocator has {self.paddr(int(indices[wrong][0])):#x} ({pages * PAGE_SIZE} bytes), "
                        "which has no metadata")
            indices = indices[~wrong]
        self._free.append((indices, pages))

    def chain(self, head: int, name: str) -> list[int]:
        """The frames, by number, in the frame list at physical `head`, front to back; breaches if it is ill-linked."""
        mm = self.mm
        load = mm.port.load
        link, size, its_id = load(head + FRONT), load(head + SIZE), load(head + ID)
        following, before, in_list = self._links
        zero = mm.slots.to_virtual(mm.slots.base) + (self.first << 6)  # where frame 0 of the census has its slot
        found: list[int] = []
        last = 0
        while link:
            index, odd = divmod(link - zero, META_SLOT_SIZE)
            if odd or not 0 <= index < self.size:
                self.breach(f"{name}: link {link:#x} is not the address of a metadata slot")
                return found
            if not its_id or in_list[index] != its_id or before[index] != last or len(found) == size:
                self.breach(f"{name} (list {its_id}) is broken at frame {self.paddr(index):#x}: list {in_list[index]}, "
                            f"previous link {before[index]:#x} for {last:#x}, place {len(found) + 1} of {size}")
                return found
            found.append(index)
            last, link = link, following[index]
        if len(found) != size or load(head + BACK) != last:
            self.breach(f"{name} (list {its_id}) ends after {len(found)} frames of {size}, at {last:#x}; its head says "
                        f"{load(head + BACK):#x}")
        elif size and np.count_nonzero(self.in_list == its_id) != size:
            self.breach(f"{name} (list {its_id}) has {size} frames; others say that they are in it, too")
        return found

    # --- judgement ----------------------------------------------------------------------------------------------

    def judge_states(self) -> None:
        """States that no frame may be in while nothing runs."""
        self.breaches_at(self.counts == BUSY, "busy while nothing runs")
        self.breaches_at((self.counts >= REF_COUNT_MAX) & ~self.unique & ~self.unused, "an illegal reference count")
        self.breaches_at((self.in_list != 0) & ~self.unique, "in a list, but not unique")
        known = {int(word) for word in np.unique(self.words[~self.unused])}
        for word in known:
            try:
                self.mm.types.kind(word)
            except CorruptionError as why:
                self.breaches_at((self.words == word) & ~self.unused, str(why))

    def judge_free(self, heads: Mask) -> None:
        """Free frames are in exactly one free block or cache, and nothing else is."""
        edges = np.zeros(self.size + 1, dtype=np.int64)
        for indices, pages in self._free:
            np.add.at(edges, indices, 1)
            np.add.at(edges, indices + pages, -1)
        free = np.cumsum(edges[:-1])
        says_free = self.unused & (self.words == FREE) | heads
        self.breaches_at(free > 1, "in more than one free block or cache")
        self.breaches_at(says_free & (free == 0), "free, but in no free block or cache: it is lost")
        self.breaches_at(~says_free & (free != 0), "in a free block or cache, but not free")

    def judge_taken(self, handed_out: Mask) -> None:
        """Frames without a holder are the allocator's, but for those that somebody has just been given."""
        taken = self.unused & (self.words != FREE)
        self.breaches_at(taken & ~handed_out, "handed out, without a holder: it is lost")
        self.breaches_at(handed_out & ~taken, "said to be handed out, but it is not")

    def judge_holders(self, heads: Mask, exact: bool) -> None:
        """Counts match holders."""
        shared = ~self.unused & ~self.unique & (self.counts < REF_COUNT_MAX)
        counts = np.where(shared, self.counts, np.uint64(0)).astype(np.int64)
        wrong = counts != self.references if exact else counts < self.references
        if wrong.any():
            for index in np.flatnonzero(wrong).tolist():
                paddr = self.paddr(index)
                self.breach(f"frame {paddr:#x} ({self.mm.slots.state(paddr)}): "
                            f"{self.references[index]} holders were found")
        self.breaches_at(self.unique & (self.sole > 1), "unique, with several holders")
        self.breaches_at(~self.unique & (self.sole != 0), "held as a unique frame, but not unique")
        if exact:
            self.breaches_at(self.unique & ~heads & (self.sole == 0), "unique, without a holder: it is lost")
