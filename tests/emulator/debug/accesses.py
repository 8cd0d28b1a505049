"""Accesses to memory, found by single steps and by decoding each instruction: what watchpoints are held against."""

from __future__ import annotations

from dataclasses import dataclass

from emulator import Machine
from emulator.errors import BusError
from emulator.hart import Hart
from emulator.pagewalk import translate
from emulator.stop import Stepped, Watch

BYTES = (1, 2, 4, 8, 1, 2, 4)
"""What a load accesses, by funct3 (unprivileged specification, 2.6 and 5.3)."""
MASK = (1 << 64) - 1
MPRV = 1 << 17


@dataclass(frozen=True)
class Access:
    """What the step number `step` of a run accessed: `size` bytes at `va`, which is at `pa`."""

    step: int
    hart: int
    pc: int
    va: int
    pa: int
    size: int
    loads: bool
    stores: bool

    def hits(self, watch: Watch) -> bool:
        first = self.va if watch.virtual else self.pa
        kind = self.loads and watch.loads or self.stores and watch.stores
        return kind and first <= watch.last and watch.first < first + self.size


def single_steps(made: Machine, count: int) -> list[Access]:
    """Make up to `count` steps; every access that was done on the way."""
    found = []
    for step in range(count):
        hart = made.harts[made.engine.current_hart]
        pc, steps, traps = hart.pc, hart.steps, hart.traps
        insn = _instruction_at(hart)
        access = _decode(insn, {i: hart.read(f"x{i}") for i in range(32)})
        pa = None if access is None else _physical(made, hart, access[0] & MASK)
        if made.step() != Stepped():
            break
        if access is not None and pa is not None and (hart.steps, hart.traps) == (steps + 1, traps):
            va, size, loads, stores = access
            if insn & 0x7F == 0x2F and insn >> 27 == 3:  # an SC that fails stores nothing
                stores = hart.read(f"x{insn >> 7 & 31}") == 0
            found.append(Access(step, hart.id, pc, va & MASK, pa, size, loads, stores))
    return found


def _instruction_at(hart: Hart) -> int:
    """The instruction that a hart is about to execute; 0 if it cannot be fetched."""
    try:
        low = int.from_bytes(hart.read_memory(hart.pc, 2), "little")
        return low if low & 3 != 3 else low | int.from_bytes(hart.read_memory(hart.pc + 2, 2), "little") << 16
    except BusError:
        return 0


def _physical(made: Machine, hart: Hart, va: int) -> int | None:
    """Where a load or store of the hart's goes."""
    status, priv = hart.read_csr("mstatus"), hart.priv
    if priv == 3 and status & MPRV:
        priv = status >> 11 & 3
    return translate(made.ram, hart.read_csr("satp"), priv, va)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 & 1 else value


def _decode(insn: int, x: dict[int, int]) -> tuple[int, int, bool, bool] | None:
    """Address, size, and whether `insn` loads and stores there, with registers `x`; None if it does neither."""
    if insn & 3 != 3:
        return _decode_compressed(insn, x)
    opcode, funct3, base = insn & 0x7F, insn >> 12 & 7, x[insn >> 15 & 31]
    if opcode in (0x03, 0x07) and funct3 < 7:
        return base + _signed(insn >> 20, 12), BYTES[funct3], True, False
    if opcode in (0x23, 0x27):
        return base + _signed(insn >> 25 << 5 | insn >> 7 & 31, 12), 1 << funct3, False, True
    if opcode == 0x2F:
        kind = insn >> 27
        return base, 1 << funct3, kind != 3, kind != 2
    return None


def _decode_compressed(insn: int, x: dict[int, int]) -> tuple[int, int, bool, bool] | None:
    """The same for 16 bits (unprivileged specification, table 16.4 and below)."""
    quadrant, funct3 = insn & 3, insn >> 13
    if quadrant not in (0, 2) or funct3 in (0, 4):
        return None
    wide, stores = funct3 & 1, funct3 > 4
    if quadrant == 0:
        offset = (insn >> 10 & 7) << 3
        offset |= (insn >> 5 & 3) << 6 if wide else (insn >> 6 & 1) << 2 | (insn >> 5 & 1) << 6
        return x[8 + (insn >> 7 & 7)] + offset, 8 if wide else 4, not stores, stores
    if stores:
        offset = (insn >> 10 & 7) << 3 | (insn >> 7 & 7) << 6 if wide else (insn >> 9 & 15) << 2 | (insn >> 7 & 3) << 6
    else:
        offset = (insn >> 12 & 1) << 5
        offset |= (insn >> 5 & 3) << 3 | (insn >> 2 & 7) << 6 if wide else (insn >> 4 & 7) << 2 | (insn >> 2 & 3) << 6
    return x[2] + offset, 8 if wide else 4, not stores, stores
