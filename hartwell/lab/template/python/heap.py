"""A heap allocator for Hartwell's allocator lab: a starting point that passes. Make it yours.

It gets its memory from the kernel's frame allocator: slabs, which are pages cut into slots of a size, and whole frames.
"""

from kernel.mm import PAGE_SIZE, Layout, Mm
from kernel.mm.heap import HeapSlot, LargeSlot, Slab, SlabSlot, SlotInfo

SMALLEST, LARGEST = 8, 2048  # bytes of a slab's slots; every power of two between


class MyAllocator:
    """A list of slabs with room for each size; an empty slab is given back at once."""

    def __init__(self, mm: Mm) -> None:
        self.mm = mm
        self.slabs: dict[int, list[int]] = {1 << bits: [] for bits in range(3, 12)}  # addresses, by size of slot

    def slot_map(self, layout: Layout) -> SlotInfo:
        """What kind of slot a request gets, and how large it is: always the same for the same request."""
        need = max(layout.size, layout.align, SMALLEST)
        if need <= LARGEST:
            return SlabSlot(1 << (need - 1).bit_length())
        return LargeSlot(-(-layout.size // PAGE_SIZE) * PAGE_SIZE)

    def alloc(self, layout: Layout) -> HeapSlot:
        """A slot for `layout`. NoMemory comes from the frame allocator."""
        size = self.slot_map(layout).size
        if isinstance(self.slot_map(layout), LargeSlot):
            return HeapSlot.alloc_large(self.mm, size, layout.align)
        with_room = self.slabs[size]
        slab = Slab.from_raw(self.mm, with_room[-1]) if with_room else Slab.new(self.mm, size)
        slot = slab.alloc()
        if not with_room:
            with_room.append(slab.paddr)
        if slab.nr_allocated == slab.capacity:
            with_room.pop()
        slab.into_raw()  # it stays
        return slot

    def dealloc(self, slot: HeapSlot) -> None:
        """Take a slot back."""
        if isinstance(slot.info, LargeSlot):
            slot.dealloc_large()
            return
        with_room = self.slabs[slot.info.size]
        slab = Slab.from_raw(self.mm, slot.paddr // PAGE_SIZE * PAGE_SIZE)
        if slab.nr_allocated == slab.capacity:
            with_room.append(slab.paddr)
        slab.dealloc(slot)
        if slab.nr_allocated == 0:
            with_room.remove(slab.paddr)
            slab.drop()  # its page goes back to the frame allocator
        else:
            slab.into_raw()
