"""Work that no instruction does: the Python-hosted kernel's accesses to memory, charged to a hart.

Each access goes through the hart's own data TLB and data cache, as a load or store of a guest would,
and costs one cycle for each instruction that it stands for, plus what the caches and TLB take more. The
pipeline is taken to be empty in between: no load-use waits, no store buffer.

What the caches and the TLB took is among the hart's stalls (Stall.L1D, Stall.TLB); the instructions'
cycles are in T_HOST, because the hart did not retire them.
"""

from __future__ import annotations

from typing import Final

from ..engine.layout import H_CLOCK
from ..engine.native import entry
from ..engine.prims import ld64, st64
from .access import cache_stall, translate_data
from .caches import count, l1d_access
from .events import Event, Stall
from .layout import C_LINE_BITS, P_L1D, T_HART, T_HOST, T_PARAMS, T_SHORT_STALLS

WORD: Final = 8
"""Bytes that one load or store of a longer range moves."""
CHARGE_LOAD, CHARGE_STORE, CHARGE_ATOMIC = 0, 1, 2
"""Kinds of access."""
LOADS: Final = int(Event.LOADS)
STORES: Final = int(Event.STORES)
AMOS: Final = int(Event.AMOS)
HOST: Final = T_HOST
STALL_L1D: Final = T_SHORT_STALLS + 8 * int(Stall.L1D)
STALL_TLB: Final = T_SHORT_STALLS + 8 * int(Stall.TLB)


@entry("i64(i64, i64, i64, i64, i64, i64, i64, i64, i64)")
def charge(t: int, m: int, env: int, va: int, pa: int, size: int, kind: int, overhead: int, stride: int) -> int:
    """Cycles of an access to `size` bytes at `pa`, mapped at `va` (equal to `pa`: not translated); they pass.

    A range is accessed word by word, one in every `stride` bytes (WORD: all); each word takes one
    instruction, and the access as a whole `overhead` more.
    """
    bits = ld64(ld64(t + T_PARAMS) + P_L1D + C_LINE_BITS)
    store = 0 if kind == CHARGE_LOAD else 1
    event = AMOS if kind == CHARGE_ATOMIC else STORES if store else LOADS
    instructions = overhead
    walks = 0
    misses = 0
    line = -1
    page = -1
    at = 0
    while at < size:
        if va != pa and (va + at) >> 12 != page:
            page = (va + at) >> 12
            _, walked = translate_data(t, m, env, va + at)
            walks += walked
        if (pa + at) >> bits != line:
            line = (pa + at) >> bits
            misses += cache_stall(t, l1d_access(t, pa + at, store))
        count(t, event)
        instructions += 1
        at += stride if stride > WORD else WORD - ((pa + at) & (WORD - 1))
    clock = ld64(t + T_HART) + H_CLOCK
    st64(clock, ld64(clock) + instructions + misses + walks)
    st64(t + HOST, ld64(t + HOST) + instructions)
    st64(t + STALL_L1D, ld64(t + STALL_L1D) + misses)
    st64(t + STALL_TLB, ld64(t + STALL_TLB) + walks)
    return instructions + misses + walks
