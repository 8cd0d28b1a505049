"""Kernels with a heap for the tests of this folder and of osdk's, and what the tests ask of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from emulator import Board, Machine
from kernel.boot.booting import Booting, Choices
from kernel.boot.stages import STAGES, run_stage
from kernel.mm import Mm
from kernel.mm.frame.allocator import GlobalFrameAllocator
from kernel.mm.frame.meta import FREE, META_SLOT_SIZE, REF_COUNT, UNUSED, VTABLE
from kernel.mm.heap.dispatch import GlobalHeapAllocator
from kernel.mm.heap.live_map import LiveMapMeta
from kernel.mm.heap.slab import SlabMeta
from kernel.mm.heap.slot import LargeAllocFrameMeta
from kernel.mm.layout import Layout
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from kernel.text.image import firmware_image, kernel_image

L8, L16, L32, L64, L2048 = (Layout(size, 8) for size in (8, 16, 32, 64, 2048))
PAGE = Layout(4096, 8)


def make_mm(heap: Callable[[Mm], GlobalHeapAllocator] | None = None,
            frames: Callable[[Mm], GlobalFrameAllocator] | None = None, harts: int = 1) -> Mm:
    """The memory manager of a kernel that has booted as far as the heap, with these allocators.

    The default ones for None. Nobody has allocated anything on the heap yet.
    """
    machine = Machine(Board(memory=32 << 20, harts=harts))
    machine.boot(kernel=kernel_image(), firmware=firmware_image())
    boot = Booting(machine, Choices(heap_allocator=heap, frame_allocator=frames, watchdog_lines=None))
    for stage in STAGES:
        run_stage(boot, stage)
        if stage.name == "heap":
            break
    return boot.mm


def allocator(mm: Mm) -> HeapAllocator:
    """The default heap allocator of `mm`."""
    inner = mm.heap.inner
    assert isinstance(inner, HeapAllocator)
    return inner


def area(mm: Mm, size: int = 96) -> int:
    """Zeroed memory for the heads of lists: a heap object that stays."""
    return mm.vaddr_to_paddr(mm.heap.alloc_zeroed(Layout(size, 8)))


def heap_frames(mm: Mm) -> dict[str, int]:
    """How many frames the heap has, by metadata type; and `lost` ones, which nobody has and nobody can give out."""
    slots = mm.slots
    count = slots.max_paddr - slots.first_paddr >> 12
    first = slots.base + (slots.first_paddr >> 6)
    counts = mm.port.load_column(first + REF_COUNT, count, META_SLOT_SIZE)
    vtables = mm.port.load_column(first + VTABLE, count, META_SLOT_SIZE)
    found = {kind.__name__: int(((vtables == mm.types.vtable(kind)) & (counts != UNUSED)).sum())
             for kind in (SlabMeta, LiveMapMeta, LargeAllocFrameMeta)}
    handed_out = (counts == UNUSED) & (vtables != FREE) & (vtables != 0)
    return {name: n for name, n in {**found, "lost": int(handed_out.sum())}.items() if n}


class CountedFrames(FrameAllocator):
    """The default frame allocator; after `left` more allocations it has nothing (None: no limit)."""

    __slots__ = ("asked", "left")

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.left: int | None = None
        self.asked = 0

    def alloc(self, layout: Layout) -> int | None:
        self.asked += 1
        if self.left is not None:
            if self.left == 0:
                return None
            self.left -= 1
        return super().alloc(layout)


def state(mm: Mm) -> dict[str, Any]:
    """The heap as its own books have it: every size class, and the frames."""
    return {"classes": list(allocator(mm).use()), "frames": heap_frames(mm)}


def consistent(mm: Mm, live: Counter[int]) -> None:
    """Every slab's free list, counts and list, and the CPUs' caches agree; `live` counts live slots by size."""
    heap, found = allocator(mm), Counter[int]()
    for i, slabs in enumerate(heap.slabs):
        free: set[int] = set()
        for chain, low, high in ((slabs.empty, 0, 0), (slabs.partial, 1, -1), (slabs.full, None, None)):
            for meta in chain:
                slab = SlabMeta.at(mm.port, meta)
                slab_free = slab.free_slots(mm)
                free.update(slab_free)
                found[slab.slot_size] += len(slab.live_slots(mm))
                assert slab.slot_size == slabs.slot_size
                if low is None:
                    assert slab.nr_allocated == slab.capacity
                else:
                    assert low <= slab.nr_allocated <= slab.capacity + high if high else slab.nr_allocated == 0
        for cpu in range(mm.cpu_locals.count):
            cache = heap.object_caches(cpu)[i]
            addresses = cache.list.addresses()
            assert cache.size == len(addresses) * slabs.slot_size < 8 * 4096
            assert not free.intersection(addresses)
            free.update(addresses)
    assert +found == +live
