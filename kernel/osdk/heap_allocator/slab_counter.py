"""Counts the bytes of slabs, per CPU (osdk-heap-allocator `slab_counter.rs`).

Each CPU adds to a word of its own in CPU-local storage. A slab made by one CPU may be freed by another: a
word alone may be negative, the sum is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.mm.port import MASK64

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class SlabCounter:
    """The counter `TOTAL_SLAB_SIZE`, in bytes."""

    __slots__ = ("_mm", "_offset")

    def __init__(self, mm: Mm) -> None:
        self._mm, self._offset = mm, mm.statics.local_area("slab_bytes", 8)

    def add(self, delta: int) -> None:
        """Add `delta` bytes, which may be negative, on the CPU that the kernel runs as."""
        mm = self._mm
        mm.port.fetch_add(mm.cpu_locals.base(mm.cpu) + self._offset, delta)

    def get(self) -> int:
        """The sum over all CPUs; 0 if it is negative for a moment."""
        mm = self._mm
        total = sum(mm.port.load(mm.cpu_locals.base(cpu) + self._offset) for cpu in range(mm.cpu_locals.count))
        total &= MASK64
        return total if total < 1 << 63 else 0


def load_total_slab_size(mm: Mm) -> int:
    """Bytes of memory in slabs of the default heap allocator (`load_total_slab_size`)."""
    return SlabCounter(mm).get()
