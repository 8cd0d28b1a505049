"""Cursors: exclusive access to a range of a page table (OSTD `mm/page_table/cursor`).

A cursor stands at a virtual address and keeps the addresses of the locked nodes from the guard node down
to its level:

        path[guard level] ──► … ──► path[level]: the entry for `virt_addr` is looked at in this node

It starts at the guard node and goes down as far as an operation needs; moving forward over the end of a
node goes up again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kernel.errors import InvalidVaddr, InvalidVaddrRange, KernelPanic, UnalignedVaddr
from kernel.mm.frame.handle import Handle
from kernel.mm.paging import ENTRIES, MASK64, PAGE_SIZE

from . import locking, node
from .config import NR_CHILDREN, PageTableConfig
from .items import MappedItemRef, TrackedRef, Untracked, lend
from .pte import PPN_MASK, PROPERTY_MASK, RWX, SHIFT, SIZE, VALID, property_of

if TYPE_CHECKING:
    from .page_table import PageTable

WORTH_A_COLUMN = 8
"""Absent entries that are worth looking at in bulk."""


class Cursor(Handle):
    """Looks at a locked range of a page table: `with page_table.cursor(range(a, b)) as cursor: …`.

    Addresses are virtual, bytes, multiples of 4096. Ranges that overlap exclude each other, those of
    cursors that only look included. The page table lives at least as long as the cursor.
    """

    __slots__ = ("_config", "_end", "_guard_level", "_level", "_mask", "_path", "_port", "_root", "_slots", "_spin",
                 "_start", "_va")

    def __init__(self, table: PageTable, start: int, end: int, make_tables: bool = True) -> None:
        mm = table._mm
        self._mm, self._port, self._slots, self._root = mm, mm.port, mm.slots.base, table.root_paddr
        self._config, self._spin = table.config, table.spin
        self._mask = PROPERTY_MASK & ~table.config.hidden_bits()
        self._held = False
        guard, level = locking.lock_range(mm, self._config, self._root, start, end, self._spin, make_tables)
        self._held = True
        mm.slots.add_holder(self._root)
        self._va = self._start = start
        self._end = end
        self._level = self._guard_level = level
        self._path = [0] * (mm.paging.levels + 1)
        self._path[level] = guard

    def __repr__(self) -> str:
        gone = "" if self._held else ", gone"
        return f"<{type(self).__name__} {self._start:#x}-{self._end:#x} at {self._va:#x}{gone}>"

    def _release(self) -> None:
        guard = self._guard_level
        if guard == 1:
            node.unlock(self._mm, self._path[1])
        else:
            locking.unlock_range(self._mm, self._path[guard], guard, self._start, self._end)
        self._held = False
        self._mm.slots.drop_holder(self._root)

    @property
    def virt_addr(self) -> int:
        """The virtual address where the cursor stands."""
        return self._va

    @property
    def root_paddr(self) -> int:
        """Physical address of the page table's root, which lives as long as the cursor."""
        return self._root

    @property
    def config(self) -> type[PageTableConfig]:
        """The kind of page table."""
        return self._config

    @property
    def span(self) -> range:
        """The range that the cursor has locked."""
        return range(self._start, self._end)

    def query(self) -> tuple[range, MappedItemRef | None]:
        """The addresses that the entry at the cursor maps, and what it maps; None for nothing.

        InvalidVaddr at the end of the range.
        """
        level, pte = self._look()
        shift = SHIFT[level]
        low = self._va >> shift << shift
        return range(low, low + SIZE[level]), self._item_ref(level, pte) if pte & VALID else None

    def find_next(self, length: int) -> int | None:
        """Move to the next mapped page within `length` bytes; its address (the cursor's, if in its middle).

        None if there is none: the cursor is then behind the `length` bytes, at most at the range's end.
        KernelPanic if `length` is not a multiple of 4096 or goes beyond the range.
        """
        return self._va if self._find(length, subtree=False, split=False) else None

    def absent(self, length: int) -> list[range]:
        """Where nothing is mapped within the next `length` bytes, ascending; the cursor stays where it is.

        KernelPanic if `length` is not a multiple of 4096 or goes beyond the range.
        """
        self._check()
        self._require_length(length)
        start = self._va
        end, found = start + length, list[range]()
        while self._va < end:
            level, pte = self._look()
            va, shift = self._va, SHIFT[level]
            following = min((va >> shift + 9) + 1 << shift + 9 if level == 1 else (va >> shift) + 1 << shift, end)
            if level == 1:
                at = self._path[1] + (va >> shift & ENTRIES - 1) * 8
                empty = self._port.load_column(at, following - va >> shift) & np.uint64(VALID) == 0
                pieces = [(va + first * PAGE_SIZE, va + last * PAGE_SIZE) for first, last in runs(empty)]
            else:
                pieces = [] if pte & VALID else [(va, following)]
            for low, high in pieces:
                if found and found[-1].stop == low:
                    low = found.pop().start
                found.append(range(low, high))
            self._va, self._level = following, self._guard_level
        self._va, self._level = start, self._guard_level
        return found

    def jump(self, va: int) -> None:
        """Move to `va`. InvalidVaddr outside of the range, KernelPanic if it is not page-aligned."""
        self._check()
        if va & PAGE_SIZE - 1:
            raise KernelPanic(f"assertion failed: cursor cannot jump to the unaligned address {va:#x}")
        if not self._start <= va < self._end:
            raise InvalidVaddr(f"{va:#x} is outside of the cursor's range {self._start:#x}-{self._end:#x}")
        while self._level < self._guard_level and (va ^ self._va) >> SHIFT[self._level] + 9:
            self._level += 1
        self._va = va

    # --- going about ----------------------------------------------------------------------------------------

    def _look(self) -> tuple[int, int]:
        """Go down to the entry that maps the cursor's address or is absent; its level and the entry."""
        if not self._held:
            self._gone()
        va = self._va
        if va >= self._end:
            raise InvalidVaddr(f"{va:#x} is the end of the cursor's range {self._start:#x}-{self._end:#x}")
        level, path, load = self._level, self._path, self._port.load
        while True:
            pte = load(path[level] + (va >> SHIFT[level] & 511) * 8)
            if level == 1 or pte & (VALID | RWX) != VALID:
                self._level = level
                return level, pte
            level -= 1
            path[level] = (pte & PPN_MASK) << 2

    def _forward(self) -> None:
        """Move behind the entry at the cursor."""
        level = self._level
        va = ((self._va >> SHIFT[level]) + 1) << SHIFT[level]
        guard = self._guard_level
        while level < guard and not va >> SHIFT[level] & 511:
            level += 1
        self._level, self._va = level, va

    def _find(self, length: int, *, subtree: bool, split: bool) -> int:
        """Move to the next entry with something in it within `length` bytes; the entry, 0 for none.

        `subtree`: stop at tables that lie within the bytes. `split`: a huge page that sticks out of the
        bytes is split, and only a part of it found.
        """
        if not self._held:
            self._gone()
        va = self._va
        if length & PAGE_SIZE - 1 or not 0 <= length <= self._end - va:
            self._require_length(length)
        end = va + length
        path, load, guard = self._path, self._port.load, self._guard_level
        while va < end:
            level = self._level
            shift = SHIFT[level]
            table = path[level]
            pte = load(table + (va >> shift & 511) * 8)
            if not pte & VALID:
                va = self._skip(table, level, end)
                continue
            fits = not va & SIZE[level] - 1 and va + SIZE[level] <= end
            if level > 1 and not pte & RWX:
                if (subtree and fits and (self._config.TOP_LEVEL_CAN_UNMAP or level != self._mm.paging.levels)
                        and SIZE[level] != self._end - self._start):  # upstream's guard node is this table
                    return pte
                child = (pte & PPN_MASK) << 2
                if self._port.load_sized(self._slots + (child >> 6) + NR_CHILDREN, 2):
                    self._level = level - 1
                    path[level - 1] = child
                else:
                    self._forward()
                    va = self._va
                continue
            if fits or not split or level == 1:
                return pte
            self._split(level, pte, va, end)
        if self._va > self._end:
            self._va = self._end
        assert self._level <= guard
        return 0

    def _require_length(self, length: int) -> None:
        """KernelPanic unless `length` is whole pages and within what is left of the range."""
        if length & PAGE_SIZE - 1:
            raise KernelPanic(f"assertion failed: length {length:#x} is not a multiple of {PAGE_SIZE}")
        if not 0 <= length <= self._end - self._va:
            raise KernelPanic(f"len exceeds remaining cursor range: {length:#x} bytes from {self._va:#x}, "
                              f"which ends at {self._end:#x}")

    def _skip(self, table: int, level: int, end: int) -> int:
        """Move behind the absent entry at the cursor and those that follow it in the node, before `end`."""
        shift = SHIFT[level]
        index, first = self._va >> shift & 511, self._va >> shift
        count = min(ENTRIES - index, (end - 1 >> shift) - first + 1)
        if count >= WORTH_A_COLUMN:
            column = self._port.load_column(table + index * 8, count) != 0
            found = int(column.argmax())
            count = found if column[found] else count
        else:
            count = 1
        va = (first + count) << shift
        guard = self._guard_level
        while level < guard and not va >> SHIFT[level] & 511:
            level += 1
        self._level, self._va = level, va
        return va

    def _split(self, level: int, pte: int, start: int, end: int) -> None:
        """Replace the huge page `pte` at the cursor by tables of its parts, down to one that lies in start … end."""
        raise KernelPanic(f"a cursor that only looks cannot split the page of level {level} {pte:#x}")

    def _item_ref(self, level: int, pte: int) -> MappedItemRef:
        prop = property_of(pte & self._mask)
        paddr = (pte & PPN_MASK) << 2
        if self._config.is_tracked(pte):
            return TrackedRef(lend(self._mm, paddr), prop)
        return Untracked(paddr, level, prop)


def runs(wanted: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The first and the one behind the last of each row of entries that are wanted."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], wanted, [False])).astype(np.int8))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def checked_range(config: type[PageTableConfig], width: int, va: range) -> tuple[int, int]:
    """Start and end of `va`, which a cursor is to have. InvalidVaddrRange or UnalignedVaddr."""
    start, end = va.start, va.stop
    shift = width - 9
    low, high = config.ROOT_INDICES.start << shift, config.ROOT_INDICES.stop << shift
    if config.ROOT_INDICES.start >= ENTRIES // 2:
        sign = MASK64 + 1 - (1 << width)
        low, high = low + sign, high + sign
    if va.step != 1 or not (low <= start < end <= high and end <= MASK64):
        raise InvalidVaddrRange(f"{start:#x}-{end:#x} is empty or not within {low:#x}-{high:#x}, "
                                "which this page table manages")
    if start & PAGE_SIZE - 1 or end & PAGE_SIZE - 1:
        raise UnalignedVaddr(f"{start:#x}-{end:#x} is not a range of whole pages")
    return start, end
