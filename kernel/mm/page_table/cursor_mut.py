"""Cursors that map, unmap and protect (OSTD `page_table::CursorMut`).

Every operation checks all it can, and allocates all it needs, before it changes an entry: an error leaves
the table as it was. Entries are replaced by one atomic swap or compare-and-swap, so that what a hart sets
meanwhile (A, D) is not lost. None of the operations flushes a TLB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kernel.errors import KernelPanic
from kernel.mm.frame.frame import Frame, require_frame
from kernel.mm.operations import Moment, OperationKind, tell
from kernel.mm.paging import ENTRIES, PAGE_SIZE

from . import bulk, node
from .config import NR_CHILDREN, Tracking
from .cursor import Cursor
from .items import Mapped, MappedItem, PageTableFrag, StrayPageTable, Tracked, Untracked
from .pte import (
    PBMT_IO,
    PPN_MASK,
    RSV1,
    RWX,
    SHIFT,
    SIZE,
    VALID,
    PageProperty,
    is_table,
    property_of,
    require_encodable,
    table_pte,
)

if TYPE_CHECKING:
    from .page_table import PageTable

ProtectOp = Callable[[PageProperty], PageProperty]
"""Gives a page's new property for its old one."""
ALREADY_MAPPED = "mapping over an already mapped page"


class CursorMut(Cursor):
    """A cursor that changes what its range maps: `page_table.cursor_mut(range(a, b))`."""

    __slots__ = ("_keep", "_tracked", "_untracked")

    def __init__(self, table: PageTable, start: int, end: int, make_tables: bool = True) -> None:
        config = table.config
        self._keep = ~(config.hidden_bits() | (0 if table.svpbmt else PBMT_IO))
        self._tracked, self._untracked = config.leaf_bits(tracked=True), config.leaf_bits(tracked=False)
        super().__init__(table, start, end, make_tables)

    # --- mapping --------------------------------------------------------------------------------------------

    def map(self, frame: Frame[Any], prop: PageProperty) -> None:
        """Map `frame` at the cursor and move behind it; the mapping takes over the handle's count.

        KernelPanic at the range's end, or if something is mapped there; NoMemory if a table cannot be
        allocated; FrameMisuse for another kernel's frame. The handle is still good then.
        """
        if not self._held:
            self._gone()
        if type(frame) is not Frame or frame._mm is not self._mm:
            require_frame(frame, self._mm, "map")
        va = self._va
        heard = self._mm.operations is not None
        if heard:
            tell(self._mm, OperationKind.MAP, Moment.CALL, va, PAGE_SIZE, root=self._root)
        if va >= self._end:
            raise KernelPanic(f"assertion failed: mapping at the end of the cursor's range, {va:#x}")
        bits = prop.bits
        if bits < 0 or self._config.TRACKING is Tracking.NEVER_TRACKED:
            self._refuse(prop)
        if self._level != 1:
            self._descend(1)
        port, table = self._port, self._path[1]
        at = table + (va >> 9 & 0xff8)
        if port.load(at) & VALID:
            raise KernelPanic(f"{ALREADY_MAPPED}: {va:#x}")
        port.store(at, frame.into_raw() >> 2 | bits & self._keep | self._tracked)
        at = self._slots + (table >> 6) + NR_CHILDREN
        port.store_sized(at, 2, port.load_sized(at, 2) + 1)
        self._va = va = va + PAGE_SIZE
        if not va & 0x1f_ffff:
            self._climb(va)
        if heard:
            tell(self._mm, OperationKind.MAP, Moment.RETURN, va - PAGE_SIZE, PAGE_SIZE, root=self._root)

    def map_untracked(self, paddr: int, level: int, prop: PageProperty) -> None:
        """Map the page of `level` at physical `paddr`, which nobody counts, and move behind it.

        KernelPanic if the level has no pages, the cursor or `paddr` is not aligned to the page, the page
        goes beyond the range, something is mapped there, or no entry can say `prop`; NoMemory.
        """
        self._check()
        va = self._va
        heard, size = self._mm.operations is not None, SIZE[level] if 0 <= level < len(SIZE) else 0
        if heard:
            tell(self._mm, OperationKind.MAP, Moment.CALL, va, size, root=self._root)
        if va >= self._end:
            raise KernelPanic(f"assertion failed: mapping at the end of the cursor's range, {va:#x}")
        if not 1 <= level <= self._mm.paging.highest_leaf_level:
            raise KernelPanic(f"cursor level not suitable for mapping: {level}")
        if va & size - 1:
            raise KernelPanic(f"cursor virtual address not aligned for mapping: {va:#x}, {size:#x} bytes")
        if size > self._end - va:
            raise KernelPanic(f"cursor virtual address out-of-bound for mapping: {va:#x}, {size:#x} bytes")
        if paddr & size - 1:
            raise KernelPanic(f"physical address not aligned for mapping: {paddr:#x}, {size:#x} bytes")
        bits = require_encodable(paddr, level, prop)
        if self._level != level:
            self._descend(level)
        table = self._path[level]
        at = table + (va >> SHIFT[level] & ENTRIES - 1) * 8
        if self._port.load(at) & VALID:
            raise KernelPanic(f"{ALREADY_MAPPED}: {va:#x}")
        self._port.store(at, paddr >> 2 | bits & self._keep | self._untracked)
        node.add_children(self._mm, table, 1)
        self._forward()
        if heard:
            tell(self._mm, OperationKind.MAP, Moment.RETURN, va, size, root=self._root)

    def map_range(self, paddr: int, length: int, prop: PageProperty, max_level: int | None = None) -> None:
        """Map `length` bytes from physical `paddr`, which nobody counts, with the largest pages; move behind them.

        Pages are at most of `max_level`, and smaller where a table without entries is in the way. Takes
        time per table, not per page. KernelPanic as for `map_untracked`; NoMemory: nothing is mapped then.
        """
        self._check()
        heard = self._mm.operations is not None
        if heard:
            tell(self._mm, OperationKind.MAP, Moment.CALL, self._va, length, root=self._root)
        if paddr & PAGE_SIZE - 1:
            raise KernelPanic(f"physical address not aligned for mapping: {paddr:#x}")
        bits = require_encodable(paddr, 1, prop)
        require_encodable(paddr + max(length - PAGE_SIZE, 0), 1, prop)
        va = self._require_absent(length)
        highest = min(self._mm.paging.highest_leaf_level, max_level or ENTRIES) if bits & RWX else 1
        filler = bulk.Filler(self._mm, self._config, bits & self._keep | self._untracked, highest)
        filler.run(self._path[self._level], self._level, va, va + length, paddr)
        self._va = va + length
        if heard:
            tell(self._mm, OperationKind.MAP, Moment.RETURN, va, length, root=self._root)

    def reserve(self, length: int) -> None:
        """Make the tables for `length` bytes from the cursor, so that mapping pages there cannot fail.

        KernelPanic if something is mapped there or the range ends before; NoMemory: nothing is changed then.
        """
        self._check()
        va = self._require_absent(length)
        bulk.Filler(self._mm, self._config, 0, 0).run(self._path[self._level], self._level, va, va + length, 0)

    def _require_absent(self, length: int) -> int:
        """KernelPanic if the next `length` bytes map something or leave the range; stands at the guard node then."""
        va = self._va
        if length > self._end - va:
            raise KernelPanic(f"cursor virtual address out-of-bound for mapping: {va:#x}, {length:#x} bytes")
        found = self._find(length, subtree=False, split=False)
        at, self._va, self._level = self._va, va, self._guard_level
        if found:
            raise KernelPanic(f"{ALREADY_MAPPED}: {at:#x}")
        return va

    def _refuse(self, prop: PageProperty) -> None:
        if self._config.TRACKING is Tracking.NEVER_TRACKED:
            raise KernelPanic(f"a {self._config.type_name()} tracks no frames")
        raise KernelPanic(f"unsupported cache policy: {prop.cache.value}")

    def _climb(self, va: int) -> None:
        """Go up to the node that has an entry for `va`, to which the cursor has moved from the page before."""
        level, guard = 1, self._guard_level
        while level < guard and not va >> SHIFT[level] & ENTRIES - 1:
            level += 1
        self._level = level

    def _descend(self, target: int) -> None:
        """Go to the node of level `target` that has an entry for the cursor's address, making tables on the way."""
        va, path = self._va, self._path
        if self._level < target:
            self._level = target
        while (level := self._level) > target:
            table = path[level]
            at = table + (va >> SHIFT[level] & ENTRIES - 1) * 8
            pte = self._port.load(at)
            if is_table(pte, level):
                self._level = level - 1
                path[level - 1] = (pte & PPN_MASK) << 2
            elif pte & VALID:
                raise KernelPanic(f"{ALREADY_MAPPED}: {va:#x}")  # a huge page; its parts would be mapped, too
            else:
                chain = node.alloc_chain(self._mm, self._config, level - 1, target, va)
                self._port.store(at, table_pte(chain[0]))
                node.add_children(self._mm, table, 1)
                for made in chain:
                    level -= 1
                    path[level] = made
                self._level = target

    # --- unmapping --------------------------------------------------------------------------------------------

    def take_next(self, length: int) -> PageTableFrag | None:
        """Take the next mapped thing within `length` bytes out of the table, and move behind it; None if there is none.

        A table whose range lies within the bytes is taken as a whole; a huge page that sticks out is split.
        KernelPanic if `length` is not a multiple of 4096 or goes beyond the range; NoMemory for a split.
        """
        taken = self.take_raw(length)
        if taken is None:
            return None
        va, level, pte, frames = taken
        paddr = (pte & PPN_MASK) << 2
        if is_table(pte, level):
            return StrayPageTable(Frame.from_raw(self._mm, paddr), va, SIZE[level], frames)
        prop = property_of(pte & self._mask)
        item: MappedItem
        if self._config.is_tracked(pte):
            item = Tracked(Frame.from_raw(self._mm, paddr), prop)
        else:
            item = Untracked(paddr, level, prop)
        return Mapped(va, item)

    def take_raw(self, length: int) -> tuple[int, int, int, int] | None:
        """`take_next` without handles: address, level, the entry that was there, and a table's level-1 entries.

        The caller now owns the count that the entry held.
        """
        heard = self._mm.operations is not None
        if heard:
            tell(self._mm, OperationKind.UNMAP, Moment.CALL, self._va, length, root=self._root)
        if not self._find(length, subtree=True, split=True):
            if heard:
                tell(self._mm, OperationKind.UNMAP, Moment.RETURN, None, length, root=self._root)
            return None
        va, level = self._va, self._level
        table = self._path[level]
        port = self._port
        pte = port.swap(table + (va >> SHIFT[level] & ENTRIES - 1) * 8, 0)
        at = self._slots + (table >> 6) + NR_CHILDREN
        port.store_sized(at, 2, port.load_sized(at, 2) - 1)
        frames = 0
        if level > 1 and not pte & RWX:
            frames = node.mark_stray_and_unlock(self._mm, (pte & PPN_MASK) << 2, level - 1)
        self._forward()
        if heard:
            tell(self._mm, OperationKind.UNMAP, Moment.RETURN, va, SIZE[level], root=self._root)
        return va, level, pte, frames

    def split_edges(self, length: int) -> None:
        """Split the huge pages that stick out of the next `length` bytes, so that unmapping those cannot fail.

        KernelPanic as for `take_next`. NoMemory: all is still mapped as it was, by more tables perhaps.
        """
        va = self._va
        self._check()
        self._require_length(length)
        if not length:
            return
        try:
            for page in (va, va + length - PAGE_SIZE):
                self.jump(page)
                level, pte = self._look()
                low = page & -SIZE[level]
                if pte & VALID and (low < va or low + SIZE[level] > va + length):
                    self._split(level, pte, va, va + length)
        finally:
            self._va, self._level = va, self._guard_level

    def _split(self, level: int, pte: int, start: int, end: int) -> None:
        mm, port, va = self._mm, self._port, self._va
        lowest = level - 1
        while lowest > 1 and (va & -SIZE[lowest] < start or (va & -SIZE[lowest]) + SIZE[lowest] > end):
            lowest -= 1
        for child in node.alloc_levels(mm, self._config, level - 1, lowest):
            at = self._path[level] + (va >> SHIFT[level] & ENTRIES - 1) * 8
            level -= 1
            parts = np.arange(ENTRIES, dtype=np.uint64) * np.uint64(SIZE[level] >> 2)
            node.add_children(mm, child, ENTRIES)
            while True:
                pte = port.load(at)
                port.store_column(child, parts + np.uint64(pte), ENTRIES)
                if port.compare_exchange(at, pte, table_pte(child)) == pte:
                    break  # otherwise a hart has just set A or D
            self._level = level
            self._path[level] = child

    # --- protection -------------------------------------------------------------------------------------------

    def protect_next(self, length: int, op: ProtectOp) -> range | None:
        """Give the next mapped page within `length` bytes the property `op(property)`, and move behind it.

        The addresses that the page maps; None if there is none. A huge page that sticks out is split. Whether
        the page is tracked does not change. `op` may be called again if a hart sets A or D meanwhile.
        KernelPanic if `length` is not a multiple of 4096 or goes beyond the range, or if no entry can say
        the property; NoMemory for a split.
        """
        heard = self._mm.operations is not None
        if heard:
            tell(self._mm, OperationKind.PROTECT, Moment.CALL, self._va, length, root=self._root)
        pte = self._find(length, subtree=False, split=True)
        if not pte:
            if heard:
                tell(self._mm, OperationKind.PROTECT, Moment.RETURN, None, length, root=self._root)
            return None
        va, level = self._va, self._level
        at = self._path[level] + (va >> SHIFT[level] & ENTRIES - 1) * 8
        fixed = PPN_MASK | VALID | self._config.PRESET
        if self._config.TRACKING is not Tracking.NEVER_TRACKED:
            fixed |= RSV1
        while True:
            new = op(property_of(pte & self._mask))
            bits = require_encodable((pte & PPN_MASK) << 2, level, new)
            changed = pte & fixed | bits & self._keep
            was = pte if changed == pte else self._port.compare_exchange(at, pte, changed)
            if was == pte:
                break
            pte = was
        self._forward()
        if heard:
            tell(self._mm, OperationKind.PROTECT, Moment.RETURN, va, SIZE[level], root=self._root)
        return range(va, va + SIZE[level])
