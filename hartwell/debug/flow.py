"""What single instructions do to the flow of control, from their encodings.

Source: unprivileged specification 20191213, chapters 2, 16 (C) and 24; privileged 20211203, section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

MASK = (1 << 64) - 1
_RA = 1
_LINKS = (_RA, 5)
"""ra and t0: jumps that write them are calls. Jumps through ra are returns; those through t0 seldom are."""


class Kind(Enum):
    """What an instruction does to the flow of control."""

    CALL = "call"
    JUMP = "jump"
    BRANCH = "branch"
    RETURN = "return"
    TRAP = "trap"
    """ecall, ebreak"""
    TRAP_RETURN = "trap return"
    OTHER = "other"


class Flow(NamedTuple):
    """Where an instruction leads.

    `offset` is the distance from it to where it jumps, or from register `base` if there is one (jalr).
    `compared` are the registers of a branch, `condition` is its funct3.
    """

    kind: Kind
    offset: int | None = None
    base: int | None = None
    compared: tuple[int, int] = (0, 0)
    condition: int = 0

    def taken(self, register: Callable[[str], int]) -> bool | None:
        """Whether this branch would be taken with such registers (`x5` and so on, unsigned); None if it is none."""
        if self.kind is not Kind.BRANCH:
            return None
        left, right = (register(f"x{number}") & MASK for number in self.compared)
        if self.condition in _SIGNED:
            left, right = left ^ 1 << 63, right ^ 1 << 63
        return _CONDITIONS[self.condition](left, right)


_CONDITIONS: dict[int, Callable[[int, int], bool]] = {
    0: lambda a, b: a == b, 1: lambda a, b: a != b, 4: lambda a, b: a < b, 5: lambda a, b: a >= b,
    6: lambda a, b: a < b, 7: lambda a, b: a >= b}
_SIGNED = (4, 5)
_SYSTEM = {0x00000073: Kind.TRAP, 0x00100073: Kind.TRAP, 0x30200073: Kind.TRAP_RETURN, 0x10200073: Kind.TRAP_RETURN}
OTHER = Flow(Kind.OTHER)


def flow(bits: int) -> Flow:
    """What the instruction `bits` (16 or 32 wide by its own encoding) does; what is no instruction does nothing."""
    return _wide(bits) if bits & 3 == 3 else _compressed(bits & 0xFFFF)


def _wide(bits: int) -> Flow:
    opcode, rd, funct3, rs1 = bits & 0x7F, bits >> 7 & 31, bits >> 12 & 7, bits >> 15 & 31
    if opcode == 0x6F:
        offset = _signed((bits >> 31 & 1) << 20 | (bits >> 12 & 0xFF) << 12 | (bits >> 20 & 1) << 11
                         | (bits >> 21 & 0x3FF) << 1, 21)
        return Flow(Kind.CALL if rd in _LINKS else Kind.JUMP, offset)
    if opcode == 0x67 and funct3 == 0:
        return _jalr(rd, rs1, _signed(bits >> 20 & 0xFFF, 12))
    if opcode == 0x63 and funct3 in _CONDITIONS:
        offset = _signed((bits >> 31 & 1) << 12 | (bits >> 7 & 1) << 11 | (bits >> 25 & 0x3F) << 5
                         | (bits >> 8 & 0xF) << 1, 13)
        return Flow(Kind.BRANCH, offset, None, (rs1, bits >> 20 & 31), funct3)
    return Flow(_SYSTEM[bits]) if bits in _SYSTEM else OTHER


def _compressed(bits: int) -> Flow:
    quadrant, funct3, register = bits & 3, bits >> 13, bits >> 7 & 31
    if quadrant == 1 and funct3 == 5:  # c.j
        offset = ((bits >> 12 & 1) << 11 | (bits >> 8 & 1) << 10 | (bits >> 9 & 3) << 8 | (bits >> 6 & 1) << 7
                  | (bits >> 7 & 1) << 6 | (bits >> 2 & 1) << 5 | (bits >> 11 & 1) << 4 | (bits >> 3 & 7) << 1)
        return Flow(Kind.JUMP, _signed(offset, 12))
    if quadrant == 1 and funct3 >= 6:  # c.beqz, c.bnez
        offset = ((bits >> 12 & 1) << 8 | (bits >> 5 & 3) << 6 | (bits >> 2 & 1) << 5 | (bits >> 10 & 3) << 3
                  | (bits >> 3 & 3) << 1)
        return Flow(Kind.BRANCH, _signed(offset, 9), None, (8 + (bits >> 7 & 7), 0), funct3 - 6)
    if quadrant == 2 and funct3 == 4 and bits >> 2 & 31 == 0:
        if register:  # c.jr, c.jalr
            return _jalr(bits >> 12 & 1, register, 0)
        if bits >> 12 & 1:  # c.ebreak
            return Flow(Kind.TRAP)
    return OTHER


def _jalr(rd: int, rs1: int, offset: int) -> Flow:
    if rd in _LINKS:
        return Flow(Kind.CALL, offset, rs1)
    return Flow(Kind.RETURN if rs1 == _RA else Kind.JUMP, offset, rs1)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value
