"""Distributions of what calls cost: exact percentiles, and a histogram of logarithmic bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Distribution:
    """How `count` values are distributed; all are 0 when there are none.

    Percentiles are values that occurred: the p-th is the least that p per cent of the values do not exceed (nearest
    rank). `bins` are (least value, how many): a bin ends where the next begins, see `edges`.
    """

    count: int
    total: int
    least: int
    median: int
    p90: int
    p99: int
    most: int
    bins: tuple[tuple[int, int], ...]

    @property
    def mean(self) -> float:
        """Of all; 0 when there are none."""
        return self.total / self.count if self.count else 0.0

    @classmethod
    def of(cls, values: Counts) -> Distribution:
        """The distribution of `values`, in any order."""
        if not len(values):
            return cls(0, 0, 0, 0, 0, 0, 0, ())
        ordered = np.sort(values)
        count = len(ordered)
        ranks = [int(ordered[max(-(-percent * count // 100), 1) - 1]) for percent in (50, 90, 99)]
        lower = edges(int(ordered[-1]))
        starts = np.searchsorted(ordered, np.array([*lower, lower[-1] << 1], dtype=np.uint64))
        starts[-1] = count
        bins = tuple((edge, int(number)) for edge, number in zip(lower, np.diff(starts), strict=True) if number)
        return cls(count, int(ordered.sum()), int(ordered[0]), ranks[0], ranks[1], ranks[2], int(ordered[-1]), bins)

    def to_json(self) -> dict[str, Any]:
        """As JSON has it; the mean is rounded to a thousandth."""
        return {"count": self.count, "total": self.total, "mean": round(self.mean, 3), "min": self.least,
                "median": self.median, "p90": self.p90, "p99": self.p99, "max": self.most,
                "histogram": [list(bin_) for bin_ in self.bins]}


def edges(most: int) -> list[int]:
    """Where bins begin, for values up to `most`: 0, 1, 2 … 16, from there eight to each power of two (16, 18, 20)."""
    found = list(range(16))
    power = 16
    while power <= most:
        found += [power + part * power // 8 for part in range(8)]
        power <<= 1
    return [edge for edge in found if edge <= most]


def bin_end(edge: int) -> int:
    """Where the bin that begins at `edge` ends: the first value that is not in it."""
    return edge + (1 << max(edge.bit_length() - 4, 0))
