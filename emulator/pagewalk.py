"""Address translation for the host: the walk of `engine.mmu.translate` without its effects.

Sets no A or D bits and checks no permissions but validity: it answers "what is there", for
debuggers and tests.
"""

from __future__ import annotations

from .engine.riscv import PRV_M, PTE_R, PTE_V, PTE_X, SATP_MODE_SHIFT, SATP_PPN
from .ram import Ram


def translate(ram: Ram, satp: int, privilege: int, address: int) -> int | None:
    """The physical address behind `address` under `satp` at `privilege`; None if nothing is mapped."""
    mode = satp >> SATP_MODE_SHIFT
    if privilege == PRV_M or mode == 0:
        return address
    levels = mode - 5
    sign = address >> (11 + 9 * levels)
    if sign not in (0, (1 << (53 - 9 * levels)) - 1):
        return None
    table = (satp & SATP_PPN) << 12
    for level in reversed(range(levels)):
        shift = 12 + 9 * level
        entry = ram.view(table + (address >> shift & 511) * 8, 8)
        if entry is None:
            return None
        pte = int.from_bytes(entry.tobytes(), "little")
        if not pte & PTE_V:
            return None
        page = (pte >> 10 & SATP_PPN) << 12
        if pte & (PTE_R | PTE_X):
            low = (1 << shift) - 1
            return page & ~low | address & low
        table = page
    return None
