"""The first-level caches: which lines are there, and which one makes room.

A cache is a table of tags in a hart's state (`layout.T_L1I_TAGS`, `T_L1D_TAGS`), indexed by set and
way. A tag is the line's number (physical address / line size) << 2, with bit 1 for dirty and bit 0 for
valid. Data are not kept: the machine's memory has them. What a miss costs is the caller's business,
who gets MISS or MISS_DIRTY.

Replacement follows the reference core: a 16-bit Fibonacci shift register whose low bits name the way,
whether that way is free or not. The data cache uses the register and then steps it, the instruction
cache steps it and then uses it. `lru` profiles replace a free way first, then the one used longest ago.
"""

from __future__ import annotations

from typing import Final

from ..engine.native import inline, outline
from ..engine.prims import ld64, st64
from .events import Event
from .layout import (
    C_LINE_BITS, C_LRU, C_SETS, C_WAYS, P_L1D, P_L1I, T_EVENTS, T_L1D_EPOCH, T_L1D_LATEST, T_L1D_SHIFT, T_L1D_TAGS,
    T_L1D_USED, T_L1I_EPOCH, T_L1I_SHIFT, T_L1I_TAGS, T_L1I_USED, T_PARAMS, T_TICK,
)

HIT: Final = 0
MISS: Final = 1
MISS_DIRTY: Final = 2
FIRST_DIRTY: Final = 3  # a store hit a line that was clean

L1I_ACCESSES: Final = int(Event.L1I_ACCESSES)
L1I_MISSES: Final = int(Event.L1I_MISSES)
L1D_ACCESSES: Final = int(Event.L1D_ACCESSES)
L1D_MISSES: Final = int(Event.L1D_MISSES)
L1D_WRITEBACKS: Final = int(Event.L1D_WRITEBACKS)


@inline
def count(t: int, event: int) -> None:
    """Count `event` once."""
    at = ld64(t + T_EVENTS) + 8 * event
    st64(at, ld64(at) + 1)


@inline
def step(register: int) -> int:
    """The next value of a replacement register."""
    bit = (register >> 15 ^ register >> 13 ^ register >> 12 ^ register >> 10) & 1
    return (register << 1 | bit) & 0xFFFF


@inline
def victim(t: int, tags: int, used: int, ways: int) -> int:
    """The way that `lru` replaces in the set whose tags are at `tags`."""
    best = 0
    for way in range(ways):
        if not ld64(tags + 8 * way) & 1:
            return way
        if ld64(used + 8 * way) < ld64(used + 8 * best):
            best = way
    return best


@outline
def l1d_access(t: int, pa: int, store: int) -> int:
    """Access the data cache line of `pa`: HIT, FIRST_DIRTY, MISS or MISS_DIRTY."""
    p = ld64(t + T_PARAMS) + P_L1D
    count(t, L1D_ACCESSES)
    line = pa >> ld64(p + C_LINE_BITS)
    ways = ld64(p + C_WAYS)
    first = 8 * (line & (ld64(p + C_SETS) - 1)) * ways
    tags = t + T_L1D_TAGS + first
    latest = t + T_L1D_LATEST + 8 * (line & (ld64(p + C_SETS) - 1))
    lru = ld64(p + C_LRU)
    if lru:
        st64(t + T_TICK, ld64(t + T_TICK) + 1)
    wanted = line << 2 | 1
    for way in range(ways):
        tag = ld64(tags + 8 * way)
        if tag & ~2 == wanted:
            if lru:
                st64(t + T_L1D_USED + first + 8 * way, ld64(t + T_TICK))
            if store and not tag & 2:
                st64(tags + 8 * way, tag | 2)
                if not lru:
                    st64(latest, tag | 2)
                return FIRST_DIRTY
            if not lru:
                st64(latest, tag)
            return HIT
    count(t, L1D_MISSES)
    if lru:
        way = victim(t, tags, t + T_L1D_USED + first, ways)
        st64(t + T_L1D_USED + first + 8 * way, ld64(t + T_TICK))
    else:
        register = ld64(t + T_L1D_SHIFT)
        way = register & (ways - 1)
        st64(t + T_L1D_SHIFT, step(register))
        st64(latest, wanted | 2 if store else wanted)
    old = ld64(tags + 8 * way)
    st64(tags + 8 * way, wanted | 2 if store else wanted)
    st64(t + T_L1D_EPOCH, ld64(t + T_L1D_EPOCH) + 1)
    if old & 3 == 3:
        count(t, L1D_WRITEBACKS)
        return MISS_DIRTY
    return MISS


@outline
def l1i_access(t: int, pa: int) -> int:
    """Fetch from the instruction cache line of `pa`: HIT or MISS."""
    p = ld64(t + T_PARAMS) + P_L1I
    count(t, L1I_ACCESSES)
    line = pa >> ld64(p + C_LINE_BITS)
    ways = ld64(p + C_WAYS)
    first = 8 * (line & (ld64(p + C_SETS) - 1)) * ways
    tags = t + T_L1I_TAGS + first
    lru = ld64(p + C_LRU)
    if lru:
        st64(t + T_TICK, ld64(t + T_TICK) + 1)
    wanted = line << 2 | 1
    for way in range(ways):
        if ld64(tags + 8 * way) == wanted:
            if lru:
                st64(t + T_L1I_USED + first + 8 * way, ld64(t + T_TICK))
            return HIT
    count(t, L1I_MISSES)
    if lru:
        way = victim(t, tags, t + T_L1I_USED + first, ways)
        st64(t + T_L1I_USED + first + 8 * way, ld64(t + T_TICK))
    else:
        register = step(ld64(t + T_L1I_SHIFT))
        way = register & (ways - 1)
        st64(t + T_L1I_SHIFT, register)
    st64(tags + 8 * way, wanted)
    st64(t + T_L1I_EPOCH, ld64(t + T_L1I_EPOCH) + 1)
    return MISS


@inline
def l1i_clear(t: int) -> None:
    """Empty the instruction cache (FENCE.I)."""
    p = ld64(t + T_PARAMS) + P_L1I
    for i in range(ld64(p + C_SETS) * ld64(p + C_WAYS)):
        st64(t + T_L1I_TAGS + 8 * i, 0)
    st64(t + T_L1I_EPOCH, ld64(t + T_L1I_EPOCH) + 1)
