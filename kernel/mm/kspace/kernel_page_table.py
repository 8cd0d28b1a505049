"""The kernel's own mappings (OSTD `mm/kspace/mod.rs`, `init_kernel_page_table`).

        linear base + 0 … max_paddr          ──► the same physical address      RW
        metadata base + first frame / 64     ──► the metadata slots             RW
        code base + the kernel image         ──► the image                      RWX

All are global, untracked, written back, of the largest pages that fit, with A and D set up front. Pages
of the root's level are not used: its entries are tables that every user root shares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.errors import BootError
from kernel.mm.page_table.page_table import PageTable
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.paging import PAGE_SIZE

if TYPE_CHECKING:
    from kernel.mm.context import Mm
    from kernel.mm.frame.meta_init import MetaRegion

DATA = PageProperty.new_kernel(PageFlags.RW)
CODE = PageProperty.new_kernel(PageFlags.RWX)


def init_kernel_page_table(mm: Mm, meta: MetaRegion, kernel: tuple[int, int], *, svpbmt: bool = False) -> PageTable:
    """A new kernel page table for memory up to `meta.max_paddr`; `kernel` is the image's start and end.

    Addresses are physical. Takes time per table, not per page. BootError if something does not fit its
    part of kernel space, NoMemory: nothing is held then.
    """
    paging = mm.paging
    start, end = kernel[0] // PAGE_SIZE * PAGE_SIZE, -(-kernel[1] // PAGE_SIZE) * PAGE_SIZE
    meta_va = paging.meta_base + (meta.first_paddr >> 6)
    parts = (
        ("linear mapping", paging.linear_base, 0, meta.max_paddr, paging.linear_base + paging.linear_size, DATA),
        ("frame metadata", meta_va, meta.paddr, meta.size, paging.meta_end, DATA),
        ("kernel code", paging.kernel_code_base + start, start, end - start, paging.kernel_end, CODE),
    )
    for name, va, _, size, limit, _ in parts:
        if size <= 0 or va + size > limit:
            raise BootError(f"{name}: {size:#x} bytes at {va:#x} do not fit before {limit:#x}")
    table = PageTable.new_kernel_page_table(mm, svpbmt=svpbmt)
    try:
        for _, va, pa, size, _, prop in parts:
            with table.cursor_mut(range(va, va + size)) as cursor:
                cursor.map_range(pa, size, prop)
    except BaseException:
        table.drop()
        raise
    return table
