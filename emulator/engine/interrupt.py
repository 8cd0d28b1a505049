"""Interrupt lines, mip, and which interrupt a hart takes next.

mip is kept as the OR of two words: the lines that devices drive (MSIP, MTIP, MEIP, SEIP) and the
bits that software sets (SSIP, STIP, SEIP). The engine's own interrupt delivery stays unused (it
orders interrupts by number); the run loop asks `pending` between blocks.

Source: privileged specification 3.1.9 (mip and mie; priority MEI, MSI, MTI, SEI, SSI, STI).
"""

from __future__ import annotations

from .abi import ENV_MIDELEG, ENV_MIE, ENV_MIP, ENV_MSTATUS, ENV_PRIV
from .clock import attention, now
from .layout import H_ENV, H_MIP_LINES, H_MIP_SOFT, H_WAKE, M_ENV, M_EVENT, M_HART
from .native import inline
from .prims import ctz, ld64, st64
from .riscv import MEIP, MIE, MSIP, MTIP, PRV_M, PRV_S, SEIP, SIE, SSIP, STIP


@inline
def env_of(m: int, h: int) -> int:
    """Where hart `h`'s engine state is: in the engine while it runs, else in its block."""
    if h == ld64(m + M_HART):
        return ld64(m + M_ENV)
    return h + H_ENV


@inline
def refresh_mip(m: int, h: int) -> None:
    """Recompute hart `h`'s mip from its two halves."""
    st64(env_of(m, h) + ENV_MIP, ld64(h + H_MIP_LINES) | ld64(h + H_MIP_SOFT))


@inline
def set_line(m: int, h: int, bit: int, level: int) -> None:
    """Drive interrupt line `bit` of hart `h`: `level` 0 or not."""
    lines = ld64(h + H_MIP_LINES)
    wanted = lines | bit if level else lines & ~bit
    if wanted != lines:
        st64(h + H_MIP_LINES, wanted)
        refresh_mip(m, h)
        if level:
            st64(h + H_WAKE, now(m))
        st64(m + M_EVENT, 1)
        attention(m)


@inline
def pending(env: int) -> int:
    """Number of the interrupt that the hart would take now, -1 for none."""
    raised = ld64(env + ENV_MIP) & ld64(env + ENV_MIE)
    if raised == 0:
        return -1
    priv = ld64(env + ENV_PRIV)
    status = ld64(env + ENV_MSTATUS)
    delegated = ld64(env + ENV_MIDELEG)
    taken = 0
    if priv < PRV_M or status & MIE:
        taken = raised & ~delegated
    if taken == 0 and (priv < PRV_S or (priv == PRV_S and status & SIE)):
        taken = raised & delegated
    if taken == 0:
        return -1
    if taken & MEIP:
        return 11
    if taken & MSIP:
        return 3
    if taken & MTIP:
        return 7
    if taken & SEIP:
        return 9
    if taken & SSIP:
        return 1
    if taken & STIP:
        return 5
    return ctz(taken)
