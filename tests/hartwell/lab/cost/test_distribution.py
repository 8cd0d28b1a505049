"""Distributions: exact percentiles, and bins that hold every value once."""

from __future__ import annotations

import numpy as np
import pytest

from hartwell.lab.cost.distribution import Distribution, bin_end, edges


@pytest.mark.parametrize("count", [1, 2, 3, 10, 99, 100, 101, 1000])
def test_percentiles_are_those_of_numpy_by_nearest_rank(count: int) -> None:
    values = np.random.Generator(np.random.PCG64(count)).integers(0, 5000, count).astype(np.uint64)
    found = Distribution.of(values)
    expected = [int(np.percentile(values, part, method="inverted_cdf")) for part in (50, 90, 99)]
    assert [found.median, found.p90, found.p99] == expected
    assert (found.least, found.most, found.total) == (values.min(), values.max(), values.sum())
    assert found.mean == pytest.approx(values.mean())


def test_bins_hold_every_value_once() -> None:
    values = np.concatenate([np.arange(300), [1 << 20, (1 << 20) - 1, 7, 8, 9]]).astype(np.uint64)
    found = Distribution.of(values)
    for edge, number in found.bins:
        assert number == ((values >= edge) & (values < bin_end(edge))).sum()
    assert sum(number for _, number in found.bins) == len(values)


def test_a_bin_ends_where_the_next_begins() -> None:
    lower = edges(100_000)
    assert [bin_end(edge) for edge in lower[:-1]] == lower[1:]
    assert lower[:20] == [*range(16), 16, 18, 20, 22]
    assert bin_end(lower[-1]) > 100_000


def test_no_values() -> None:
    found = Distribution.of(np.zeros(0, dtype=np.uint64))
    assert found.to_json() == {"count": 0, "total": 0, "mean": 0.0, "min": 0, "median": 0, "p90": 0, "p99": 0, "max": 0,
                               "histogram": []}
