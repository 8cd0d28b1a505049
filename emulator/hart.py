"""A hart: its registers, CSRs, privilege level and counters, between two runs of the machine."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from .csrs import NUMBERS
from .engine import abi, layout
from .engine.csraccess import access_csr
from .engine.riscv import PRV_M, PRV_S, PRV_U
from .errors import BusError, RegisterError
from .pagewalk import translate

if TYPE_CHECKING:
    from .machine import Machine

X_NAMES: Final = ("zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
                  "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6")
"""ABI names of x0 … x31."""
F_NAMES: Final = ("ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3",
                  "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11",
                  "ft8", "ft9", "ft10", "ft11")
"""ABI names of f0 … f31."""
PRIVILEGE_NAMES: Final = {PRV_U: "U", PRV_S: "S", PRV_M: "M"}

_OFFSETS = {
    **{name: abi.ENV_GPR + 8 * i for i, name in enumerate(X_NAMES)},
    **{f"x{i}": abi.ENV_GPR + 8 * i for i in range(32)}, "fp": abi.ENV_GPR + 64,
    **{name: abi.ENV_FPR + 8 * i for i, name in enumerate(F_NAMES)},
    **{f"f{i}": abi.ENV_FPR + 8 * i for i in range(32)},
    "pc": abi.ENV_PC, "priv": abi.ENV_PRIV,
}

_PC = abi.ENV_PC >> 3


class Hart:
    """Hart `id` of a machine. Values are unsigned 64-bit numbers."""

    def __init__(self, machine: Machine, number: int) -> None:
        self.id = number
        self._machine = machine
        self._engine = machine.engine

    def __repr__(self) -> str:
        return f"<Hart {self.id} pc={self.pc:#x} {PRIVILEGE_NAMES[self.priv]}>"

    @property
    def pc(self) -> int:
        """Address of the next instruction."""
        return self._engine.read_state(self.id, abi.ENV_PC)

    @pc.setter
    def pc(self, value: int) -> None:
        self._engine.write_state(self.id, abi.ENV_PC, value)

    @property
    def priv(self) -> int:
        """Privilege level: 0 U, 1 S, 3 M."""
        return self._engine.read_state(self.id, abi.ENV_PRIV)

    @property
    def satp(self) -> int:
        """The CSR satp, by which the hart translates."""
        return self._engine.read_state(self.id, abi.ENV_SATP)

    @property
    def waiting(self) -> bool:
        """Whether the hart sits in WFI."""
        return self._engine.hart_word(self.id, layout.H_WAITING) != 0

    @property
    def instructions(self) -> int:
        """Instructions retired since reset."""
        return self._engine.hart_word(self.id, layout.H_INSNS) - self._engine.split(self.id)

    @property
    def cycles(self) -> int:
        """The hart's clock, in cycles since reset; it goes on while the hart waits."""
        clock = self._engine.hart_word(self.id, layout.H_CLOCK)
        return clock if self._engine.timed else clock - self._engine.split(self.id)

    @property
    def traps(self) -> int:
        """Traps taken since reset, interrupts included."""
        return self._engine.hart_word(self.id, layout.H_TRAPS)

    @property
    def steps(self) -> int:
        """Steps made since reset: instructions that retired or trapped, and interrupts taken (`engine.steps`)."""
        return self.instructions + self.traps - self._engine.hart_word(self.id, layout.H_COUNTED_TRAPS)

    def read(self, name: str) -> int:
        """A register by its name: x0 … x31, f0 … f31, their ABI names, fp, pc, priv, or a CSR's name."""
        offset = _OFFSETS.get(name)
        if offset is not None:
            return self._engine.read_state(self.id, offset)
        return self.read_csr(name)

    def write(self, name: str, value: int) -> None:
        """Set a register by its name; zero and x0 stay 0."""
        offset = _OFFSETS.get(name)
        if offset is None:
            self.write_csr(name, value)
        elif offset != abi.ENV_GPR:
            self._engine.write_state(self.id, offset, value)

    def answer(self, registers: Mapping[str, int]) -> None:
        """Answer the host call that the hart stands at: set x-registers by name, and go on behind it."""
        words = self._engine.state_words(self.id)
        for name, value in registers.items():
            words[_OFFSETS[name] >> 3] = value & (1 << 64) - 1
        words[_PC] += 4

    def read_csr(self, csr: str | int) -> int:
        """A CSR by name or number, as M-mode code would read it; RegisterError if there is none."""
        value = access_csr(self._engine, self.id, _number(csr))
        if value is None:
            raise RegisterError(f"hart {self.id} has no CSR {csr if isinstance(csr, str) else hex(csr)}")
        return value

    def write_csr(self, csr: str | int, value: int) -> None:
        """Write a CSR as M-mode code would: fields that do not exist keep their values."""
        if access_csr(self._engine, self.id, _number(csr), value, (1 << 64) - 1) is None:
            raise RegisterError(f"CSR {csr if isinstance(csr, str) else hex(csr)} does not exist or is read-only")

    def translate(self, address: int, privilege: int | None = None) -> int | None:
        """The physical address of virtual `address` for a load by this hart now; None if it would fault.

        `privilege` is that of the load, the hart's own if it is not given.
        """
        return translate(self._machine.ram, self.satp, self.priv if privilege is None else privilege, address)

    def read_memory(self, address: int, size: int, privilege: int | None = None) -> bytes:
        """`size` bytes at virtual `address`, as `translate` finds it; BusError names the first one that is no memory.

        Devices are not read.
        """
        parts = []
        while size > 0:
            room = min(size, 4096 - address % 4096)
            physical = self.translate(address, privilege)
            if physical is None:
                raise BusError(f"hart {self.id} cannot read virtual address {address:#x}: not mapped")
            parts.append(self._machine.bus.read(physical, room))
            address += room
            size -= room
        return b"".join(parts)

    def registers(self) -> dict[str, int]:
        """x1 … x31 by ABI name, and pc."""
        base = self._engine.state_address(self.id)
        values = (ctypes.c_uint64 * 32).from_address(base + abi.ENV_GPR)
        return {**{X_NAMES[i]: values[i] for i in range(1, 32)}, "pc": self.pc}


def _number(csr: str | int) -> int:
    if isinstance(csr, int):
        return csr
    try:
        return NUMBERS[csr]
    except KeyError:
        raise RegisterError(f"no register is called {csr!r}") from None
