"""The run loop: which hart runs, for how long, and what happens between two slices.

Every hart has its own clock. The one whose clock is lowest runs, until it is a quantum ahead of the
next or an event is due; harts in WFI take part with the clock at which something wakes them. So the
machine's harts advance together in time, however their instructions are interleaved, and the
interleaving is a function of the guest's own doing alone. The price: what one hart does can be seen
by another at a clock up to a quantum earlier.
"""

from __future__ import annotations

from .abi import (
    CS_CFLAGS_NEXT_TB, ENV_LOAD_RES, ENV_MIE, ENV_MIP, ENV_MSTATUS, ENV_PC, ENV_PRIV, ENV_SATP, ENV_SIZE,
    UC_ERR_EXCEPTION, UC_ERR_OK,
)
from .clock import attention, deadline, elapsed, grant_stop, request_stop, retired
from .fpsingle import settle
from .interrupt import env_of, pending, refresh_mip
from .layout import (
    F_EMU_START, F_TB_INVALIDATE, F_TLB_FLUSH, H_CLOCK, H_ENV, H_INSNS, H_MIP_LINES, H_MTIMECMP, H_SIZE, H_SPIN_COUNT,
    H_SPIN_PC, H_TIMING, H_USER_PAGES, H_WAITING, H_WAKE, INFINITE, M_ALIKE, M_ALONE, M_ARMED, M_BLOCK_CLOCK, M_BUDGET,
    M_CLINT, M_CS, M_ENV, M_EVENT, M_HART, M_HARTS, M_HART_COUNT, M_HOLD, M_INSNS_END, M_LEFT, M_LIMIT, M_NATURAL,
    M_NEXT_EVENT, M_PACED, M_QUANTUM, M_REBUILD, M_REBUILD_SIZE, M_RUN_LIMIT, M_SLICE, M_SLICE_END, M_STEP, M_STOP,
    M_TIMING, M_UC, M_YIELD, STOP_ENGINE, STOP_EVENT, STOP_IDLE, STOP_LIMIT, STOP_NONE, STOP_PACE, STOP_STEP,
)
from .native import entry, inline
from .prims import call1, call3, call5, ld64, st32, st64
from .riscv import MPP, MPRV, MTIP, MXR, SUM
from .steps import steps_done
from .tracing import trace_wait
from .trap import instruction_at, take_interrupt, uncount
from .watch import report_watch

WFI = 0x10500073
PACE = 1_000_000
"""Cycles (a millisecond) that an idle machine may leap ahead without asking, when it is paced."""
SPIN_LIMIT = 8
"""WFIs in a row that fall through at one address before the hart gives up the rest of its slice."""


@inline
def update_timer(m: int, h: int, clock: int) -> None:
    """Drive hart `h`'s MTIP from mtime and mtimecmp at `clock` (3.2.1)."""
    if ld64(m + M_CLINT) == 0:
        return
    lines = ld64(h + H_MIP_LINES)
    due = deadline(m, ld64(h + H_MTIMECMP), clock) <= clock
    wanted = lines | MTIP if due else lines & ~MTIP
    if wanted != lines:
        st64(h + H_MIP_LINES, wanted)
        refresh_mip(m, h)


@inline
def ready_at(m: int, h: int) -> int:
    """The clock from which hart `h` has something to do; INFINITE while it waits for nothing known."""
    clock = ld64(h + H_CLOCK)
    if not ld64(h + H_WAITING):
        return clock
    env = env_of(m, h)
    enabled = ld64(env + ENV_MIE)
    if ld64(env + ENV_MIP) & enabled:
        wake = ld64(h + H_WAKE)
        return wake if wake > clock else clock
    if enabled & MTIP and ld64(m + M_CLINT):
        return deadline(m, ld64(h + H_MTIMECMP), clock)
    return INFINITE


@inline
def due_running(m: int, best: int) -> bool:
    """Whether the chosen hart runs by itself, so that time reaches an event without a leap."""
    return best != 0 and ld64(best + H_WAITING) == 0


@inline
def next_hart(m: int) -> int:
    """The hart to run now, 0 if none can (`run` then has a reason to stop, or finds the machine idle).

    The running hart keeps its slice; otherwise the lowest clock wins, and among equals the one that
    comes next after the running hart. One that runs alone (M_ALONE) waits for nobody, and is waited for by all.
    """
    alone = ld64(m + M_ALONE)
    if alone:
        st64(m + M_YIELD, 0)
        st64(m + M_SLICE_END, INFINITE)
        return 0 if ld64(alone + H_WAITING) else alone
    current = ld64(m + M_HART)
    count = ld64(m + M_HART_COUNT)
    if ld64(m + M_NATURAL):  # in the middle of a block that the debugger split
        return current
    if not ld64(m + M_YIELD) and not ld64(current + H_WAITING) and ld64(current + H_CLOCK) < ld64(m + M_SLICE_END):
        return current
    st64(m + M_YIELD, 0)
    first = ld64(m + M_HARTS)
    at = (current - first) // H_SIZE
    best = 0
    best_time = INFINITE
    second_time = INFINITE
    for _ in range(count):
        at = at + 1 if at + 1 < count else 0
        h = first + at * H_SIZE
        time = ready_at(m, h)
        if time < best_time:
            second_time = best_time
            best = h
            best_time = time
        elif time < second_time:
            second_time = time
    event = ld64(m + M_NEXT_EVENT)
    if event < best_time and not due_running(m, best):
        if ld64(current + H_CLOCK) < event:
            trace_wait(m, current, env_of(m, current), ld64(current + H_CLOCK), event)
            st64(current + H_CLOCK, event)
        request_stop(m, STOP_EVENT, event)
        return 0
    if best == 0:
        return 0
    ahead = best_time - ld64(best + H_CLOCK)
    if ahead > PACE and ld64(m + M_PACED) == 1:
        request_stop(m, STOP_PACE, ahead)
        return 0
    if ld64(m + M_PACED) == 2:
        st64(m + M_PACED, 1)
    if ld64(best + H_WAITING):
        st64(best + H_WAITING, 0)
        if best_time > ld64(best + H_CLOCK):
            trace_wait(m, best, env_of(m, best), ld64(best + H_CLOCK), best_time)
            st64(best + H_CLOCK, best_time)
    end = INFINITE
    if count > 1:
        end = (second_time if second_time < INFINITE else best_time) + ld64(m + M_QUANTUM)
    st64(m + M_SLICE_END, end)
    return best


@inline
def translates_alike(m: int, h: int, env: int) -> bool:
    """Whether hart `h`, which is to run alone, translates addresses as the one in the engine does."""
    other = h + H_ENV
    return (ld64(m + M_ALIKE) != 0 and ld64(env + ENV_SATP) == ld64(other + ENV_SATP)
            and ld64(env + ENV_PRIV) == ld64(other + ENV_PRIV)
            and (ld64(env + ENV_MSTATUS) ^ ld64(other + ENV_MSTATUS)) & (MPRV | MPP | SUM | MXR) == 0)


@inline
def switch_to(m: int, h: int) -> None:
    """Put hart `h` into the engine."""
    old = ld64(m + M_HART)
    env = ld64(m + M_ENV)
    alike = ld64(m + M_ALONE) != 0 and translates_alike(m, h, env)
    for i in range(ENV_SIZE // 8):
        st64(old + H_ENV + 8 * i, ld64(env + 8 * i))
    for i in range(ENV_SIZE // 8):
        st64(env + 8 * i, ld64(h + H_ENV + 8 * i))
    st64(m + M_HART, h)
    if not ld64(m + M_ALONE):  # who runs harts one by one knows better
        st64(env + ENV_LOAD_RES, -1)  # another hart may have stored there meanwhile
    st64(m + M_TIMING, ld64(h + H_TIMING))
    if alike:
        st64(h + H_USER_PAGES, ld64(old + H_USER_PAGES))
    else:
        st64(h + H_USER_PAGES, 0)
        call1(ld64(m + F_TLB_FLUSH), ld64(m + M_CS))


@inline
def slice_length(m: int, h: int, clock: int) -> int:
    """Cycles until the next thing that must be looked at."""
    length = ld64(m + M_SLICE_END) - clock
    if ld64(m + M_CLINT) and not ld64(h + H_MIP_LINES) & MTIP:
        timer = deadline(m, ld64(h + H_MTIMECMP), clock) - clock
        if timer < length:
            length = timer
    event = ld64(m + M_NEXT_EVENT) - clock
    if event < length:
        length = event
    limit = ld64(m + M_RUN_LIMIT)
    if ld64(m + M_TIMING):
        st64(m + M_INSNS_END, ld64(h + H_INSNS) + limit)
    elif limit < length:
        length = limit
    return length if length > 0 else 1


@inline
def run_slice(m: int, h: int, env: int) -> int:
    """Let the engine run; the error that uc_emu_start gave."""
    length = slice_length(m, h, ld64(h + H_CLOCK))
    before = ld64(h + H_INSNS)
    st64(m + M_SLICE, length)
    st64(m + M_BUDGET, length)
    st64(m + M_ARMED, 0)
    st64(m + M_LEFT, 0)
    limit = ld64(m + M_LIMIT)
    if limit:  # the first part of a split block: `block.debug` has looked at everything already
        st32(ld64(m + M_CS) + CS_CFLAGS_NEXT_TB, limit)
        st64(m + M_LIMIT, 0)
    if ld64(env + ENV_MIP) & ld64(env + ENV_MIE) or ld64(env + ENV_MSTATUS) & MPRV:
        attention(m)
    if ld64(m + M_STEP) or ld64(m + M_NATURAL):
        attention(m)
    error = call5(ld64(m + F_EMU_START), ld64(m + M_UC), ld64(env + ENV_PC), 0, 0, 0) & 0xFFFFFFFF
    settle(m, True)
    if not ld64(m + M_LEFT):  # a WFI ends its block early: the engine translates on behind it
        uncount(m, env, ld64(env + ENV_PC), 0, 0)
    if not ld64(m + M_NATURAL):
        st64(m + M_BLOCK_CLOCK, -1)
    done = elapsed(m)
    insns = retired(m)
    st64(h + H_CLOCK, ld64(h + H_CLOCK) + done)
    st64(h + H_INSNS, insns)
    st64(m + M_RUN_LIMIT, ld64(m + M_RUN_LIMIT) - (insns - before))
    st64(m + M_SLICE, 0)
    st64(m + M_BUDGET, 0)
    st64(m + M_HOLD, 0)
    st64(m + M_ARMED, 0)
    return error


@inline
def wait(m: int, h: int, env: int) -> None:
    """WFI (3.3.3): wait for an enabled interrupt, or go on at once if one is pending."""
    pc = ld64(env + ENV_PC)
    st64(m + M_NATURAL, 0)
    if not ld64(env + ENV_MIP) & ld64(env + ENV_MIE):
        st64(h + H_WAITING, 1)
        st64(h + H_SPIN_COUNT, 0)
        return
    if ld64(h + H_SPIN_PC) != pc:
        st64(h + H_SPIN_PC, pc)
        st64(h + H_SPIN_COUNT, 0)
        return
    st64(h + H_SPIN_COUNT, ld64(h + H_SPIN_COUNT) + 1)
    end = ld64(m + M_SLICE_END)
    if ld64(h + H_SPIN_COUNT) > SPIN_LIMIT and end < INFINITE and end > ld64(h + H_CLOCK):
        trace_wait(m, h, env, ld64(h + H_CLOCK), end)
        st64(h + H_CLOCK, end)


@inline
def rebuild(m: int) -> None:
    """Discard the block that is to be translated again."""
    size = ld64(m + M_REBUILD_SIZE)
    if size:
        at = ld64(m + M_REBUILD)
        call3(ld64(m + F_TB_INVALIDATE), ld64(m + M_UC), at, at + size)
        st64(m + M_REBUILD_SIZE, 0)


@entry("i64(i64)")
def run(m: int) -> int:
    """Run the machine until there is a reason to stop; the reason (M_STOP), M_STOP_ARG beside it."""
    st64(m + M_STOP, STOP_NONE)
    while True:
        if ld64(m + M_RUN_LIMIT) <= 0:
            request_stop(m, STOP_LIMIT, 0)
            return ld64(m + M_STOP)
        h = next_hart(m)
        if h == 0:
            request_stop(m, STOP_IDLE, 0)
            return ld64(m + M_STOP)
        if ld64(h + H_CLOCK) >= ld64(m + M_NEXT_EVENT) and not ld64(m + M_NATURAL):
            request_stop(m, STOP_EVENT, ld64(m + M_NEXT_EVENT))
            return ld64(m + M_STOP)
        if h != ld64(m + M_HART):
            switch_to(m, h)
        env = ld64(m + M_ENV)
        if not ld64(m + M_NATURAL):
            st64(m + M_EVENT, 0)
            update_timer(m, h, ld64(h + H_CLOCK))
            number = pending(env)
            if number >= 0:
                take_interrupt(m, env, number)
                if steps_done(m):
                    request_stop(m, STOP_STEP, 0)
                    return ld64(m + M_STOP)
        error = run_slice(m, h, env)
        rebuild(m)
        if not ld64(m + M_LEFT):
            at = ld64(env + ENV_PC) - 4
            if (error == UC_ERR_OK or error == UC_ERR_EXCEPTION) and instruction_at(m, env, at) == WFI:
                wait(m, h, env)
            else:
                request_stop(m, STOP_ENGINE, error)
        report_watch(m)
        grant_stop(m)
        if steps_done(m):
            request_stop(m, STOP_STEP, 0)
        if ld64(m + M_STOP):
            return ld64(m + M_STOP)
