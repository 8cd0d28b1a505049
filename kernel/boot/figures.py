"""How the boot's console says amounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator

_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def amount(size: int) -> str:
    """Bytes in the largest unit that leaves a number above 1: `34 MiB`, `1.5 GiB`, `12 bytes`."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"


def orders(allocator: FrameAllocator) -> str:
    """Free blocks of the global pool by order: `2x0 1x3 …`, orders without any left out."""
    pool = allocator.pools.global_set
    counts = [(order, pool.chunk_count(order)) for order in range(pool.orders)]
    return " ".join(f"{count}x{order}" for order, count in counts if count) or "none"
