"""The counters: mcycle, minstret, mhpmcounter3 to 18, and who may read them.

mcycle and minstret are not stored: each is the hart's clock or its count of retired instructions
plus a base, which a write moves; while mcountinhibit stops a counter, the base is its value.

Source: privileged specification 3.1.10 to 3.1.12 and 4.1.5.
"""

from __future__ import annotations

from .abi import ENV_MCOUNTEREN, ENV_PRIV, ENV_SCOUNTEREN
from .clock import now_at_end, retired
from .layout import H_COUNTINHIBIT, H_CYCLE_BASE, H_HPM_COUNTER, H_INSTRET_BASE
from .native import inline
from .prims import ld64, st64
from .riscv import COUNTERS, PRV_M, PRV_U


@inline
def counter_allowed(env: int, index: int) -> bool:
    """Whether mcounteren and scounteren let the current mode read counter `index` (3.1.11, 4.1.5)."""
    priv = ld64(env + ENV_PRIV)
    if priv < PRV_M and not (ld64(env + ENV_MCOUNTEREN) >> index) & 1:
        return False
    return priv != PRV_U or (ld64(env + ENV_SCOUNTEREN) >> index) & 1 != 0


@inline
def read_counter(m: int, h: int, index: int) -> int:
    """mcycle (0), minstret (2) or mhpmcounter `index`: the value before this instruction retires."""
    stopped = (ld64(h + H_COUNTINHIBIT) >> index) & 1
    if index == 0:
        return ld64(h + H_CYCLE_BASE) + (0 if stopped else now_at_end(m) - 1)
    if index == 2:
        return ld64(h + H_INSTRET_BASE) + (0 if stopped else retired(m) - 1)
    return ld64(h + H_HPM_COUNTER + 8 * index)


@inline
def write_counter(m: int, h: int, index: int, value: int) -> None:
    """Set a counter: the next instruction reads `value` (3.1.10)."""
    stopped = (ld64(h + H_COUNTINHIBIT) >> index) & 1
    if index == 0:
        st64(h + H_CYCLE_BASE, value - (0 if stopped else now_at_end(m)))
    elif index == 2:
        st64(h + H_INSTRET_BASE, value - (0 if stopped else retired(m)))
    else:
        st64(h + H_HPM_COUNTER + 8 * index, value)


@inline
def write_inhibit(m: int, h: int, value: int) -> None:
    """mcountinhibit (3.1.12): counters keep their values as they stop and start."""
    cycles = read_counter(m, h, 0)
    instret = read_counter(m, h, 2)
    st64(h + H_COUNTINHIBIT, value & COUNTERS & ~2)
    write_counter(m, h, 0, cycles)
    write_counter(m, h, 2, instret)
