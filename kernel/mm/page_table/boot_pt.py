"""The page table that the kernel boots with (OSTD `mm/page_table/boot_pt.rs`).

        satp ──► root in the kernel's image ──► tables in the image (their entries tagged with AVAIL1)
                                           └──► tables made here (not tagged): freed at the end

Its nodes have no metadata of their own kind: it works before there is any. A and D are set in every leaf
that is made here, as in the kernel page table, and not shown. Its state, in the statics:

    +0  root u64     +8  CPUs that have dismissed it, a bit each, u64
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from kernel.errors import KernelPanic, NoMemory
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.frame.meta_type import EarlyAllocatedFrameMeta
from kernel.mm.paging import ENTRIES, PAGE_SIZE

from . import node
from .bulk import largest_pages
from .config import KernelPtConfig
from .cursor_mut import ProtectOp
from .page_table import SATP_PPN
from .pte import (
    ACCESSED,
    DIRTY,
    PBMT_IO,
    PPN_MASK,
    PROPERTY_MASK,
    RSV1,
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
    from kernel.mm.context import Mm

AllocNode = Callable[[], int | None]
"""Gives the physical address of a page, or None."""
PRESET = ACCESSED | DIRTY


class BootPageTable:
    """The boot page table whose root is at physical `root`.

    Tables come from `alloc_node` until the frame allocator is there, and from FrameAllocOptions then.
    Addresses are virtual and physical, bytes. Nothing is flushed: the hart may keep what it had cached.
    """

    def __init__(self, mm: Mm, root: int, alloc_node: AllocNode | None = None, *, svpbmt: bool = False) -> None:
        self._mm, self._port, self._root, self._alloc_node = mm, mm.port, root, alloc_node
        self._keep = ~(RSV1 | PRESET | (0 if svpbmt else PBMT_IO))

    @classmethod
    def from_current_pt(cls, mm: Mm, satp: int, alloc_node: AllocNode | None = None, *,
                        svpbmt: bool = False) -> BootPageTable:
        """The table that `satp` names, for the first and only time: tags the tables that it has."""
        table = cls(mm, (satp & SATP_PPN) << 12, alloc_node, svpbmt=svpbmt)
        table._tag(table._root, mm.paging.levels)
        mm.port.store(_area(mm), table._root)
        mm.port.store(_area(mm) + 8, 0)
        return table

    @property
    def root_address(self) -> int:
        """Physical address of the root."""
        return self._root

    # --- mapping ------------------------------------------------------------------------------------------------

    def map_base_page(self, va: int, pa: int, prop: PageProperty) -> None:
        """Map the 4 KiB page at `va` to `pa`. KernelPanic if something is mapped there; NoMemory."""
        self.map_base_range(va, pa, PAGE_SIZE, prop)

    def map_base_range(self, va: int, pa: int, length: int, prop: PageProperty) -> None:
        """Map `length` bytes by 4 KiB pages; the work is per table, not per page.

        KernelPanic if a page is mapped already or an address is no multiple of 4096, NoMemory: nothing is
        mapped then (tables that were made stay).
        """
        self._usable()
        if (va | pa | length) & PAGE_SIZE - 1:
            raise KernelPanic(f"assertion failed: {va:#x}, {pa:#x} or {length:#x} is not page-aligned")
        bits = require_encodable(pa, 1, prop) & self._keep | VALID | PRESET
        runs: list[tuple[int, int, int]] = []
        end = va + length
        while va < end:
            count = min(ENTRIES - (va >> 12 & ENTRIES - 1), end - va >> 12)
            at = self._lowest_table(va) + (va >> 12 & ENTRIES - 1) * 8
            if self._port.load_column(at, count).any():
                raise KernelPanic(f"mapping an already mapped page in the boot page table: {va:#x}")
            runs.append((at, pa, count))
            va, pa = va + count * PAGE_SIZE, pa + count * PAGE_SIZE
        for at, pa, count in runs:
            pages = np.arange(count, dtype=np.uint64) * np.uint64(PAGE_SIZE >> 2) + np.uint64(pa >> 2 | bits)
            self._port.store_column(at, pages, count)

    def map_range(self, va: int, pa: int, length: int, prop: PageProperty) -> None:
        """Map `length` bytes with the largest pages that fit. KernelPanic if something is mapped; NoMemory."""
        self._usable()
        if (va ^ pa) & SIZE[2] - 1:
            self.map_base_range(va, pa, length, prop)
            return
        for page, level in largest_pages(va, pa, length, self._mm.paging.highest_leaf_level):
            bits = require_encodable(page, level, prop) & self._keep | VALID | PRESET
            at = self._table_of(va, level) + (va >> SHIFT[level] & ENTRIES - 1) * 8
            if self._port.load(at) & VALID:
                raise KernelPanic(f"mapping an already mapped page in the boot page table: {va:#x}")
            self._port.store(at, page >> 2 | bits)
            va += SIZE[level]

    def _lowest_table(self, va: int) -> int:
        return self._table_of(va, 1)

    def _table_of(self, va: int, target: int) -> int:
        """The table of level `target` for `va`, made if it is not there."""
        table = self._root
        for level in range(self._mm.paging.levels, target, -1):
            at = table + (va >> SHIFT[level] & ENTRIES - 1) * 8
            pte = self._port.load(at)
            if not pte & VALID:
                table = self._new_table()
                self._port.store(at, table_pte(table))
            elif is_table(pte, level):
                table = (pte & PPN_MASK) << 2
            else:
                raise KernelPanic(f"mapping an already mapped huge page in the boot page table: {va:#x}")
        return table

    def protect_base_page(self, va: int, op: ProtectOp) -> None:
        """Give the 4 KiB page at `va` the property `op(property)`; huge pages around it are split.

        KernelPanic if nothing is mapped there; NoMemory. (Upstream's split steps by 4 KiB at every level.)
        """
        self._usable()
        table = self._root
        for level in range(self._mm.paging.levels, 1, -1):
            at = table + (va >> SHIFT[level] & ENTRIES - 1) * 8
            pte = self._port.load(at)
            if not pte & VALID:
                raise KernelPanic(f"protecting an unmapped page in the boot page table: {va:#x}")
            if not is_table(pte, level):
                child = self._new_table()
                parts = np.arange(ENTRIES, dtype=np.uint64) * np.uint64(SIZE[level - 1] >> 2) + np.uint64(pte)
                self._port.store_column(child, parts, ENTRIES)
                pte = table_pte(child)
                self._port.store(at, pte)
            table = (pte & PPN_MASK) << 2
        at = table + (va >> 12 & ENTRIES - 1) * 8
        pte = self._port.load(at)
        if not pte & VALID:
            raise KernelPanic(f"protecting an unmapped page in the boot page table: {va:#x}")
        prop = op(property_of(pte & PROPERTY_MASK & ~KernelPtConfig.hidden_bits()))
        paddr = (pte & PPN_MASK) << 2
        self._port.store(at, paddr >> 2 | require_encodable(paddr, 1, prop) & self._keep | VALID | PRESET)

    def _new_table(self) -> int:
        if "frame_allocator" in vars(self._mm):
            return FrameAllocOptions(self._mm).alloc_frame_with(EarlyAllocatedFrameMeta()).into_raw()
        table = self._alloc_node() if self._alloc_node is not None else None
        if table is None:
            raise NoMemory("no page for a table of the boot page table")
        self._port.fill(table, PAGE_SIZE)
        return table

    # --- the end ------------------------------------------------------------------------------------------------

    def dismiss(self, cpu: int) -> None:
        """CPU `cpu` needs the table no more; the last one frees the tables that were made here.

        KernelPanic the second time. The CPU must translate by another table already.
        """
        word = _area(self._mm) + 8
        self._usable(cpu)
        was = self._port.load(word)
        while (seen := self._port.compare_exchange(word, was, was | 1 << cpu)) != was:
            was = seen
        if (was | 1 << cpu).bit_count() == self._mm.cpu_locals.count:
            self._free(self._root, self._mm.paging.levels)

    def _usable(self, cpu: int | None = None) -> None:
        cpu = self._mm.cpu if cpu is None else cpu
        if self._port.load(_area(self._mm) + 8) >> cpu & 1:
            raise KernelPanic(f"CPU {cpu} has dismissed the boot page table")

    def _tag(self, table: int, level: int) -> None:
        for index, child in node.tables_in(self._mm, table, 0, ENTRIES):
            if level > 2:
                self._tag(child, level - 1)
            self._port.store(table + index * 8, table_pte(child) | RSV1)

    def _free(self, table: int, level: int) -> None:
        for index, child in node.tables_in(self._mm, table, 0, ENTRIES):
            made_here = not self._port.load(table + index * 8) & RSV1
            if level > 2:
                self._free(child, level - 1)
            self._port.store(table + index * 8, 0)  # firmware's tables may be reached twice
            if made_here:
                self._mm.slots.drop_holder(child)


def _area(mm: Mm) -> int:
    return mm.statics.area("boot_pt", 16)
