"""Mapping long ranges: whole runs of entries at a time (OSTD `largest_pages`, without a loop over pages).

At each place the largest page is used whose size fits what is left and divides both addresses:

        3fdff000                                                8000_2000
          |----|----------------|--------------------------------|----|----|
           4 KiB     2 MiB                   1 GiB                4 KiB 4 KiB
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from kernel.errors import KernelPanic
from kernel.mm.paging import ENTRIES, PAGE_SIZE

from . import node
from .config import PageTableConfig
from .pte import PPN_MASK, SHIFT, SIZE, VALID, table_pte

if TYPE_CHECKING:
    from kernel.mm.context import Mm


def largest_pages(va: int, pa: int, length: int, highest_level: int) -> Iterator[tuple[int, int]]:
    """(physical address, level) of the largest pages that map `length` bytes from `va` to `pa`.

    KernelPanic if one of the three is not page-aligned.
    """
    if (va | pa | length) & PAGE_SIZE - 1:
        raise KernelPanic(f"assertion failed: {va:#x}, {pa:#x} or {length:#x} is not page-aligned")
    while length > 0:
        level = highest_level
        while SIZE[level] > length or (va | pa) & SIZE[level] - 1:
            level -= 1
        yield pa, level
        va, pa, length = va + SIZE[level], pa + SIZE[level], length - SIZE[level]


class Filler:
    """Fills absent entries of locked nodes with leaves that have `bits`, of at most `max_level` (0: only tables)."""

    __slots__ = ("_bits", "_config", "_made", "_max_level", "_mm", "_runs")

    def __init__(self, mm: Mm, config: type[PageTableConfig], bits: int, max_level: int) -> None:
        self._mm, self._config, self._bits, self._max_level = mm, config, bits, max_level
        self._made: list[tuple[int, int, int]] = []  # (entry, its node, the table it points to)
        self._runs: list[tuple[int, int, int]] = []  # (first entry, its node, entries)

    def run(self, table: int, level: int, va: int, end: int, pa: int) -> None:
        """Map va … end to `pa` below the node `table`. If a table cannot be allocated, all is taken back."""
        try:
            self._fill(table, level, va, end, pa)
        except BaseException:
            self._undo()
            raise

    def _fill(self, table: int, level: int, va: int, end: int, pa: int) -> None:
        shift, size = SHIFT[level], SIZE[level]
        whole_pages = level <= self._max_level and not (va ^ pa) & size - 1
        if level == 1 and not whole_pages:
            return
        while va < end:
            index = va >> shift & ENTRIES - 1
            if whole_pages and not va & size - 1 and end - va >= size:
                count = self._leaves(table, index, min(ENTRIES - index, end - va >> shift), pa, size)
                if count:
                    va, pa = va + count * size, pa + count * size
                    continue
            part = min(end, (va >> shift) + 1 << shift) - va
            self._fill(self._child(table, index, level - 1), level - 1, va, va + part, pa)
            va, pa = va + part, pa + part

    def _leaves(self, table: int, index: int, count: int, pa: int, size: int) -> int:
        """Write up to `count` leaves, as many as there are absent entries in a row; how many."""
        port = self._mm.port
        taken = port.load_column(table + index * 8, count) != 0
        first = int(taken.argmax())
        if taken[first]:
            count = first
        if count:
            leaves = np.arange(count, dtype=np.uint64) * np.uint64(size >> 2) + np.uint64(pa >> 2 | self._bits)
            port.store_column(table + index * 8, leaves, count)
            node.add_children(self._mm, table, count)
            self._runs.append((table + index * 8, table, count))
        return count

    def _child(self, table: int, index: int, level: int) -> int:
        """The table of `level` that the entry points to, made if the entry is absent."""
        entry = table + index * 8
        pte = self._mm.port.load(entry)
        if pte & VALID:
            return (pte & PPN_MASK) << 2
        child = node.alloc(self._mm, self._config, level, locked=True)
        self._mm.port.store(entry, table_pte(child))
        node.add_children(self._mm, table, 1)
        self._made.append((entry, table, child))
        return child

    def _undo(self) -> None:
        for entry, table, count in self._runs:
            self._mm.port.store_column(entry, 0, count)
            node.add_children(self._mm, table, -count)
        for entry, table, child in reversed(self._made):
            self._mm.port.store(entry, 0)
            node.add_children(self._mm, table, -1)
            self._mm.slots.drop_holder(child)
