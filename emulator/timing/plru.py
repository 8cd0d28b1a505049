"""Tree pseudo-LRU replacement of any number of ways, as the reference core's BTB and TLBs have it.

The state is one word. A tree over n ways has n - 1 bits: the highest says that the upper part (the
ways beyond the largest power of two below n) was used longer ago; below it stand the bits of the upper
part's own tree, then those of the lower part's.
"""

from __future__ import annotations

from ..engine.native import inline, outline
from ..engine.prims import ld64


@inline
def lower_part(ways: int) -> int:
    """The largest power of two below `ways`."""
    part = 1
    while part * 2 < ways:
        part *= 2
    return part


@outline
def plru_way(state: int, ways: int) -> int:
    """The way to replace."""
    base = 0
    low = 0  # position of the lowest bit of the subtree
    while ways > 1:
        lower = lower_part(ways)
        if state >> (low + ways - 2) & 1:
            base += lower
            low += lower - 1
            ways -= lower
        else:
            ways = lower
    return base


def plru_touched(state: int, ways: int, way: int) -> int:
    """The state after `way` was used. Native code takes it from a table (`plru_table`)."""
    low = 0
    while ways > 1:
        lower = lower_part(ways)
        bit = 1 << (low + ways - 2)
        if way >= lower:
            state &= ~bit
            way -= lower
            low += lower - 1
            ways -= lower
        else:
            state |= bit
            ways = lower
    return state


def plru_table(ways: int) -> list[int]:
    """For each of `ways` (at most 64) ways: the bits of the state that a use keeps, and those that it sets."""
    table = []
    for way in range(ways):
        sets = plru_touched(0, ways, way)
        table += [plru_touched((1 << 63) - 1, ways, way) & ~sets, sets]
    return table


@inline
def plru_touch(state: int, table: int, way: int) -> int:
    """The state after `way` was used, by the `plru_table` at `table`."""
    at = table + 16 * way
    return state & ld64(at) | ld64(at + 8)
