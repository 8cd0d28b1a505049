"""The eye `heap`: which slot an address is in."""

from __future__ import annotations

from collections.abc import Sequence

from hartwell.views.heap import large_lines, slot_lines
from hartwell.views.records import lines as record_lines
from kernel.boot.boot_record import Phase
from kernel.mm.heap.slab import SlabMeta
from kernel.mm.heap.slot import LargeAllocFrameMeta
from kernel.picture import find_heap_object, read_slots

from .eye import Eye, EyeContext, EyeError


def look(context: EyeContext, args: Sequence[str]) -> list[str]:
    """The slot, its slab and its neighbours; EyeError if the heap has nothing there."""
    mm = context.memory(Phase.HEAP)
    address = context.number(args[0], "address")
    linear = mm.paging.linear_base
    vaddr = address if address >= linear else address + linear
    frame = vaddr - linear & -4096
    if not mm.slots.first_paddr <= frame < mm.slots.max_paddr:
        raise EyeError(f"{address:#x} is not in the linear mapping of memory, where the heap's slots are: physical "
                       f"memory is {mm.slots.first_paddr:#x}-{mm.slots.max_paddr:#x}, mapped at {linear:#x}")
    with mm.port.looking():
        state = mm.slots.state(frame)
    if state.type_name == SlabMeta.type_name():
        slots = read_slots(mm, frame)
        size = slots.slab.slot_size
        return [*slot_lines(mm, vaddr, slots, plain=True), *_history(context, vaddr & -size, size)]
    found = find_heap_object(mm, vaddr) if state.type_name == LargeAllocFrameMeta.type_name() else None
    if found is None:
        raise EyeError(f"{address:#x} is not the heap's: the frame {frame:#x} is {state}")
    return [*large_lines(found), *_history(context, found.slot_vaddr, found.slot_size)]


def _history(context: EyeContext, address: int, size: int) -> list[str]:
    """What is recorded about a slot; nothing where nothing is tracked."""
    if context.tracker is None:
        return []
    return ["", *record_lines(context.tracker.heap(address, size, context.moment))]


EYE = Eye("heap", "heap ADDR", "which heap slot an address is in, its slab, and the slots around it", """\
ADDR is an address of the linear mapping, or the physical address behind it. Each slot is shown with its
first bytes; those of a free one begin with the address of the next free slot. If the slab's free list or a
CPU's cache is broken, it is said where. Where allocations are tracked, the slot's history comes last: who got
it, and who gave it back.""", look, least=1, most=1)
