"""Finding a caller without call frame information: from the code between the start of a function and where it is.

The instructions are followed with symbols in the place of values: a register holds what some register (or a
CSR) held at the start of the function, plus a number, or something new. What is stored goes to a slot at such an
address. In the end it is known which slots hold what the function found in ra, sp, and s0 … s11, and how far sp
has moved. A trap vector is a function like any other, but that it keeps the pc of what it interrupted, too, which
it found in sepc or mepc.

Code is followed in the order of its addresses. A branch forwards takes the state to its target; what only follows a
return or a jump elsewhere begins with the state of a branch to it, or else of the function's body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from emulator.csrs import NUMBERS

from .callframe import FrameRules, Rule, Where
from .flow import Kind, flow

PC, STATUS = 64, 65
"""Numbers, in the rules of a trap vector, of the interrupted pc and of the status that tells its privilege."""
LONGEST = 1 << 15
"""Bytes of code that are followed."""
RA, SP, FP = 1, 2, 8
_PRESERVED = (RA, SP, FP, 9, *range(18, 28))
_CLOBBERED = (1, *range(5, 8), *range(10, 18), *range(28, 32))
_FIRST_CSR, _FIRST_NEW = 32, 1 << 16


class _Symbol(NamedTuple):
    """`base` plus `offset`: what register `base` held at first (x0: 0), or CSR `base` - 32, or something new."""

    base: int
    offset: int = 0


_KEPT_PC = tuple(_Symbol(_FIRST_CSR + NUMBERS[name]) for name in ("sepc", "mepc"))
_KEPT_STATUS = tuple(_Symbol(_FIRST_CSR + NUMBERS[name]) for name in ("sstatus", "mstatus"))


@dataclass
class _State:
    registers: list[_Symbol] = field(default_factory=lambda: [_Symbol(number) for number in range(32)])
    slots: dict[_Symbol, _Symbol] = field(default_factory=dict)
    csrs: dict[int, _Symbol] = field(default_factory=dict)

    def copy(self) -> _State:
        return _State(self.registers.copy(), self.slots.copy(), self.csrs.copy())


def analyse(code: bytes, start: int, pc: int, vector: bool = False) -> FrameRules | None:
    """How to find the caller when `pc` is reached in the function whose `code`, up to there, begins at `start`.

    None if the code does not tell where its stack pointer came from. The rules are those of call frame information.
    `vector` says that the function is a trap vector: then, if it has saved the interrupted pc yet, the rules have
    `signal` set, and PC and perhaps STATUS among the registers.
    """
    if pc - start > LONGEST or len(code) < pc - start:
        return None
    follower = _Follower()
    at = start
    while at < pc:
        bits = int.from_bytes(code[at - start : at - start + 4], "little")
        follower.arrive(at)
        follower.follow(at, bits)
        at += 4 if bits & 3 == 3 else 2
    if at != pc:
        return None
    follower.arrive(pc)
    return _rules(follower.state, vector)


def _rules(state: _State, vector: bool) -> FrameRules | None:
    kept = next((slot for slot, symbol in state.slots.items() if symbol in _KEPT_PC), None) if vector else None
    base = kept.base if kept is not None else SP
    anchor = next((number for number in (SP, FP) if state.registers[number].base == base), None)
    if anchor is None:
        return None
    held = {symbol: slot.offset for slot, symbol in reversed(state.slots.items()) if slot.base == base}  # the first
    rules: dict[int, Rule] = {}
    sp = state.registers[SP]
    for number in _PRESERVED if kept is None else range(1, 32):
        symbol = _Symbol(number)
        # A slot rather than the register: a loop may have changed it further on. Below sp a slot is gone.
        if symbol in held and (sp.base != base or held[symbol] >= sp.offset):
            rules[number] = Rule(Where.SAVED, held[symbol])
        elif state.registers[number] != symbol and not number == base == SP:
            rules[number] = Rule(Where.LOST)
    offset = -state.registers[anchor].offset
    if kept is None:
        return FrameRules(anchor, offset, rules, RA, False)
    rules[PC] = Rule(Where.SAVED, kept.offset)
    for status in _KEPT_STATUS:
        if status in held:
            rules[STATUS] = Rule(Where.SAVED, held[status])
    return FrameRules(anchor, offset, rules, PC, True)


class _Follower:
    """Follows instructions, one after the other."""

    def __init__(self) -> None:
        self.state = _State()
        self._arriving: dict[int, _State] = {}
        self._lost = False      # nothing falls through to the next instruction
        self._body: _State | None = None    # before the epilogue that is being followed
        self._new = _FIRST_NEW

    def arrive(self, at: int) -> None:
        """Be at the instruction at `at`."""
        arriving = self._arriving.pop(at, None)
        if self._lost:
            if arriving is not None:
                self.state = arriving
            elif self._body is not None:
                self.state = self._body
            self._lost, self._body = False, None

    def follow(self, at: int, bits: int) -> None:
        """Follow the instruction `bits` at `at`."""
        does = flow(bits)
        if does.kind is Kind.OTHER or does.kind is Kind.TRAP:
            if bits & 3 == 3:
                self._wide(bits)
            else:
                self._compressed(bits & 0xFFFF)
        elif does.kind is Kind.CALL:
            for number in _CLOBBERED:
                self._set(number, self._unknown())
        else:
            if does.offset is not None and does.base is None and does.offset > 0:
                self._arriving.setdefault(at + does.offset, self.state.copy())
            self._lost = does.kind is not Kind.BRANCH

    def _unknown(self) -> _Symbol:
        self._new += 1
        return _Symbol(self._new)

    def _set(self, number: int, value: _Symbol) -> None:
        if number:
            self.state.registers[number] = value

    def _wide(self, bits: int) -> None:
        opcode, rd, funct3, rs1, rs2 = bits & 0x7F, bits >> 7 & 31, bits >> 12 & 7, bits >> 15 & 31, bits >> 20 & 31
        immediate = _signed(bits >> 20, 12)
        if opcode == 0x13 and funct3 == 0 or opcode == 0x1B and funct3 == 0:
            self._add(rd, rs1, immediate)
        elif opcode == 0x33 and funct3 == 0 and bits >> 25 in (0, 0x20):
            self._sum(rd, rs1, rs2, -1 if bits >> 30 else 1)
        elif opcode == 0x37:
            self._set(rd, _Symbol(0, _signed(bits >> 12, 20) << 12))
        elif opcode == 0x03 and funct3 == 3:
            self._load(rd, rs1, immediate)
        elif opcode == 0x23:
            self._store(rs1, _signed(bits >> 25 << 5 | rd, 12), rs2 if funct3 == 3 else None)
        elif opcode == 0x73 and funct3:
            self._csr(rd, funct3, rs1, bits >> 20)
        elif opcode not in (0x0F, 0x07, 0x27, 0x43, 0x47, 0x4B, 0x4F, 0x53, 0x0B):
            self._set(rd, self._unknown())

    def _compressed(self, bits: int) -> None:
        key, rd = (bits & 3, bits >> 13), bits >> 7 & 31
        low, high = 8 + (bits >> 2 & 7), 8 + (bits >> 7 & 7)
        immediate = _signed((bits >> 12 & 1) << 5 | bits >> 2 & 31, 6)
        double = (bits >> 10 & 7) << 3 | (bits >> 5 & 3) << 6
        if key == (0, 0):
            self._add(low, SP, (bits >> 11 & 3) << 4 | (bits >> 7 & 15) << 6 | (bits >> 6 & 1) << 2
                      | (bits >> 5 & 1) << 3)
        elif key == (0, 3):
            self._load(low, high, double)
        elif key == (0, 7):
            self._store(high, double, low)
        elif key in ((0, 5), (0, 6), (0, 1), (2, 1), (2, 5), (2, 6)):
            pass  # floating point, and stores of words, which hold no register
        elif key == (0, 2):
            self._set(low, self._unknown())
        elif key == (1, 0) or key == (1, 1) and self.state.registers[rd].base == 0:
            self._add(rd, rd, immediate)
        elif key == (1, 2):
            self._set(rd, _Symbol(0, immediate))
        elif key == (1, 3) and rd == SP:
            self._add(SP, SP, _signed((bits >> 12 & 1) << 9 | (bits >> 3 & 3) << 7 | (bits >> 5 & 1) << 6
                                      | (bits >> 2 & 1) << 5 | (bits >> 6 & 1) << 4, 10))
        elif key == (1, 3):
            self._set(rd, _Symbol(0, immediate << 12))
        elif key == (1, 4):
            self._set(high, self._unknown())
        elif key == (2, 3):
            self._load(rd, SP, (bits >> 12 & 1) << 5 | (bits >> 5 & 3) << 3 | (bits >> 2 & 7) << 6)
        elif key == (2, 7):
            self._store(SP, (bits >> 10 & 7) << 3 | (bits >> 7 & 7) << 6, bits >> 2 & 31)
        elif key == (2, 4) and bits >> 2 & 31:
            source = bits >> 2 & 31
            if bits >> 12 & 1:
                self._sum(rd, rd, source, 1)
            else:
                self._set(rd, self.state.registers[source])
        else:
            self._set(rd, self._unknown())

    def _add(self, rd: int, rs1: int, immediate: int) -> None:
        value = self.state.registers[rs1]
        if rd == SP and rs1 == SP and immediate > 0:
            self._leave()
        self._set(rd, _Symbol(value.base, value.offset + immediate))

    def _sum(self, rd: int, rs1: int, rs2: int, sign: int) -> None:
        left, right = self.state.registers[rs1], self.state.registers[rs2]
        if right.base == 0:
            if rd == SP and rs1 == SP and sign * right.offset > 0:
                self._leave()
            self._set(rd, _Symbol(left.base, left.offset + sign * right.offset))
        elif left.base == 0 and sign > 0:
            self._set(rd, _Symbol(right.base, right.offset + left.offset))
        else:
            self._set(rd, self._unknown())

    def _load(self, rd: int, rs1: int, immediate: int) -> None:
        base = self.state.registers[rs1]
        value = self.state.slots.get(_Symbol(base.base, base.offset + immediate))
        if value is not None and value == _Symbol(rd) and rd in _PRESERVED:
            self._leave()
        self._set(rd, value if value is not None else self._unknown())

    def _store(self, rs1: int, immediate: int, rs2: int | None) -> None:
        base = self.state.registers[rs1]
        slot = _Symbol(base.base, base.offset + immediate)
        if rs2 is None:
            self.state.slots.pop(slot, None)
        else:
            self.state.slots[slot] = self.state.registers[rs2]

    def _csr(self, rd: int, funct3: int, rs1: int, number: int) -> None:
        old = self.state.csrs.get(number, _Symbol(_FIRST_CSR + number))
        new = self.state.registers[rs1] if funct3 < 4 else _Symbol(0, rs1)
        if funct3 & 3 == 1:
            self.state.csrs[number] = new
        elif new != _Symbol(0):
            self.state.csrs[number] = self._unknown()
        self._set(rd, old)

    def _leave(self) -> None:
        """An epilogue begins: what comes behind it has the state from before it."""
        if self._body is None:
            self._body = self.state.copy()


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 & 1 else value
