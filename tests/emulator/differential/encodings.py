"""RV64GC instructions as a table of encodings, and random ones made from it.

`FORMATS` says which operand fields a format has; an instruction is its format and its fixed bits.
Nothing here changes the flow of control but by a few bytes forwards, writes one of the `BASES`, or
touches memory outside the scratch buffer that these point into.
"""

from __future__ import annotations

import random
from collections.abc import Callable

BASES = (2, 8, 9)
"""Registers that hold addresses in the scratch buffer: sp and s0 its middle, s1 an aligned one for AMOs."""
DATA = tuple(i for i in range(32) if i not in BASES)
COMPRESSED_DATA = tuple(range(10, 16))
"""What the three-bit register fields of compressed instructions can name, but for the bases 8 and 9."""
REACH = 256
"""Loads and stores reach this many bytes to either side of the scratch buffer's middle."""
CSRS = (0x001, 0x002, 0x003, 0x140, 0x143)
"""CSRs that sequences use: fflags, frm, fcsr, sscratch, stval."""

# name: (opcode, funct3, funct7), all operands registers
REGISTER = {
    **{name: (0x33, f3, f7) for name, f3, f7 in (
        ("add", 0, 0), ("sub", 0, 32), ("sll", 1, 0), ("slt", 2, 0), ("sltu", 3, 0), ("xor", 4, 0), ("srl", 5, 0),
        ("sra", 5, 32), ("or", 6, 0), ("and", 7, 0), ("mul", 0, 1), ("mulh", 1, 1), ("mulhsu", 2, 1), ("mulhu", 3, 1),
        ("div", 4, 1), ("divu", 5, 1), ("rem", 6, 1), ("remu", 7, 1))},
    **{name: (0x3B, f3, f7) for name, f3, f7 in (
        ("addw", 0, 0), ("subw", 0, 32), ("sllw", 1, 0), ("srlw", 5, 0), ("sraw", 5, 32), ("mulw", 0, 1),
        ("divw", 4, 1), ("divuw", 5, 1), ("remw", 6, 1), ("remuw", 7, 1))},
}
# name: (opcode, funct3)
IMMEDIATE = {"addi": (0x13, 0), "slti": (0x13, 2), "sltiu": (0x13, 3), "xori": (0x13, 4), "ori": (0x13, 6),
             "andi": (0x13, 7), "addiw": (0x1B, 0)}
# name: (opcode, funct3, upper bits, shift amounts)
SHIFT = {"slli": (0x13, 1, 0, 64), "srli": (0x13, 5, 0, 64), "srai": (0x13, 5, 1 << 30, 64), "slliw": (0x1B, 1, 0, 32),
         "srliw": (0x1B, 5, 0, 32), "sraiw": (0x1B, 5, 1 << 30, 32)}
LOAD = {"lb": (0x03, 0), "lh": (0x03, 1), "lw": (0x03, 2), "ld": (0x03, 3), "lbu": (0x03, 4), "lhu": (0x03, 5),
        "lwu": (0x03, 6), "flw": (0x07, 2), "fld": (0x07, 3)}
STORE = {"sb": (0x23, 0), "sh": (0x23, 1), "sw": (0x23, 2), "sd": (0x23, 3), "fsw": (0x27, 2), "fsd": (0x27, 3)}
BRANCH = {"beq": 0, "bne": 1, "blt": 4, "bge": 5, "bltu": 6, "bgeu": 7}
AMO = {"amoswap": 1, "amoadd": 0, "amoxor": 4, "amoand": 12, "amoor": 8, "amomin": 16, "amomax": 20, "amominu": 24,
       "amomaxu": 28, "lr": 2, "sc": 3}
# name: (funct7, funct3 or None for a rounding mode, rs2 or None, rd is an integer register, rs1 is one)
FLOAT = {
    **{f"{name}.{fmt}": (kind << 2 | code, f3, rs2, to_x, from_x)
       for fmt, code in (("s", 0), ("d", 1))
       for name, kind, f3, rs2, to_x, from_x in (
           ("fadd", 0, None, None, 0, 0), ("fsub", 1, None, None, 0, 0), ("fmul", 2, None, None, 0, 0),
           ("fdiv", 3, None, None, 0, 0), ("fsqrt", 11, None, 0, 0, 0), ("fsgnj", 4, 0, None, 0, 0),
           ("fsgnjn", 4, 1, None, 0, 0), ("fsgnjx", 4, 2, None, 0, 0), ("fmin", 5, 0, None, 0, 0),
           ("fmax", 5, 1, None, 0, 0), ("fle", 20, 0, None, 1, 0), ("flt", 20, 1, None, 1, 0),
           ("feq", 20, 2, None, 1, 0), ("fcvt.w", 24, None, 0, 1, 0), ("fcvt.wu", 24, None, 1, 1, 0),
           ("fcvt.l", 24, None, 2, 1, 0), ("fcvt.lu", 24, None, 3, 1, 0), ("fcvt.f.w", 26, None, 0, 0, 1),
           ("fcvt.f.wu", 26, None, 1, 0, 1), ("fcvt.f.l", 26, None, 2, 0, 1), ("fcvt.f.lu", 26, None, 3, 0, 1),
           ("fmv.x", 28, 0, 0, 1, 0), ("fclass", 28, 1, 0, 1, 0), ("fmv.f", 30, 0, 0, 0, 1))},
    "fcvt.s.d": (0x20, None, 1, 0, 0), "fcvt.d.s": (0x21, None, 0, 0, 0),
}
FUSED = {"fmadd": 0x43, "fmsub": 0x47, "fnmsub": 0x4B, "fnmadd": 0x4F}
ROUNDING = (0, 1, 2, 3, 4, 7, 7, 7, 5, 6)
"""Rounding modes as sequences use them: mostly legal ones, and dynamic."""


def _word(instruction: int) -> bytes:
    return (instruction & 0xFFFFFFFF).to_bytes(4, "little")


def _half(instruction: int) -> bytes:
    return (instruction & 0xFFFF).to_bytes(2, "little")


def r_type(opcode: int, f3: int, f7: int, rd: int, rs1: int, rs2: int) -> bytes:
    return _word(f7 << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | rd << 7 | opcode)


def i_type(opcode: int, f3: int, rd: int, rs1: int, imm: int) -> bytes:
    return _word((imm & 0xFFF) << 20 | rs1 << 15 | f3 << 12 | rd << 7 | opcode)


def s_type(opcode: int, f3: int, rs1: int, rs2: int, imm: int) -> bytes:
    return _word((imm >> 5 & 0x7F) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | (imm & 31) << 7 | opcode)


def u_type(opcode: int, rd: int, imm: int) -> bytes:
    return _word((imm & 0xFFFFF) << 12 | rd << 7 | opcode)


def branch(f3: int, rs1: int, rs2: int, offset: int) -> bytes:
    return _word((offset >> 12 & 1) << 31 | (offset >> 5 & 63) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12
                 | (offset >> 1 & 15) << 8 | (offset >> 11 & 1) << 7 | 0x63)


def jump(rd: int, offset: int) -> bytes:
    return _word((offset >> 20 & 1) << 31 | (offset >> 1 & 0x3FF) << 21 | (offset >> 11 & 1) << 20
                 | (offset >> 12 & 0xFF) << 12 | rd << 7 | 0x6F)


class Generator:
    """Random instructions, from `rng` alone."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._kinds: list[tuple[int, Callable[[], bytes]]] = [
            (20, self.register), (12, self.immediate), (6, self.shift), (3, self.upper), (14, self.load),
            (12, self.store), (5, self.atomic), (24, self.floating), (7, self.fused), (4, self.csr), (6, self.forward),
            (20, self.compressed), (1, self.fence),
        ]

    def sequence(self, length: int) -> bytes:
        """`length` or a few more instructions."""
        weights = [weight for weight, _ in self._kinds]
        return b"".join(kind() for _, kind in self.rng.choices(self._kinds, weights, k=length))

    def _rd(self) -> int:
        return self.rng.choice(DATA)

    def _rs(self) -> int:
        return self.rng.randrange(32)

    def register(self) -> bytes:
        opcode, f3, f7 = self.rng.choice(list(REGISTER.values()))
        return r_type(opcode, f3, f7, self._rd(), self._rs(), self._rs())

    def immediate(self) -> bytes:
        opcode, f3 = self.rng.choice(list(IMMEDIATE.values()))
        value = self.rng.choice((0, 1, -1, 2047, -2048, self.rng.randrange(4096)))
        return i_type(opcode, f3, self._rd(), self._rs(), value)

    def shift(self) -> bytes:
        opcode, f3, upper, amounts = self.rng.choice(list(SHIFT.values()))
        return i_type(opcode, f3, self._rd(), self._rs(), upper >> 20 | self.rng.randrange(amounts))

    def upper(self) -> bytes:
        return u_type(self.rng.choice((0x37, 0x17)), self._rd(), self.rng.randrange(1 << 20))

    def _offset(self) -> int:
        return self.rng.randrange(-REACH, REACH - 8)

    def load(self) -> bytes:
        opcode, f3 = self.rng.choice(list(LOAD.values()))
        rd = self._rs() if opcode == 0x07 else self._rd()
        return i_type(opcode, f3, rd, self.rng.choice((2, 8)), self._offset())

    def store(self) -> bytes:
        opcode, f3 = self.rng.choice(list(STORE.values()))
        return s_type(opcode, f3, self.rng.choice((2, 8)), self._rs(), self._offset())

    def atomic(self) -> bytes:
        kind = self.rng.choice(list(AMO.values()))
        f3 = self.rng.choice((2, 3))
        address = i_type(0x13, 0, 9, 8, self._offset() & -8 | (4 if f3 == 2 and self.rng.random() < 0.5 else 0))
        ordering = self.rng.randrange(4)
        rs2 = 0 if kind == 2 else self._rs()
        one = r_type(0x2F, f3, kind << 2 | ordering, self._rd(), 9, rs2)
        if kind == 2:  # mostly a whole LR/SC pair
            return address + one + r_type(0x2F, f3, 3 << 2 | ordering, self._rd(), 9, self._rs())
        return address + one

    def floating(self) -> bytes:
        f7, f3, rs2, to_x, _ = self.rng.choice(list(FLOAT.values()))
        return r_type(0x53, self.rng.choice(ROUNDING) if f3 is None else f3, f7, self._rd() if to_x else self._rs(),
                      self._rs(), self._rs() if rs2 is None else rs2)

    def fused(self) -> bytes:
        opcode = self.rng.choice(list(FUSED.values()))
        rs3_and_format = self._rs() << 2 | self.rng.randrange(2)
        return r_type(opcode, self.rng.choice(ROUNDING), rs3_and_format, self._rs(), self._rs(), self._rs())

    def csr(self) -> bytes:
        f3 = self.rng.choice((1, 2, 3, 5, 6, 7))
        number = self.rng.choice(CSRS)
        return i_type(0x73, f3, self._rd(), self._rs(), number)

    def forward(self) -> bytes:
        """A branch or a jump over one more instruction, compressed or not."""
        over = self.compressed() if self.rng.random() < 0.5 else self.register()
        kind = self.rng.random()
        if kind < 0.6:
            return branch(self.rng.choice(list(BRANCH.values())), self._rs(), self._rs(), 4 + len(over)) + over
        if kind < 0.8:
            return jump(self._rd(), 4 + len(over)) + over
        offset = 2 + len(over)
        if kind < 0.9:  # c.j
            return _half(0xA001 | (offset >> 1 & 7) << 3) + over
        f3 = self.rng.choice((6, 7))  # c.beqz, c.bnez
        return _half(f3 << 13 | self.rng.randrange(8) << 7 | (offset >> 1 & 3) << 3 | 1) + over

    def compressed(self) -> bytes:
        """A compressed instruction that neither jumps nor changes a base."""
        rng = self.rng
        kind = rng.randrange(9)
        rd = rng.choice(DATA[1:])
        small = rng.choice(COMPRESSED_DATA) - 8
        imm = rng.randrange(64)
        split = (imm >> 5) << 12 | (imm & 31) << 2
        if kind == 0:  # c.addi, c.addiw, c.li
            return _half(rng.choice((0, 1, 2)) << 13 | split | rd << 7 | 1)
        if kind == 1:  # c.lui
            return _half(3 << 13 | ((imm or 1) >> 5) << 12 | ((imm or 1) & 31) << 2 | rd << 7 | 1)
        if kind == 2:  # c.srli, c.srai, c.andi
            return _half(4 << 13 | split | rng.randrange(3) << 10 | small << 7 | 1)
        if kind == 3:  # c.sub … c.and, c.subw, c.addw
            which = rng.choice((0, 1, 2, 3, 32, 33))
            fields = (which >> 5) << 12 | small << 7 | (which & 3) << 5 | rng.randrange(8) << 2
            return _half(4 << 13 | 3 << 10 | fields | 1)
        if kind == 4:  # c.slli
            return _half(split | rd << 7 | 2)
        if kind == 5:  # c.mv, c.add
            return _half(4 << 13 | rng.randrange(2) << 12 | rd << 7 | rng.randrange(1, 32) << 2 | 2)
        if kind == 6:  # c.fld, c.lw, c.ld, c.fsd, c.sw, c.sd by s0
            offset = rng.randrange(8) << 10 | rng.randrange(4) << 5
            return _half(rng.choice((1, 2, 3, 5, 6, 7)) << 13 | offset | small << 2)
        if kind == 7:  # c.addi4spn
            return _half((rng.randrange(255) + 1) << 5 | small << 2)
        f3 = rng.choice((1, 2, 3, 5, 6, 7))  # by sp: c.fldsp, c.lwsp, c.ldsp, c.fsdsp, c.swsp, c.sdsp; reach up to 252
        if f3 >= 5:
            return _half(f3 << 13 | rng.randrange(16) << 9 | rng.randrange(2) << 7 | rng.randrange(32) << 2 | 2)
        return _half(f3 << 13 | rng.randrange(2) << 12 | rd << 7 | rng.randrange(4) << 5 | rng.randrange(2) << 2 | 2)

    def fence(self) -> bytes:
        return self.rng.choice((_word(0x0000100F), _word(0x0FF0000F), _word(0x8330000F)))


INTEGERS = (0, 1, 2, 3, 7, 31, 32, 63, 64, (1 << 64) - 1, (1 << 64) - 2, 1 << 63, (1 << 63) - 1, 1 << 31,
            (1 << 31) - 1, 1 << 32, (1 << 32) - 1, 0xFFFFFFFF_80000000, 0xFFFFFFFF_7FFFFFFF, 0x8000_0000_0000_0001)
SINGLES = (0, 0x80000000, 0x3F800000, 0xBF800000, 0x40000000, 0x3F000000, 0x00000001, 0x80000001, 0x007FFFFF,
           0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFBFFFFF,
           0x7FC12345, 0x4F000000, 0xCF000000, 0x5F000000, 0xDF000000, 0x4F800000, 0x5F800000,
           0x3EFFFFFF, 0x4B000001, 0x33800000)
DOUBLES = (0, 1 << 63, 0x3FF0000000000000, 0xBFF0000000000000, 0x4000000000000000, 0x3FE0000000000000, 1, 1 << 63 | 1,
           0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF, 0x7FF0000000000000,
           0xFFF0000000000000, 0x7FF8000000000000, 0xFFF8000000000000, 0x7FF0000000000001, 0xFFF7FFFFFFFFFFFF,
           0x7FF8123456789ABC, 0x41DFFFFFFFC00000, 0x41E0000000000000, 0xC1E0000000000000, 0xC1E0000000200000,
           0x43E0000000000000, 0xC3E0000000000000, 0x43F0000000000000, 0x41F0000000000000, 0x3FDFFFFFFFFFFFFF,
           0x36A0000000000000, 0x380FFFFFFFFFFFFF, 0x47EFFFFFF0000000, 0x4340000000000001)


def integer(rng: random.Random) -> int:
    """A value for an integer register: often a corner case."""
    choice = rng.random()
    if choice < 0.5:
        return rng.choice(INTEGERS)
    if choice < 0.7:
        return rng.getrandbits(rng.randrange(1, 64))
    return rng.getrandbits(64)


def floating(rng: random.Random) -> int:
    """A value for a floating-point register: often a corner case, boxed singles, unboxed ones, doubles."""
    choice = rng.random()
    if choice < 0.35:
        return rng.choice(DOUBLES)
    if choice < 0.7:
        return 0xFFFFFFFF << 32 | rng.choice(SINGLES)
    if choice < 0.8:
        return 0xFFFFFFFF << 32 | rng.getrandbits(32)
    if choice < 0.85:
        return rng.choice(SINGLES)
    return rng.getrandbits(64)
