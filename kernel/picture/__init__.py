"""Pictures of the kernel's memory: plain values, read from emulated memory alone, for people, tools and tests.

    from kernel.picture import Picture
    print(Picture.take(Kernel.attach(machine)).usage)

Everything here works on a live kernel and on one that is attached to a memory whose kernel is gone, and says
where a damaged memory stops making sense (CorruptionError).
"""

from .areas import AreaPicture, read_areas
from .buddy import BuddyPicture, extfrag_index, read_buddy, unusable_index
from .frame_map import FrameMap, FrameRun
from .frames import FrameDetail, FrameUsage, SlotField, TypeUsage
from .kernel_layout import LayoutPart, parts_of, read_layout
from .page_tables import AddressSpace, Mapping, Place, places_of, read_address_spaces, read_mappings
from .picture import Picture
from .regions import RegionPart, RegionPicture, read_regions
from .slabs import HeapObject, HeapPicture, LargeAllocation, SizeClass, SlabPicture, find_heap_object, read_heap
from .walk import Walk, WalkStep, walk

__all__ = [
    "AddressSpace", "AreaPicture", "BuddyPicture", "FrameDetail", "FrameMap", "FrameRun", "FrameUsage", "HeapObject",
    "HeapPicture", "LargeAllocation", "LayoutPart", "Mapping", "Picture", "Place", "RegionPart",
    "RegionPicture", "SizeClass", "SlabPicture", "SlotField", "TypeUsage", "Walk", "WalkStep", "extfrag_index",
    "find_heap_object", "parts_of", "places_of", "read_address_spaces", "read_areas", "read_buddy", "read_heap",
    "read_layout", "read_mappings", "read_regions", "unusable_index", "walk",
]
