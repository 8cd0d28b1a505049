"""The default frame allocator: a buddy system with per-CPU pools and caches (osdk-frame-allocator).

    from kernel.osdk.frame_allocator import FrameAllocator
    dispatch = FrameDispatch(mm, FrameAllocator(mm))
"""

from .buddy_set import BuddySet
from .chunk import FreeChunk, FreeHeadMeta
from .frame_allocator import FrameAllocator
from .per_cpu_counter import PerCpuCounter
from .survey import Survey, survey

__all__ = ["BuddySet", "FrameAllocator", "FreeChunk", "FreeHeadMeta", "PerCpuCounter", "Survey", "survey"]
