"""Time in buckets: how long each hart was at each level, in slices of equal length, however long the run.

        width 4     |M M M S|S S S S|S M M -|-
                     M 3 S 1  S 4     S 1 M 2 waiting 1 …

There are COUNT buckets. They begin with a width of one cycle; whenever time runs beyond the last, two become one.
All are whole numbers, so that how a run was cut into pieces for counting changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

COUNT: Final = 2048
"""Buckets; a power of two."""
LEVELS: Final = 4
"""Rows of a hart: its privilege, U 0, S 1, M 3, and WAITING."""
WAITING: Final = 2
"""The row of a hart that waits for an interrupt; as a privilege level the number is reserved."""

Words = npt.NDArray[np.int64]


def time_between(starts: Words, end: int, levels: Words, edges: Words) -> Words:
    """By level, the time between each two of `edges`, of a hart that was at `levels[i]` from `starts[i]` to the next.

    The last level lasts until `end`. Starts and edges ascend, and no edge is before the first start or behind `end`.
    """
    at = np.searchsorted(starts, edges, side="right") - 1
    lengths = np.diff(starts, append=end)
    found = np.zeros((LEVELS, len(edges) - 1), dtype=np.int64)
    for level in range(LEVELS):
        mine = levels == level
        if mine.any():
            before = np.cumsum(lengths * mine) - lengths * mine
            found[level] = np.diff(before[at] + np.where(mine[at], edges - starts[at], 0))
    return found


class Buckets:
    """Cycles of `harts` harts by level and time; `events` counts points in time."""

    def __init__(self, harts: int) -> None:
        self.width = 1
        """Cycles of a bucket."""
        self.cycles: Words = np.zeros((harts, LEVELS, COUNT), dtype=np.int64)
        """By hart, level, and bucket."""
        self.events: Words = np.zeros(COUNT, dtype=np.int64)
        """By bucket."""

    def add(self, hart: int, starts: Words, end: int, levels: Words) -> None:
        """A hart was at `levels[i]` from `starts[i]` until the next start, and at the last one until `end`."""
        begin = int(starts[0])
        if begin >= end:
            return
        self._make_room(end)
        width = self.width
        first, last = begin // width, (end - 1) // width
        edges = np.clip(np.arange(first, last + 2, dtype=np.int64) * width, begin, end)
        self.cycles[hart, :, first:last + 1] += time_between(starts, end, levels, edges)

    def count(self, clocks: Words) -> None:
        """Something happened at each of these clocks."""
        if len(clocks):
            self._make_room(int(clocks.max()) + 1)
            self.events += np.bincount(clocks // self.width, minlength=COUNT)

    def _make_room(self, end: int) -> None:
        while end > self.width * COUNT:
            for columns in (self.cycles, self.events):
                halved = columns.reshape(*columns.shape[:-1], COUNT // 2, 2).sum(-1)
                columns[...] = 0
                columns[..., :COUNT // 2] = halved
            self.width *= 2
