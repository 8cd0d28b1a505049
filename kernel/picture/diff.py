"""What changed between two pictures of a kernel's memory, in the kernel's terms.

    before = Picture.take(kernel)
    frame = FrameAllocOptions(kernel.mm).alloc_frame()
    print(difference(before, Picture.take(kernel)).frames)

Things are told apart by their places: a frame, a slab, a KVirtArea by its address, an address space by its root.
What was freed and allocated again between the two pictures, and is now as it was, has not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from kernel.errors import InvalidArgs
from kernel.mm.frame.meta import BUSY, FREE, TAKEN, UNIQUE, UNUSED, FrameState, Kind
from kernel.mm.paging import PAGE_SHIFT
from kernel.osdk.frame_allocator.chunk import FreeHeadMeta

from .areas import AreaPicture
from .frame_map import FrameMap
from .mapping_changes import MappingChange, mapping_changes
from .page_tables import AddressSpace, Mapping
from .slabs import LargeAllocation, SizeClass, SlabPicture

if TYPE_CHECKING:
    from .picture import Picture

T = TypeVar("T")
_Words = npt.NDArray[np.uint64]


class FrameChangeKind(Enum):
    """What happened to a frame, as far as two pictures tell."""

    ALLOCATED = "allocated"
    FREED = "freed"
    RETYPED = "of another type"
    HOLDERS = "with other holders"


@dataclass(frozen=True)
class FrameChange:
    """The frames from physical `start` to `end`: all of them were `before`, and are `after`."""

    start: int
    end: int
    before: FrameState
    after: FrameState

    @property
    def frames(self) -> int:
        """How many."""
        return self.end - self.start >> PAGE_SHIFT

    @property
    def kind(self) -> FrameChangeKind:
        """What happened."""
        if self.before.kind is Kind.FREE:
            return FrameChangeKind.ALLOCATED
        if self.after.kind is Kind.FREE:
            return FrameChangeKind.FREED
        return FrameChangeKind.HOLDERS if self.before.type_name == self.after.type_name else FrameChangeKind.RETYPED


@dataclass(frozen=True)
class Change(Generic[T]):
    """Something that has two values, None where it is not there."""

    before: T | None
    after: T | None

    @property
    def thing(self) -> T:
        """It, as it is, or as it last was."""
        thing = self.before if self.after is None else self.after
        assert thing is not None
        return thing


@dataclass(frozen=True)
class SpaceChange(Change[AddressSpace]):
    """An address space that was made, is gone, or has other tables, CPUs, I/O memory or mappings."""

    mappings: tuple[MappingChange, ...]


@dataclass(frozen=True)
class SlabChange(Change[SlabPicture]):
    """A slab that was made, is gone, or has slots that changed hands; bit n of a word of slots is slot n."""

    @property
    def taken(self) -> int:
        """Slots that users have and had not."""
        return _live(self.after) & ~_live(self.before)

    @property
    def given(self) -> int:
        """Slots that users had and have not."""
        return _live(self.before) & ~_live(self.after)


@dataclass(frozen=True)
class Difference:
    """All that changed; everything is empty when nothing did.

    `classes` are the heap's slots by size. `orders` are (order, before, after): free chunks of that order in all
    pools together; `pools` and `caches` are (name, before, after): free bytes.
    """

    frames: tuple[FrameChange, ...]
    spaces: tuple[SpaceChange, ...]
    slabs: tuple[SlabChange, ...]
    classes: tuple[Change[SizeClass], ...]
    large: tuple[Change[LargeAllocation], ...]
    areas: tuple[Change[AreaPicture], ...]
    free: tuple[int, int]
    orders: tuple[tuple[int, int, int], ...]
    pools: tuple[tuple[str, int, int], ...]
    caches: tuple[tuple[str, int, int], ...]

    @property
    def empty(self) -> bool:
        """Whether the two pictures say the same of all this."""
        return not (self.frames or self.spaces or self.slabs or self.classes or self.large or self.areas or self.orders
                    or self.pools or self.caches or self.free[0] != self.free[1])


def difference(before: Picture, after: Picture) -> Difference:
    """What is otherwise in `after`. InvalidArgs if the pictures are of kernels with different memory or paging."""
    for what, old, new in (("memory", (before.frames.first_paddr, before.frames.max_paddr),
                            (after.frames.first_paddr, after.frames.max_paddr)),
                           ("paging", before.paging, after.paging), ("CPUs", before.cpus, after.cpus)):
        if old != new:
            shown = [f"{each[0]:#x}-{each[1]:#x}" if isinstance(each, tuple) else str(each) for each in (old, new)]
            raise InvalidArgs(f"the pictures are of different kernels: {what} {shown[0]} and {shown[1]}")
    return Difference(
        _frame_changes(before.frames, after.frames), _space_changes(before, after),
        tuple(SlabChange(old, new) for old, new in _pairs(before.heap.slabs, after.heap.slabs, _slab_key)
              if old is None or new is None or old.live != new.live),
        _changes(before.heap.classes, after.heap.classes, lambda each: each.slot_size),
        _changes(before.heap.large, after.heap.large, lambda each: each.paddr),
        _changes(before.areas, after.areas, lambda each: each.start),
        (before.buddy.free, after.buddy.free),
        tuple((order, *counts) for order, counts in _numbers(dict(enumerate(before.buddy.counts)),
                                                             dict(enumerate(after.buddy.counts)))),
        tuple((name, *sizes) for name, sizes in _numbers(*(
            {pool.name: pool.total_size for pool in picture.buddy.pools} for picture in (before, after)))),
        tuple((name, *sizes) for name, sizes in _numbers(*(_cache_sizes(picture) for picture in (before, after)))))


# --- frames --------------------------------------------------------------------------------------------------------


def _frame_changes(before: FrameMap, after: FrameMap) -> tuple[FrameChange, ...]:
    numbers: dict[str, int] = {}
    old, new = _Columns.of(before, numbers), _Columns.of(after, numbers)
    starts = np.union1d(old.starts, new.starts)
    was, now = old.at(starts), new.at(starts)
    differs = (was[0] != now[0]) | (was[1] != now[1])
    # Neighbouring pieces with one and the same change are one.
    first = differs.copy()
    if len(starts) > 1:
        same = np.logical_and.reduce([column[1:] == column[:-1] for column in (*was, *now)])
        first[1:] &= ~(same & differs[:-1])
    ends = np.append(starts[1:], np.uint64(after.max_paddr))
    begins = np.flatnonzero(first)
    # A run of pieces ends before the next piece that begins one, or does not differ.
    stops = np.flatnonzero(np.append(first[1:] | ~differs[1:], True) & differs)
    found = []
    for begin, stop in zip(begins.tolist(), stops.tolist(), strict=True):
        found.append(FrameChange(int(starts[begin]), int(ends[stop]), old.state_at(int(starts[begin])),
                                 new.state_at(int(starts[begin]))))
    return tuple(found)


@dataclass(frozen=True)
class _Columns:
    """A frame map in columns that can be compared with another's: the count, and the number of the type's name.

    The same type may have another word in another boot. The heads of free chunks are as free as the frames behind
    them; of frames without a type it only counts whether they are free.
    """

    frames: FrameMap
    starts: _Words
    counts: _Words
    kinds: _Words

    @classmethod
    def of(cls, frames: FrameMap, numbers: dict[str, int]) -> _Columns:
        """The columns; `numbers` are those that type names have been given, and gets new ones."""
        starts, counts, words = frames.columns()
        kinds = words.copy()
        for word, name in frames.names:
            kinds[words == np.uint64(word)] = numbers.setdefault(name, 1 + len(numbers))
        head = np.uint64(numbers.get(FreeHeadMeta.type_name(), 0))
        unused = counts == np.uint64(UNUSED)
        free = unused & (words == np.uint64(FREE)) | (counts == np.uint64(UNIQUE)) & (kinds == head)
        kinds = np.where(free, np.uint64(FREE), np.where(unused | (counts == np.uint64(BUSY)), np.uint64(TAKEN), kinds))
        return cls(frames, starts, np.where(free, np.uint64(UNUSED), counts), kinds)

    def at(self, starts: _Words) -> tuple[_Words, _Words]:
        """Count and kind of the frames at these addresses, ascending."""
        index = np.searchsorted(self.starts, starts, "right") - 1
        return self.counts[index], self.kinds[index]

    def state_at(self, paddr: int) -> FrameState:
        """The state of the frame at `paddr`; a chunk's head is free like all of it."""
        index = int(np.searchsorted(self.starts, np.uint64(paddr), "right")) - 1
        if self.kinds[index] == np.uint64(FREE):
            return FrameState(Kind.FREE, 0, "")
        _, counts, words = self.frames.columns()
        return self.frames.state_of(int(counts[index]), int(words[index]))


# --- address spaces ------------------------------------------------------------------------------------------------


def _space_changes(before: Picture, after: Picture) -> tuple[SpaceChange, ...]:
    old_mappings, new_mappings = _mappings(before), _mappings(after)
    found = []
    for old, new in _pairs(before.spaces, after.spaces, lambda space: space.root):
        changes = mapping_changes(*(() if space is None else mappings[space.root] for space, mappings in
                                    ((old, old_mappings), (new, new_mappings))))
        if old != new or changes:
            found.append(SpaceChange(old, new, changes))
    return tuple(found)


def _mappings(picture: Picture) -> dict[int, tuple[Mapping, ...]]:
    """What each space maps, by its root; the kernel's is the first."""
    kernel = tuple(mapping for part in picture.layout for mapping in part.mappings)
    return {space.root: mappings
            for space, mappings in zip(picture.spaces, (kernel, *picture.user_mappings), strict=True)}


# --- things with a key ---------------------------------------------------------------------------------------------


def _pairs(before: Iterable[T], after: Iterable[T], key: Callable[[T], Any]) -> list[tuple[T | None, T | None]]:
    """What is in either, by key, ascending: as it was and as it is, None where it is not."""
    old, new = ({key(each): each for each in side} for side in (before, after))
    return [(old.get(each), new.get(each)) for each in sorted(old.keys() | new.keys())]


def _changes(before: Iterable[T], after: Iterable[T], key: Callable[[T], int]) -> tuple[Change[T], ...]:
    return tuple(Change(old, new) for old, new in _pairs(before, after, key) if old != new)


K = TypeVar("K", bound=Hashable)


def _numbers(before: dict[K, int], after: dict[K, int]) -> list[tuple[K, tuple[int, int]]]:
    """The keys, in their order, whose numbers differ; one that is not there has 0."""
    return [(key, (before.get(key, 0), after.get(key, 0))) for key in dict.fromkeys((*before, *after))
            if before.get(key, 0) != after.get(key, 0)]


def _cache_sizes(picture: Picture) -> dict[str, int]:
    """Free bytes in each CPU's caches."""
    sizes: dict[str, int] = {}
    for cache in picture.buddy.caches:
        sizes[f"cache of CPU {cache.cpu}"] = sizes.get(f"cache of CPU {cache.cpu}", 0) + cache.total_size
    return sizes


def _slab_key(slab: SlabPicture) -> tuple[int, int]:
    """A frame that became a slab of another slot size is another slab."""
    return slab.paddr, slab.slot_size


def _live(slab: SlabPicture | None) -> int:
    return 0 if slab is None else slab.live
