"""The default heap allocator: slab caches behind per-CPU object caches (osdk-heap-allocator).

        layout ──► slot_map ──► 8 … 2048 bytes: ObjectCache of this CPU ──► SlabCache (all CPUs, one lock)
                           └──► larger:         whole frames

        static area `heap.slabs`:      +0 nine SlabCaches, 96 bytes each   +864 the lock
        CPU-local area `heap.objects`: nine ObjectCaches, 16 bytes each
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.mm.heap.slot import SLAB_SLOTS, HeapSlot, LargeSlot, SlabSlot, SlotInfo
from kernel.mm.layout import Layout
from kernel.mm.paging import PAGE_SIZE
from kernel.sync.spin import SpinLock

from . import cpu_cache, slab_cache
from .cpu_cache import ObjectCache
from .slab_cache import SlabCache

if TYPE_CHECKING:
    from kernel.mm.context import Mm

SIZE_CLASSES = tuple(8 << n for n in range(9))
"""Slot sizes in bytes: 8, 16, …, 2048 (`CommonSizeClass`)."""
LARGEST_CLASS = SIZE_CLASSES[-1]
_CLASS_OF_BITS = (0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)
"""Class of a size by the bit length of the size less one."""
_INFO_OF_BITS = tuple(SLAB_SLOTS[SIZE_CLASSES[n]] for n in _CLASS_OF_BITS)


@dataclass(frozen=True)
class ClassUse:
    """What one size class has: slabs by how full they are, slots in slabs' use, and those that CPUs keep."""

    slot_size: int
    full: int
    partial: int
    empty: int
    allocated: int
    cached: tuple[int, ...]

    @property
    def slabs(self) -> int:
        """Slabs, that is, frames."""
        return self.full + self.partial + self.empty

    @property
    def active(self) -> int:
        """Slots in users' hands."""
        return self.allocated - sum(self.cached)

    @property
    def total(self) -> int:
        """Slots of all slabs."""
        return self.slabs * (PAGE_SIZE // self.slot_size)


class HeapAllocator:
    """The heap allocator that is injected unless one says otherwise (`HeapAllocator`).

    All state is in the areas drawn above; several objects for one Mm are the same allocator.
    """

    __slots__ = ("_by_cpu", "_lock", "_mm", "_objects", "slabs")

    def __init__(self, mm: Mm) -> None:
        classes = len(SIZE_CLASSES)
        area = mm.statics.area("heap.slabs", classes * slab_cache.AREA_SIZE + 8)
        self._mm = mm
        self.slabs = tuple(SlabCache(mm, size, area + i * slab_cache.AREA_SIZE) for i, size in enumerate(SIZE_CLASSES))
        self._lock = SpinLock(mm.port, area + classes * slab_cache.AREA_SIZE, "heap", lambda: mm.cpu)
        self._objects = mm.statics.local_area("heap.objects", classes * cpu_cache.AREA_SIZE)
        self._by_cpu: dict[int, tuple[ObjectCache, ...]] = {}

    def slot_map(self, layout: Layout) -> SlotInfo:
        """Kind and size of the slots for `layout`: the class of the larger of size and alignment, else whole frames.

        Upstream has none for an alignment above the page, or one of the page for a small size; here those get
        frames, too.
        """
        need = layout.size if layout.size > layout.align else layout.align
        if need <= LARGEST_CLASS:
            return _INFO_OF_BITS[(need - 1).bit_length()]
        return LargeSlot(-(-(layout.size or 1) // PAGE_SIZE) * PAGE_SIZE)

    def alloc(self, layout: Layout) -> HeapSlot:
        """A slot for `layout`; NoMemory."""
        need = layout.size if layout.size > layout.align else layout.align
        if need > LARGEST_CLASS:
            return HeapSlot.alloc_large(self._mm, self.slot_map(layout).size, layout.align)
        return self.object_caches(self._mm.cpu)[_CLASS_OF_BITS[(need - 1).bit_length()]].alloc()

    def dealloc(self, slot: HeapSlot) -> None:
        """Take back a slot; it is used up."""
        info = slot.info
        if isinstance(info, SlabSlot):
            self.object_caches(self._mm.cpu)[_CLASS_OF_BITS[(info.size - 1).bit_length()]].dealloc(slot)
        else:
            slot.dealloc_large()

    def object_caches(self, cpu: int) -> tuple[ObjectCache, ...]:
        """CPU `cpu`'s object caches, in the order of SIZE_CLASSES; BootError if it has no local storage."""
        caches = self._by_cpu.get(cpu)
        if caches is None:
            area = self._mm.cpu_locals.base(cpu) + self._objects
            caches = tuple(ObjectCache(self._mm, slabs, self._lock, area + i * cpu_cache.AREA_SIZE)
                           for i, slabs in enumerate(self.slabs))
            self._by_cpu[cpu] = caches
        return caches

    def reclaim(self) -> int:
        """Empty every CPU's object caches, and free all empty slabs; the number of slabs freed."""
        for cpu in range(self._mm.cpu_locals.count):
            for cache in self.object_caches(cpu):
                cache.flush()
        with self._lock:
            return sum(slabs.shrink() for slabs in self.slabs)

    def use(self) -> Iterator[ClassUse]:
        """What each size class has, smallest first; CorruptionError if a list is broken."""
        cpus = range(self._mm.cpu_locals.count)
        for i, slabs in enumerate(self.slabs):
            cached = tuple(len(self.object_caches(cpu)[i].list.addresses()) for cpu in cpus)
            yield ClassUse(slabs.slot_size, len(slabs.full), len(slabs.partial), len(slabs.empty),
                           slabs.allocated(), cached)
