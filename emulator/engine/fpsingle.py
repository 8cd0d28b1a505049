"""Floating-point repairs: NaN boxing, signalling minima, and what the engine forgets to refuse.

The engine's floating point is right but for these rules, most of them later than it:
- a single-precision operand whose upper 32 bits are not all ones counts as the canonical NaN
  (unprivileged specification 12.2);
- a single-precision result has all ones there (ibid.; the engine's own has whatever came out);
- fmin and fmax with one signalling NaN give the *other* operand (11.6), and set NV;
- a fused multiply-add of infinity and zero sets NV whatever is added (11.6);
- comparisons and conversions to integer may raise a flag, and so make FS dirty (privileged 3.1.6.6);
- c.fld, c.fsd, c.fldsp and c.fsdsp are illegal while mstatus.FS is off (privileged 3.1.6.6), and
  reserved compressed encodings always.

All are mended around the engine's own instruction: by giving it other operands before, and by
completing its result after. `block.on_edge` finds the instructions when a block is translated and
has the block translated again with the code hook on them, which calls `mend` before each instruction.
What is to be done *after* one (`settle`) the next hook, block or trap does.
"""

from __future__ import annotations

from .abi import ENV_FPR, ENV_MSTATUS, ENV_PRIV
from .clock import attention
from .layout import (
    F_GET_FFLAGS, F_RAISE, F_SET_FFLAGS, M_ENV, M_FP_BOX, M_FP_FIXES, M_FP_FLAGS, M_FP_PC, M_FP_RD, M_FP_SAVED,
)
from .mmu import fetch_parcel
from .native import inline
from .prims import call1, call2, call3, ld64, lshr, st64
from .riscv import FS, ILLEGAL, SD

CANONICAL_NAN = -0x0000_0000_8040_0000
"""0xffff_ffff_7fc0_0000: the canonical single-precision NaN, boxed."""
BOX = -(1 << 32)
"""The upper 32 bits of a single-precision value in a 64-bit register."""
NV = 0x10
"""Invalid operation, in fflags."""
OP_FP = 0x53
FMT_S, FMT_D = 0, 1


@inline
def operands(insn: int) -> int:
    """What to mend: operands (1, 2, 4), a signalling minimum (8), the result (16), an FMA's NV (32), FS (64)."""
    opcode = insn & 0x7F
    fmt = (insn >> 25) & 3
    if opcode == 0x43 or opcode == 0x47 or opcode == 0x4B or opcode == 0x4F:
        if fmt == FMT_S:
            return 7 | 16 | 32
        return 32 if fmt == FMT_D else 0
    if opcode != OP_FP:
        return 0
    kind = insn >> 27
    if fmt == FMT_S:
        if kind <= 0x04:  # fadd fsub fmul fdiv fsgnj*
            return 3 | 16
        if kind == 0x05:  # fmin fmax
            return 3 | 8 | 16
        if kind == 0x0B:  # fsqrt
            return 1 | 16
        if kind == 0x08 or kind == 0x1A or kind == 0x1E:  # fcvt.s.d, fcvt.s.{w,wu,l,lu}, fmv.w.x
            return 16
        if kind == 0x14:  # feq flt fle
            return 3 | 64
        if kind == 0x18:  # fcvt.{w,wu,l,lu}.s
            return 1 | 64
        if kind == 0x1C and (insn >> 12) & 7 == 1:  # fclass
            return 1
    elif fmt == FMT_D:
        if kind == 0x05:
            return 8
        if kind == 0x14 or kind == 0x18:  # comparisons, conversions to integer
            return 64
        if kind == 0x08 and (insn >> 20) & 31 == FMT_S:  # fcvt.d.s
            return 1
    return 0


@inline
def compressed_illegal(parcel: int, fs: int) -> bool:
    """Whether a 16-bit instruction that the engine would run is illegal.

    c.fld, c.fsd, c.fldsp, c.fsdsp while mstatus.FS (`fs`) is off; and the encodings of quadrants 0
    and 1 that are reserved (unprivileged specification, tables 16.5 and 16.6), which it takes for no-ops.
    """
    quadrant = parcel & 3
    kind = parcel >> 13
    if kind == 4:
        return quadrant == 0 or (quadrant == 1 and parcel >> 10 == 0x27 and parcel & 0x40 != 0)
    return not fs and (quadrant == 0 or quadrant == 2) and (kind == 1 or kind == 5)


@inline
def writes_fpr(insn: int) -> bool:
    """Whether rd of an instruction for which `operands` is not 0 is a floating-point register."""
    kind = insn >> 27
    return insn & 0x7F != OP_FP or (kind != 0x14 and kind != 0x18 and kind != 0x1C)


@inline
def substitute(m: int, env: int, register: int, value: int) -> None:
    """Let the instruction read `value` in `register`; `settle` undoes it."""
    at = env + ENV_FPR + 8 * register
    n = ld64(m + M_FP_FIXES)
    for i in range(n):
        if ld64(m + M_FP_SAVED + 16 * i) == register:  # already saved: rs1 == rs2
            st64(at, value)
            return
    st64(m + M_FP_SAVED + 16 * n, register)
    st64(m + M_FP_SAVED + 16 * n + 8, ld64(at))
    st64(m + M_FP_FIXES, n + 1)
    st64(at, value)
    attention(m)


@inline
def settle(m: int, executed: bool) -> None:
    """After an instruction: restore substituted operands, box its result (if it was `executed`)."""
    n = ld64(m + M_FP_FIXES)
    rd = ld64(m + M_FP_BOX)
    env = ld64(m + M_ENV)
    if n:
        for i in range(n):
            register = ld64(m + M_FP_SAVED + 16 * i)
            if not executed or register != ld64(m + M_FP_RD):
                st64(env + ENV_FPR + 8 * register, ld64(m + M_FP_SAVED + 16 * i + 8))
        st64(m + M_FP_FIXES, 0)
    if rd:
        if executed:
            at = env + ENV_FPR + 8 * (rd - 1)
            st64(at, ld64(at) | BOX)
        st64(m + M_FP_BOX, 0)
    flags = ld64(m + M_FP_FLAGS)
    if flags:
        if not executed:
            call2(ld64(m + F_SET_FFLAGS), env, flags & 31)
        st64(m + M_FP_FLAGS, 0)


@inline
def box(m: int, env: int, register: int) -> None:
    """An operand that is not NaN-boxed reads as the canonical NaN."""
    if lshr(ld64(env + ENV_FPR + 8 * register), 32) != 0xFFFFFFFF:
        substitute(m, env, register, CANONICAL_NAN)


@inline
def nan_kind(value: int, double: bool) -> int:
    """0: a number, 1: a quiet NaN, 2: a signalling NaN."""
    if double:
        magnitude = value & ((1 << 63) - 1)
        if magnitude <= 0x7FF0_0000_0000_0000:
            return 0
        return 1 if magnitude & (1 << 51) else 2
    magnitude = value & 0x7FFF_FFFF
    if magnitude <= 0x7F80_0000:
        return 0
    return 1 if magnitude & (1 << 22) else 2


@inline
def mend_minmax(m: int, env: int, insn: int) -> None:
    """fmin, fmax: one signalling NaN gives way to the other operand, and either raises NV."""
    double = (insn >> 25) & 3 == FMT_D
    rs1 = (insn >> 15) & 31
    rs2 = (insn >> 20) & 31
    a = ld64(env + ENV_FPR + 8 * rs1)
    b = ld64(env + ENV_FPR + 8 * rs2)
    kind_a = nan_kind(a, double)
    kind_b = nan_kind(b, double)
    if kind_a != 2 and kind_b != 2:
        return
    raise_invalid(m, env)
    if kind_a == 2 and kind_b == 0:
        substitute(m, env, rs1, b)
    elif kind_b == 2 and kind_a == 0:
        substitute(m, env, rs2, a)


@inline
def magnitude(value: int, double: bool) -> int:
    """`value` without its sign bit."""
    return value & ((1 << 63) - 1) if double else value & 0x7FFF_FFFF


@inline
def mend_fma(m: int, env: int, insn: int) -> None:
    """Infinity times zero raises NV also when a quiet NaN is added to it (11.6)."""
    double = (insn >> 25) & 3 == FMT_D
    infinity = 0x7FF0_0000_0000_0000 if double else 0x7F80_0000
    a = magnitude(ld64(env + ENV_FPR + 8 * ((insn >> 15) & 31)), double)
    b = magnitude(ld64(env + ENV_FPR + 8 * ((insn >> 20) & 31)), double)
    if (a == infinity and b == 0) or (a == 0 and b == infinity):
        raise_invalid(m, env)


@inline
def raise_invalid(m: int, env: int) -> None:
    """Set NV in fflags; `settle` takes it back if the instruction turns out to be illegal."""
    flags = call1(ld64(m + F_GET_FFLAGS), env) & 31
    st64(m + M_FP_FLAGS, flags | 256)
    call2(ld64(m + F_SET_FFLAGS), env, flags | NV)


@inline
def mend(m: int, pc: int, size: int) -> None:
    """Before the instruction at `pc`: what it needs, and what the one before it left (`codehook`)."""
    env = ld64(m + M_ENV)
    settle(m, True)
    mode = ld64(env + ENV_PRIV)
    insn = fetch_parcel(m, env, pc, mode)
    if size == 2:
        if compressed_illegal(insn, ld64(env + ENV_MSTATUS) & FS):
            call3(ld64(m + F_RAISE), env, ILLEGAL, 0)  # leaves by longjmp
        return
    if not ld64(env + ENV_MSTATUS) & FS:
        return  # the engine itself refuses these
    insn |= fetch_parcel(m, env, pc + 2, mode) << 16
    reads = operands(insn)
    st64(m + M_FP_RD, insn >> 7 & 31 if writes_fpr(insn) else -1)
    if reads & 1:
        box(m, env, (insn >> 15) & 31)
    if reads & 2:
        box(m, env, (insn >> 20) & 31)
    if reads & 4:
        box(m, env, (insn >> 27) & 31)
    if reads & 8:
        mend_minmax(m, env, insn)
    if reads & 64:
        st64(env + ENV_MSTATUS, ld64(env + ENV_MSTATUS) | FS | SD)
    if reads & 32:
        mend_fma(m, env, insn)
    if reads & 16:
        st64(m + M_FP_BOX, (insn >> 7 & 31) + 1)
        attention(m)
    st64(m + M_FP_PC, pc)
