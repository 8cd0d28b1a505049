"""The slots of one slab: in whose hands each of them is, also where a list is broken.

        active    a user has it: its live bit is set        free      in the slab's free list
        cached    in a CPU's object cache                   unknown   in none of these places: on its way between
                                                                      two, or behind the place where a list breaks
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from kernel.errors import CorruptionError
from kernel.mm.heap.slab import SlabMeta
from kernel.mm.port import looks
from kernel.osdk.heap_allocator.heap_allocator import SIZE_CLASSES, HeapAllocator

from .reading import reading
from .slabs import SlabPicture, read_slab

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class SlotState(Enum):
    """In whose hands a slot is."""

    ACTIVE = "active"
    CACHED = "cached"
    FREE = "free"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SlabSlots:
    """A slab, the kernel virtual address of its first slot, and the state of each.

    `cpus` has the CPU that keeps a cached slot, by the slot's number. `problems` says where a list is broken.
    """

    slab: SlabPicture
    first: int
    states: tuple[SlotState, ...]
    cpus: dict[int, int]
    problems: tuple[str, ...]

    def address(self, index: int) -> int:
        """Kernel virtual address of slot `index`."""
        return self.first + index * self.slab.slot_size


@looks
def read_slots(mm: Mm, paddr: int) -> SlabSlots:
    """The slots of the slab whose frame is at `paddr`; CorruptionError if its metadata cannot be a slab's."""
    slab = read_slab(mm, paddr)
    first, size = paddr + mm.paging.linear_base, slab.slot_size
    states = [SlotState.ACTIVE if slab.live >> n & 1 else SlotState.UNKNOWN for n in range(slab.capacity)]
    cpus: dict[int, int] = {}
    problems = []
    try:
        with reading(f"slab {paddr:#x}"):
            for address in SlabMeta.at(mm.port, mm.slots.slot(paddr)).free_slots(mm):
                states[(address - first) // size] = SlotState.FREE
    except CorruptionError as why:
        problems.append(str(why))
    inner = mm.heap.inner
    for cpu in range(mm.cpu_locals.count if isinstance(inner, HeapAllocator) and size in SIZE_CLASSES else 0):
        assert isinstance(inner, HeapAllocator)
        try:
            with reading(f"object caches of CPU {cpu}"):
                for address in inner.object_caches(cpu)[SIZE_CLASSES.index(size)].list.addresses():
                    if first <= address < first + slab.capacity * size:
                        cpus[(address - first) // size] = cpu
        except CorruptionError as why:
            problems.append(str(why))
    for index in cpus:
        states[index] = SlotState.CACHED
    return SlabSlots(slab, first, tuple(states), cpus, tuple(problems))
