"""KVirtAreas: the blocks of kernel virtual addresses, and what is mapped in those that are taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.mm.port import looks

from .page_tables import Mapping, read_mappings
from .reading import reading

if TYPE_CHECKING:
    from kernel.mm.context import Mm


@dataclass(frozen=True)
class AreaPicture:
    """The KVirtArea from virtual `start` to `end`, and its mappings."""

    start: int
    end: int
    mappings: tuple[Mapping, ...]

    @property
    def size(self) -> int:
        """Bytes of addresses."""
        return self.end - self.start

    @property
    def mapped(self) -> int:
        """Bytes of them that are mapped."""
        return sum(mapping.size for mapping in self.mappings)


@looks
def read_areas(mm: Mm) -> tuple[AreaPicture, ...]:
    """All KVirtAreas, ascending; CorruptionError if their list is broken."""
    with reading("KVirtAreas"):
        taken = [(block.start, block.end) for block in mm.kspace.areas.blocks() if block.taken]
    root = mm.kspace.root_paddr
    return tuple(AreaPicture(start, end, tuple(read_mappings(mm, root, start, end))) for start, end in taken)
