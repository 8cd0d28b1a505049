"""A range of physical addresses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """`size` bytes of physical addresses from `base`."""

    base: int
    size: int

    @property
    def end(self) -> int:
        """The first address behind the range."""
        return self.base + self.size

    def __str__(self) -> str:
        return f"{self.base:#x}-{self.end:#x}"

    def contains(self, base: int, size: int = 1) -> bool:
        """Whether all of `base` … `base` + `size` lies within."""
        return self.base <= base and base + size <= self.end

    def overlaps(self, other: Range) -> bool:
        """Whether the two share an address."""
        return self.base < other.end and other.base < self.end
