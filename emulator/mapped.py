"""What a page table maps, as ranges of addresses with the same rights.

    for found in read_mapped(machine.ram, satp).ranges:
        print(f"{found.start:#x}-{found.end:#x} -> {found.paddr:#x} {found.rights}")

Neighbours become one range when they are neighbours in physical memory, too, and have the same rights, whatever
the sizes of their pages. A table that a guest is still building may hold anything (`pagewalk.survey`).

Source: privileged specification 4.3 to 4.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .engine.riscv import PTE_R, PTE_U, PTE_W, PTE_X
from .pagewalk import survey
from .ram import Ram

GLOBAL: Final = 32
KEPT: Final = PTE_R | PTE_W | PTE_X | PTE_U | GLOBAL
"""Bits of an entry that ranges differ by; A and D are the hart's own."""
LETTERS: Final = ((PTE_R, "r"), (PTE_W, "w"), (PTE_X, "x"), (PTE_U, "u"), (GLOBAL, "g"))


@dataclass(frozen=True)
class MappedRange:
    """Virtual `start` to `end` (without it), mapped at physical `paddr` and on; `bits` are R, W, X, U and G."""

    start: int
    end: int
    paddr: int
    bits: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start

    @property
    def rights(self) -> str:
        """The bits as letters, `-` for each that is not set: `rwxug`."""
        return "".join(letter if self.bits & bit else "-" for bit, letter in LETTERS)


@dataclass(frozen=True)
class Mapped:
    """The `ranges` of a page table, ascending, and the `tables` that it has; `complete` unless there were too many."""

    ranges: tuple[MappedRange, ...]
    tables: int
    complete: bool


def read_mapped(ram: Ram, satp: int) -> Mapped:
    """What the page table that `satp` names maps; nothing while translation is off."""
    found = survey(ram, satp)
    ranges: list[MappedRange] = []
    for run in found.runs:
        bits, last = run.bits & KEPT, ranges[-1] if ranges else None
        if last is not None and (last.end, last.bits, last.paddr + last.size) == (run.start, bits, run.paddr):
            ranges[-1] = MappedRange(last.start, run.end, last.paddr, bits)
        else:
            ranges.append(MappedRange(run.start, run.end, run.paddr, bits))
    return Mapped(tuple(ranges), found.tables, found.complete)
