"""A flat M-mode image that runs instruction sequences and prints what they did, made without a compiler.

        0x8000_0000  start, trap handler, load and print routines (assembled below, by hand)
        CODE         for each sequence: where to load the registers from; the sequence; ecall
        TABLES       for each sequence: x1 … x31, f0 … f31, fcsr as it finds them
        SCRATCH      the memory that sequences use, of a fixed pattern at the start of each

After a sequence, or `group` of them, a line of 16 hexadecimal digits comes out: a hash of all registers, fcsr, the
scratch memory, and cause and tval of each trap taken. A sequence that traps goes on behind the instruction. With
`full`, every word that would go into the hash is a line of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .encodings import BASES, REACH, branch, i_type, jump, r_type, s_type, u_type

BASE = 0x8000_0000
CODE = BASE + 0x1000
SCRATCH_WORDS = 2 * REACH // 8
TRAP_LOG = 24
"""Traps of one sequence that are noted one by one; all of them are counted."""
WORDS = 31 + 32 + 1 + 1 + 2 * TRAP_LOG + SCRATCH_WORDS
"""Words of a sequence's outcome, in this order: x1 … x31, f0 … f31, fcsr, traps, {cause, tval} of each, scratch."""
MULTIPLIER = 0x9E3779B97F4A7C15
PATTERN = 0x0101010101010101
UART, FINISHER = 0x1000_0000, 0x10_0000


@dataclass(frozen=True)
class Case:
    """A sequence of instructions, and the x1 … x31, f0 … f31 and fcsr that it finds."""

    code: bytes
    registers: tuple[int, ...]


class Assembler:
    """Just enough of one: instructions appended, labels, 32-bit constants and addresses."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.data = bytearray()
        self.labels: dict[str, int] = {}
        self._fixes: list[tuple[int, str, int, int, int]] = []

    @property
    def pc(self) -> int:
        return self.base + len(self.data)

    def emit(self, *instructions: bytes) -> None:
        for instruction in instructions:
            self.data += instruction

    def label(self, name: str) -> None:
        self.labels[name] = self.pc

    def address(self, rd: int, value: int) -> None:
        """rd = an address near this code, which may have any."""
        offset = value - self.pc
        self.emit(u_type(0x17, rd, (offset + 0x800) >> 12), i_type(0x13, 0, rd, rd, offset))

    def constant(self, rd: int, value: int) -> None:
        """rd = any 64-bit constant, from a word jumped over."""
        self.align(8, 4)
        self.emit(jump(0, 12), value.to_bytes(8, "little"))
        self.emit(u_type(0x17, rd, 0), i_type(0x03, 3, rd, rd, -8))

    def align(self, to: int, offset: int = 0) -> None:
        while self.pc % to != offset:
            self.emit(i_type(0x13, 0, 0, 0, 0))

    def branch(self, f3: int, rs1: int, rs2: int, to: str) -> None:
        self._fixes.append((len(self.data), to, f3, rs1, rs2))
        self.emit(bytes(4))

    def jump(self, to: str) -> None:
        self._fixes.append((len(self.data), to, -1, 0, 0))
        self.emit(bytes(4))

    def finish(self) -> bytes:
        for at, name, f3, rs1, rs2 in self._fixes:
            offset = self.labels[name] - self.base - at
            self.data[at:at + 4] = jump(0, offset) if f3 < 0 else branch(f3, rs1, rs2, offset)
        return bytes(self.data)


def _ld(rd: int, offset: int, base: int) -> bytes:
    return i_type(0x03, 3, rd, base, offset)


def _sd(rs: int, offset: int, base: int) -> bytes:
    return s_type(0x23, 3, base, rs, offset)


def _addi(rd: int, rs: int, imm: int) -> bytes:
    return i_type(0x13, 0, rd, rs, imm)


def _csr(f3: int, rd: int, csr: int, rs: int) -> bytes:
    return i_type(0x73, f3, rd, rs, csr)


MSTATUS, MTVEC, MSCRATCH, MEPC, MCAUSE, MTVAL, FCSR = 0x300, 0x305, 0x340, 0x341, 0x342, 0x343, 0x003
MRET, ECALL, EBREAK = 0x30200073, 0x00000073, 0x00100073
X, F, FCSR_AT, TRAPS_AT, LOG_AT, SCRATCH_AT = 0, 31 * 8, 63 * 8, 64 * 8, 65 * 8, (65 + 2 * TRAP_LOG) * 8
HASH_AT = WORDS * 8
OUTCOME_SIZE = HASH_AT + 8


def build(cases: Sequence[Case], group: int = 1, full: bool = False, all_addresses: bool = False) -> bytes:
    """The image that runs `cases` one after the other, and ends the machine.

    With `all_addresses` the integers of a case are offsets in the scratch buffer.
    """
    code = Assembler(CODE)
    tables: dict[tuple[int, ...], int] = {}
    size = sum(len(case.code) + 28 for case in cases) + 64
    outcome = (CODE + size + 0xFFF) & ~0xFFF
    first_table = outcome + 0x1000
    for number, case in enumerate(cases):
        table = tables.setdefault(case.registers, first_table + 512 * len(tables))
        code.address(31, table)
        code.emit(_csr(1, 0, MSCRATCH, 31), EBREAK.to_bytes(4, "little"), case.code)
        if len(code.data) % 4:
            code.emit((1).to_bytes(2, "little"))
        last = number % group == group - 1 or number == len(cases) - 1
        code.emit(ECALL.to_bytes(4, "little"), (int(last)).to_bytes(4, "little"))
    code.emit(ECALL.to_bytes(4, "little"), (2).to_bytes(4, "little"))
    assert len(code.data) <= size
    image = bytearray(first_table + 512 * len(tables) - BASE)
    runtime = _runtime(outcome, full)
    assert len(runtime) <= CODE - BASE
    image[:len(runtime)] = runtime
    image[CODE - BASE:CODE - BASE + len(code.data)] = code.data
    for registers, at in tables.items():
        words = list(registers)
        middle = outcome + SCRATCH_AT + REACH
        if all_addresses:
            words[:31] = [middle + word for word in words[:31]]
        for base in BASES:
            words[base - 1] = middle
        image[at - BASE:at - BASE + 512] = b"".join(word.to_bytes(8, "little") for word in words)
    return bytes(image)


def _runtime(outcome: int, full: bool) -> bytes:
    """Start and trap handler: ebreak loads the registers (mscratch: from where), ecall takes the outcome.

    Behind the ecall stands a word: 1 prints, 2 ends the machine.
    """
    a = Assembler(BASE)
    a.address(1, BASE)
    a.label("start")
    handler = len(a.data)
    a.emit(bytes(8), _csr(1, 0, MTVEC, 1))  # x1 = handler, patched below
    a.emit(u_type(0x37, 1, 6), _csr(2, 0, MSTATUS, 1))  # FS = dirty
    a.address(1, CODE)
    a.emit(_csr(1, 0, MEPC, 1), u_type(0x37, 1, 2), _addi(1, 1, -0x800), _csr(2, 0, MSTATUS, 1))  # MPP = M
    a.emit(MRET.to_bytes(4, "little"))

    a.align(4)
    a.label("handler")
    here = a.pc
    a.emit(_csr(1, 31, MSCRATCH, 31))  # mscratch = x31: the sequence's, or the table to load from
    a.address(31, outcome)
    a.emit(_sd(30, X + 29 * 8, 31), _csr(2, 30, MCAUSE, 0), _addi(30, 30, -3))
    a.branch(0, 30, 0, "load")
    a.emit(_addi(30, 30, 3 - 11))
    a.branch(0, 30, 0, "take")

    # a trap: note cause and tval, and go on behind the instruction
    a.emit(_sd(29, X + 28 * 8, 31), _ld(30, TRAPS_AT, 31), _addi(29, 0, TRAP_LOG))
    a.branch(7, 30, 29, "counted")
    a.emit(i_type(0x13, 1, 29, 30, 4), r_type(0x33, 0, 0, 29, 29, 31), _csr(2, 30, MCAUSE, 0), _sd(30, LOG_AT, 29),
           _csr(2, 30, MTVAL, 0), _sd(30, LOG_AT + 8, 29))
    a.label("counted")
    a.emit(_ld(30, TRAPS_AT, 31), _addi(30, 30, 1), _sd(30, TRAPS_AT, 31))
    a.emit(_csr(2, 30, MEPC, 0), i_type(0x03, 5, 29, 30, 0), i_type(0x13, 7, 29, 29, 3), _addi(29, 29, -3))
    a.emit(_addi(30, 30, 2))
    a.branch(1, 29, 0, "short")
    a.emit(_addi(30, 30, 2))
    a.label("short")
    a.emit(_csr(1, 0, MEPC, 30), _ld(29, X + 28 * 8, 31), _ld(30, X + 29 * 8, 31))
    a.emit(_csr(1, 31, MSCRATCH, 31), MRET.to_bytes(4, "little"))

    # load: the scratch pattern, the empty log, and all registers of the table
    a.label("load")
    a.emit(_csr(2, 30, MEPC, 0), _addi(30, 30, 4), _csr(1, 0, MEPC, 30), _sd(0, TRAPS_AT, 31))
    for word in range(2 * TRAP_LOG):
        a.emit(_sd(0, LOG_AT + 8 * word, 31))
    a.constant(1, PATTERN)
    a.constant(2, 0x9D8D7D6D5D4D3D2D)
    a.emit(_addi(3, 31, SCRATCH_AT), _addi(4, 0, SCRATCH_WORDS))
    a.label("pattern")
    a.emit(_sd(2, 0, 3), r_type(0x33, 0, 0, 2, 2, 1), _addi(3, 3, 8), _addi(4, 4, -1))
    a.branch(1, 4, 0, "pattern")
    a.emit(_csr(2, 31, MSCRATCH, 0))
    for register in range(32):
        a.emit(i_type(0x07, 3, register, 31, F + 8 * register))
    a.emit(_ld(1, FCSR_AT, 31), _csr(1, 0, FCSR, 1), _csr(1, 0, 0x140, 0), _csr(1, 0, 0x143, 0))
    for register in range(1, 32):
        a.emit(_ld(register, 8 * (register - 1), 31))
    a.emit(MRET.to_bytes(4, "little"))

    # take: the outcome is complete with the registers; then hash it or print it
    a.label("take")
    for register in range(1, 30):
        a.emit(_sd(register, 8 * (register - 1), 31))
    a.emit(_csr(2, 1, MSCRATCH, 0), _sd(1, 30 * 8, 31))
    for register in range(32):
        a.emit(s_type(0x27, 3, 31, register, F + 8 * register))
    a.emit(_csr(2, 1, FCSR, 0), _sd(1, FCSR_AT, 31))
    a.emit(_csr(2, 20, MEPC, 0), i_type(0x03, 2, 21, 20, 4), _addi(20, 20, 8), _csr(1, 0, MEPC, 20), _addi(22, 0, 2))
    a.branch(0, 21, 22, "end")
    a.constant(10, MULTIPLIER)
    a.emit(_addi(11, 31, 0), _addi(12, 0, WORDS), _ld(13, HASH_AT, 31))
    a.label("hash")
    a.emit(_ld(14, 0, 11))
    if full:
        a.emit(_addi(5, 14, 0), jump(1, 0))
        call_full = len(a.data) - 4
    a.emit(r_type(0x33, 4, 0, 13, 13, 14), r_type(0x33, 0, 1, 13, 13, 10), i_type(0x13, 5, 14, 13, 32),
           r_type(0x33, 4, 0, 13, 13, 14), _addi(11, 11, 8), _addi(12, 12, -1))
    a.branch(1, 12, 0, "hash")
    a.emit(_sd(13, HASH_AT, 31))
    a.branch(0, 21, 0, "taken")
    a.emit(_addi(5, 13, 0), _sd(0, HASH_AT, 31), jump(1, 0))
    call_hash = len(a.data) - 4
    a.label("taken")
    a.emit(MRET.to_bytes(4, "little"))

    # print x5 as 16 digits and a new line; return to x1
    a.label("print")
    a.emit(u_type(0x37, 6, UART >> 12), _addi(7, 0, 60))
    a.label("digit")
    a.emit(r_type(0x33, 5, 0, 15, 5, 7), i_type(0x13, 7, 15, 15, 15), _addi(16, 0, 10))
    a.branch(4, 15, 16, "decimal")
    a.emit(_addi(15, 15, 39))
    a.label("decimal")
    a.emit(_addi(15, 15, 48))
    a.label("busy")
    a.emit(i_type(0x03, 4, 16, 6, 5), i_type(0x13, 7, 16, 16, 0x20))
    a.branch(0, 16, 0, "busy")
    a.emit(s_type(0x23, 0, 6, 15, 0), _addi(7, 7, -4))
    a.branch(5, 7, 0, "digit")
    a.emit(_addi(15, 0, 10), s_type(0x23, 0, 6, 15, 0), i_type(0x67, 0, 0, 1, 0))

    a.label("end")
    a.emit(u_type(0x37, 6, FINISHER >> 12), u_type(0x37, 7, 5), _addi(7, 7, 0x555), s_type(0x23, 2, 6, 7, 0))
    a.emit(jump(0, 0))

    data = bytearray(a.finish())
    offset = here - (BASE + handler)
    data[handler:handler + 8] = u_type(0x17, 1, (offset + 0x800) >> 12) + i_type(0x13, 0, 1, 1, offset)
    printer = a.labels["print"] - BASE
    data[call_hash:call_hash + 4] = jump(1, printer - call_hash)
    if full:
        data[call_full:call_full + 4] = jump(1, printer - call_full)
    return bytes(data)
