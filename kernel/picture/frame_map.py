"""The frame map: what every frame's slot says, in runs of equal neighbours.

    0x8000_0000   in use by 1 as UnusableMemoryMeta     16 frames
    0x8001_0000   free                                 496 frames
    …

A machine of 64 GiB has 16 million slots. They are read in columns, some thousand at a time, and only where
a run begins does anything become a Python object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kernel.errors import CorruptionError
from kernel.mm.frame.meta import BUSY, FREE, REF_COUNT, REF_COUNT_MAX, UNIQUE, UNUSED, VTABLE, FrameState, Kind
from kernel.mm.frame.meta_type import FrameMeta
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SHIFT, PAGE_SIZE
from kernel.osdk.frame_allocator.chunk import FreeHeadMeta

from .reading import reading

if TYPE_CHECKING:
    from kernel.mm.context import Mm

_AT_ONCE = 1 << 15
"""Slots that are looked at at once: 2 MiB, which a host's caches hold."""
_Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class FrameRun:
    """The frames from physical `start` to `end`, whose slots all say `state`."""

    start: int
    end: int
    state: FrameState

    @property
    def frames(self) -> int:
        """How many frames."""
        return self.end - self.start >> PAGE_SHIFT

    @property
    def size(self) -> int:
        """Bytes of the frames."""
        return self.end - self.start


@dataclass(frozen=True)
class FrameMap:
    """The runs of the frames from `first_paddr` to `max_paddr`; `read` makes one.

    `starts`, `counts` and `types` are columns of 64-bit words, one for each run: its first frame's address, its
    reference count and its type word. `names` is the type table that the words refer to.
    """

    first_paddr: int
    max_paddr: int
    starts: bytes
    counts: bytes
    types: bytes
    names: tuple[tuple[int, str], ...]

    @classmethod
    def read(cls, mm: Mm) -> FrameMap:
        """The map of a kernel's frames."""
        slots = mm.slots
        first, end = slots.first_paddr, slots.max_paddr
        found: list[tuple[_Words, _Words, _Words]] = []
        with reading("frame metadata"), mm.port.looking():
            for low in range(first, end, _AT_ONCE << PAGE_SHIFT):
                found.append(_runs(mm, low, min(end - low >> PAGE_SHIFT, _AT_ONCE)))
            names = tuple((word, mm.types.kind(word).type_name()) for word, *_ in mm.types.entries())
        starts, counts, types = (np.concatenate(columns) for columns in zip(*found, strict=True))
        # A run may go on behind the place where two reads meet.
        new = np.ones(len(starts), dtype=np.bool_)
        new[1:] = (counts[1:] != counts[:-1]) | (types[1:] != types[:-1])
        return cls(first, end, starts[new].tobytes(), counts[new].tobytes(), types[new].tobytes(), names)

    @property
    def frames(self) -> int:
        """Frames that have a slot."""
        return self.max_paddr - self.first_paddr >> PAGE_SHIFT

    def __len__(self) -> int:
        """Runs."""
        return len(self.starts) // 8

    def __iter__(self) -> Iterator[FrameRun]:
        """The runs, ascending."""
        starts = self.columns()[0].tolist()
        ends = [*starts[1:], self.max_paddr]
        _, counts, types = (column.tolist() for column in self.columns())
        for start, end, count, word in zip(starts, ends, counts, types, strict=True):
            yield FrameRun(start, end, self.state_of(count, word))

    def __repr__(self) -> str:
        return f"<FrameMap {self.first_paddr:#x}-{self.max_paddr:#x}, {len(self)} runs>"

    def columns(self) -> tuple[_Words, _Words, _Words]:
        """`starts`, `counts` and `types` as arrays."""
        return (np.frombuffer(self.starts, dtype=np.uint64), np.frombuffer(self.counts, dtype=np.uint64),
                np.frombuffer(self.types, dtype=np.uint64))

    def lengths(self) -> _Words:
        """Frames in each run."""
        return np.diff(self.columns()[0], append=np.uint64(self.max_paddr)) >> np.uint64(PAGE_SHIFT)

    def between(self, start: int, end: int) -> Iterator[FrameRun]:
        """The runs in the physical range, cut where it begins and ends."""
        starts, counts, types = self.columns()
        first = max(int(np.searchsorted(starts, np.uint64(start), "right")) - 1, 0)
        for index in range(first, len(starts)):
            low = int(starts[index])
            high = int(starts[index + 1]) if index + 1 < len(starts) else self.max_paddr
            if low >= end:
                return
            if high > start:
                yield FrameRun(max(low, start), min(high, end), self.state_of(int(counts[index]), int(types[index])))

    def of_type(self, mm: Mm, kind: type[FrameMeta]) -> list[int]:
        """Physical addresses of all frames with a holder whose metadata is of type `kind`, exactly."""
        starts, counts, types = self.columns()
        # Asking the table for the type's word would put it there if it is not.
        words = [word for word, _ in self.names if mm.types.kind(word) is kind]
        wanted = np.flatnonzero(np.isin(types, np.array(words, dtype=np.uint64)) & (counts != UNUSED))
        lengths = self.lengths()
        runs = zip(starts[wanted].tolist(), lengths[wanted].tolist(), strict=True)
        return [start + n * PAGE_SIZE for start, count in runs for n in range(count)]

    def state_of(self, count: int, word: int) -> FrameState:
        """The state that a reference count and a type word say."""
        if count == UNUSED:
            return FrameState(Kind.FREE if word == FREE else Kind.TAKEN, 0, "")
        if count == BUSY:
            return FrameState(Kind.BUSY, 0, "")
        name = dict(self.names).get(word, f"unknown type {word:#x}")
        if count == UNIQUE:
            # All frames of a free chunk are free; that its first one is claimed is how the allocator finds it.
            return FrameState(Kind.FREE if name == FreeHeadMeta.type_name() else Kind.UNIQUE, 1, name)
        return FrameState(Kind.SHARED if count < REF_COUNT_MAX else Kind.ILLEGAL, count, name)

    def require_sound(self) -> None:
        """CorruptionError at the first frame whose reference count or type cannot be."""
        starts, counts, types = self.columns()
        known = np.array([word for word, _ in self.names], dtype=np.uint64)
        typed = (counts != UNUSED) & (counts != BUSY)
        wrong = (counts >= REF_COUNT_MAX) & (counts != UNIQUE) & (counts != UNUSED) | typed & ~np.isin(types, known)
        if wrong.any():
            index = int(wrong.argmax())
            raise CorruptionError(f"frame {int(starts[index]):#x}: reference count {int(counts[index]):#x}, type word "
                                  f"{int(types[index]):#x}: its metadata slot is corrupt")


def _runs(mm: Mm, low: int, count: int) -> tuple[_Words, _Words, _Words]:
    """The runs of `count` frames from physical `low` on."""
    slot = mm.slots.base + (low >> 6)
    counts = mm.port.load_column(slot + REF_COUNT, count, META_SLOT_SIZE)
    words = mm.port.load_column(slot + VTABLE, count, META_SLOT_SIZE)
    changes = (counts[1:] != counts[:-1]) | (words[1:] != words[:-1])
    at = np.concatenate((np.zeros(1, dtype=np.int64), np.flatnonzero(changes) + 1))
    return (at.astype(np.uint64) << np.uint64(PAGE_SHIFT)) + np.uint64(low), counts[at], words[at]
