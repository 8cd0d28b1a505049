"""`hartwell slabinfo`: the kernel heap, as /proc/slabinfo shows it."""

from __future__ import annotations

from .kernels import AsJson, RamFile, opened
from .options import Harts, Memory, Mmu


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
    from hartwell.views.slabinfo import as_dict, lines
    from hartwell.views.table import print_json, print_lines
    from kernel.picture import FrameMap, read_heap

    with opened(ram, memory, smp, mmu) as kernel:
        heap = read_heap(kernel.mm, FrameMap.read(kernel.mm))
    if as_json:
        print_json(as_dict(heap))
    else:
        print_lines(lines(heap))
