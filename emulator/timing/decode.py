"""What the pipeline needs to know of an instruction: its class, its registers, its memory operand.

`decode` packs that into a word:

        0-7    class (K_)              8-15   destination    16-23  source 1    24-31  source 2
        32-39  source 3                40     1 for a 32-bit instruction        41-43  log2 of the access size
        44     memory access           45     load           46     store       47     AMO, LR or SC
        48     watched: the code hook must see it            49     aq          50     rl
        51     writes an integer register

Registers are numbered 1 … 31 for x1 … x31, 32 … 63 for f0 … f31, 0 for none (and for x0, which is
always ready).

Source: The RISC-V Instruction Set Manual, Volume I, version 20191213, chapter 24 (RV64GC), and
chapter 16 for the compressed instructions.
"""

from __future__ import annotations

from typing import Final

from ..engine.native import inline, outline

K_ALU: Final = 0
K_LOAD: Final = 1
K_STORE: Final = 2
K_AMO: Final = 3
K_BRANCH: Final = 4
K_JUMP: Final = 5  # jal, jalr
K_MUL: Final = 6
K_MULH: Final = 7
K_MULW: Final = 8
K_DIV: Final = 9
K_DIVW: Final = 10
K_CSR: Final = 11  # no write, or one that needs no refetch
K_CSR_FLUSH: Final = 12
K_FENCE: Final = 13
K_FENCE_I: Final = 14
K_SFENCE: Final = 15
K_TRAP: Final = 16  # ecall, ebreak, xRET
K_FP_SHORT: Final = 17
K_FP_DOUBLE: Final = 18
K_FP_SINGLE: Final = 19
K_FP_TO_INT: Final = 20
K_FDIV: Final = 21
K_LR: Final = 22
K_SC: Final = 23
K_DIVU: Final = 24
K_DIVUW: Final = 25
K_WFI: Final = 26

WIDE: Final = 1 << 40
SIZE_SHIFT: Final = 41
MEMORY: Final = 1 << 44
LOAD: Final = 1 << 45
STORE: Final = 1 << 46
ATOMIC: Final = 1 << 47
WATCHED: Final = 1 << 48
AQ: Final = 1 << 49
RL: Final = 1 << 50
WRITES_X: Final = 1 << 51
FP_UNIT: Final = 1 << 52  # goes through the floating-point unit's decoder, loads and stores of its registers too
SQRT: Final = 1 << 53
DOUBLE: Final = 1 << 54
RETIRES: Final = 1 << 55  # ecall and ebreak: they trap, and are counted all the same

READS: Final = MEMORY | LOAD | WATCHED
WRITES: Final = MEMORY | STORE | WATCHED


@inline
def pack(kind: int, rd: int, rs1: int, rs2: int) -> int:
    """The word of an instruction with integer registers; 0 for an operand it does not have."""
    return kind | rd << 8 | rs1 << 16 | rs2 << 24 | (WRITES_X if 0 < rd < 32 else 0)


@outline
def decode(insn: int) -> tuple[int, int]:
    """(the packed word, the immediate of a memory access) of a 16- or 32-bit instruction.

    What RV64GC does not define has some class that accesses no memory and clears no TLB: it traps.
    """
    if insn & 3 != 3:
        return decode_compressed(insn & 0xFFFF)
    opcode = insn & 0x7F
    rd = (insn >> 7) & 31
    funct3 = (insn >> 12) & 7
    rs1 = (insn >> 15) & 31
    rs2 = (insn >> 20) & 31
    if opcode == 0x13 or opcode == 0x1B:
        return pack(K_ALU, rd, rs1, 0) | WIDE, 0
    if opcode == 0x33 or opcode == 0x3B:
        if insn >> 25 == 1:
            word = opcode == 0x3B
            kind = K_MULW if word else K_MUL
            if 1 <= funct3 <= 3:
                kind = K_MULH
            elif funct3 >= 4:
                unsigned = funct3 & 1
                kind = (K_DIVUW if unsigned else K_DIVW) if word else (K_DIVU if unsigned else K_DIV)
            return pack(kind, rd, rs1, rs2) | WIDE | WATCHED, 0
        return pack(K_ALU, rd, rs1, rs2) | WIDE, 0
    if opcode == 0x37 or opcode == 0x17:
        return pack(K_ALU, rd, 0, 0) | WIDE, 0
    if not is_access(opcode, funct3, insn):
        return K_ALU | WIDE, 0
    if opcode == 0x03:
        return pack(K_LOAD, rd, rs1, 0) | WIDE | READS | (funct3 & 3) << SIZE_SHIFT, signed(insn >> 20, 12)
    if opcode == 0x23:
        imm = (insn >> 25) << 5 | rd
        return pack(K_STORE, 0, rs1, rs2) | WIDE | WRITES | (funct3 & 3) << SIZE_SHIFT, signed(imm, 12)
    if opcode == 0x63:
        return pack(K_BRANCH, 0, rs1, rs2) | WIDE, 0
    if opcode == 0x6F:
        return pack(K_JUMP, rd, 0, 0) | WIDE, 0
    if opcode == 0x67:
        return pack(K_JUMP, rd, rs1, 0) | WIDE, 0
    if opcode == 0x07:
        return (K_LOAD | (32 + rd) << 8 | rs1 << 16 | WIDE | READS | FP_UNIT | (funct3 & 3) << SIZE_SHIFT,
                signed(insn >> 20, 12))
    if opcode == 0x27:
        imm = (insn >> 25) << 5 | rd
        return (K_STORE | rs1 << 16 | (32 + rs2) << 24 | WIDE | WRITES | FP_UNIT | (funct3 & 3) << SIZE_SHIFT,
                signed(imm, 12))
    if opcode == 0x2F:
        order = (AQ if insn & 1 << 26 else 0) | (RL if insn & 1 << 25 else 0) | (funct3 & 3) << SIZE_SHIFT | WIDE
        operation = insn >> 27
        if operation == 2:
            return pack(K_LR, rd, rs1, 0) | READS | ATOMIC | order, 0
        if operation == 3:
            return pack(K_SC, rd, rs1, rs2) | WRITES | ATOMIC | order, 0
        return pack(K_AMO, rd, rs1, rs2) | READS | STORE | ATOMIC | order, 0
    if opcode == 0x0F:
        return (K_FENCE_I if funct3 == 1 else K_FENCE) | WIDE, 0
    if opcode == 0x73:
        return decode_system(insn, rd, funct3, rs1), 0
    return decode_fp(insn, opcode, rd, rs1, rs2), 0


@inline
def is_access(opcode: int, funct3: int, insn: int) -> bool:
    """False for what would be a load, a store or an AMO, but is not defined."""
    if opcode == 0x03:
        return funct3 != 7
    if opcode == 0x23:
        return funct3 < 4
    if opcode == 0x07 or opcode == 0x27:
        return funct3 == 2 or funct3 == 3
    if opcode == 0x2F:
        operation = insn >> 27 & 31
        if operation == 2 and insn >> 20 & 31 != 0:
            return False
        return (funct3 == 2 or funct3 == 3) and (operation & 3 == 0 or operation < 4)
    return True


@inline
def decode_system(insn: int, rd: int, funct3: int, rs1: int) -> int:
    """SYSTEM instructions: CSR accesses, traps and their returns, WFI, SFENCE.VMA."""
    if funct3 == 0:
        if insn >> 25 == 9 and rd == 0:
            return K_SFENCE | rs1 << 16 | ((insn >> 20) & 31) << 24 | WIDE | WATCHED
        retires = RETIRES if insn & 0xFFEFFFFF == 0x73 else 0
        return (K_WFI if insn >> 20 == 0x105 else K_TRAP) | retires | WIDE
    number = insn >> 20
    source = rs1 if funct3 < 4 else 0
    writes = funct3 & 3 == 1 or rs1 != 0
    scratch = number & 0xDFC == 0x140  # xscratch, xepc, xcause and xtval (0x140 …, 0x340 …) need no refetch
    kind = K_CSR_FLUSH if writes and not scratch else K_CSR
    return pack(kind, rd, source, 0) | WIDE


@inline
def decode_fp(insn: int, opcode: int, rd: int, rs1: int, rs2: int) -> int:
    """Floating-point arithmetic."""
    fmt = (insn >> 25) & 3
    arithmetic = K_FP_DOUBLE if fmt == 1 else K_FP_SINGLE
    double = (DOUBLE if fmt == 1 else 0) | FP_UNIT | WIDE
    if opcode == 0x43 or opcode == 0x47 or opcode == 0x4B or opcode == 0x4F:
        rs3 = (insn >> 27) & 31
        return arithmetic | (32 + rd) << 8 | (32 + rs1) << 16 | (32 + rs2) << 24 | (32 + rs3) << 32 | double
    if opcode != 0x53:
        return K_ALU | WIDE
    operation = insn >> 27
    to_f = (32 + rd) << 8
    two = (32 + rs1) << 16 | (32 + rs2) << 24
    one = (32 + rs1) << 16
    if operation <= 2:
        return arithmetic | to_f | two | double
    if operation == 3:
        return K_FDIV | to_f | two | double | WATCHED
    if operation == 0x0B:
        return K_FDIV | to_f | one | double | SQRT | WATCHED
    if operation == 0x04 or operation == 0x05:
        return K_FP_SHORT | to_f | two | double
    if operation == 0x08:
        return K_FP_SHORT | to_f | one | double
    if operation == 0x1A or operation == 0x1E:  # from an integer register
        return K_FP_SHORT | to_f | rs1 << 16 | double
    to_x = rd << 8 | (WRITES_X if rd else 0)
    if operation == 0x14:
        return K_FP_TO_INT | to_x | two | double
    return K_FP_TO_INT | to_x | one | double


@inline
def signed(value: int, bits: int) -> int:
    """The low `bits` of `value` as a signed number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


@inline
def decode_compressed(c: int) -> tuple[int, int]:
    """Compressed instructions (table 16.5 to 16.7)."""
    quadrant = c & 3
    kind = c >> 13
    rd = (c >> 7) & 31
    rs2 = (c >> 2) & 31
    rd_ = 8 + ((c >> 7) & 7)
    rs2_ = 8 + ((c >> 2) & 7)
    if quadrant == 0:
        if kind == 0:
            return pack(K_ALU, rs2_, 2, 0), 0  # c.addi4spn
        if kind == 4:
            return K_ALU, 0  # reserved
        imm = (c >> 10 & 7) << 3 | (c >> 5 & 3) << 6  # of doublewords
        size = 3
        if kind & 3 == 2:  # words
            imm = (c >> 10 & 7) << 3 | (c >> 6 & 1) << 2 | (c >> 5 & 1) << 6
            size = 2
        fp = kind & 3 == 1
        if kind < 4:
            if fp:
                return K_LOAD | (32 + rs2_) << 8 | rd_ << 16 | READS | FP_UNIT | size << SIZE_SHIFT, imm
            return pack(K_LOAD, rs2_, rd_, 0) | READS | size << SIZE_SHIFT, imm
        if fp:
            return K_STORE | rd_ << 16 | (32 + rs2_) << 24 | WRITES | FP_UNIT | size << SIZE_SHIFT, imm
        return pack(K_STORE, 0, rd_, rs2_) | WRITES | size << SIZE_SHIFT, imm
    if quadrant == 1:
        if kind <= 1:
            return pack(K_ALU, rd, rd, 0), 0  # c.addi, c.addiw
        if kind == 2:
            return pack(K_ALU, rd, 0, 0), 0  # c.li
        if kind == 3:
            return pack(K_ALU, rd, 2 if rd == 2 else 0, 0), 0  # c.addi16sp, c.lui
        if kind == 4:
            return pack(K_ALU, rd_, rd_, rs2_ if c >> 10 & 3 == 3 else 0), 0
        if kind == 5:
            return pack(K_JUMP, 0, 0, 0), 0
        return pack(K_BRANCH, 0, rd_, 0), 0
    if kind == 0:
        return pack(K_ALU, rd, rd, 0), 0  # c.slli
    if kind == 4:
        if rs2 == 0:
            if rd == 0:
                return K_TRAP | RETIRES, 0  # c.ebreak
            return pack(K_JUMP, 1 if c & 0x1000 else 0, rd, 0), 0
        return pack(K_ALU, rd, rd if c & 0x1000 else 0, rs2), 0  # c.add, c.mv
    imm = (c >> 12 & 1) << 5 | (c >> 5 & 3) << 3 | (c >> 2 & 7) << 6
    if rd == 0 and (kind == 2 or kind == 3):
        return K_ALU, 0  # reserved
    if kind < 4:
        if kind == 2:
            imm = (c >> 12 & 1) << 5 | (c >> 4 & 7) << 2 | (c >> 2 & 3) << 6
            return pack(K_LOAD, rd, 2, 0) | READS | 2 << SIZE_SHIFT, imm
        if kind == 1:
            return K_LOAD | (32 + rd) << 8 | 2 << 16 | READS | FP_UNIT | 3 << SIZE_SHIFT, imm
        return pack(K_LOAD, rd, 2, 0) | READS | 3 << SIZE_SHIFT, imm
    if kind == 6:
        imm = (c >> 9 & 15) << 2 | (c >> 7 & 3) << 6
        return pack(K_STORE, 0, 2, rs2) | WRITES | 2 << SIZE_SHIFT, imm
    imm = (c >> 10 & 7) << 3 | (c >> 7 & 7) << 6
    if kind == 5:
        return K_STORE | 2 << 16 | (32 + rs2) << 24 | WRITES | FP_UNIT | 3 << SIZE_SHIFT, imm
    return pack(K_STORE, 0, 2, rs2) | WRITES | 3 << SIZE_SHIFT, imm
