"""What fetch does on the wrong path, and cannot take back.

From a mispredicted branch on, fetch runs along the path that it believes in until execution calls it
back. The instructions it brings are thrown away, and the branch history is put back; but calls and
returns that it met have moved the return address stack, and a line that was missing in the instruction
cache is on its way. A program whose loops end beside a return feels that.

How far fetch gets is known from the pipeline's state: a packet a cycle, from the branch's own packet to
two cycles after its issue.
"""

from __future__ import annotations

from typing import Final

from ..engine.layout import M_ENV, M_HART
from ..engine.native import inline, outline
from ..engine.prims import ld16, ld64, st64
from .blocks import bht_part, code_at, end_kind
from .caches import HIT, l1i_access
from .decode import WIDE, decode, signed
from .fetch import fetch_translation
from .layout import (
    A_CODE_EPOCH, CFI_BRANCH, CFI_CALL, CFI_INDIRECT, CFI_INDIRECT_CALL, CFI_JUMP, CFI_NONE, CFI_RETURN, C_LINE_BITS,
    D_COUNT, D_FALL, D_OPS, D_TARGET, D_WRONG_EPOCH, D_WRONG_FALL, D_WRONG_TAKEN, O_PC, O_SIZE, P_L1I, T_ASTRAY,
    T_HISTORY, T_PARAMS, T_POOL, T_STATE,
)
from .packed import S_FETCHED, field
from .predictor import bht_index, predicts_taken, ras_head, ras_pop, ras_push

FARTHEST: Final = 7
"""Packets that fit between fetch and execution."""


@outline
def jump_target(insn: int, pc: int) -> int:
    """Where a branch or direct jump at `pc` goes when taken."""
    if insn & 3 == 3:
        if insn & 0x7F == 0x6F:
            imm = ((insn >> 31 & 1) << 20 | (insn >> 12 & 0xFF) << 12 | (insn >> 20 & 1) << 11
                   | (insn >> 21 & 0x3FF) << 1)
            return pc + signed(imm, 21)
        imm = (insn >> 31 & 1) << 12 | (insn >> 7 & 1) << 11 | (insn >> 25 & 0x3F) << 5 | (insn >> 8 & 0xF) << 1
        return pc + signed(imm, 13)
    if insn >> 13 & 7 == 5:
        imm = ((insn >> 12 & 1) << 11 | (insn >> 11 & 1) << 4 | (insn >> 9 & 3) << 8 | (insn >> 8 & 1) << 10
               | (insn >> 7 & 1) << 6 | (insn >> 6 & 1) << 7 | (insn >> 3 & 7) << 1 | (insn >> 2 & 1) << 5)
        return pc + signed(imm, 12)
    imm = ((insn >> 12 & 1) << 8 | (insn >> 10 & 3) << 3 | (insn >> 5 & 3) << 6 | (insn >> 3 & 3) << 1
           | (insn >> 2 & 1) << 5)
    return pc + signed(imm, 9)


@outline
def read_code(m: int, va: int) -> int:
    """The instruction at `va`, 0 if it cannot be fetched."""
    env = ld64(m + M_ENV)
    h = ld64(m + M_HART)
    host = code_at(m, h, env, va)
    if host == 0:
        return 0
    insn = ld16(host)
    if insn & 3 == 3:
        beyond = code_at(m, h, env, va + 2) if va & 0xFFF == 0xFFE else host + 2
        if beyond == 0:
            return 0
        insn |= ld16(beyond) << 16
    return insn


@outline
def quiet_packets(m: int, t: int, start: int) -> int:
    """Packets from `start` on in which nothing is met that fetch could not take back (FARTHEST: in none of them)."""
    bits = ld64(ld64(t + T_PARAMS) + P_L1I + C_LINE_BITS)
    va = start
    while va >> 2 < (start >> 2) + FARTHEST:
        if va >> bits != start >> bits:
            break
        insn = read_code(m, va)
        word, _ = decode(insn)
        if insn == 0 or CFI_NONE < end_kind(word, insn) <= CFI_RETURN:
            break
        va += 4 if word & WIDE else 2
    return (va >> 2) - (start >> 2)


@inline
def packets_ahead(t: int) -> int:
    """Packets that fetch gets beyond the last block's own last one before it is called back."""
    packets = -(field(ld64(t + T_STATE), S_FETCHED) - 128)
    return packets if packets < FARTHEST else FARTHEST


@outline
def jump_astray(m: int, t: int) -> None:
    """A jump was mispredicted: fetch went to T_ASTRAY."""
    follow(m, t, ld64(t + T_ASTRAY), packets_ahead(t))


@outline
def run_astray(m: int, t: int, d: int, taken: int) -> None:
    """The conditional branch that ends block `d` was mispredicted: `taken` 1 if it was, so fetch went straight on."""
    packets = packets_ahead(t)
    epoch = ld64(ld64(t + T_POOL) + A_CODE_EPOCH)
    if ld64(d + D_WRONG_EPOCH) != epoch:
        st64(d + D_WRONG_EPOCH, epoch)
        st64(d + D_WRONG_FALL, -1)
        st64(d + D_WRONG_TAKEN, -1)
    at = d + (D_WRONG_FALL if taken else D_WRONG_TAKEN)
    quiet = ld64(at)
    start = ld64(d + D_FALL) if taken else ld64(d + D_TARGET)
    if quiet < 0:
        if not taken and start == -1:
            pc = ld64(ld64(d + D_OPS) + (ld64(d + D_COUNT) - 1) * O_SIZE + O_PC)
            start = jump_target(read_code(m, pc), pc)
            st64(d + D_TARGET, start)
        quiet = quiet_packets(m, t, start)
        st64(at, quiet)
    if packets > quiet:
        follow(m, t, start, packets)


@outline
def follow(m: int, t: int, start: int, cycles: int) -> None:
    """Fetch from `start` for `cycles` cycles."""
    p = ld64(t + T_PARAMS)
    env = ld64(m + M_ENV)
    bits = ld64(p + P_L1I + C_LINE_BITS)
    history = ld64(t + T_HISTORY)
    line = -1
    packet = -1
    va = start
    page = -1
    host = 0
    while True:
        if va >> 12 != page:
            page = va >> 12
            host = code_at(m, ld64(m + M_HART), env, va & ~0xFFF)
            if host == 0:
                return
        insn = ld16(host + (va & 0xFFF))
        if insn & 3 == 3:
            insn = read_code(m, va) if va & 0xFFF == 0xFFE else insn | ld16(host + (va & 0xFFF) + 2) << 16
        word, _ = decode(insn)
        end = va + (4 if word & WIDE else 2)
        last = end - 2 & ~3
        if last != packet:
            cycles -= 1
            packet = last
            if cycles < 0:
                return
            if last >> bits != line:
                line = last >> bits
                pa, _ = fetch_translation(t, m, env, last)
                if pa == -1 or l1i_access(t, pa) != HIT:
                    return
        kind = end_kind(word, insn)
        following = end
        if kind == CFI_BRANCH:
            if predicts_taken(t, p, bht_index(p, bht_part(p, last), history)):
                following = jump_target(insn, va)
        elif kind == CFI_JUMP or kind == CFI_CALL:
            following = jump_target(insn, va)
        elif kind == CFI_RETURN:
            following = ras_head(t)
        elif kind == CFI_INDIRECT or kind == CFI_INDIRECT_CALL:
            return
        if kind == CFI_CALL:
            ras_push(t, p, end)
        elif kind == CFI_RETURN:
            if following == -1:
                return
            ras_pop(t, p)
        if following != end:
            cycles -= 1
            packet = -1
        va = following
