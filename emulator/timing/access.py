"""What the code hook notes: memory accesses, and operands that decide how long an instruction takes.

The hook runs before each watched instruction, when the registers are what the instruction will read.
It asks TLB and data cache, in program order, and notes in the hart's event list whatever is not a
plain hit.
"""

from __future__ import annotations

from typing import Final

from ..engine.abi import ENV_FPR, ENV_GPR, ENV_MSTATUS, ENV_PRIV, ENV_SATP
from ..engine.layout import M_BANKS
from ..engine.mmu import bank_of
from ..engine.native import inline, outline
from ..engine.prims import ld64, lshr, st64
from ..engine.riscv import MPP_SHIFT, MPRV, PRV_M
from .automaton import mix
from .caches import FIRST_DIRTY, HIT, L1D_ACCESSES, MISS_DIRTY, count, l1d_access
from .decode import ATOMIC, DOUBLE, K_DIV, K_DIVUW, K_DIVW, K_FDIV, K_MUL, K_MULH, K_MULW, LOAD, SIZE_SHIFT, SQRT, STORE
from .events import Event
from .layout import (
    C_LINE_BITS, C_MISS, C_MISS_DIRTY, C_SETS, D_OPS, EV_DIRTY, EV_FIRST_DIRTY, EV_MATCH_A, EV_MATCH_B, EV_MMIO,
    EV_OPERAND, EV_STALL, EV_TLB, MAX_EVENTS, O_IMM, O_SIZE, P_DIV_BASE, P_DIV_SIGN, P_DTLB, P_FDIV_D, P_FDIV_S,
    P_FDIV_SPECIAL, P_FSQRT_D, P_FSQRT_S, P_L1D, P_MUL_BITS, T_DATA_FRAME, T_DATA_PAGE, T_DTLB, T_EVENT_COUNT,
    T_EVENT_LIST, T_KEY, T_L1D_LATEST, T_PARAMS, T_PENDING, T_STORE_A, T_STORE_A_MASK, T_STORE_B, T_STORE_B_MASK,
)
from .tlb import NO_FRAME, lookup, refill, walk

LOADS: Final = int(Event.LOADS)
STORES: Final = int(Event.STORES)
AMOS: Final = int(Event.AMOS)
DTLB_MISSES: Final = int(Event.DTLB_MISSES)
MMIO_ACCESSES: Final = int(Event.MMIO_ACCESSES)


@inline
def index_of(t: int, op: int) -> int:
    """Index in the pending block of the instruction whose O_ block is at `op`."""
    return (op - ld64(ld64(t + T_PENDING) + D_OPS)) // O_SIZE


@outline
def note(t: int, index: int, bits: int, cycles: int) -> None:
    """Note that something happened to instruction `index` of the block."""
    number = ld64(t + T_EVENT_COUNT)
    if number >= MAX_EVENTS:
        return
    event = index << 32 | bits << 20 | cycles & 0xFFFFF
    st64(t + T_EVENT_LIST + 8 * number, event)
    st64(t + T_EVENT_COUNT, number + 1)
    st64(t + T_KEY, mix(ld64(t + T_KEY), event))


@inline
def significant_bits(value: int) -> int:
    """Bits of `value` as an unsigned number, 0 … 64."""
    bits = 0
    while value != 0:
        if lshr(value, 32):
            bits += 32
            value = lshr(value, 32)
        elif lshr(value, 8):
            bits += 8
            value = lshr(value, 8)
        else:
            bits += 1
            value = lshr(value, 1)
    return bits


@inline
def mul_cycles(p: int, kind: int, a: int) -> int:
    """Cycles that an iterative multiplier works on `a`: it looks for the end from its second step on."""
    step = ld64(p + P_MUL_BITS)
    full = (64 + step - 1) // step
    if kind == K_MULH:
        return full
    if kind == K_MULW:
        full = (32 + step - 1) // step
        low = a & 0xFFFFFFFF
        if low >> 31:
            return full
        used = (significant_bits(low) + step - 1) // step + 1
        return used if used < full else full
    if a < 0:
        return full
    used = (significant_bits(a) + step - 1) // step + 1
    if used < 2:
        used = 2
    return used if used < full else full


@inline
def div_cycles(p: int, kind: int, a: int, b: int) -> int:
    """Cycles that the divider works on `a` / `b`: one for each bit of the quotient."""
    signed = kind == K_DIV or kind == K_DIVW
    if kind == K_DIVW or kind == K_DIVUW:
        a &= 0xFFFFFFFF
        b &= 0xFFFFFFFF
        if signed:
            a = a - (1 << 32) if a >> 31 else a
            b = b - (1 << 32) if b >> 31 else b
    extra = 0
    if signed:
        sign = ld64(p + P_DIV_SIGN)
        if a < 0 or b < 0:
            extra += sign
        if (a < 0) != (b < 0) and b != 0:
            extra += sign
        if a < 0:
            a = -a
        if b < 0:
            b = -b
    base = ld64(p + P_DIV_BASE) - 2
    if b == 0:
        return base + 62 + extra
    quotient = significant_bits(a) - significant_bits(b)
    if a == 0:
        quotient = 1 - significant_bits(b)
    quotient &= 63
    if quotient == 63:
        quotient = 62
    return base + quotient + extra


@inline
def fdiv_cycles(p: int, word: int, a: int, b: int) -> int:
    """Cycles of a floating-point division or square root, issue to issue of a user."""
    double = word & DOUBLE
    exponent_bits = 11 if double else 8
    fraction_bits = 52 if double else 23
    if not double:
        a &= 0xFFFFFFFF
        b &= 0xFFFFFFFF
    top = (1 << exponent_bits) - 1
    ea = a >> fraction_bits & top
    eb = b >> fraction_bits & top
    if word & SQRT:
        if ea == 0 or ea == top or a >> (fraction_bits + exponent_bits) & 1:
            return ld64(p + P_FDIV_SPECIAL)
        return ld64(p + (P_FSQRT_D if double else P_FSQRT_S))
    if ea == 0 or eb == 0 or ea == top or eb == top:
        return ld64(p + P_FDIV_SPECIAL)
    mask = (1 << fraction_bits) - 1
    less = 1 if a & mask >= b & mask else 0
    return ld64(p + (P_FDIV_D if double else P_FDIV_S)) - less


@outline
def note_operand(t: int, env: int, op: int, word: int) -> None:
    """A multiplication or division is about to run."""
    p = ld64(t + T_PARAMS)
    index = index_of(t, op)
    kind = word & 255
    one = word >> 16 & 255
    two = word >> 24 & 255
    if kind == K_FDIV:
        a = ld64(env + ENV_FPR + 8 * (one - 32))
        b = ld64(env + ENV_FPR + 8 * (two - 32)) if two else 0
        note(t, index, EV_OPERAND, fdiv_cycles(p, word, a, b))
        return
    a = ld64(env + ENV_GPR + 8 * one)
    if K_MUL <= kind <= K_MULW:
        note(t, index, EV_OPERAND, mul_cycles(p, kind, a))
    else:
        note(t, index, EV_OPERAND, div_cycles(p, kind, a, ld64(env + ENV_GPR + 8 * two)))


@inline
def data_mode(env: int) -> int:
    """The privilege level that data accesses are made with."""
    mode = ld64(env + ENV_PRIV)
    if mode == PRV_M:
        status = ld64(env + ENV_MSTATUS)
        if status & MPRV:
            mode = status >> MPP_SHIFT & 3
    return mode


@outline
def translate_data(t: int, m: int, env: int, va: int) -> tuple[int, int]:
    """(physical address or -1, cycles lost in the data TLB), for an address beside the page used last."""
    page = va >> 12
    x = ld64(t + T_PARAMS) + P_DTLB
    number = page & ((1 << 52) - 1)
    frame = lookup(t + T_DTLB, x, number)
    cycles = 0
    if frame == NO_FRAME:
        count(t, DTLB_MISSES)
        frame, size, cycles = walk(t, m, env, x, number)
        if frame == NO_FRAME:
            return -1, cycles
        refill(t + T_DTLB, x, number, frame, size)
    st64(t + T_DATA_PAGE, page)
    st64(t + T_DATA_FRAME, frame << 12)
    return frame << 12 | va & 0xFFF, cycles


@inline
def is_memory(m: int, pa: int) -> bool:
    """Whether `pa` is RAM or ROM, not a device."""
    offset = pa - ld64(m + M_BANKS)
    return 0 <= offset < ld64(m + M_BANKS + 8) or bank_of(m, pa) != 0


@inline
def cache_stall(t: int, outcome: int) -> int:
    """The cycles that a data cache access took more than a hit."""
    if outcome == HIT or outcome == FIRST_DIRTY:
        return 0
    return ld64(ld64(t + T_PARAMS) + P_L1D + (C_MISS_DIRTY if outcome == MISS_DIRTY else C_MISS))


@outline
def note_uncommon(t: int, m: int, op: int, pa: int, store: int, bits: int, cycles: int) -> None:
    """The rest of `note_access` where it is no plain hit in the line used last in its set."""
    if pa != -1:
        if is_memory(m, pa):
            outcome = l1d_access(t, pa, store)
            if outcome == FIRST_DIRTY:
                bits |= EV_FIRST_DIRTY
            elif outcome != HIT:
                bits |= EV_STALL | EV_DIRTY if outcome == MISS_DIRTY else EV_STALL
                cycles += cache_stall(t, outcome)
        else:
            count(t, MMIO_ACCESSES)
            bits |= EV_MMIO
    if bits:
        note(t, index_of(t, op), bits, cycles)


@inline
def note_access(t: int, m: int, env: int, op: int, word: int) -> None:
    """A load, store or atomic operation is about to run."""
    va = ld64(env + ENV_GPR + 8 * (word >> 16 & 255)) + ld64(op + O_IMM)
    store = 1 if word & STORE else 0
    count(t, AMOS if word & ATOMIC else STORES if store else LOADS)
    place = va >> 3 & 0x1FF  # the core compares the bits within a page
    mask = ((1 << (1 << (word >> SIZE_SHIFT & 3))) - 1) << (va & 7)
    bits = 0
    if word & LOAD:
        if ld64(t + T_STORE_A) == place:
            if ld64(t + T_STORE_A_MASK) & mask:
                bits = EV_MATCH_A
        if bits == 0 and ld64(t + T_STORE_B) == place and ld64(t + T_STORE_B_MASK) & mask:
            bits = EV_MATCH_B
    if store:
        st64(t + T_STORE_B, ld64(t + T_STORE_A))
        st64(t + T_STORE_B_MASK, ld64(t + T_STORE_A_MASK))
        st64(t + T_STORE_A, place)
        st64(t + T_STORE_A_MASK, mask)
    pa = va
    cycles = 0
    if data_mode(env) != PRV_M and lshr(ld64(env + ENV_SATP), 60) != 0:
        if va >> 12 == ld64(t + T_DATA_PAGE):
            pa = ld64(t + T_DATA_FRAME) | va & 0xFFF
        else:
            pa, cycles = translate_data(t, m, env, va)
            if cycles:
                bits |= EV_STALL | EV_TLB
    p = ld64(t + T_PARAMS) + P_L1D
    line = pa >> ld64(p + C_LINE_BITS)
    latest = ld64(t + T_L1D_LATEST + 8 * (line & (ld64(p + C_SETS) - 1)))
    if latest | 2 == (line << 2 | 3) and latest & 2 >= store << 1 and bits == 0:  # a plain hit
        count(t, L1D_ACCESSES)
        return
    note_uncommon(t, m, op, pa, store, bits, cycles)
