"""Fetching a block: its lines in the instruction cache, its pages in the instruction TLB."""

from __future__ import annotations

from typing import Final

from ..engine.abi import ENV_PRIV, ENV_SATP
from ..engine.native import inline, outline
from ..engine.prims import ld64, lshr, st64
from ..engine.riscv import PRV_M
from .access import note
from .caches import HIT, count, l1i_access
from .decode import WIDE
from .events import Event
from .layout import (
    C_LINE_BITS, C_LRU, C_MISS, D_COUNT, D_L1I_EPOCH, D_LAST_LINE, D_LINE, D_LINES, D_OPS, D_PC, ENTRY_SEQUENTIAL,
    EV_FETCH, EV_FETCH_TLB, O_PC, O_SIZE, O_WORD, P_ITLB, P_L1I, T_ENTRY, T_EVENTS, T_EVENT_COUNT, T_FETCHED,
    T_FETCH_COUNT, T_FETCH_PAGE, T_ITLB, T_L1I_EPOCH, T_PARAMS,
)
from .predictor import starve
from .tlb import NO_FRAME, lookup, refill, walk

ITLB_MISSES: Final = int(Event.ITLB_MISSES)
L1I_ACCESSES: Final = int(Event.L1I_ACCESSES)


@inline
def fetch_block(t: int, m: int, env: int, d: int) -> None:
    """Fetch block `d`; what is missing becomes events of the instructions that wait for it."""
    first = ld64(d + D_LINE)
    if first == ld64(t + T_FETCHED) and ld64(d + D_LINES) == 1:
        return
    if ld64(d + D_L1I_EPOCH) == ld64(t + T_L1I_EPOCH) and ld64(d + D_PC) >> 12 == ld64(t + T_FETCH_PAGE):
        at = ld64(t + T_EVENTS) + 8 * L1I_ACCESSES
        st64(at, ld64(at) + ld64(d + D_LINES) - (1 if first == ld64(t + T_FETCHED) else 0))
        st64(t + T_FETCHED, ld64(d + D_LAST_LINE))
        return
    fetch_lines(t, m, env, d)


@outline
def fetch_lines(t: int, m: int, env: int, d: int) -> None:
    """The slow path of `fetch_block`."""
    p = ld64(t + T_PARAMS)
    bits = ld64(p + P_L1I + C_LINE_BITS)
    first = ld64(d + D_LINE)
    last = ld64(d + D_LAST_LINE)
    line = first
    while line <= last:
        va = line << bits
        if line == first:
            va = ld64(d + D_PC)
        page = va >> 12
        if line != ld64(t + T_FETCHED) or page != ld64(t + T_FETCH_PAGE):
            pa, walked = fetch_translation(t, m, env, va)
            cycles = walked
            if pa != -1 and l1i_access(t, pa) != HIT:
                cycles += ld64(p + P_L1I + C_MISS)
                if line == first and ld64(t + T_ENTRY) != ENTRY_SEQUENTIAL:
                    cycles += 1  # the refill is looked for every other cycle, from a jump one too late
            if cycles:
                starve(t, ld64(t + T_ENTRY) if line == first else ENTRY_SEQUENTIAL, va, line != first)
                note(t, waiting_for(d, line, bits), EV_FETCH | EV_FETCH_TLB if walked else EV_FETCH, cycles)
            st64(t + T_FETCHED, line)
            st64(t + T_FETCH_PAGE, page)
        line += 1
    st64(t + T_FETCH_COUNT, ld64(t + T_EVENT_COUNT))
    one_page = first << bits >> 12 == last << bits >> 12
    keeps = one_page and ld64(p + P_L1I + C_LRU) == 0
    st64(d + D_L1I_EPOCH, ld64(t + T_L1I_EPOCH) if keeps else -1)


@inline
def waiting_for(d: int, line: int, bits: int) -> int:
    """Index of the first instruction of `d` that needs code line `line`."""
    op = ld64(d + D_OPS)
    for i in range(ld64(d + D_COUNT)):
        end = ld64(op + O_PC) + (3 if ld64(op + O_WORD) & WIDE else 1)
        if end >> bits >= line:
            return i
        op += O_SIZE
    return 0


@outline
def fetch_translation(t: int, m: int, env: int, va: int) -> tuple[int, int]:
    """(physical address or -1, cycles lost in the instruction TLB)."""
    if ld64(env + ENV_PRIV) == PRV_M or lshr(ld64(env + ENV_SATP), 60) == 0:
        return va, 0
    x = ld64(t + T_PARAMS) + P_ITLB
    number = va >> 12 & ((1 << 52) - 1)
    frame = lookup(t + T_ITLB, x, number)
    cycles = 0
    if frame == NO_FRAME:
        count(t, ITLB_MISSES)
        frame, size, cycles = walk(t, m, env, x, number)
        if frame == NO_FRAME:
            return -1, cycles
        refill(t + T_ITLB, x, number, frame, size)
    return frame << 12 | va & 0xFFF, cycles
