"""What a hart does, one instruction after the other: where, with which registers, and what it accesses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulator.engine.effective import effective
from emulator.engine.watch import LOADS, STORES
from emulator.errors import BusError
from emulator.stop import Stepped

if TYPE_CHECKING:
    from emulator import Hart, Machine

SP = 2
MASK = (1 << 64) - 1
FAR = 1 << 20
"""Instructions, of all harts, within which a hart makes its next step."""


@dataclass(frozen=True)
class Access:
    """What an instruction accesses: `size` bytes at virtual `address`."""

    address: int
    size: int
    load: bool
    store: bool


@dataclass(frozen=True)
class Step:
    """An instruction that is about to run: x0 … x31 before it, and its access to memory, if it makes one."""

    pc: int
    registers: tuple[int, ...]
    access: Access | None

    @property
    def sp(self) -> int:
        """The stack pointer."""
        return self.registers[SP]


def steps_of(machine: Machine, number: int, count: int) -> list[Step]:
    """The next `count` steps of hart `number`, which makes them; fewer if the machine stops for another reason."""
    hart, engine = machine.harts[number], machine.engine
    codes: dict[int, int] = {}
    found: list[Step] = []
    for _ in range(count):
        pc = hart.pc
        if pc not in codes:
            codes[pc] = _code(hart, pc)
        address, size, kinds, _ = effective(engine.state_address(number), codes[pc])
        access = Access(address & MASK, size, bool(kinds & LOADS), bool(kinds & STORES)) if kinds else None
        found.append(Step(pc, tuple(engine.state_words(number)[:32]), access))
        if not isinstance(machine.proceed(FAR, passing=pc, steps=1, hart=number), Stepped):
            break
    return found


def _code(hart: Hart, pc: int) -> int:
    """The instruction at `pc`, one of 32 bits sign-extended, as native code has it; 0 where there is none."""
    try:
        low = int.from_bytes(hart.read_memory(pc, 2), "little")
        high = int.from_bytes(hart.read_memory(pc + 2, 2), "little", signed=True) if low & 3 == 3 else 0
        return low | high << 16
    except BusError:
        return 0
