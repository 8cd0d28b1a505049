"""What an allocation asks for (`core::alloc::Layout`)."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index

from kernel.errors import InvalidArgs

from .paging import PAGE_SIZE


@dataclass(frozen=True, slots=True)
class Layout:
    """`size` bytes at a multiple of `align`, a power of two. InvalidArgs or TypeError for others."""

    size: int
    align: int = 1

    def __post_init__(self) -> None:
        index(self.size)
        index(self.align)
        if self.align <= 0 or self.align & self.align - 1:
            raise InvalidArgs(f"alignment {self.align} is not a power of two")
        if not 0 <= self.size <= (1 << 63) - self.align:
            raise InvalidArgs(f"size {self.size} is negative, or leaves the address space when aligned to {self.align}")


PAGE_LAYOUT = Layout(PAGE_SIZE, PAGE_SIZE)
"""One frame."""
