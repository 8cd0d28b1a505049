"""A small RV64 assembler, so that a test shows the guest program it is about.

    code = assemble('''
            li      t0, 0x10000000      # the UART
            li      t1, 'A'
            sb      t1, 0(t0)
    1:      j       1b
    ''')

It knows RV64I, Zicsr, the common pseudo-instructions (`li`, `la`, `mv`, `j`, `call` …), `mul`, LR/SC
and AMOs, two compressed instructions, the directives `.word .dword .byte .align .space`, numeric
local labels and `repeat N, instruction`. Operands are Python integer expressions over labels.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from emulator.csrs import NUMBERS
from emulator.hart import X_NAMES

BASE = 0x8000_0000
"""Where programs are linked unless told otherwise: where an M-mode program starts without firmware."""

REGISTERS = {**{name: i for i, name in enumerate(X_NAMES)}, **{f"x{i}": i for i in range(32)}, "fp": 8}
_R = {"add": 0, "sub": 0x40000000, "sll": 0x1000, "slt": 0x2000, "sltu": 0x3000, "xor": 0x4000, "srl": 0x5000,
      "sra": 0x40005000, "or": 0x6000, "and": 0x7000, "mul": 0x2000000, "divu": 0x2005000}
_RW = {"addw": 0, "subw": 0x40000000, "mulw": 0x2000000}
_I = {"addi": 0, "slti": 0x2000, "sltiu": 0x3000, "xori": 0x4000, "ori": 0x6000, "andi": 0x7000}
_SHIFT = {"slli": 0x1000, "srli": 0x5000, "srai": 0x40005000}
_LOAD = {"lb": 0, "lh": 1, "lw": 2, "ld": 3, "lbu": 4, "lhu": 5, "lwu": 6}
_STORE = {"sb": 0, "sh": 1, "sw": 2, "sd": 3}
_BRANCH = {"beq": 0, "bne": 1, "blt": 4, "bge": 5, "bltu": 6, "bgeu": 7}
_CSR = {"csrrw": 1, "csrrs": 2, "csrrc": 3, "csrrwi": 5, "csrrsi": 6, "csrrci": 7}
_AMO = {"amoadd": 0, "amoswap": 1, "lr": 2, "sc": 3, "amoxor": 4, "amoor": 8, "amoand": 12}
_FIXED = {"ecall": 0x73, "ebreak": 0x100073, "wfi": 0x10500073, "mret": 0x30200073, "sret": 0x10200073,
          "fence.i": 0x100F, "fence": 0x0FF0000F, "sfence.vma": 0x12000073, "nop": 0x13, "ret": 0x8067}
_PSEUDO = {
    "mv": "addi {0}, {1}, 0", "not": "xori {0}, {1}, -1", "neg": "sub {0}, zero, {1}", "j": "jal zero, {0}",
    "call": "jal ra, {0}", "jr": "jalr zero, 0({0})", "beqz": "beq {0}, zero, {1}", "bnez": "bne {0}, zero, {1}",
    "csrr": "csrrs {0}, {1}, zero", "csrw": "csrrw zero, {0}, {1}", "csrs": "csrrs zero, {0}, {1}",
    "csrc": "csrrc zero, {0}, {1}", "csrwi": "csrrwi zero, {0}, {1}", "csrsi": "csrrsi zero, {0}, {1}",
    "csrci": "csrrci zero, {0}, {1}", "seqz": "sltiu {0}, {1}, 1", "snez": "sltu {0}, zero, {1}",
}


class AssemblyError(Exception):
    """A line that this assembler does not understand, with its text."""


def assemble(source: str, base: int = BASE) -> bytes:
    """The machine code of `source`, to be loaded at `base`."""
    return _Assembly(base).run(source)


class _Assembly:
    def __init__(self, base: int) -> None:
        self.base = base
        self.out = bytearray()
        self.labels: dict[str, int] = {}
        self.local: dict[str, list[int]] = {}
        self.fixups: list[tuple[int, str, Callable[[int, int], int]]] = []

    def run(self, source: str) -> bytes:
        for line in source.splitlines():
            text = re.sub(r"#.*", "", line).strip()
            while found := re.match(r"(\w+):\s*", text):
                self._define(found[1])
                text = text[found.end():]
            if text:
                self._line(text)
        for offset, operand, encode in self.fixups:
            here = self.base + offset
            word = encode(self._value(operand, here), here)
            self.out[offset:offset + 4] = struct.pack("<I", word & 0xFFFFFFFF)
        return bytes(self.out)

    @property
    def here(self) -> int:
        return self.base + len(self.out)

    def _define(self, name: str) -> None:
        if name.isdigit():
            self.local.setdefault(name, []).append(self.here)
        elif name in self.labels:
            raise AssemblyError(f"label {name} is defined twice")
        else:
            self.labels[name] = self.here

    def _line(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        operands = [part.strip() for part in rest.split(",")] if rest.strip() else []
        try:
            self._instruction(name, operands)
        except (KeyError, IndexError, NameError, SyntaxError, struct.error) as why:
            raise AssemblyError(f"{text}: {why!r}") from why

    def _instruction(self, name: str, ops: list[str]) -> None:
        if name in _PSEUDO:
            name, _, rest = _PSEUDO[name].format(*ops).partition(" ")
            ops = [part.strip() for part in rest.split(",")]
        if name in _FIXED:
            self._word(_FIXED[name])
        elif name in _R or name in _RW:
            opcode = 0x33 | _R[name] if name in _R else 0x3B | _RW[name]
            self._word(opcode | _rd(ops[0]) | _rs1(ops[1]) | _rs2(ops[2]))
        elif name in _I:
            self._word(0x13 | _I[name] | _rd(ops[0]) | _rs1(ops[1]) | (self._number(ops[2]) & 0xFFF) << 20)
        elif name == "addiw":
            self._word(0x1B | _rd(ops[0]) | _rs1(ops[1]) | (self._number(ops[2]) & 0xFFF) << 20)
        elif name in _SHIFT:
            self._word(0x13 | _SHIFT[name] | _rd(ops[0]) | _rs1(ops[1]) | self._number(ops[2]) << 20)
        elif name in _LOAD or name == "jalr":
            opcode = 0x67 if name == "jalr" else 0x03 | _LOAD[name] << 12
            offset, register = self._address(ops[1])
            self._word(opcode | _rd(ops[0]) | _rs1(register) | (offset & 0xFFF) << 20)
        elif name in _STORE:
            offset, register = self._address(ops[1])
            self._word(0x23 | _STORE[name] << 12 | (offset & 31) << 7 | _rs1(register) | _rs2(ops[0])
                       | (offset >> 5 & 0x7F) << 25)
        elif name in _BRANCH:
            opcode = 0x63 | _BRANCH[name] << 12 | _rs1(ops[0]) | _rs2(ops[1])
            self._fix(ops[2], lambda target, pc: opcode | _branch(target - pc))
        elif name == "jal":
            link = _rd(ops[0])
            self._fix(ops[1], lambda target, pc: 0x6F | link | _jump(target - pc))
        elif name in _CSR:
            rs1 = self._number(ops[2]) << 15 if name.endswith("i") else _rs1(ops[2])
            number = NUMBERS[ops[1]] if ops[1] in NUMBERS else self._number(ops[1])
            self._word(0x73 | _CSR[name] << 12 | _rd(ops[0]) | rs1 | number << 20)
        elif name.partition(".")[0] in _AMO and name[-2:] in (".w", ".d"):
            stem = name.partition(".")[0]
            _, register = self._address(ops[-1])
            data = _rs2(ops[1]) if stem != "lr" else 0
            self._word(0x2F | (3 if name.endswith("d") else 2) << 12 | _rd(ops[0]) | _rs1(register) | data
                       | _AMO[stem] << 27)
        else:
            self._other(name, ops)

    def _other(self, name: str, ops: list[str]) -> None:
        if name == "li":
            self._load_immediate(ops[0], self._number(ops[1]))
        elif name == "la":
            register = ops[0]
            self._fix(ops[1], lambda at, pc: 0x17 | _rd(register) | (at - pc + 0x800) & 0xFFFFF000)
            self._fix(ops[1], lambda at, pc: 0x13 | _rd(register) | _rs1(register) | ((at - pc + 4) & 0xFFF) << 20)
        elif name in ("lui", "auipc"):
            self._word((0x37 if name == "lui" else 0x17) | _rd(ops[0]) | (self._number(ops[1]) & 0xFFFFF) << 12)
        elif name == "c.nop":
            self.out += struct.pack("<H", 0x0001)
        elif name == "c.ebreak":
            self.out += struct.pack("<H", 0x9002)
        elif name == "repeat":
            for _ in range(self._number(ops[0])):
                self._line(", ".join(ops[1:]))
        elif name == ".align":
            while self.here % self._number(ops[0]):
                self.out.append(0)
        elif name == ".space":
            self.out += bytes(self._number(ops[0]))
        elif name in (".byte", ".half", ".word", ".dword"):
            size = {".byte": 1, ".half": 2, ".word": 4, ".dword": 8}[name]
            for operand in ops:
                self.out += (self._number(operand) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        else:
            raise KeyError(name)

    def _load_immediate(self, register: str, value: int) -> None:
        value = (value + (1 << 63)) % (1 << 64) - (1 << 63)
        if -2048 <= value < 2048:
            self._word(0x13 | _rd(register) | (value & 0xFFF) << 20)
        elif -(1 << 31) <= value < 1 << 31:
            self._word(0x37 | _rd(register) | (value + 0x800) & 0xFFFFF000)
            self._word(0x1B | _rd(register) | _rs1(register) | (value & 0xFFF) << 20)
        else:
            low = (value + 0x800) % 0x1000 - 0x800
            self._load_immediate(register, (value - low) >> 12)
            self._word(0x13 | 0x1000 | _rd(register) | _rs1(register) | 12 << 20)
            self._word(0x13 | _rd(register) | _rs1(register) | (low & 0xFFF) << 20)

    def _word(self, word: int) -> None:
        self.out += struct.pack("<I", word)

    def _fix(self, operand: str, encode: Callable[[int, int], int]) -> None:
        self.fixups.append((len(self.out), operand, encode))
        self.out += bytes(4)

    def _number(self, operand: str) -> int:
        return self._value(operand, self.here)

    def _value(self, operand: str, here: int) -> int:
        if found := re.fullmatch(r"(\d+)([bf])", operand):
            places = self.local.get(found[1], [])
            before, behind = [p for p in places if p <= here], [p for p in places if p > here]
            return before[-1] if found[2] == "b" else behind[0]
        if re.fullmatch(r"'.'", operand):
            return ord(operand[1])
        return int(eval(operand, {"__builtins__": {}}, self.labels))

    def _address(self, operand: str) -> tuple[int, str]:
        found = re.fullmatch(r"(.*)\((\w+)\)", operand)
        if found is None:
            raise KeyError(operand)
        return (self._number(found[1]) if found[1] else 0), found[2]


def _rd(name: str) -> int:
    return REGISTERS[name] << 7


def _rs1(name: str) -> int:
    return REGISTERS[name] << 15


def _rs2(name: str) -> int:
    return REGISTERS[name] << 20


def _branch(offset: int) -> int:
    return (offset >> 12 & 1) << 31 | (offset >> 5 & 63) << 25 | (offset >> 1 & 15) << 8 | (offset >> 11 & 1) << 7


def _jump(offset: int) -> int:
    return ((offset >> 20 & 1) << 31 | (offset >> 1 & 0x3FF) << 21 | (offset >> 11 & 1) << 20
            | (offset >> 12 & 0xFF) << 12)
