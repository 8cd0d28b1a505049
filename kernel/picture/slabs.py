"""The heap: slabs of each slot size, who has their slots, large allocations, and what is at a heap address.

A slot is active (a user has it: its live bit is set), cached (a CPU keeps it for the next allocation), or
free (in its slab's list). Slabs are found by their frames' metadata, so those of any allocator are seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.errors import CorruptionError
from kernel.mm.heap.slab import SMALL, SlabMeta
from kernel.mm.heap.slot import SLAB_SLOTS, LargeAllocFrameMeta
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.port import looks
from kernel.osdk.heap_allocator.heap_allocator import SIZE_CLASSES, HeapAllocator

from .frame_map import FrameMap
from .reading import reading

if TYPE_CHECKING:
    from kernel.mm.context import Mm


@dataclass(frozen=True)
class SlabPicture:
    """One slab: the frame at physical `paddr`; `live` has bit n set if a user has slot n."""

    paddr: int
    slot_size: int
    allocated: int
    live: int

    @property
    def capacity(self) -> int:
        """Slots of the slab."""
        return PAGE_SIZE // self.slot_size

    @property
    def active(self) -> int:
        """Slots that users have."""
        return self.live.bit_count()

    @property
    def fullness(self) -> str:
        """full, partial or empty."""
        return "empty" if not self.allocated else "full" if self.allocated == self.capacity else "partial"


@dataclass(frozen=True)
class SizeClass:
    """Slabs of one slot size: how many are full, partial and empty, and in whose hands their slots are.

    `cached` has a number for each CPU. `moving` slots are in none of these places: on their way between two.
    """

    slot_size: int
    full: int
    partial: int
    empty: int
    active: int
    cached: tuple[int, ...]
    free: int
    moving: int

    @property
    def slabs(self) -> int:
        """Slabs, which are frames."""
        return self.full + self.partial + self.empty

    @property
    def slots(self) -> int:
        """Slots of all slabs."""
        return self.slabs * (PAGE_SIZE // self.slot_size)


@dataclass(frozen=True)
class LargeAllocation:
    """Whole frames, `size` bytes from physical `paddr` on; `live` while a user has them."""

    paddr: int
    size: int
    live: bool


@dataclass(frozen=True)
class HeapPicture:
    """All of the heap; `name` is the allocator's."""

    name: str
    classes: tuple[SizeClass, ...]
    slabs: tuple[SlabPicture, ...]
    large: tuple[LargeAllocation, ...]

    @property
    def active_size(self) -> int:
        """Bytes of slots and frames that users have."""
        return (sum(size_class.active * size_class.slot_size for size_class in self.classes)
                + sum(large.size for large in self.large if large.live))

    @property
    def total_size(self) -> int:
        """Bytes of frames that the heap has."""
        return len(self.slabs) * PAGE_SIZE + sum(large.size for large in self.large)


@dataclass(frozen=True)
class HeapObject:
    """What is at kernel virtual `vaddr`: the slot at `slot_vaddr`, number `index` of its slab at physical `paddr`.

    `state` is active, cached (by `cpu`) or free; for a large allocation, `index` is 0 and `paddr` its first frame.
    """

    vaddr: int
    slot_vaddr: int
    slot_size: int
    paddr: int
    index: int
    state: str
    cpu: int | None = None


@looks
def read_heap(mm: Mm, frames: FrameMap) -> HeapPicture:
    """The heap of a kernel; CorruptionError if a slab, a cache or a large allocation cannot be what it says."""
    slabs = tuple(read_slab(mm, paddr) for paddr in frames.of_type(mm, SlabMeta))
    cached = _cached_counts(mm)
    classes = []
    for size in sorted({slab.slot_size for slab in slabs} | set(cached)):
        mine = [slab for slab in slabs if slab.slot_size == size]
        states = [slab.fullness for slab in mine]
        out, active = sum(slab.allocated for slab in mine), sum(slab.active for slab in mine)
        moving = out - active - sum(cached.get(size, ()))
        if moving < 0:
            raise CorruptionError(f"heap slots of {size} bytes: {out} are out of their slabs, but {active} are live "
                                  f"and {sum(cached.get(size, ()))} in CPUs' caches")
        classes.append(SizeClass(size, states.count("full"), states.count("partial"), states.count("empty"), active,
                                 cached.get(size, ()), sum(slab.capacity for slab in mine) - out, moving))
    return HeapPicture(mm.heap.name, tuple(classes), slabs, _large(mm, frames))


@looks
def find_heap_object(mm: Mm, vaddr: int) -> HeapObject | None:
    """What the heap has at a kernel virtual address; None if it is not the heap's."""
    paddr = vaddr - mm.paging.linear_base
    if not mm.slots.first_paddr <= paddr < mm.slots.max_paddr:
        return None
    frame = paddr & -PAGE_SIZE
    name = mm.slots.state(frame).type_name
    if name == LargeAllocFrameMeta.type_name():
        meta = LargeAllocFrameMeta.at(mm.port, mm.slots.slot(frame))
        with reading(f"large allocation at {meta.head:#x}"):
            live = LargeAllocFrameMeta.at(mm.port, mm.slots.slot(meta.head)).live
        start = meta.head + mm.paging.linear_base
        return HeapObject(vaddr, start, meta.size, meta.head, 0, "active" if live else "free")
    if name != SlabMeta.type_name():
        return None
    slab = read_slab(mm, frame)
    index = (paddr - frame) // slab.slot_size
    start = frame + index * slab.slot_size + mm.paging.linear_base
    state, cpu = "active" if slab.live >> index & 1 else "free", None
    if state == "free" and isinstance(mm.heap.inner, HeapAllocator) and slab.slot_size in SIZE_CLASSES:
        for number in range(mm.cpu_locals.count):
            with reading(f"object caches of CPU {number}"):
                cache = mm.heap.inner.object_caches(number)[SIZE_CLASSES.index(slab.slot_size)]
                if start in cache.list.addresses():
                    state, cpu = "cached", number
    return HeapObject(vaddr, start, slab.slot_size, frame, index, state, cpu)


def read_slab(mm: Mm, paddr: int) -> SlabPicture:
    """The slab whose frame is at `paddr`; CorruptionError if its metadata cannot be a slab's."""
    with reading(f"slab {paddr:#x}"):
        meta = SlabMeta.at(mm.port, mm.slots.slot(paddr))
        size, allocated, live = meta.slot_size, meta.nr_allocated, meta.live
        if size not in SLAB_SLOTS:
            raise CorruptionError(f"slots of {size} bytes")
        capacity = PAGE_SIZE // size
        if size < SMALL:
            live = int.from_bytes(mm.port.read(live, capacity // 8), "little")
        if live >> capacity or not live.bit_count() <= allocated <= capacity:
            raise CorruptionError(f"{allocated} of {capacity} slots are allocated, and the live ones are {live:#x}")
    return SlabPicture(paddr, size, allocated, live)


def _cached_counts(mm: Mm) -> dict[int, tuple[int, ...]]:
    """Slots that each CPU keeps, by slot size."""
    inner = mm.heap.inner
    if not isinstance(inner, HeapAllocator):
        return {}
    counts: dict[int, list[int]] = {size: [] for size in SIZE_CLASSES}
    for cpu in range(mm.cpu_locals.count):
        with reading(f"object caches of CPU {cpu}"):
            for size, cache in zip(SIZE_CLASSES, inner.object_caches(cpu), strict=True):
                counts[size].append(len(cache.list.addresses()))
                if cache.size != counts[size][-1] * size:
                    raise CorruptionError(f"the one of {size}-byte slots has {counts[size][-1]} of them, but "
                                          f"{cache.size} bytes by its own count")
    return {size: tuple(each) for size, each in counts.items()}


def _large(mm: Mm, frames: FrameMap) -> tuple[LargeAllocation, ...]:
    """Large allocations, each once; all frames of one name the same head."""
    found: dict[int, LargeAllocation] = {}
    for paddr in frames.of_type(mm, LargeAllocFrameMeta):
        with reading(f"large allocation, frame {paddr:#x}"):
            meta = LargeAllocFrameMeta.at(mm.port, mm.slots.slot(paddr))
            head, size = meta.head, meta.size
            if not head <= paddr < head + size or (head | size) % PAGE_SIZE:
                raise CorruptionError(f"it says that it is part of {head:#x} ({size} bytes)")
            if paddr == head:
                found[head] = LargeAllocation(head, size, bool(meta.live))
            elif head not in found or found[head].size != size:
                raise CorruptionError(f"it says that it is part of {head:#x} ({size} bytes), which is no such one")
    return tuple(found.values())
