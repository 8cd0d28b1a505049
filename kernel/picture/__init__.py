"""Pictures of the kernel's memory: plain values, read from emulated memory alone, for people, tools and tests.

    from kernel.picture import Picture, difference
    before = Picture.take(Kernel.attach(machine))
    print(before.usage, difference(before, Picture.take(kernel)).frames)

Everything here works on a live kernel and on one that is attached to a memory whose kernel is gone, and says
where a damaged memory stops making sense (CorruptionError).
"""

from .areas import AreaPicture, read_areas
from .buddy import BuddyPicture, extfrag_index, read_buddy, unusable_index
from .diff import Change, Difference, FrameChange, FrameChangeKind, SlabChange, SpaceChange, difference
from .frame_map import FrameMap, FrameRun
from .frames import FrameDetail, FrameUsage, SlotField, TypeUsage
from .kernel_layout import LayoutPart, parts_of, read_layout
from .mapping_changes import MappingChange, MappingChangeKind, mapping_changes
from .page_tables import AddressSpace, Mapping, Place, places_of, read_address_spaces, read_mappings
from .picture import Picture
from .regions import RegionPart, RegionPicture, read_regions
from .slabs import HeapObject, HeapPicture, LargeAllocation, SizeClass, SlabPicture, find_heap_object, read_heap
from .slots import SlabSlots, SlotState, read_slots
from .walk import Walk, WalkStep, walk, walk_table

__all__ = [
    "AddressSpace", "AreaPicture", "BuddyPicture", "Change", "Difference", "FrameChange", "FrameChangeKind",
    "FrameDetail", "FrameMap", "FrameRun", "FrameUsage", "HeapObject", "HeapPicture", "LargeAllocation", "LayoutPart",
    "Mapping", "MappingChange", "MappingChangeKind", "Picture", "Place", "RegionPart", "RegionPicture", "SizeClass",
    "SlabChange", "SlabPicture", "SlabSlots", "SlotField", "SlotState", "SpaceChange", "TypeUsage", "Walk", "WalkStep",
    "difference", "extfrag_index", "find_heap_object", "mapping_changes", "parts_of", "places_of",
    "read_address_spaces", "read_areas", "read_buddy", "read_heap", "read_layout", "read_mappings", "read_regions",
    "read_slots", "unusable_index", "walk", "walk_table",
]
