"""How people are told amounts: by the boot's console, and by views."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator

_UNITS = ((1 << 60, "EiB"), (1 << 50, "PiB"), (1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def amount(size: int) -> str:
    """Bytes in the largest unit that leaves a number above 1: `34 MiB`, `1.5 GiB`, `12 bytes`."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"


def orders(allocator: FrameAllocator) -> str:
    """Free blocks of the global pool: `free blocks of order 0 to 3: 2 0 1 4`."""
    pool = allocator.pools.global_set
    counts = [pool.chunk_count(order) for order in range(pool.orders)]
    last = max((order for order, count in enumerate(counts) if count), default=0)
    return f"free blocks of order 0 to {last}: " + " ".join(map(str, counts[:last + 1]))


def cpus(count: int) -> str:
    """`1 CPU`, `4 CPUs`."""
    return f"{count} CPU" + "s" * (count != 1)
