"""Physical and virtual memory management, as Asterinas OSTD does it, in emulated memory (OSTD `ostd::mm`).

    from kernel.mm import FrameAllocOptions, VmSpace
    frame = FrameAllocOptions(kernel.mm).alloc_frame()

The names are OSTD's. What OSTD keeps in global variables is an object here, Mm (`kernel.mm`), and the
first argument of everything.
"""

from .context import Mm
from .fields import Bytes, Nested, i8, i16, i32, i64, u8, u16, u32, u64, usize
from .frame.allocator import FrameAllocOptions, FrameDispatch, GlobalFrameAllocator
from .frame.frame import Frame, FrameRef, UFrame
from .frame.linked_list import CursorMut, LinkedList
from .frame.meta_type import Accessible, AnyUFrameMeta, FrameMeta, Link, Unit
from .frame.segment import Segment, USegment
from .frame.unique import UniqueFrame
from .heap.dispatch import AllocDispatch, GlobalHeapAllocator
from .heap.slot import HeapSlot, SlotInfo
from .io.pod import Array, Pod
from .io.reader import FallibleVmReader, VmReader
from .io.vm_io import VmIo
from .io.writer import FallibleVmWriter, VmWriter
from .kspace.kvirt_area import KVirtArea
from .layout import Layout
from .observers import AccessCounter, AccessTrace, FailAt
from .page_table.page_table import PageTable
from .page_table.pte import CachePolicy, PageFlags, PageProperty
from .paging import PAGE_SIZE, SV39, SV48
from .port import Access, MemoryPort, Observer
from .tlb.flusher import TlbFlusher, TlbFlushOp
from .vm_space.vm_space import VmSpace

__all__ = [
    "PAGE_SIZE", "SV39", "SV48", "Access", "AccessCounter", "AccessTrace", "Accessible", "AllocDispatch",
    "AnyUFrameMeta", "Array", "Bytes", "CachePolicy", "CursorMut", "FailAt", "FallibleVmReader", "FallibleVmWriter",
    "Frame", "FrameAllocOptions", "FrameDispatch", "FrameMeta", "FrameRef", "GlobalFrameAllocator",
    "GlobalHeapAllocator", "HeapSlot", "KVirtArea", "Layout", "Link", "LinkedList", "MemoryPort", "Mm", "Nested",
    "Observer", "PageFlags", "PageProperty", "PageTable", "Pod", "Segment", "SlotInfo", "TlbFlushOp", "TlbFlusher",
    "UFrame", "USegment", "UniqueFrame", "Unit", "VmIo", "VmReader", "VmSpace", "VmWriter", "i16", "i32", "i64", "i8",
    "u16", "u32", "u64", "u8", "usize",
]
