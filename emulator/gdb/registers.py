"""The registers of a hart, numbered as this server does, and grouped as GDB knows them.

        0 … 31   x0 … x31                  org.gnu.gdb.riscv.cpu
        32       pc
        33 … 64  f0 … f31                  org.gnu.gdb.riscv.fpu
        65 …     fflags, frm, fcsr
        …        all other CSRs, by number  org.gnu.gdb.riscv.csr
        last     priv                      org.gnu.gdb.riscv.virtual

Numbers mean something only together with the target description that gives them. GDB finds registers by name in
the features that it expects; source: GDB manual, "RISC-V Features".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from ..csrs import NAMES
from ..errors import RegisterError
from ..hart import F_NAMES, PRIVILEGE_NAMES, X_NAMES
from .wire import Code, PacketError

if TYPE_CHECKING:
    from ..machine import Machine


class Feature(Enum):
    """The features of the target description."""

    CPU = "org.gnu.gdb.riscv.cpu"
    FPU = "org.gnu.gdb.riscv.fpu"
    CSR = "org.gnu.gdb.riscv.csr"
    VIRTUAL = "org.gnu.gdb.riscv.virtual"


@dataclass(frozen=True)
class Register:
    """A register: `name` to GDB and to `Hart.read`, `kind` its type in the target description."""

    number: int
    name: str
    feature: Feature
    kind: str
    group: str | None = None


DOUBLE: Final = "riscv_double"
"""The type of f registers in the target description."""
_POINTERS = {"ra": "code_ptr", "sp": "data_ptr", "gp": "data_ptr", "tp": "data_ptr"}
_FP_CSRS = ("fflags", "frm", "fcsr")


def _table() -> tuple[Register, ...]:
    rows: list[tuple[str, Feature, str, str | None]] = [
        *((name, Feature.CPU, _POINTERS.get(name, "int"), None) for name in X_NAMES),
        ("pc", Feature.CPU, "code_ptr", None),
        *((name, Feature.FPU, DOUBLE, None) for name in F_NAMES),
        *((name, Feature.FPU, "int", "float") for name in _FP_CSRS),
        *((name, Feature.CSR, "uint64", "csr") for _, name in sorted(NAMES.items()) if name not in _FP_CSRS),
        ("priv", Feature.VIRTUAL, "int", "system")]
    return tuple(Register(number, *row) for number, row in enumerate(rows))


REGISTERS: Final = _table()
"""All of them, by number."""
GENERAL: Final = REGISTERS[:65]
"""Those in one `g` packet: x0 … x31, pc, f0 … f31."""
PC, SP, FP, FIRST_F = 32, 2, 8, 33
SIZE: Final = 8
"""Bytes of every register."""


def register(number: int) -> Register:
    """The register of a number; PacketError if there is none."""
    if not 0 <= number < len(REGISTERS):
        raise PacketError(Code.NO_SUCH_THING, f"there is no register {number:#x}")
    return REGISTERS[number]


def read(machine: Machine, hart: int, which: Register) -> bytes:
    """A register of a hart as it lies in memory."""
    return machine.harts[hart].read(which.name).to_bytes(SIZE, "little")


def check(which: Register, value: bytes) -> None:
    """PacketError unless `value` is one that the register can have."""
    if len(value) != SIZE:
        raise PacketError(Code.MALFORMED, f"{len(value)} bytes for {which.name}: expected {SIZE}")
    new = int.from_bytes(value, "little")
    if which.name == "priv" and new not in PRIVILEGE_NAMES:
        raise PacketError(Code.MALFORMED, f"there is no privilege level {new}: expected 0 (U), 1 (S) or 3 (M)")
    if which.name == "pc" and new & 1:
        raise PacketError(Code.MALFORMED, f"pc {new:#x}: instructions are at even addresses")


def write(machine: Machine, hart: int, which: Register, value: bytes) -> None:
    """Set a register to a checked value; the caller has told the target. PacketError for a read-only one."""
    try:
        machine.harts[hart].write(which.name, int.from_bytes(value, "little"))
    except RegisterError as why:
        raise PacketError(Code.NOT_PERMITTED, str(why)) from None
