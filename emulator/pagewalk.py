"""Address translation for the host: the walk of `engine.mmu.translate` without its effects.

        translate    one address
        survey       everything that a page table maps, in runs of pages alike

Sets no A or D bits and checks no permissions but validity: it answers "what is there", for
debuggers and tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .engine.riscv import PRV_M, PTE_R, PTE_V, PTE_W, PTE_X, SATP_MODES, SATP_MODE_SHIFT, SATP_PPN
from .ram import Ram

MOST_PIECES = 1 << 18
"""Entries that point to tables, and runs within tables, that `survey` takes in: tables that point to each other
could be 512 ** levels of them."""
MOST_PROBLEMS = 16
"""Problems that it tells."""
_PTE_PPN = 0x003F_FFFF_FFFF_FC00


@dataclass(frozen=True)
class MappedRun:
    """Virtual `start` to `end`, mapped at physical `paddr` and on, by `pages` of each level, from level 1 on.

    `bits` are the entries' without the page number: all of them have the same.
    """

    start: int
    end: int
    paddr: int
    bits: int
    pages: tuple[int, ...]


@dataclass(frozen=True)
class Survey:
    """What a page table maps: `runs`, ascending, and `problems`, in words: entries that lead nowhere.

    `tables` is how many it has; `complete` says whether all of them were looked at.
    """

    runs: tuple[MappedRun, ...]
    problems: tuple[str, ...]
    tables: int = 0
    complete: bool = True


def survey(ram: Ram, satp: int) -> Survey:
    """Everything that the page table in `satp` maps; nothing if its mode is bare, or no mode."""
    mode = satp >> SATP_MODE_SHIFT
    if mode not in SATP_MODES.values():
        return Survey((), ())
    walk = _Survey(ram, mode - 5)
    walk.table((satp & SATP_PPN) << 12, mode - 5, 0)
    return walk.survey()


class _Survey:
    """The state of a survey: the run that may still grow, and what was found before."""

    def __init__(self, ram: Ram, levels: int) -> None:
        self._runs: list[MappedRun] = []
        self._problems: list[str] = []
        self._ram, self._levels, self._pieces, self._tables, self._wrong = ram, levels, 0, 0, 0
        self._start = self._end = self._paddr = self._bits = 0
        self._pages = [0] * levels

    def table(self, table: int, level: int, base: int) -> None:
        """Take in a table of `level` whose first entry translates `base` (without the upper bits)."""
        view = self._ram.view(table, 4096)
        if self._pieces > MOST_PIECES:
            return
        if view is None:
            self._tell(base, f"the table of level {level} at {table:#x} is not in memory")
            return
        self._tables += 1
        entries = view.view(np.uint64)
        present = (entries & np.uint64(PTE_V)) != 0
        if not present.any():
            return
        shift = 12 + 9 * (level - 1)
        bits = entries & ~np.uint64(_PTE_PPN)
        paddrs = (entries & np.uint64(_PTE_PPN)) << np.uint64(2)
        points = present & ((entries & np.uint64(PTE_R | PTE_W | PTE_X)) == 0)
        following = paddrs[:-1] + np.uint64(1 << shift)
        new = np.ones(512, dtype=np.bool_)
        new[1:] = points[1:] | points[:-1] | (bits[1:] != bits[:-1]) | (paddrs[1:] != following)
        firsts = np.flatnonzero(np.append(new, True)).tolist()
        self._pieces += len(firsts)
        for index, end in zip(firsts, firsts[1:], strict=False):
            at, paddr = base + (index << shift), int(paddrs[index])
            if not present[index]:
                continue
            if not points[index]:
                self._leaves(at, paddr, end - index, level, int(bits[index]))
            elif level > 1:
                self.table(paddr, level - 1, at)
            else:
                self._tell(at, "an entry of the lowest level points to a table")

    def _tell(self, address: int, what: str) -> None:
        self._wrong += 1
        if self._wrong <= MOST_PROBLEMS:
            self._problems.append(f"{self._canonical(address):#x}: {what}")

    def _leaves(self, at: int, paddr: int, count: int, level: int, bits: int) -> None:
        size = count << 12 + 9 * (level - 1)
        start = self._canonical(at)
        if start != self._end or bits != self._bits or paddr != self._paddr + self._end - self._start:
            self._end_run()
            self._start, self._end, self._paddr, self._bits = start, start, paddr, bits
        self._end += size
        self._pages[level - 1] += count

    def survey(self) -> Survey:
        """What was found."""
        self._end_run()
        if self._wrong > MOST_PROBLEMS:
            self._problems.append(f"and {self._wrong - MOST_PROBLEMS:,} more entries like these")
        if self._pieces > MOST_PIECES:
            self._problems.append("there are more tables and mappings than one can look at: the last ones are left out")
        return Survey(tuple(self._runs), tuple(self._problems), self._tables, self._pieces <= MOST_PIECES)

    def _end_run(self) -> None:
        """Nothing more can belong to the run that was open."""
        if self._end > self._start:
            self._runs.append(MappedRun(self._start, self._end, self._paddr, self._bits, tuple(self._pages)))
        self._pages = [0] * self._levels

    def _canonical(self, address: int) -> int:
        width = 12 + 9 * self._levels
        return address | (1 << 64) - (1 << width) if address >> width - 1 else address


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
