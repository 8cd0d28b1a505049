"""Page tables (OSTD `mm/page_table`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kernel.errors import CorruptionError, KernelPanic
from kernel.mm.frame.handle import Handle
from kernel.mm.paging import ENTRIES, ROOT_KERNEL_FIRST

from . import node
from .config import KernelPtConfig, PageTableConfig, UserPtConfig
from .cursor import Cursor, checked_range
from .cursor_mut import CursorMut
from .pte import PPN_MASK, PROPERTY_MASK, RWX, SHIFT, SIZE, VALID, PageProperty, is_table, property_of

if TYPE_CHECKING:
    from kernel.mm.context import Mm

SATP_PPN = (1 << 44) - 1
SATP_MODE_SHIFT = 60


class PageTable(Handle):
    """A handle of the page table whose root is at `root_paddr`, of the kind `config`; it holds a count on the root.

    The last count dropped drops the tables and the tracked frames that they map. `svpbmt`: the harts know
    page-based memory types. `spin` is called while a node's lock is taken by another CPU's cursor; while it
    is None, that raises LockHeld.
    """

    __slots__ = ("_root", "config", "spin", "svpbmt")

    _root: int
    config: type[PageTableConfig]
    svpbmt: bool
    spin: node.Spin | None

    @classmethod
    def empty(cls, mm: Mm, config: type[PageTableConfig], *, svpbmt: bool = False) -> PageTable:
        """A new page table that maps nothing, not even the kernel; NoMemory."""
        return cls._adopt(mm, node.alloc(mm, config, mm.paging.levels), config, svpbmt)

    @classmethod
    def new_kernel_page_table(cls, mm: Mm, *, svpbmt: bool = False) -> PageTable:
        """A new kernel page table: its root's upper half points to empty tables that every user root will share.

        NoMemory; nothing is held then.
        """
        table = cls.empty(mm, KernelPtConfig, svpbmt=svpbmt)
        try:
            for index in KernelPtConfig.ROOT_INDICES:
                child = node.alloc(mm, KernelPtConfig, mm.paging.levels - 1)
                mm.port.store(table._root + index * 8, child >> 2 | VALID)
                node.add_children(mm, table._root, 1)
        except BaseException:
            table.drop()
            raise
        return table

    def create_user_page_table(self) -> PageTable:
        """A new user page table; the upper half of its root is this kernel page table's, uncounted. NoMemory."""
        mm = self._mm
        self._check()
        table = PageTable.empty(mm, UserPtConfig, svpbmt=self.svpbmt)
        table.spin = self.spin
        half, offset = ENTRIES - ROOT_KERNEL_FIRST, ROOT_KERNEL_FIRST * 8
        shared = mm.port.load_column(self._root + offset, half)
        if not ((shared & np.uint64(VALID | RWX)) == VALID).all():
            table.drop()
            raise KernelPanic("The kernel page table doesn't contain shared nodes")
        mm.port.store_column(table._root + offset, shared, half)
        return table

    @classmethod
    def _adopt(cls, mm: Mm, root: int, config: type[PageTableConfig], svpbmt: bool) -> PageTable:
        table = object.__new__(cls)
        table._mm, table._root, table.config, table.svpbmt, table.spin = mm, root, config, svpbmt, None
        table._held = True
        return table

    @classmethod
    def from_raw(cls, mm: Mm, root: int, *, svpbmt: bool = False) -> PageTable:
        """The handle for a count on the root at `root`, given up with `into_raw`. CorruptionError if it is no root."""
        config = mm.slots.kind(root)
        if not issubclass(config, PageTableConfig) or config.at(mm.port, mm.slots.slot(root)).level != mm.paging.levels:
            raise CorruptionError(f"frame {root:#x} is {mm.slots.state(root)}; expected a page table's root")
        return cls._adopt(mm, root, config, svpbmt)

    def into_raw(self) -> int:
        """Give up the handle but not the count; the root's address."""
        self._take()
        return self._root

    def _release(self) -> None:
        self._mm.slots.drop_holder(self._root)

    def __repr__(self) -> str:
        return f"<PageTable {self._root:#x} {self.config.type_name()}{'' if self._held else ', gone'}>"

    @property
    def root_paddr(self) -> int:
        """Physical address of the root node."""
        self._check()
        return self._root

    # --- access -----------------------------------------------------------------------------------------------

    def cursor(self, va: range, *, make_tables: bool = True) -> Cursor:
        """A cursor that looks at `va`, alone. InvalidVaddrRange, UnalignedVaddr, LockHeld, NoMemory.

        As upstream, it makes the tables down to the one that covers `va`, unless told otherwise.
        """
        self._check()
        start, end = checked_range(self.config, self._mm.paging.width, va)
        return Cursor(self, start, end, make_tables)

    def cursor_mut(self, va: range, *, make_tables: bool = True) -> CursorMut:
        """A cursor that changes `va`, alone; otherwise as `cursor`."""
        self._check()
        start, end = checked_range(self.config, self._mm.paging.width, va)
        return CursorMut(self, start, end, make_tables)

    def page_walk(self, vaddr: int) -> tuple[int, PageProperty] | None:
        """What a hart's walk finds for the byte at `vaddr`: physical address and property, or None. Takes no lock."""
        return page_walk(self._mm, self.root_paddr, vaddr, self.config)

    # --- activation -------------------------------------------------------------------------------------------

    def activate(self) -> None:
        """Make this CPU translate by this table; the CPU then holds a count on it, and none on the one before."""
        mm, root = self._mm, self.root_paddr
        before = mm.tlb.satp
        last = (before & SATP_PPN) << 12 if before >> SATP_MODE_SHIFT else None
        if last == root:
            return
        self.first_activate()
        if last is not None:
            mm.slots.drop_holder(last)

    def first_activate(self) -> None:
        """`activate` on a CPU whose present table is none of these (the boot page table) and is not dropped."""
        mm, root = self._mm, self.root_paddr
        mm.slots.add_holder(root)
        try:
            mm.tlb.activate(mm.paging.satp(root))
        except BaseException:
            mm.slots.drop_holder(root)
            raise


class StaticPageTable(PageTable):
    """A handle of a page table that is there for good (the kernel's): it holds no count and is not dropped."""

    __slots__ = ()

    def drop(self) -> None:
        """KernelPanic: the kernel lives by it."""
        raise KernelPanic("the kernel page table cannot be dropped")

    def __del__(self) -> None:
        """Nothing to release."""


def page_walk(mm: Mm, root: int, vaddr: int, config: type[PageTableConfig]) -> tuple[int, PageProperty] | None:
    """A hart's walk of the table at `root` for the byte at `vaddr`: physical address and property, or None."""
    table = root
    for level in range(mm.paging.levels, 0, -1):
        pte = mm.port.load(table + (vaddr >> SHIFT[level] & ENTRIES - 1) * 8)
        if not pte & VALID:
            return None
        table = (pte & PPN_MASK) << 2
        if not is_table(pte, level):
            return table + (vaddr & SIZE[level] - 1), property_of(pte & PROPERTY_MASK & ~config.hidden_bits())
    raise CorruptionError(f"the page table at {root:#x} has no leaf for {vaddr:#x} at its lowest level")
