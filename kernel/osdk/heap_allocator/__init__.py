"""The default heap allocator and CPU-local variables made at run time (osdk-heap-allocator)."""

from .cpu_local_box import CpuLocalBox, alloc_cpu_local
from .heap_allocator import HeapAllocator
from .slab_cache import SlabCache
from .slab_counter import load_total_slab_size

__all__ = ["CpuLocalBox", "HeapAllocator", "SlabCache", "alloc_cpu_local", "load_total_slab_size"]
