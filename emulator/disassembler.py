"""One instruction as text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .engine.trap import CUSTOM_0

_HOST_CALL_FIELDS = 0x01FF_FFFF
"""All of an instruction but funct7, which is a host call's number."""


@lru_cache(maxsize=1)
def _disassembler() -> Any:
    from capstone import CS_ARCH_RISCV, CS_MODE_RISCV64, CS_MODE_RISCVC, Cs

    return Cs(CS_ARCH_RISCV, CS_MODE_RISCV64 | CS_MODE_RISCVC)


@lru_cache(maxsize=1 << 16)
def disassemble(pc: int, bits: int) -> str:
    """The instruction `bits` (16 or 32 wide by its own encoding) at `pc` as text; `unimp` for what is none.

    Where a jump or branch leads is shown as a distance from `pc`.
    """
    width = 4 if bits & 3 == 3 else 2
    for insn in _disassembler().disasm((bits & 0xFFFFFFFF).to_bytes(4, "little")[:width], pc, 1):
        return f"{insn.mnemonic:<10} {insn.op_str}".rstrip()
    if bits & _HOST_CALL_FIELDS == CUSTOM_0:
        return f"{'hostcall':<10} {bits >> 25 & 0x7F}"
    return "unimp"
