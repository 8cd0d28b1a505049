"""Fragmentation over virtual time, as it is seen from outside.

A page is *free* when no allocated block has a byte in it. What the allocator does with free pages, which of them it
needs itself, and what it rounds sizes up to, is not to be seen; so these figures judge where it *places* blocks. (What
it keeps for itself is measured otherwise: `waste`.) Free pages are counted as a buddy system would keep them if all
that can be merged is: each run of them is cut into blocks of 2^k pages at multiples of 2^k.

On those counts, two indices of Linux, per order k, in thousandths (extfrag/unusable_index and extfrag_index of its
debugfs; M. Gorman, mm/vmstat.c):

        unusable(k)       the share of free memory that is in blocks too small for 2^k pages
                          (free - suitable * 2^k) / free;  1000 when nothing is free

        fragmentation(k)  why a request for 2^k pages would fail: towards 0 for want of memory, towards 1000 because of
                          fragmentation;  -1000 when it would not fail
                          1000 - (1000 + free * 1000 / 2^k) / blocks;  0 when nothing is free

`free` are pages, `blocks` free blocks of any order, `suitable` how many blocks of 2^k those of order k or more hold.
All divisions are those of whole numbers, as Linux has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hartwell.lab.subject.subject import Memory

from .history import History, Occupancy

PAGE: Final = 4096
HIGHEST: Final = 10
"""The highest order that is counted: Linux's, blocks of 4 MiB."""
MOMENTS: Final = 240
"""Moments of virtual time at which fragmentation is looked at."""
ROWS: Final = 128
"""Parts that the memory is divided into on a map."""

Words = npt.NDArray[np.int64]


def free_blocks(free: npt.NDArray[np.bool_], first: int, highest: int) -> list[int]:
    """How many free blocks there are of each order up to `highest`; page 0 of `free` has the number `first`."""
    step = 1 << highest
    before = first % step
    level = np.zeros(-(-(before + len(free)) // step) * step, dtype=bool)
    level[before:before + len(free)] = free
    counts = []
    for _ in range(highest):
        both = level[0::2] & level[1::2]
        counts.append(int(level.sum()) - 2 * int(both.sum()))
        level = both
    return [*counts, int(level.sum())]


def unusable_index(counts: Sequence[int], order: int) -> int:
    """Linux's unusable free space index of `counts` free blocks by order, 0 to 1000."""
    free, suitable = _free(counts), _suitable(counts, order)
    return (free - (suitable << order)) * 1000 // free if free else 1000


def fragmentation_index(counts: Sequence[int], order: int) -> int:
    """Linux's fragmentation index of `counts` free blocks by order: 0 to 1000, or -1000."""
    blocks = sum(counts)
    if not blocks:
        return 0
    if _suitable(counts, order):
        return -1000
    return 1000 - (1000 + _free(counts) * 1000 // (1 << order)) // blocks


def _free(counts: Sequence[int]) -> int:
    return sum(count << order for order, count in enumerate(counts))


def _suitable(counts: Sequence[int], order: int) -> int:
    return sum(count << each - order for each, count in enumerate(counts) if each >= order)


def longest_run(free: npt.NDArray[np.bool_]) -> int:
    """Pages of the longest run of free ones, wherever it begins."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], free, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[0::2]).max()) if len(edges) else 0


@dataclass(frozen=True)
class Fragmentation:
    """Fragmentation at moments at equal distances of virtual time; row n of each is that of `time[n]`.

    `free[n][k]` are free blocks of order k, `longest` pages of the longest run of free ones, `live` bytes allocated,
    `used` pages that have an allocated byte. `map` has a column for each moment and a row for each of ROWS parts of the
    memory: the share of it that is allocated, 0 to 255. `touched` are pages that ever had a block.
    """

    time: tuple[int, ...]
    operation: tuple[int, ...]
    free: tuple[tuple[int, ...], ...]
    longest: tuple[int, ...]
    live: tuple[int, ...]
    used: tuple[int, ...]
    pages: int
    touched: int
    map: npt.NDArray[np.uint8]

    @property
    def orders(self) -> int:
        """How many orders are counted."""
        return len(self.free[0]) if self.free else 0

    def unusable(self, order: int) -> list[int]:
        """The unusable free space index at each moment."""
        return [unusable_index(counts, order) for counts in self.free]

    def index(self, order: int) -> list[int]:
        """The fragmentation index at each moment."""
        return [fragmentation_index(counts, order) for counts in self.free]

    @property
    def utilisation(self) -> list[int]:
        """Bytes allocated of those in pages that have any, in thousandths: 1000 where nothing is allocated."""
        return [live * 1000 // (used * PAGE) if used else 1000 for live, used in zip(self.live, self.used, strict=True)]

    @property
    def overall_utilisation(self) -> int:
        """The same over all the time: of all bytes in such pages at all moments."""
        whole = sum(self.used) * PAGE
        return sum(self.live) * 1000 // whole if whole else 1000

    @property
    def scattered(self) -> list[int]:
        """The share of free pages that is not in the longest run of them, in thousandths."""
        free = [self.pages - used for used in self.used]
        return [(each - run) * 1000 // each if each else 0 for each, run in zip(free, self.longest, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """As JSON has it: figures of all the time, and `moments`."""
        orders = range(self.orders)
        unusable = [self.unusable(order) for order in orders]
        index = [self.index(order) for order in orders]
        return {
            "pages": self.pages, "touched_pages": self.touched,
            "unusable": [{"order": order, "mean": mean(unusable[order]), "max": max(unusable[order])}
                         for order in orders],
            "scattered": {"mean": mean(self.scattered), "max": max(self.scattered)},
            "utilisation": {"mean": self.overall_utilisation, "min": min(self.utilisation)},
            "moments": {
                "time": list(self.time), "operation": list(self.operation), "live": list(self.live),
                "used_pages": list(self.used), "longest_run": list(self.longest),
                "free_blocks": [list(counts) for counts in self.free],
                "unusable": unusable, "fragmentation": index,
            },
        }


def mean(values: Sequence[int]) -> int:
    """The mean of thousandths, rounded."""
    return (2 * sum(values) + len(values)) // (2 * len(values)) if values else 0


def follow(history: History, memory: Memory, moments: int = MOMENTS) -> Fragmentation:
    """The fragmentation at `moments` moments of a history, on `memory` that was all free before it."""
    occupancy = Occupancy(history, memory)
    pages = len(occupancy.pages)
    highest = min(HIGHEST, pages.bit_length() - 1)
    done = history.moments(moments)
    free, longest, used = [], [], []
    picture = np.zeros((ROWS, moments), dtype=np.uint8)
    for moment, operation in enumerate(done.tolist()):
        allocated = occupancy.to(operation)
        empty = allocated == 0
        free.append(tuple(free_blocks(empty, memory.paddr // PAGE, highest)))
        longest.append(longest_run(empty))
        used.append(pages - int(empty.sum()))
        picture[:, moment] = _shares(allocated)
    live = np.concatenate(([0], history.live))[done]
    times = tuple(history.end * (n + 1) // moments for n in range(moments))
    return Fragmentation(times, tuple(done.tolist()), tuple(free), tuple(longest), tuple(live.tolist()), tuple(used),
                         pages, int(occupancy.touched.sum()), picture)


def _shares(allocated: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """How much of each part of the memory is allocated, 0 to 255; anything at all is 1 at least."""
    sums = np.concatenate(([0], np.cumsum(allocated, dtype=np.int64)))
    begin = np.arange(ROWS) * len(allocated) // ROWS
    end = np.maximum((np.arange(ROWS) + 1) * len(allocated) // ROWS, begin + 1)  # few pages: some are shown twice
    whole = (end - begin) * PAGE
    shares: npt.NDArray[np.uint8] = np.clip(-(-(sums[end] - sums[begin]) * 255 // whole), 0, 255).astype(np.uint8)
    return shares
