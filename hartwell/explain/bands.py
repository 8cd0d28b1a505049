"""Bands: how long harts were at each level in a number of columns, for whatever draws them.

        columns      the whole run, from its buckets
        stretched    a short part of it, from its single steps
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from emulator.buckets import WAITING, Buckets, time_between
from emulator.engine.tracing import TRACE_WAIT
from emulator.timeline import MOST_STEPS, Timeline

Words = npt.NDArray[np.int64]


def columns(buckets: Buckets, end: int, count: int) -> Words:
    """Cycles by hart, level and column, of `count` columns from 0 to clock `end`; a bucket is in one column only."""
    used = -(-end // buckets.width)
    column = np.minimum(np.arange(used, dtype=np.int64) * buckets.width * count // max(1, end), count - 1)
    found = np.zeros((count, *buckets.cycles.shape[:2]), dtype=np.int64)
    np.add.at(found, column, buckets.cycles[:, :, :used].transpose(2, 0, 1))
    return found.transpose(1, 2, 0)


def events(buckets: Buckets, end: int, count: int) -> Words:
    """Events by column, likewise."""
    used = -(-end // buckets.width)
    column = np.minimum(np.arange(used, dtype=np.int64) * buckets.width * count // max(1, end), count - 1)
    found = np.zeros(count, dtype=np.int64)
    np.add.at(found, column, buckets.events[:used])
    return found


def stretched(timeline: Timeline, hart: int, last: int, start: int, end: int, count: int) -> Words | None:
    """Cycles by level and column of `hart`, whose clock came to `last`, between two clocks: exactly, from the steps.

    None where the timeline has not kept all steps until then.
    """
    if len(timeline.steps) >= MOST_STEPS and timeline.steps[-1].clock < end:
        return None
    starts, levels = [0], [timeline.first_levels[hart]]
    for step in timeline.steps:
        if step.hart == hart:
            if step.kind == TRACE_WAIT:
                starts.append(step.what)
                levels.append(WAITING)
            starts.append(step.clock)
            levels.append(step.after)
    stop = max(starts[-1], last)
    edges = np.minimum(start + (end - start) * np.arange(count + 1, dtype=np.int64) // count, stop)
    return time_between(np.array(starts), stop, np.array(levels), edges)
