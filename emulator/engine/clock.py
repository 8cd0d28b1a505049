"""Time of the running hart, and how native code calls for the run loop's attention.

The scheme is drawn in `layout`.
"""

from __future__ import annotations

from .layout import (
    H_CLOCK, H_INSNS, INFINITE, M_ARMED, M_BLOCK_CLOCK, M_BUDGET, M_CYCLES_PER_TICK, M_HART, M_HOLD, M_INSNS_END,
    M_NATURAL, M_SLICE, M_STOP, M_STOP_ARG, M_STOP_ASKED, M_TIME_OFFSET, M_TIMING, M_TIMING_PENDING, STOP_NONE,
    STOP_REQUEST,
)
from .native import inline
from .prims import call1, ld64, st64, udiv, ult

FAR = 1 << 48
"""Ticks beyond which a deadline counts as never (325 days of a 10 MHz timebase)."""


@inline
def budget_left(m: int) -> int:
    """Cycles of this slice not yet passed; at most one block below 0."""
    if ld64(m + M_ARMED):
        return ld64(m + M_HOLD)
    return ld64(m + M_BUDGET)


@inline
def spend_cycles(m: int, cycles: int) -> None:
    """Take `cycles` off the budget (give back when negative)."""
    at = m + M_HOLD if ld64(m + M_ARMED) else m + M_BUDGET
    st64(at, ld64(at) - cycles)


@inline
def spend(m: int, count: int) -> None:
    """Count `count` instructions (or take them back when negative); without a timing model, their cycles, too."""
    if ld64(m + M_TIMING):
        at = ld64(m + M_HART) + H_INSNS
        st64(at, ld64(at) + count)
    else:
        spend_cycles(m, count)


@inline
def slice_over(m: int) -> bool:
    """Whether the slice's cycles, or its instructions, are used up."""
    if budget_left(m) <= 0:
        return True
    return ld64(m + M_TIMING) != 0 and ld64(ld64(m + M_HART) + H_INSNS) >= ld64(m + M_INSNS_END)


@inline
def elapsed(m: int) -> int:
    """Cycles of this slice already passed; without a timing model, all of the current block's included."""
    return ld64(m + M_SLICE) - budget_left(m)


@inline
def passed(m: int) -> int:
    """The running hart's clock, in cycles; with a timing model, as the current block, or part of a split one, began."""
    return ld64(ld64(m + M_HART) + H_CLOCK) + elapsed(m)


@inline
def now(m: int) -> int:
    """The running hart's clock, in cycles; with a timing model, as the current block began, split or not."""
    began = ld64(m + M_BLOCK_CLOCK)
    return began if began >= 0 else passed(m)


@inline
def note_beginning(m: int) -> None:
    """The current block, which is about to be split, began now."""
    if ld64(m + M_TIMING):
        st64(m + M_BLOCK_CLOCK, passed(m))


@inline
def now_at_end(m: int) -> int:
    """The running hart's clock behind the current block: that of its last instruction, such as a CSR access."""
    if ld64(m + M_TIMING):
        return passed(m) + call1(ld64(m + M_TIMING_PENDING), m)
    return passed(m)


@inline
def retired(m: int) -> int:
    """Instructions the running hart has retired, all of the current block included."""
    counted = ld64(ld64(m + M_HART) + H_INSNS)
    return counted if ld64(m + M_TIMING) else counted + elapsed(m)


@inline
def ticks(m: int, clock: int) -> int:
    """mtime at `clock`."""
    return udiv(clock, ld64(m + M_CYCLES_PER_TICK)) + ld64(m + M_TIME_OFFSET)


@inline
def deadline(m: int, compare: int, clock: int) -> int:
    """The clock at which mtime reaches `compare` (unsigned); `clock` itself if it has; or INFINITE."""
    tick = ticks(m, clock)
    if not ult(tick, compare):
        return clock
    if ult(FAR, compare - tick):
        return INFINITE
    return (compare - ld64(m + M_TIME_OFFSET)) * ld64(m + M_CYCLES_PER_TICK)


@inline
def attention(m: int) -> None:
    """Make the next block take the slow path."""
    if not ld64(m + M_ARMED):
        st64(m + M_HOLD, ld64(m + M_BUDGET))
        st64(m + M_BUDGET, 0)
        st64(m + M_ARMED, 1)


@inline
def calm(m: int) -> None:
    """End `attention`."""
    if ld64(m + M_ARMED):
        st64(m + M_BUDGET, ld64(m + M_HOLD))
        st64(m + M_ARMED, 0)


@inline
def request_stop(m: int, reason: int, arg: int) -> None:
    """Make `run` return `reason` before the next block; the first reason given wins."""
    if ld64(m + M_STOP) == STOP_NONE:
        st64(m + M_STOP, reason)
        st64(m + M_STOP_ARG, arg)
    attention(m)


@inline
def grant_stop(m: int) -> None:
    """A device asked for a stop within a split block: stop if the block is over, as if it had not been split."""
    if ld64(m + M_STOP_ASKED) and ld64(m + M_NATURAL) == 0:
        st64(m + M_STOP_ASKED, 0)
        request_stop(m, STOP_REQUEST, 0)
