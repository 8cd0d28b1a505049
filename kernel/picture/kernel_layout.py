"""The kernel's address space: its parts (requirement R3.1), and what is mapped in each.

The parts' bounds follow from the paging mode alone; see kernel/mm/paging.py for both modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.mm.paging import PagingMode
from kernel.mm.port import looks

from .page_tables import Mapping, read_mappings

if TYPE_CHECKING:
    from kernel.mm.context import Mm


@dataclass(frozen=True)
class LayoutPart:
    """A part of the address space, virtual `start` to `end`, with what the kernel's page table maps there."""

    name: str
    start: int
    end: int
    mappings: tuple[Mapping, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of addresses."""
        return self.end - self.start

    @property
    def mapped(self) -> int:
        """Bytes of them that are mapped."""
        return sum(mapping.size for mapping in self.mappings)


def parts_of(paging: PagingMode) -> tuple[LayoutPart, ...]:
    """The parts of the address space under a paging mode, ascending; they leave no gap but the one of bad addresses."""
    code = 0xFFFF_FFFF_8000_0000
    code_end = code + (1 << 30)
    lower_end = 1 << paging.width - 1
    return (
        LayoutPart("user space", 0, paging.max_user_vaddr),
        LayoutPart("(guard page)", paging.max_user_vaddr, lower_end),
        LayoutPart("(not canonical)", lower_end, paging.linear_base),
        LayoutPart("linear mapping", paging.linear_base, paging.kvirt_base),
        LayoutPart("KVirtAreas", paging.kvirt_base, paging.meta_base),
        LayoutPart("frame metadata", paging.meta_base, paging.meta_end),
        LayoutPart("(hole)", paging.meta_end, code),
        LayoutPart("kernel code", code, code_end),
        LayoutPart("(hole)", code_end, paging.kernel_end),
        LayoutPart("(the end)", paging.kernel_end, 1 << 64),
    )


@looks
def read_layout(mm: Mm) -> tuple[LayoutPart, ...]:
    """The parts with what the kernel's page table maps in each; CorruptionError if a table is none.

    User space is every address space's own, so nothing is said of it here.
    """
    root = mm.kspace.root_paddr
    return tuple(
        part if part.start < mm.paging.linear_base else
        LayoutPart(part.name, part.start, part.end, tuple(read_mappings(mm, root, part.start, part.end)))
        for part in parts_of(mm.paging))
