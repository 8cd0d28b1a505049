"""Work that no instruction does: the Python-hosted kernel's accesses to memory, charged to a hart.

Each access goes through the hart's own data TLB and data cache, as a load or store of a guest would,
and costs one cycle for each instruction that it stands for, plus what the caches and TLB take more. The
pipeline is taken to be empty in between: no load-use waits, no store buffer.
"""

from __future__ import annotations

from typing import Final

from ..engine.native import entry
from ..engine.prims import ld64
from .access import cache_stall, translate_data
from .caches import count, l1d_access
from .events import Event
from .layout import C_LINE_BITS, P_L1D, T_PARAMS

WORD: Final = 8
"""Bytes that one load or store of a longer range moves."""
CHARGE_LOAD, CHARGE_STORE, CHARGE_ATOMIC = 0, 1, 2
"""Kinds of access."""
LOADS: Final = int(Event.LOADS)
STORES: Final = int(Event.STORES)
AMOS: Final = int(Event.AMOS)


@entry("i64(i64, i64, i64, i64, i64, i64, i64, i64)")
def charge(t: int, m: int, env: int, va: int, pa: int, size: int, kind: int, overhead: int) -> int:
    """Cycles of an access to `size` bytes at `pa`, mapped at `va` (equal to `pa`: not translated).

    A range is accessed word by word; each word takes one instruction and `overhead` more.
    """
    bits = ld64(ld64(t + T_PARAMS) + P_L1D + C_LINE_BITS)
    store = 0 if kind == CHARGE_LOAD else 1
    event = AMOS if kind == CHARGE_ATOMIC else STORES if store else LOADS
    cycles = 0
    line = -1
    page = -1
    at = 0
    while at < size:
        if va != pa and (va + at) >> 12 != page:
            page = (va + at) >> 12
            _, walked = translate_data(t, m, env, va + at)
            cycles += walked
        if (pa + at) >> bits != line:
            line = (pa + at) >> bits
            cycles += cache_stall(t, l1d_access(t, pa + at, store))
        count(t, event)
        cycles += 1 + overhead
        at += WORD - ((pa + at) & (WORD - 1))
    return cycles
