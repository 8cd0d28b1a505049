"""Trap entry: exceptions as the engine reports them, interrupts as the run loop decides them.

The engine calls `on_exception` with pc = epc + 4 (its own quirk, also for compressed instructions)
and the exception number; `on_breakpoint` for ebreak, with pc exact. Both end in `enter`, which does
what privileged specification 3.1.6 to 3.1.15 and 4.1 say: delegation, xepc, xcause, xtval, the
xPIE/xPP stack, vectored mode.

Mended here:
- xtval of an illegal instruction is the instruction (the engine gives 0);
- a fault by an AMO or SC is a store/AMO fault, also when its read half found it (3.1.15);
- a 32-bit instruction that straddles into a page that cannot be fetched faults at its own address
  (the engine reports the start of the block it was translating);
- an instruction that traps is not retired (3.1.10): the block's count is corrected. ECALL and EBREAK
  do count, as on the reference core and on QEMU with -icount (3.3.1 says they should not).
"""

from __future__ import annotations

from .abi import (
    ACCESS_FETCH, ACCESS_LOAD, CS_CFLAGS_NEXT_TB, ENV_BADADDR, ENV_LOAD_RES, ENV_MCAUSE, ENV_MEDELEG, ENV_MEPC,
    ENV_MIDELEG, ENV_MSTATUS, ENV_MTVAL, ENV_MTVEC, ENV_PC, ENV_PRIV, ENV_SCAUSE, ENV_SEPC, ENV_STVAL, ENV_STVEC,
)
from .clock import attention, note_beginning, request_stop, retired, spend
from .effective import effective
from .fpsingle import settle
from .guard import judge_access
from .layout import (
    F_EMU_STOP, H_COUNTED_TRAPS, H_TRAPS, M_CS, M_CURRENT, M_ENV, M_FP_PC, M_GUARD, M_HART, M_HOSTCALLS, M_LEFT,
    M_LIMIT, M_LOOP_COUNT, M_LOOP_EPC, M_LOOP_INSNS, M_LOOP_PC, M_NATURAL, M_PART, M_POINTS, M_RUN_LIMIT, M_STOP,
    M_TIMING, M_TIMING_REDIRECT, M_TIMING_STOP_SHORT, M_TRAPS, M_UC, M_WATCH_CUTS, M_WATCH_HIT, M_WATCH_PASS,
    M_WATCH_PC, M_WATCH_RESULT, POINTS_BEFORE, R_BYTES, R_COUNT, R_PC, STOP_HOSTCALL, STOP_STEP, STOP_TRAP_LOOP,
    STOP_WATCH,
)
from .mmu import effective_mode, fetch_parcel, flush_modes, host_address, translate
from .native import entry, inline
from .prims import call1, call2, call3, ld8, ld32, ld64, st32, st64
from .riscv import (
    BREAKPOINT, ECALL_M, ECALL_U, FETCH_ACCESS, FETCH_MISALIGNED, FETCH_PAGE, ILLEGAL, LOAD_ACCESS, LOAD_MISALIGNED,
    LOAD_PAGE, MIE, MPIE, MPP, MPP_SHIFT, MPRV, PRV_M, PRV_S, SIE, SPIE, SPP,
)
from .steps import steps_done, take_steps
from .tracing import trace_trap
from .watch import PASS_WANTED, WATCH, forget_watch, judge

INTERRUPT = -(1 << 63)
LOOP_LIMIT = 4096
"""Traps in a row that got nowhere, before `watch_for_loop` calls it a trap loop."""
MRET = 0x30200073
CUSTOM_0 = 0x0B
"""Major opcode of the host call (unprivileged specification, table 24.1: custom-0)."""


@inline
def leave(m: int) -> None:
    """Make the engine return to the run loop before the next block."""
    st64(m + M_LEFT, 1)
    call1(ld64(m + F_EMU_STOP), ld64(m + M_UC))


@inline
def enter(m: int, env: int, cause: int, interrupt: int, tval: int, epc: int) -> None:
    """Take a trap: `interrupt` 0 or 1, `cause` its number, `epc` where to return to."""
    priv = ld64(env + ENV_PRIV)
    status = ld64(env + ENV_MSTATUS)
    if priv < PRV_M and status & MPRV:  # left by an xRET that came straight to this trap
        status &= ~MPRV
        flush_modes(m, 1 << PRV_M)
    delegated = ld64(env + ENV_MIDELEG) if interrupt else ld64(env + ENV_MEDELEG)
    code = cause | INTERRUPT if interrupt else cause
    if priv <= PRV_S and (delegated >> cause) & 1:
        stacked = status & ~(SPIE | SIE | SPP)
        if status & SIE:
            stacked |= SPIE
        if priv == PRV_S:
            stacked |= SPP
        st64(env + ENV_SCAUSE, code)
        st64(env + ENV_SEPC, epc)
        st64(env + ENV_STVAL, tval)
        vector = ld64(env + ENV_STVEC)
        st64(env + ENV_PRIV, PRV_S)
    else:
        stacked = status & ~(MPIE | MIE | MPP)
        if status & MIE:
            stacked |= MPIE
        stacked |= priv << MPP_SHIFT
        st64(env + ENV_MCAUSE, code)
        st64(env + ENV_MEPC, epc)
        st64(env + ENV_MTVAL, tval)
        vector = ld64(env + ENV_MTVEC)
        st64(env + ENV_PRIV, PRV_M)
        if status & MPRV:  # MPP changed, and with it what M-mode's data accesses see
            flush_modes(m, 1 << PRV_M)
            attention(m)
    st64(env + ENV_MSTATUS, stacked)
    pc = vector & ~3
    if interrupt and vector & 1:
        pc += 4 * cause
    st64(env + ENV_PC, pc)
    st64(env + ENV_LOAD_RES, -1)
    if ld64(m + M_TIMING):
        call2(ld64(m + M_TIMING_REDIRECT), m, epc)
    st64(m + M_NATURAL, 0)
    st64(m + M_PART, 0)
    trace_trap(m, env, code, tval, epc, priv)
    h = ld64(m + M_HART)
    st64(h + H_TRAPS, ld64(h + H_TRAPS) + 1)
    st64(m + M_TRAPS, ld64(m + M_TRAPS) + 1)
    st64(m + M_RUN_LIMIT, ld64(m + M_RUN_LIMIT) - 1)
    take_steps(m, 1)


@inline
def came_by_mret(m: int) -> bool:
    """Whether the last block that ran ended with MRET: nothing has retired since at the level it went to."""
    record = ld64(m + M_CURRENT)
    if record == 0:
        return False
    host = host_address(m, ld64(record + R_PC) + ld64(record + R_BYTES) - 4)  # M-mode's addresses are physical
    return host != 0 and ld32(host) == MRET


@inline
def watch_for_loop(m: int, cause: int, epc: int, pc: int) -> None:
    """Stop a hart that traps forever and gets nowhere.

    Either its handler traps at its own first instruction, so that nothing retires; or a firmware
    returns again and again to the address that cannot be fetched, with nothing retired below M-mode.
    """
    count = retired(m)
    trapping = 1 if cause == BREAKPOINT or ECALL_U <= cause <= ECALL_M else 0  # counted, but no progress
    stuck = epc == ld64(m + M_LOOP_PC) and count - trapping == ld64(m + M_LOOP_INSNS)
    if (cause == FETCH_PAGE or cause == FETCH_ACCESS) and came_by_mret(m):
        stuck = stuck or epc == ld64(m + M_LOOP_EPC)
        st64(m + M_LOOP_EPC, epc)
    else:
        st64(m + M_LOOP_EPC, -1)
    if stuck:
        st64(m + M_LOOP_COUNT, ld64(m + M_LOOP_COUNT) + 1)
        if ld64(m + M_LOOP_COUNT) > LOOP_LIMIT:
            request_stop(m, STOP_TRAP_LOOP, cause)
    else:
        st64(m + M_LOOP_COUNT, 0)
    st64(m + M_LOOP_PC, pc)
    st64(m + M_LOOP_INSNS, count)


@inline
def instruction_at(m: int, env: int, va: int) -> int:
    """The instruction at `va`: 16 or 32 bits, 0 if it cannot be fetched."""
    mode = ld64(env + ENV_PRIV)
    low = fetch_parcel(m, env, va, mode)
    if low < 0:
        return 0
    if low & 3 != 3:
        return low
    high = fetch_parcel(m, env, va + 2, mode)
    return low | high << 16 if high >= 0 else 0


@inline
def distance(m: int, env: int, start: int, end: int, bound: int) -> int:
    """Number of instructions from `start` up to `end`, -1 if `end` is not among the first `bound`."""
    mode = ld64(env + ENV_PRIV)
    h = ld64(m + M_HART)
    page = -1
    host = 0
    va = start
    for n in range(bound + 1):
        if va == end:
            return n
        if va >> 12 != page:
            page = va >> 12
            cause, pa, _, _ = translate(m, h, env, va, ACCESS_FETCH, mode)
            host = host_address(m, pa & ~0xFFF) if cause < 0 else 0
            if host == 0:
                return -1
        va += 4 if ld8(host + (va & 0xFFF)) & 3 == 3 else 2
    return -1


@inline
def uncount(m: int, env: int, epc: int, more: int, started: int) -> None:
    """Correct the counts for a block that ended early: before `epc`, but for `more` instructions there.

    Of a split block, all was counted, but only what ran so far was stepped. `started` is 1 if the instruction at
    `epc` went into the pipeline, which takes time, counted or not.
    """
    record = ld64(m + M_CURRENT)
    if record == 0:
        return
    count = ld64(record + R_COUNT)
    if count < 0:
        count = -count
    done = distance(m, env, ld64(record + R_PC), epc, count)
    if done >= 0:
        spend(m, done + more - count - ld64(m + M_NATURAL))  # a split block was counted with all its parts
        take_steps(m, done - count)
    if ld64(m + M_TIMING):
        call3(ld64(m + M_TIMING_STOP_SHORT), m, epc, started)


@inline
def look_at_access(m: int, env: int, pc: int) -> None:
    """Find out which watchpoint the instruction at `pc`, which is about to run, hits, if any."""
    va, size, kinds, result = effective(env, instruction_at(m, env, pc))
    mode = effective_mode(env, ld64(env + ENV_PRIV), ACCESS_LOAD)
    h = ld64(m + M_HART)
    behind = (va | 0xFFF) + 1
    _, low, _, _ = translate(m, h, env, va, ACCESS_LOAD, mode)  # what can be stored to can be loaded from
    cause = high = -1
    if va + size > behind:
        cause, high, _, _ = translate(m, h, env, behind, ACCESS_LOAD, mode)
    if cause >= 0:  # it will trap
        kinds = 0
    judge(m, va, size, low, high, kinds)
    st64(m + M_WATCH_RESULT, result)
    g = ld64(m + M_GUARD)
    if g:
        judge_access(m, g, pc, va, size, low, high, kinds)


@inline
def split_at(m: int, env: int, pc: int) -> None:
    """Have the block that is under way go on at `pc`, which it has come to, as a split block."""
    if not ld64(m + M_NATURAL):
        note_beginning(m)
    record = ld64(m + M_CURRENT)
    count = abs(ld64(record + R_COUNT))
    done = distance(m, env, ld64(record + R_PC), pc, count)
    take_steps(m, done - count)
    st64(m + M_NATURAL, ld64(m + M_NATURAL) + count - done)
    st64(m + M_PART, 1)
    st64(m + M_LIMIT, 1)
    st64(m + M_WATCH_PC, pc)
    st64(m + M_WATCH_CUTS, ld64(m + M_WATCH_CUTS) + 1)
    look_at_access(m, env, pc)
    if ld64(m + M_POINTS) == POINTS_BEFORE and ld64(m + M_WATCH_HIT):
        request_stop(m, STOP_WATCH, 0)
    else:
        st64(m + M_WATCH_PASS, PASS_WANTED)
    st64(env + ENV_PC, pc)
    if ld64(m + M_TIMING):
        call3(ld64(m + M_TIMING_STOP_SHORT), m, pc, 0)
    leave(m)


@inline
def take(m: int, env: int, cause: int, tval: int, epc: int) -> None:
    """Take exception `cause`, and whatever else a trap in the engine entails."""
    enter(m, env, cause, 0, tval, epc)
    watch_for_loop(m, cause, epc, ld64(env + ENV_PC))
    if cause == BREAKPOINT or ECALL_U <= cause <= ECALL_M:
        h = ld64(m + M_HART)
        st64(h + H_COUNTED_TRAPS, ld64(h + H_COUNTED_TRAPS) + 1)
    forget_watch(m)
    if steps_done(m):
        request_stop(m, STOP_STEP, 0)
    if ld64(m + M_STOP) or ld64(m + M_RUN_LIMIT) <= 0:
        leave(m)


@inline
def straddles(m: int, env: int, epc: int, fault: int) -> int:
    """Length limit for a block at `epc` to end before the instruction that `fault` is a byte of.

    0 when that instruction is the block's first.
    """
    if epc >= fault or fault - epc > 0x1000:
        return 0
    mode = ld64(env + ENV_PRIV)
    va = epc
    for n in range(0x800):
        low = fetch_parcel(m, env, va, mode)
        following = va + 4 if low & 3 == 3 else va + 2
        if low < 0 or following > fault:
            return n
        va = following
    return 0


@entry("void(i64, i32, i64)")
def on_exception(uc: int, number: int, m: int) -> None:
    """UC_HOOK_INTR: the engine raised exception `number`."""
    env = ld64(m + M_ENV)
    epc = ld64(env + ENV_PC) - 4
    settle(m, epc != ld64(m + M_FP_PC))
    if number == FETCH_PAGE or number == FETCH_ACCESS:
        fault = ld64(env + ENV_BADADDR)
        st64(env + ENV_PC, epc)
        if fault < epc:
            # A compressed instruction that is illegal makes a block of no bytes, and the engine then looks for the
            # page of the byte before it, which may not be mapped. No fetch goes backwards: it is this instruction's.
            take(m, env, ILLEGAL, instruction_at(m, env, epc), epc)
            return
        limit = straddles(m, env, epc, fault)
        if limit > 0:  # run what stands before it, then fault at it
            st32(ld64(m + M_CS) + CS_CFLAGS_NEXT_TB, limit)
            return
        take(m, env, number, fault, epc)
        return
    if number == WATCH:  # a watchpoint: the rest of the block goes on as a split one, this instruction first
        split_at(m, env, epc)
        return
    cause = number
    tval = 0
    if number == ILLEGAL:
        tval = instruction_at(m, env, epc)
        if tval & 0x7F == CUSTOM_0 and ld64(m + M_HOSTCALLS):
            uncount(m, env, epc, 0, 0)
            st64(m + M_NATURAL, 0)
            st64(env + ENV_PC, epc)
            request_stop(m, STOP_HOSTCALL, tval)
            leave(m)
            return
    elif number == ECALL_U:
        cause = ECALL_U + ld64(env + ENV_PRIV)
    elif number == FETCH_MISALIGNED:
        tval = ld64(env + ENV_BADADDR)
    else:
        tval = ld64(env + ENV_BADADDR)
        if number == LOAD_PAGE or number == LOAD_ACCESS or number == LOAD_MISALIGNED:
            insn = instruction_at(m, env, epc)
            if insn & 0x7F == 0x2F and (insn >> 27) & 31 != 2:  # an AMO or SC, not LR
                cause = number + 2
    uncount(m, env, epc, 1 if number == ECALL_U else 0, 1)
    take(m, env, cause, tval, epc)


@entry("i8(i64, i64)")
def on_breakpoint(uc: int, m: int) -> int:
    """UC_HOOK_INSN_INVALID: an ebreak; True, it is handled."""
    env = ld64(m + M_ENV)
    epc = ld64(env + ENV_PC)
    settle(m, epc != ld64(m + M_FP_PC))
    uncount(m, env, epc, 1, 1)
    take(m, env, BREAKPOINT, epc, epc)
    return 1


@inline
def take_interrupt(m: int, env: int, number: int) -> None:
    """Take interrupt `number` between two blocks."""
    enter(m, env, number, 1, 0, ld64(env + ENV_PC))
