"""What a load or store accesses: its effective address, computed from the instruction and the registers.

What the engine looks for on behalf of an instruction is not always what the instruction accesses: a load that
crosses a page is two aligned ones to it, and SC reads before it writes.

Sources: unprivileged specification 2.6 and 5.3 (loads and stores), 8.2 to 8.4 (LR, SC, AMOs), 16.3 (compressed).
"""

from __future__ import annotations

from .abi import ENV_GPR
from .native import inline
from .prims import ld64
from .watch import LOADS, STORES

OP_LOAD, OP_LOAD_FP, OP_STORE, OP_STORE_FP, OP_AMO = 0x03, 0x07, 0x23, 0x27, 0x2F
LR, SC = 2, 3


@inline
def register(env: int, number: int) -> int:
    """Integer register `number`."""
    return ld64(env + ENV_GPR + 8 * number)


@inline
def effective(env: int, insn: int) -> tuple[int, int, int, int]:
    """Address, bytes, and kinds of the access that `insn` is about to make (0: none); SC's rd, else 0."""
    if insn & 3 != 3:
        address, size, kinds = effective_compressed(env, insn)
        return address, size, kinds, 0
    opcode = insn & 0x7F
    base = register(env, insn >> 15 & 31)
    size = 1 << (insn >> 12 & 3)
    if opcode == OP_LOAD or opcode == OP_LOAD_FP:
        return base + (insn << 32 >> 52), size, LOADS, 0
    if opcode == OP_STORE or opcode == OP_STORE_FP:
        return base + ((insn << 32 >> 57 << 5) | (insn >> 7 & 31)), size, STORES, 0
    if opcode == OP_AMO:
        function = insn >> 27 & 31
        if function == LR:
            return base, size, LOADS, 0
        if function == SC:
            return base, size, STORES, insn >> 7 & 31
        return base, size, LOADS | STORES, 0
    return 0, 0, 0, 0


@inline
def effective_compressed(env: int, insn: int) -> tuple[int, int, int]:
    """The same for 16 bits: C.LW, C.LD, C.FLD, their stores, and those by the stack pointer."""
    quadrant = insn & 3
    function = insn >> 13 & 7
    if quadrant == 1 or function == 0 or function == 4:
        return 0, 0, 0
    wide = function & 1
    size = 8 if wide else 4
    kinds = STORES if function > 4 else LOADS
    if quadrant == 0:
        offset = (insn >> 10 & 7) << 3
        if wide:
            offset |= (insn >> 5 & 3) << 6
        else:
            offset |= (insn >> 6 & 1) << 2 | (insn >> 5 & 1) << 6
        return register(env, 8 + (insn >> 7 & 7)) + offset, size, kinds
    if function > 4:
        doubles, words = (insn >> 10 & 7) << 3 | (insn >> 7 & 7) << 6, (insn >> 9 & 15) << 2 | (insn >> 7 & 3) << 6
        offset = doubles if wide else words
    else:
        offset = (insn >> 12 & 1) << 5
        if wide:
            offset |= (insn >> 5 & 3) << 3 | (insn >> 2 & 7) << 6
        else:
            offset |= (insn >> 4 & 7) << 2 | (insn >> 2 & 3) << 6
    return register(env, 2) + offset, size, kinds
