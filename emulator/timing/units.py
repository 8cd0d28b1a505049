"""Units and latencies: what an instruction needs for itself, and when its result is there.

The numbers are the profile's; which of them counts depends on the instruction's class (`decode`).
"""

from __future__ import annotations

from typing import Final

from ..engine.native import inline
from ..engine.prims import ld64
from .decode import (
    ATOMIC, FP_UNIT, K_AMO, K_BRANCH, K_CSR, K_CSR_FLUSH, K_DIVU, K_DIVUW, K_DIVW, K_FP_DOUBLE, K_FP_SHORT, K_FP_SINGLE,
    K_FP_TO_INT, K_JUMP, K_LOAD, K_LR, K_MUL, K_SC, K_TRAP, MEMORY, SIZE_SHIFT,
)
from .events import Stall
from .layout import (
    P_AMO, P_CSR, P_FP_DOUBLE, P_FP_LOAD, P_FP_SHORT, P_FP_SINGLE, P_FP_TO_INT, P_LINK, P_LOAD, P_LOAD_NARROW,
)

BRANCH: Final = int(Stall.BRANCH)
FETCH: Final = int(Stall.FETCH)
L1I: Final = int(Stall.L1I)
L1D: Final = int(Stall.L1D)
TLB: Final = int(Stall.TLB)
LOAD_USE: Final = int(Stall.LOAD_USE)
MUL_DIV: Final = int(Stall.MUL_DIV)
FP: Final = int(Stall.FP)
STORE_WAIT: Final = int(Stall.STORE)
ATOMIC_WAIT: Final = int(Stall.ATOMIC)
FENCE: Final = int(Stall.FENCE)
CSR: Final = int(Stall.CSR)
TRAP: Final = int(Stall.TRAP)
MMIO: Final = int(Stall.MMIO)

UNIT_MEMORY, UNIT_MULDIV, UNIT_BRANCH, UNIT_FP, UNIT_ALONE = 1, 2, 4, 8, 16
"""Units of which there is one; UNIT_ALONE issues with nothing beside it."""


@inline
def unit_of(word: int, kind: int) -> int:
    """The units that an instruction needs for itself."""
    units = UNIT_MEMORY if word & MEMORY else 0
    if word & FP_UNIT:
        units |= UNIT_FP
    if K_MUL <= kind <= K_DIVW or kind == K_DIVU or kind == K_DIVUW:
        units |= UNIT_MULDIV
    if kind == K_BRANCH or kind == K_JUMP:
        units |= UNIT_BRANCH
    if K_CSR <= kind <= K_TRAP or word & ATOMIC:
        units |= UNIT_ALONE
    return units


@inline
def result_latency(p: int, word: int, kind: int) -> tuple[int, int]:
    """(cycles until the result can be used, what its readers wait for), multiplier and dividers aside."""
    if kind == K_LOAD:
        if word & FP_UNIT:
            return ld64(p + P_FP_LOAD), LOAD_USE
        return ld64(p + (P_LOAD if word >> SIZE_SHIFT & 3 >= 2 else P_LOAD_NARROW)), LOAD_USE
    if kind == K_AMO or kind == K_LR:
        return ld64(p + P_AMO), ATOMIC_WAIT
    if kind == K_SC:
        return ld64(p + P_LOAD_NARROW), ATOMIC_WAIT
    if kind == K_CSR or kind == K_CSR_FLUSH:
        return ld64(p + P_CSR), CSR
    if kind == K_JUMP and word >> 16 & 255:  # jalr; a jal's link is an address like any other
        return ld64(p + P_LINK), BRANCH
    if kind == K_FP_SHORT:
        return ld64(p + P_FP_SHORT), FP
    if kind == K_FP_DOUBLE:
        return ld64(p + P_FP_DOUBLE), FP
    if kind == K_FP_SINGLE:
        return ld64(p + P_FP_SINGLE), FP
    if kind == K_FP_TO_INT:
        return ld64(p + P_FP_TO_INT), FP
    return 1, 0


@inline
def fp_write(kind: int) -> int:
    """Cycles from issue to the write of a floating-point register by the pipelined units; 0 for others."""
    if kind == K_FP_DOUBLE:
        return 5
    if kind == K_FP_SINGLE:
        return 4
    return 3 if kind == K_FP_SHORT else 0
