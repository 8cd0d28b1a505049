"""Areas: the ranges of a program's addresses that mean something (Linux's `vm_area_struct`)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from kernel.mm.frame.frame import Frame
from kernel.mm.frame.meta_type import Unit
from kernel.mm.page_table.pte import PageFlags


class Backing(Protocol):
    """Where the pages of an area come from when they are first touched."""

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes at `offset`, fewer at the end."""

    def frame(self, offset: int) -> Frame[Unit] | None:
        """One more reference to the frame that holds the page at `offset`; None if there is none to be shared."""

    def hold_frames(self, offset: int, count: int) -> list[int]:
        """`frame` for `count` pages in a row, as many as are in memory: physical addresses, a count on each."""

    def hold(self) -> None:
        """An address space has it now."""

    def release(self) -> None:
        """An address space does not have it any more."""


@dataclass(frozen=True, slots=True)
class Area:
    """Addresses from `start` to `end`, multiples of 4096, that may be used as `prot` says.

    Pages come from `backing`, `offset` bytes on from `start`, up to `limit` bytes of it; zeroes beyond, and
    without one. `shared` pages stay the same ones after a fork; those of other areas are copied when written to.
    """

    start: int
    end: int
    prot: PageFlags
    backing: Backing | None = None
    offset: int = 0
    limit: int = 0
    shared: bool = False
    name: str = ""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start

    def part(self, start: int, end: int) -> Area:
        """The part of it from `start` to `end`."""
        return replace(self, start=start, end=end, offset=self.offset + start - self.start)

    def contents(self, vaddr: int, size: int) -> bytes:
        """What its pages hold at first, `size` bytes at `vaddr` at most: what is missing is zero."""
        if self.backing is None:
            return b""
        at = self.offset + vaddr - self.start
        return self.backing.read(at, max(min(size, self.limit - at), 0))

    def frame(self, vaddr: int) -> Frame[Unit] | None:
        """A frame of the backing's that holds all of the page at `vaddr`, to be shared; None if there is none."""
        at = self.offset + vaddr - self.start
        if self.backing is None or at < 0 or at + 4096 > self.limit:
            return None
        return self.backing.frame(at)

    def hold_frames(self, vaddr: int, count: int) -> list[int]:
        """`frame` for `count` pages from `vaddr` on, as many as there are in a row: addresses, a count on each."""
        at = self.offset + vaddr - self.start
        count = min(count, self.limit - at >> 12)
        return [] if self.backing is None or at < 0 or count <= 0 else self.backing.hold_frames(at, count)

    def goes_on_as(self, other: Area) -> bool:
        """Whether `other`, which begins at its end, is more of the same."""
        return (self.end == other.start and self.prot == other.prot and self.shared == other.shared
                and self.name == other.name and self.backing is other.backing and self.limit == other.limit
                and (self.backing is None or self.offset + self.size == other.offset))


class Areas:
    """The areas of an address space, ascending, without overlap; neighbours that are alike are one."""

    def __init__(self, areas: tuple[Area, ...] = ()) -> None:
        self._areas = list(areas)
        self._starts = [area.start for area in areas]

    def __iter__(self) -> Iterator[Area]:
        return iter(self._areas)

    def __len__(self) -> int:
        return len(self._areas)

    def copy(self) -> Areas:
        """The same areas."""
        return Areas(tuple(self._areas))

    def find(self, vaddr: int) -> Area | None:
        """The area that `vaddr` is in."""
        at = bisect_right(self._starts, vaddr) - 1
        return self._areas[at] if at >= 0 and vaddr < self._areas[at].end else None

    def within(self, start: int, end: int) -> list[Area]:
        """The parts of areas from `start` to `end`."""
        first, last = self._span(start, end)
        return [area.part(max(area.start, start), min(area.end, end)) for area in self._areas[first:last]]

    def covers(self, start: int, end: int) -> bool:
        """Whether every address from `start` to `end` is in an area."""
        return sum(area.size for area in self.within(start, end)) == end - start

    def clear(self, start: int, end: int) -> None:
        """Take `start` to `end` out of whatever areas are there."""
        first, last = self._span(start, end)
        self._replace(first, last, [part for area in self._areas[first:last] for part in (
            *([area.part(area.start, start)] if area.start < start else []),
            *([area.part(end, area.end)] if area.end > end else []))])

    def put(self, area: Area) -> None:
        """Add an area, in the place of what was there."""
        self.clear(area.start, area.end)
        first = last = bisect_left(self._starts, area.start)
        if first and self._areas[first - 1].goes_on_as(area):
            first -= 1
            area = replace(self._areas[first], end=area.end)
        if last < len(self._areas) and area.goes_on_as(self._areas[last]):
            area = replace(area, end=self._areas[last].end)
            last += 1
        self._replace(first, last, [area])

    def gap(self, size: int, low: int, high: int) -> int | None:
        """The highest free `size` bytes between `low` and `high`; None if there are none."""
        top = high
        for area in reversed(self._areas):
            if area.start >= high:
                continue
            if top - max(area.end, low) >= size:
                return top - size
            top = min(top, area.start)
            if top - low < size:
                return None
        return top - size if top - low >= size else None

    def _span(self, start: int, end: int) -> tuple[int, int]:
        """The places of the areas that have anything from `start` to `end`: the first, and that behind the last."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        if first < len(self._areas) and self._areas[first].end <= start:
            first += 1
        return first, max(bisect_left(self._starts, end), first)

    def _replace(self, first: int, last: int, areas: list[Area]) -> None:
        self._areas[first:last] = areas
        self._starts[first:last] = [area.start for area in areas]
