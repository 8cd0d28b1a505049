"""`hartwell slabinfo`: the kernel heap, as /proc/slabinfo shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .kernels import AsJson, RamFile, opened
from .options import Harts, Memory, Mmu

if TYPE_CHECKING:
    from kernel.picture import HeapPicture


def slabinfo(
    ram: RamFile = None,
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    as_json: AsJson = False,
) -> None:
    """Show the heap's slabs by slot size: slots in use, kept by CPUs, and free; slabs full, partial and empty.

    \b
    [b]Examples[/b]
      hartwell slabinfo                  the heap of a kernel that has just booted
      hartwell slabinfo --ram after.ram  one whose memory was saved
      hartwell slabinfo --json           for programs, every slab by address

    active slots are in their users' hands, cached ones in a CPU's object cache, free ones in their slab.
    """
    from hartwell.views.table import print_json, print_table
    from kernel.boot.figures import amount
    from kernel.picture import FrameMap, read_heap

    with opened(ram, memory, smp, mmu) as kernel:
        heap = read_heap(kernel.mm, FrameMap.read(kernel.mm))
    if as_json:
        print_json(as_dict(heap))
        return
    headings = ("slots", "active", "cached", "free", "total", "size", "per slab", "full", "partial", "empty", "slabs")
    print_table(headings, [
        (f"heap-{of.slot_size}", *(f"{number:,}" for number in (
            of.active, sum(of.cached), of.free, of.slots, of.slot_size, 4096 // of.slot_size, of.full, of.partial,
            of.empty, of.slabs)))
        for of in heap.classes])
    large = [allocation for allocation in heap.large if allocation.live]
    print(f"\n{len(large)} large allocations, {amount(sum(allocation.size for allocation in large))}")
    print(f"{amount(heap.active_size)} in use of {amount(heap.total_size)} that the heap has")


def as_dict(heap: HeapPicture) -> dict[str, Any]:
    """The view for programs; `live` has bit n set if slot n is in use."""
    return {
        "allocator": heap.name, "active_bytes": heap.active_size, "total_bytes": heap.total_size,
        "classes": [
            {"slot_size": of.slot_size, "active": of.active, "cached": list(of.cached), "free": of.free,
             "moving": of.moving, "slots": of.slots, "full": of.full, "partial": of.partial, "empty": of.empty}
            for of in heap.classes],
        "slabs": [{"address": f"{slab.paddr:#x}", "slot_size": slab.slot_size, "allocated": slab.allocated,
                   "live": f"{slab.live:#x}"} for slab in heap.slabs],
        "large": [{"address": f"{large.paddr:#x}", "size": large.size, "live": large.live} for large in heap.large],
    }
