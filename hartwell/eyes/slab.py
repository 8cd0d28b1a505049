"""The eye `slab`: the heap by slot size, or the slabs of one size."""

from __future__ import annotations

from collections.abc import Sequence

from hartwell.views import slabinfo
from kernel.boot.boot_record import Phase
from kernel.mm.heap.slab import SlabMeta
from kernel.picture import FrameMap, read_heap, read_slots
from kernel.picture.slabs import read_slab

from .eye import Eye, EyeContext, EyeError


def look(context: EyeContext, args: Sequence[str]) -> list[str]:
    """The view of `hartwell slabinfo`; with a size, every slab of it."""
    mm = context.memory(Phase.HEAP)
    frames = FrameMap.read(mm)
    if not args:
        return slabinfo.lines(read_heap(mm, frames), plain=True)
    size = context.number(args[0], "slot size")
    slabs = [read_slab(mm, paddr) for paddr in frames.of_type(mm, SlabMeta)]
    mine = [slab for slab in slabs if slab.slot_size == size]
    if not mine:
        sizes = ", ".join(str(each) for each in sorted({slab.slot_size for slab in slabs}))
        raise EyeError(f"no slab has slots of {size} bytes; there are some of {sizes or 'none at all'}")
    return slabinfo.slab_lines([read_slots(mm, slab.paddr) for slab in mine], plain=True)


EYE = Eye("slab", "slab [SIZE]", "the heap: slabs by slot size; or every slab of one size", """\
active slots are in their users' hands, cached ones in a CPU's object cache, free ones in their slab's list.
With SIZE there is a line for each slab of that slot size, with a character for each slot, and what is wrong
with its free list, if something is.""", look, most=1)
