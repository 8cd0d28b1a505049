"""The kernel heap, as /proc/slabinfo shows it; and the slabs of one slot size, one by one.

        slots      active  cached  free  total  size  per slab  full  partial  empty  slabs
        heap-2048       1       3     6     10  2048         2     2        0      3      5

        slab        allocated  list     slots: # active, c cached, . free, ? unknown
        0x81109000  1 of 2     partial  #.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernel.boot.figures import amount
from kernel.picture.slots import SlotState

from .table import table_lines

if TYPE_CHECKING:
    from kernel.picture import HeapPicture, SlabSlots

HEADINGS = ("slots", "active", "cached", "free", "total", "size", "per slab", "full", "partial", "empty", "slabs")
MARKS = {SlotState.ACTIVE: "#", SlotState.CACHED: "c", SlotState.FREE: ".", SlotState.UNKNOWN: "?"}
IN_A_ROW = 64
"""Slots in a line."""
MOST = 64
"""Slabs that are shown."""


def lines(heap: HeapPicture, *, plain: bool = False) -> list[str]:
    """A line for each slot size, and what the heap has in all; with `plain` without escape sequences."""
    shown = table_lines(HEADINGS, [
        (f"heap-{of.slot_size}", *(f"{number:,}" for number in (
            of.active, sum(of.cached), of.free, of.slots, of.slot_size, 4096 // of.slot_size, of.full, of.partial,
            of.empty, of.slabs)))
        for of in heap.classes], plain=plain)
    large = [allocation for allocation in heap.large if allocation.live]
    return [*shown, "", f"{len(large)} large allocations, {amount(sum(allocation.size for allocation in large))}",
            f"{amount(heap.active_size)} in use of {amount(heap.total_size)} that the heap has"]


def slab_lines(slabs: Sequence[SlabSlots], *, plain: bool = False) -> list[str]:
    """Slabs one by one, a character for each of their slots; then what is wrong with their lists.

    Of many slabs the first ones are shown, and all in which something is wrong.
    """
    listed = [each for number, each in enumerate(slabs) if number < MOST or each.problems]
    rows = []
    for each in listed:
        marks = "".join(MARKS[state] for state in each.states)
        first = (f"{each.slab.paddr:#x}", f"{each.slab.allocated} of {each.slab.capacity}", each.slab.fullness)
        rows += [(*(first if at == 0 else ("", "", "")), marks[at:at + IN_A_ROW])
                 for at in range(0, len(marks), IN_A_ROW)]
    legend = "slots: " + ", ".join(f"{mark} {state.value}" for state, mark in MARKS.items())
    shown = table_lines(("slab", "allocated", "list", legend), rows, left=4, plain=plain)
    if len(slabs) > len(listed):
        shown.append(f"and {len(slabs) - len(listed):,} more slabs")
    problems = list(dict.fromkeys(problem for each in slabs for problem in each.problems))
    return [*shown, *([""] if problems else []), *problems]


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
