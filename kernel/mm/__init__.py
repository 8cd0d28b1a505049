"""Physical and virtual memory management, as Asterinas OSTD does it, in emulated memory (OSTD `ostd::mm`).

    from kernel.mm import FrameAllocOptions, VmSpace
    frame = FrameAllocOptions(kernel.mm).alloc_frame()

The names are OSTD's. What OSTD keeps in global variables is an object here, Mm (`kernel.mm`), and the
first argument of everything.
"""

from .context import Mm
from .frame.allocator import FrameAllocOptions, GlobalFrameAllocator
from .frame.frame import Frame, FrameRef, UFrame
from .frame.linked_list import CursorMut, LinkedList
from .frame.meta_type import Accessible, AnyUFrameMeta, FrameMeta, Link, Unit
from .frame.segment import Segment, USegment
from .frame.unique import UniqueFrame
from .layout import Layout
from .paging import PAGE_SIZE, SV39, SV48
from .port import Access, MemoryPort, Observer

__all__ = [
    "PAGE_SIZE", "SV39", "SV48", "Access", "Accessible", "AnyUFrameMeta", "CursorMut", "Frame", "FrameAllocOptions",
    "FrameMeta", "FrameRef", "GlobalFrameAllocator", "Layout", "Link", "LinkedList", "MemoryPort", "Mm", "Observer",
    "Segment", "UFrame", "USegment", "UniqueFrame", "Unit",
]
