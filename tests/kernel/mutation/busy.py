"""A kernel with something of everything in it, so that every kind of word in its memory is in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kernel import Kernel
from kernel.mm import PAGE_SIZE, AnyUFrameMeta, Frame, FrameAllocOptions, FrameMeta, Layout, LinkedList
from kernel.mm.check import check
from kernel.mm.fields import u64
from kernel.mm.frame.handle import Handle
from kernel.mm.frame.meta_type import Link
from kernel.mm.io_mem import IoMem
from kernel.mm.kspace.kvirt_area import KVirtArea
from kernel.mm.page_table.pte import PPN_MASK, SHIFT, PageFlags, PageProperty
from kernel.mm.vm_space.vm_space import VmSpace
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator.cpu_local_box import alloc_cpu_local
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from tests.helpers.kernels import boot

VA = 0x40_0000
HUGE_VA = 1 << 31
USER = PageProperty.new_user(PageFlags.RW)


class ListedMeta(Link):
    """Of a frame that can be in a list."""

    tag = u64()


class OwnedMeta(FrameMeta):
    """Of a typed frame."""

    tag = u64()


class CacheMeta(AnyUFrameMeta):
    """Of an untyped frame."""

    tag = u64()


class Busy:
    """The kernel, what is in use in it, and where the words are that a test can damage."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.mm, self.port = kernel, kernel.mm, kernel.mm.port
        mm, options = self.mm, FrameAllocOptions(self.mm)
        frames, heap = mm.frame_allocator.inner, mm.heap.inner
        assert isinstance(frames, FrameAllocator) and isinstance(heap, HeapAllocator)
        self.frames, self.heap = frames, heap
        self.frame: Frame[Any] = options.alloc_frame_with(CacheMeta(tag=7))
        self.typed = options.alloc_frame_with(OwnedMeta(tag=8))
        self.unique = options.alloc_unique(OwnedMeta(tag=9))
        self.segment = options.alloc_segment(5)
        # Single free pages between used ones, on both CPUs, in pools and caches.
        strewn = options.alloc_segment(64)
        self.strewn = list(strewn)
        for frame in self.strewn[::2]:
            frame.drop()
        self.strewn = self.strewn[1::2]
        self.list = LinkedList(mm, ListedMeta)
        for tag in range(4):
            self.list.push_back(options.alloc_unique(ListedMeta(tag=tag)))
        self.layouts = {size: Layout(size) for size in (8, 32, 64, 256, 2048, 20_000)}
        self.objects = {size: [mm.heap.alloc(layout) for _ in range(6)] for size, layout in self.layouts.items()}
        for size, addresses in self.objects.items():
            mm.heap.dealloc(addresses.pop(), self.layouts[size])
        self.local = alloc_cpu_local(mm, u64, lambda cpu: cpu)
        self.space = VmSpace(mm)
        with self.space.cursor_mut(range(VA, VA + 64 * PAGE_SIZE)) as cursor:
            cursor.map(options.alloc_frame().into_uframe(), USER)
            cursor.map(self.frame.clone(), USER)
            cursor.map_iomem(IoMem.acquire(mm, range(1 << 44, (1 << 44) + 2 * PAGE_SIZE)), USER, PAGE_SIZE, 0)
        with self.space.page_table.cursor_mut(range(HUGE_VA, HUGE_VA + (2 << 21))) as table:
            table.map_range(1 << 44, 2 << 21, USER)
        self.space.activate()
        kernel_r = PageProperty.new_kernel(PageFlags.R)
        self.areas = [KVirtArea.map_frames(mm, 3 * PAGE_SIZE, 0, [options.alloc_frame()], kernel_r) for _ in range(3)]
        self.areas.pop(1).drop()

    def check(self) -> None:
        """The whole state, with all that is held."""
        holders: list[Handle] = [self.frame, self.typed, self.unique, self.segment, self.list, self.local, self.space,
                                 *self.strewn]
        check(self.mm, holders, objects=[address for each in self.objects.values() for address in each])

    # --- where things are -------------------------------------------------------------------------------------------

    def slot(self, paddr: int) -> int:
        """Physical address of a frame's metadata slot."""
        return self.mm.slots.slot(paddr)

    def slab_of(self, address: int) -> int:
        """Physical address of the slot of the slab that a heap object is in."""
        return self.mm.slots.slot(self.mm.vaddr_to_paddr(address) & -PAGE_SIZE)

    def nodes(self, va: int = VA) -> list[int]:
        """Page-table nodes on the way to a user address, the root first."""
        found, node = [], self.space.root_paddr
        for level in range(self.mm.paging.levels, 0, -1):
            found.append(node)
            pte = self.port.load(node + (va >> SHIFT[level] & 511) * 8)
            node = (pte & PPN_MASK) << 2
            if pte & 0xE:
                break
        return found

    def free_chunk(self, order: int | None = None) -> tuple[int, int]:
        """Slot and order of a free chunk in the global pool (or of just that order, in any pool)."""
        for pool in (self.frames.pools.global_set, *(part.local.set for part in self.frames.cpus)):
            for each in range(pool.orders - 1, -1, -1):
                if order in (None, each) and pool.chunk_count(each):
                    return self.slot(next(pool.chunks(each))), each
        raise AssertionError(f"no free chunk of order {order}")

    def cached(self) -> tuple[int, int]:
        """Address of the count word of a cache of free pages that has some, and the last one's address."""
        for part in self.frames.cpus:
            for cache in part.caches:
                if len(cache):
                    return cache._address, next(iter(cache.entries()))
        raise AssertionError("no cache has anything")

    def bump(self, word: int, delta: int = 1) -> None:
        """Change a word."""
        self.port.store(word, (self.port.load(word) + delta) % (1 << 64))


@contextmanager
def busy() -> Iterator[Busy]:
    """A busy kernel; nothing of it is given back at the end."""
    kernel = boot(memory=16 << 20, harts=2)
    try:
        yield Busy(kernel)
    finally:
        kernel.close()
