"""How much is live: each function gives, for each operation, the bytes up to which it allocates.

A level that changes from one operation to the next mixes allocations and deallocations; one that stays is held; one
that falls to 0 gives everything back.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from .workload import Demand, Words

TEETH: Final = 24
"""Rises and falls of a sawtooth, a ramp or a tide."""


def _of(demand: Demand, share: npt.NDArray[np.float64]) -> Words:
    level: Words = (np.clip(share, 0.0, 1.0) * demand.live).astype(np.uint64)
    return level


def _phase(demand: Demand) -> npt.NDArray[np.float64]:
    """How far each operation is in its tooth: 0 … 1."""
    teeth = max(min(TEETH, demand.count // 64), 1)
    phase: npt.NDArray[np.float64] = np.modf(np.arange(demand.count) * (teeth / demand.count))[0]
    return phase


def noise(demand: Demand) -> Words:
    """Any level at any time: half of the operations allocate, and about half of the memory is live."""
    return _of(demand, demand.random.random(demand.count))


def full(demand: Demand) -> Words:
    """Nearly all that may be live is."""
    return _of(demand, 1.0 - 0.2 * demand.random.random(demand.count))


def ramp(demand: Demand) -> Words:
    """Up steadily, then down to nothing."""
    phase = _phase(demand)
    return _of(demand, np.where(phase < 0.5, 1.0, 0.0))


def sawtooth(demand: Demand) -> Words:
    """Slowly up with much coming and going, and at once down to a fifth."""
    phase = _phase(demand)
    rise = 0.2 + phase * (0.4 + 0.8 * demand.random.random(demand.count))
    return _of(demand, np.where(phase > 0.85, 0.2, rise))


def bursts(demand: Demand) -> Words:
    """Runs of allocations, then runs of deallocations, of a few dozen each, around a level in the middle."""
    run = 16 + int(demand.random.integers(0, 48))
    turn = np.arange(demand.count) // run
    high = 0.4 + 0.6 * demand.random.random(int(turn[-1]) + 1)
    return _of(demand, np.where(turn % 2 == 0, high[turn], 0.4 * high[turn]))


def one(demand: Demand) -> Words:
    """One block, given back at once, and again."""
    level = np.zeros(demand.count, dtype=np.uint64)
    return level
