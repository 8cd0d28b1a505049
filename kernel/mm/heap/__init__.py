"""The kernel heap: slots, slabs, and checks around the injected allocator (OSTD `ostd::mm::heap`)."""

from .box import HeapBox
from .dispatch import AllocDispatch, GlobalHeapAllocator
from .slab import Slab, SlabMeta
from .slot import HeapSlot, LargeSlot, SlabSlot, SlotInfo
from .slot_list import SlabSlotList

__all__ = [
    "AllocDispatch", "GlobalHeapAllocator", "HeapBox", "HeapSlot", "LargeSlot", "Slab", "SlabMeta", "SlabSlot",
    "SlabSlotList", "SlotInfo",
]
