"""What the timing model knows of a translated block: its instructions decoded, its code lines, its end.

`describe` runs once per translation, behind `engine.block.on_edge`. The descriptor (D_) and the
decoded instructions (O_) come from two pools that are dropped together with the engine's records.
"""

from __future__ import annotations

from ..engine.abi import ACCESS_FETCH, ENV_PRIV
from ..engine.clock import request_stop
from ..engine.layout import M_ENV, M_HART, M_TIMING, R_COUNT, R_PC, R_TIMED, STOP_RECORDS
from ..engine.mmu import host_address, translate
from ..engine.native import inline, outline
from ..engine.prims import ld16, ld64, st64
from .decode import K_BRANCH, K_CSR_FLUSH, K_FENCE_I, K_JUMP, K_TRAP, WATCHED, WIDE, decode
from .layout import (
    A_BLOCKS_END, A_BLOCKS_NEXT, A_FULL, A_OPS_END, A_OPS_NEXT, CFI_BRANCH, CFI_CALL, CFI_INDIRECT, CFI_INDIRECT_CALL,
    CFI_JUMP, CFI_NONE, CFI_RETURN, C_LINE_BITS, D_BHT, D_BTB, D_CFI, D_COUNT, D_DECEIVES, D_DECEIVES_BEFORE, D_EDGE,
    D_FALL, D_FIRST_HOOKED, D_HALF, D_L1I_EPOCH, D_LAST_LINE, D_LINE, D_LINES, D_OPS, D_PACKET, D_PC, D_SIZE, D_TARGET,
    D_WRONG_EPOCH, END_FENCE_I, END_SYSTEM, MAX_EVENTS, O_IMM, O_NEXT, O_PC, O_SIZE, O_WORD, P_BHT, P_BHT_BITS, P_L1I,
    T_PARAMS, T_POOL,
)


@inline
def end_kind(word: int, insn: int) -> int:
    """What kind of end an instruction makes: a CFI_ or END_ value."""
    kind = word & 255
    if kind == K_BRANCH:
        return CFI_BRANCH
    if kind == K_FENCE_I:
        return END_FENCE_I
    if kind == K_TRAP or kind == K_CSR_FLUSH:
        return END_SYSTEM
    if kind != K_JUMP:
        return CFI_NONE
    if word & WIDE:
        links = insn >> 7 & 1  # the fetch unit looks at the lowest bit of rd alone: x1, x5, and others
        if insn & 0x7F == 0x6F:
            return CFI_CALL if links else CFI_JUMP
        source = insn >> 15 & 31
    else:
        if insn & 3 == 1:
            return CFI_JUMP
        links = insn >> 12 & 1
        source = insn >> 7 & 31
    if links:
        return CFI_INDIRECT_CALL
    return CFI_RETURN if source & 0x1B == 1 else CFI_INDIRECT  # ra or t0


@outline
def deceives(d: int, packet: int, host: int) -> int:
    """Where `packet` of block `d`, its code at `host`, looks as if a 32-bit instruction began: halfwords 0, 1 as bits.

    Fetch asks so when it holds a BTB entry against the wrong packet (`predictor.check_stale_packet`). It knows
    of an instruction that began in the upper half and goes on behind; otherwise it looks at the lower half, be
    that the middle of an instruction.
    """
    op = ld64(d + D_OPS)
    for _ in range(ld64(d + D_COUNT)):
        if ld64(op + O_PC) == packet + 2 and ld64(op + O_WORD) & WIDE:
            return 2
        op += O_SIZE
    return 1 if host and ld16(host) & 3 == 3 else 0


@outline
def code_at(m: int, h: int, env: int, va: int) -> int:
    """Host address of the code at `va`, 0 if it cannot be fetched."""
    cause, pa, _, _ = translate(m, h, env, va, ACCESS_FETCH, ld64(env + ENV_PRIV))
    if cause >= 0:
        return 0
    return host_address(m, pa)


@inline
def bht_part(p: int, packet: int) -> int:
    """The part of a history table index that depends on the packet's address."""
    high = packet >> 2
    return (high & (ld64(p + P_BHT) - 1)) ^ (high >> ld64(p + P_BHT_BITS) & 3)


@outline
def describe(m: int, record: int) -> int:
    """The descriptor of the block that `record` is for, 0 if its code cannot be read.

    Always leaves room for one more: no block may go uncounted, and the engine stops before the next one only.
    """
    t = ld64(m + M_TIMING)
    a = ld64(t + T_POOL)
    count = ld64(record + R_COUNT)
    if count < 0:
        count = -count
    d = ld64(a + A_BLOCKS_NEXT)
    op = ld64(a + A_OPS_NEXT)
    st64(d + D_OPS, op)
    if op + (count + 1) * O_SIZE > ld64(a + A_OPS_END) or d + D_SIZE > ld64(a + A_BLOCKS_END):
        return 0  # only if another stop, by chance in the same block, came before the one below, again and again
    env = ld64(m + M_ENV)
    h = ld64(m + M_HART)
    pc = ld64(record + R_PC)
    line_bits = ld64(ld64(t + T_PARAMS) + P_L1I + C_LINE_BITS)
    page = -1
    host = 0
    va = pc
    word = 0
    insn = 0
    first_hooked = 0
    hooked = 0
    for _ in range(count):
        if va >> 12 != page:
            page = va >> 12
            host = code_at(m, h, env, va & ~0xFFF)
            if host == 0:
                return 0
        insn = ld16(host + (va & 0xFFF))
        if insn & 3 == 3:
            if va & 0xFFF == 0xFFE:
                page += 1
                host = code_at(m, h, env, va + 2)
                if host == 0:
                    return 0
                insn |= ld16(host) << 16
            else:
                insn |= ld16(host + (va & 0xFFF) + 2) << 16
        word, imm = decode(insn)
        st64(op + O_WORD, word)
        st64(op + O_IMM, imm)
        st64(op + O_PC, va)
        if word & WATCHED:
            if hooked:
                st64(hooked + O_NEXT, op)
            else:
                first_hooked = op
            hooked = op
        op += O_SIZE
        va += 4 if word & WIDE else 2
    st64(op + O_PC, -1)
    if hooked:
        st64(hooked + O_NEXT, op)
    st64(a + A_OPS_NEXT, op + O_SIZE)
    st64(a + A_BLOCKS_NEXT, d + D_SIZE)
    if op + (MAX_EVENTS + 2) * O_SIZE > ld64(a + A_OPS_END) or d + 2 * D_SIZE > ld64(a + A_BLOCKS_END):
        st64(a + A_FULL, 1)
        request_stop(m, STOP_RECORDS, 0)
    st64(d + D_EDGE, 0)
    st64(d + D_COUNT, count)
    st64(d + D_PC, pc)
    st64(d + D_FALL, va)
    st64(d + D_CFI, end_kind(word, insn))
    st64(d + D_PACKET, (va - 2) & ~3)
    st64(d + D_BHT, bht_part(ld64(t + T_PARAMS), (va - 2) & ~3))
    st64(d + D_HALF, (va - 2) >> 1 & 1)
    st64(d + D_FIRST_HOOKED, first_hooked)
    packet = (va - 2) & ~3
    st64(d + D_DECEIVES, deceives(d, packet, code_at(m, h, env, packet)))
    st64(d + D_DECEIVES_BEFORE, deceives(d, packet - 4, code_at(m, h, env, packet - 4)) if packet > pc else -1)
    st64(d + D_BTB, 0)
    st64(d + D_L1I_EPOCH, -1)
    st64(d + D_TARGET, -1)
    st64(d + D_WRONG_EPOCH, -1)  # nothing counted yet
    st64(d + D_LINE, pc >> line_bits)
    st64(d + D_LAST_LINE, (va - 1) >> line_bits)
    st64(d + D_LINES, ((va - 1) >> line_bits) - (pc >> line_bits) + 1)
    st64(record + R_TIMED, d)
    return d


@outline
def scan(m: int, pc: int, size: int) -> int:
    """Offsets of the first and last watched instruction among `size` bytes at `pc`: first | last << 16; or -1."""
    env = ld64(m + M_ENV)
    h = ld64(m + M_HART)
    page = -1
    host = 0
    va = pc
    first = -1
    last = -1
    while va < pc + size:
        if va >> 12 != page:
            page = va >> 12
            host = code_at(m, h, env, va & ~0xFFF)
            if host == 0:
                break
        insn = ld16(host + (va & 0xFFF))
        if insn & 3 == 3:
            beyond = code_at(m, h, env, va + 2) if va & 0xFFF == 0xFFE else host + (va & 0xFFF) + 2
            if beyond:
                insn |= ld16(beyond) << 16
        word, _ = decode(insn)
        if word & WATCHED:
            if first < 0:
                first = va - pc
            last = va - pc
        va += 4 if word & WIDE else 2
    return first | last << 16 if first >= 0 else -1
