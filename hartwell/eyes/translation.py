"""Which page table an eye is to walk: that of a ROOT, the hart's own, or the kernel's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.boot.boot_record import Phase
from kernel.errors import KernelError
from kernel.mm.port import MemoryPort

from .eye import EyeContext, EyeError

if TYPE_CHECKING:
    from kernel.mm.context import Mm
    from kernel.mm.paging import PagingMode


@dataclass(frozen=True)
class Translation:
    """The table with the root at physical `root`, in `paging`; `mm` is the kernel's if it has come to its metadata.

    `whose` says in words why it is this one.
    """

    root: int
    paging: PagingMode
    whose: str
    mm: Mm | None

    @property
    def satp(self) -> int:
        """The satp word that stands for it."""
        return self.paging.satp(self.root)


def translation(context: EyeContext, root: str | None) -> Translation:
    """The table whose root is named, by default the hart's; where that has none, the kernel's.

    EyeError if there is none at all, or the root is not in memory.
    """
    try:
        mm = context.memory_or_none()
    except KernelError:  # damaged memory of the kernel's; page tables may be good
        mm = None
    paging = context.paging() or (None if mm is None else mm.paging)
    if root is not None:
        paddr = context.number(root, "physical address of a root table")
        if paging is None:
            raise EyeError(f"satp of hart {context.hart} is bare: which paging mode {paddr:#x} is for is not known")
        if paddr % 4096 or not MemoryPort(context.machine.bus).has(paddr, 4096):
            raise EyeError(f"{paddr:#x} is no root table: expected the address of a page of memory")
        return Translation(paddr, paging, "as asked for", mm)
    if context.satp >> 60:
        if paging is None:
            raise EyeError(f"satp of hart {context.hart} is {context.satp:#x}, whose mode is not known")
        return Translation((context.satp & (1 << 44) - 1) << 12, paging, f"satp of hart {context.hart}", mm)
    kernel = context.memory_or_none(Phase.PAGE_TABLE) if mm is not None else None
    if kernel is None:
        raise EyeError(f"satp of hart {context.hart} is bare: addresses are physical")
    return Translation(kernel.kspace.root_paddr, kernel.paging,
                       f"the kernel's; satp of hart {context.hart} is bare", kernel)
