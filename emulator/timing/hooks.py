"""The timing model's hooks: what the engine calls while a timed machine runs.

        on_block            a block starts: account for the one before, fetch this one
        on_code             a watched instruction is about to run (`access`)
        stop_short          the pending block ended early: a trap, a WFI
        redirect            a trap was taken: fetch starts over
        pending_cycles      how far the clock is, within the pending block
        watched             which instructions of a block `on_code` must see

A block is *pending* from its start until its successor is known, because only then is it known how its
last branch went. So the hart's clock stands at the end of the block before; whoever reads it from within
a block (`mcycle`, `time`) adds `pending_cycles`.

What these functions do depends on the instructions alone, not on how they are cut into blocks: a
debugger that splits a block changes nothing.
"""

from __future__ import annotations

from typing import Final

from ..engine.abi import ENV_GPR
from ..engine.clock import spend_cycles
from ..engine.layout import (
    H_INSNS, M_ARMED, M_BUDGET, M_CONSIDER, M_CURRENT, M_ENV, M_INSNS_END, M_ON_CODE, M_TIMING, M_TRACE, RECORD_FP,
    R_COUNT, R_FLAGS, R_MACHINE, R_TIMED,
)
from ..engine.native import entry, inline, outline
from ..engine.prims import call2, call4, ld64, st64
from ..engine.tracing import TRACE_INSN
from .access import note_access, note_operand
from .automaton import begin_key, find, intern, state
from .blocks import describe, scan
from .caches import l1i_clear
from .decode import K_SFENCE, MEMORY, RETIRES
from .events import Event
from .fetch import fetch_block
from .layout import (
    A_CODE_EPOCH, CFI_BRANCH, CFI_NONE, CFI_RETURN, D_CFI, D_COUNT, D_DECEIVES, D_DECEIVES_BEFORE, D_EDGE, D_FALL,
    D_FIRST_HOOKED, D_HALF, D_OPS, D_PACKET, EF_REPLAYS, EF_RESTARTED, END_FENCE_I, ENTRY_FLUSH, ENTRY_MISPREDICT,
    ENTRY_SEQUENTIAL, E_CYCLES, E_FLAGS, E_KEY, E_NEXT, E_NUMBER, O_NEXT, O_PC, O_SIZE, O_WORD, STALLS, T_ASTRAY,
    T_BEFORE_DECEIVES, T_ENTRY, T_EVENTS, T_EVENT_COUNT, T_FETCHED, T_FETCH_COUNT, T_FETCH_PAGE, T_HART, T_HITS, T_KEY,
    T_LAST_DECEIVES, T_LAST_END, T_LAST_HALF, T_LAST_PACKET, T_NEXT_OP, T_PENDING, T_POOL, T_SCRATCH, T_SHORT_STALLS,
    T_STATE, T_WRONG_PATH, W_STALLS, W_STATE,
)
from .packed import S_SLOTS, field
from .pipeline import run
from .predictor import resolve
from .tlb import clear_page, clear_tlbs
from .units import TRAP
from .wrongpath import jump_astray, run_astray

REPLAYS: Final = int(Event.REPLAYS)


@inline
def finish(t: int, m: int, d: int, target: int) -> int:
    """Account for block `d`, behind which the hart goes on at `target`; its cycles."""
    e = ld64(d + D_EDGE)
    if e == 0 or ld64(e + E_KEY) != ld64(t + T_KEY):
        e = find(t, m, d)
    st64(t + T_PENDING, 0)
    st64(t + T_STATE, ld64(e + E_NEXT))
    hits = ld64(t + T_HITS) + 8 * ld64(e + E_NUMBER)
    st64(hits, ld64(hits) + 1)
    if ld64(e + E_FLAGS) & EF_RESTARTED:
        st64(t + T_WRONG_PATH, 0)
        replays = ld64(t + T_EVENTS) + 8 * REPLAYS
        st64(replays, ld64(replays) + (ld64(e + E_FLAGS) >> EF_REPLAYS))
    end = ld64(d + D_CFI)
    entry_kind = ENTRY_SEQUENTIAL
    if end != CFI_NONE:
        if end <= CFI_RETURN:
            entry_kind = resolve(t, d, ld64(e + E_FLAGS), target)
            if entry_kind == ENTRY_MISPREDICT:
                if end == CFI_BRANCH:
                    run_astray(m, t, d, 1 if target != ld64(d + D_FALL) else 0)
                elif end != CFI_RETURN and ld64(t + T_ASTRAY) != -1:
                    jump_astray(m, t)
        else:
            settle_end(t, end)
    st64(t + T_LAST_END, end)
    packet = ld64(d + D_PACKET)
    if packet != ld64(t + T_LAST_PACKET):
        before = ld64(d + D_DECEIVES_BEFORE)
        st64(t + T_BEFORE_DECEIVES, before if before >= 0 else ld64(t + T_LAST_DECEIVES))
    st64(t + T_LAST_PACKET, packet)
    st64(t + T_LAST_HALF, ld64(d + D_HALF))
    st64(t + T_LAST_DECEIVES, ld64(d + D_DECEIVES))
    st64(t + T_ENTRY, entry_kind)
    return ld64(e + E_CYCLES)


@outline
def settle_end(t: int, end: int) -> None:
    """A block ended with an instruction that changes what is cached."""
    st64(t + T_FETCH_PAGE, -1)
    st64(t + T_FETCHED, -1)
    if end == END_FENCE_I:
        l1i_clear(t)
        at = ld64(t + T_POOL) + A_CODE_EPOCH
        st64(at, ld64(at) + 1)


@inline
def start(t: int, m: int, record: int) -> None:
    """Begin the block of `record`."""
    d = ld64(record + R_TIMED)
    if d == 0:
        d = describe(m, record)
        if d == 0:
            return
    st64(t + T_PENDING, d)
    st64(t + T_KEY, begin_key(t))
    st64(t + T_FETCH_COUNT, 0)
    st64(t + T_EVENT_COUNT, 0)
    st64(t + T_NEXT_OP, ld64(d + D_FIRST_HOOKED))
    fetch_block(t, m, ld64(m + M_ENV), d)


@entry("void(i64, i64, i32, i64)")
def on_block(uc: int, pc: int, size: int, record: int) -> None:
    """UC_HOOK_BLOCK of a timed machine: see `engine.block.on_block`."""
    m = ld64(record + R_MACHINE)
    t = ld64(m + M_TIMING)
    d = ld64(t + T_PENDING)
    cycles = finish(t, m, d, pc) if d else 0
    if ld64(m + M_ARMED):
        spend_cycles(m, cycles)
        left = 0
    else:
        left = ld64(m + M_BUDGET) - cycles
        st64(m + M_BUDGET, left)
    count = ld64(record + R_COUNT)
    insns = ld64(t + T_HART) + H_INSNS
    retired = ld64(insns)
    if left <= 0 or count < 0 or retired >= ld64(m + M_INSNS_END):
        if not call2(ld64(m + M_CONSIDER), m, record) & 1:
            return
    else:
        st64(insns, retired + count)
        st64(m + M_CURRENT, record)
    start(t, m, record)


@entry("void(i64, i64, i32, i64)")
def on_code(uc: int, pc: int, size: int, m: int) -> None:
    """UC_HOOK_CODE of a timed machine: an instruction that is watched, or stands between two of them."""
    if ld64(ld64(m + M_CURRENT) + R_FLAGS) & RECORD_FP or ld64(m + M_TRACE) & TRACE_INSN:
        call4(ld64(m + M_ON_CODE), uc, pc, size, m)
    t = ld64(m + M_TIMING)
    op = ld64(t + T_NEXT_OP)
    if op == 0 or ld64(op + O_PC) != pc:
        return
    word = ld64(op + O_WORD)
    st64(t + T_NEXT_OP, ld64(op + O_NEXT))
    env = ld64(m + M_ENV)
    if word & MEMORY:
        note_access(t, m, env, op, word)
    elif word & 255 == K_SFENCE:
        register = word >> 16 & 255
        if register:
            clear_page(t, ld64(env + ENV_GPR + 8 * register) >> 12)
        else:
            clear_tlbs(t)
    else:
        note_operand(t, env, op, word)


@inline
def stop_at(t: int, m: int, n: int) -> None:
    """Account for the first `n` instructions of the pending block, after which it does not go on."""
    d = ld64(t + T_PENDING)
    cycles, _ = run(t, d, n, state(t), ld64(t + T_ENTRY))
    w = t + T_SCRATCH
    st64(t + T_STATE, intern(t, w + W_STATE))
    for i in range(STALLS):
        at = t + T_SHORT_STALLS + 8 * i
        st64(at, ld64(at) + ld64(w + W_STALLS + 8 * i))
    st64(t + T_PENDING, 0)
    st64(t + T_ENTRY, ENTRY_SEQUENTIAL)
    spend_cycles(m, cycles)


@entry("void(i64, i64, i64)")
def stop_short(m: int, pc: int, started: int) -> None:
    """The pending block ended before the instruction at `pc`, which had begun (`started` 1: it trapped) or not."""
    t = ld64(m + M_TIMING)
    d = ld64(t + T_PENDING)
    if d == 0:
        return
    op = ld64(d + D_OPS)
    count = ld64(d + D_COUNT)
    n = 0
    while n < count and ld64(op + O_PC) != pc:
        op += O_SIZE
        n += 1
    trapped = False
    if n < count and started:
        trapped = ld64(op + O_WORD) & RETIRES == 0
        n += 1
    stop_at(t, m, n)
    if trapped and field(t + T_SCRATCH + W_STATE, S_SLOTS) <= 1:  # in a cycle of its own, for nothing
        at = t + T_SHORT_STALLS + 8 * TRAP
        st64(at, ld64(at) + 1)


@entry("void(i64, i64)")
def redirect(m: int, epc: int) -> None:
    """A trap or an interrupt was taken at `epc`: what is pending is over, and fetch starts over."""
    t = ld64(m + M_TIMING)
    d = ld64(t + T_PENDING)
    if d:
        spend_cycles(m, finish(t, m, d, epc))
    st64(t + T_ENTRY, ENTRY_FLUSH)
    st64(t + T_LAST_END, -1)
    st64(t + T_LAST_DECEIVES, 0)
    st64(t + T_WRONG_PATH, 0)
    st64(t + T_FETCHED, -1)
    st64(t + T_FETCH_PAGE, -1)


@entry("i64(i64)")
def pending_cycles(m: int) -> int:
    """Cycles from the hart's clock to its last instruction's issue: those of the whole pending block."""
    t = ld64(m + M_TIMING)
    d = ld64(t + T_PENDING)
    if d == 0:
        return 0
    e = ld64(d + D_EDGE)
    if e == 0 or ld64(e + E_KEY) != ld64(t + T_KEY):
        e = find(t, m, d)
    return ld64(e + E_CYCLES)


@entry("i64(i64, i64, i64)")
def watched(m: int, pc: int, size: int) -> int:
    """Offsets of the first and last watched instruction of the code at `pc`: first | last << 16; -1 for none."""
    return scan(m, pc, size)
