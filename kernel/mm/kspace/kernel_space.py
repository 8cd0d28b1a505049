"""Kernel space: the kernel page table and the virtual areas in it (OSTD `mm/kspace`).

Its static words:

    +0 root of the kernel page table u64    +8 flags u64 (1: the harts have Svpbmt)    +16 the range allocator's
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.errors import BootError, KernelPanic
from kernel.mm.page_table.config import KernelPtConfig
from kernel.mm.page_table.page_table import PageTable, StaticPageTable

from . import range_allocator
from .kernel_page_table import init_kernel_page_table
from .range_allocator import RangeAllocator

if TYPE_CHECKING:
    from kernel.mm.context import Mm
    from kernel.mm.frame.meta_init import MetaRegion

AREA, AREA_SIZE = "kspace", 16 + range_allocator.AREA_SIZE


class KernelSpace:
    """Kernel space as emulated memory has it; `mm.kspace`. BootError before `init`.

    `page_table` is the kernel's; `areas` gives out the addresses of KVirtAreas.
    """

    def __init__(self, mm: Mm) -> None:
        area = mm.statics.area(AREA, AREA_SIZE)
        root = mm.port.load(area)
        if not root:
            raise BootError("there is no kernel page table yet")
        self._mm = mm
        self.page_table: PageTable = StaticPageTable._adopt(mm, root, KernelPtConfig,
                                                            bool(mm.port.load(area + 8) & 1))
        self.areas = RangeAllocator(mm, area + 16, mm.paging.kvirt_base, mm.paging.meta_base)

    @classmethod
    def init(cls, mm: Mm, meta: MetaRegion, kernel: tuple[int, int], *, svpbmt: bool = False) -> KernelSpace:
        """Make the kernel page table (see `init_kernel_page_table`). KernelPanic the second time."""
        area = mm.statics.area(AREA, AREA_SIZE)
        if mm.port.load(area):
            raise KernelPanic("kernel page table: initialised twice")
        table = init_kernel_page_table(mm, meta, kernel, svpbmt=svpbmt)
        mm.port.store(area + 8, int(svpbmt))
        mm.port.store(area, table.into_raw())
        return cls(mm)

    @property
    def root_paddr(self) -> int:
        """Physical address of the kernel page table's root."""
        return self.page_table.root_paddr

    def first_activate(self) -> None:
        """Make this CPU leave the boot page table for the kernel page table (`activate_kernel_page_table`).

        The CPU's whole TLB is flushed, global mappings included.
        """
        self.page_table.first_activate()
        self._mm.tlb.sfence_everything()
