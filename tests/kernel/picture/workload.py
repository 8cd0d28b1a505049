"""Random work on a kernel, and a shadow of what its memory must then say."""

from __future__ import annotations

import random
from typing import Any

from kernel import Kernel
from kernel.mm import (
    Frame, FrameAllocOptions, FrameMeta, KVirtArea, Layout, PageFlags, PageProperty, Segment, UniqueFrame, VmSpace, u64,
)
from kernel.mm.frame.handle import Handle
from kernel.mm.io_mem import IoMem
from kernel.mm.page_table.pte import CachePolicy
from kernel.mm.vm_space.vm_space import deactivate
from kernel.picture import HeapPicture, Picture

PAGE = 4096
RW = PageProperty.new_user(PageFlags.RW)
IO = PageProperty.new_user(PageFlags.RW, CachePolicy.UNCACHEABLE)
KERNEL_RW = PageProperty.new_kernel(PageFlags.RW)
OURS = (8, 16, 64, 128, 512, 1024, 2048)
"""Slot sizes that nothing in the kernel itself uses, with one object each for these sizes."""


class NumberMeta(FrameMeta):
    """Metadata of the test's own typed frames."""

    number = u64()


class Workload:
    """Does random things to a kernel, as any of its CPUs, and writes down what it has."""

    def __init__(self, kernel: Kernel, seed: int) -> None:
        self.kernel, self.mm, self.random = kernel, kernel.mm, random.Random(seed)
        self.frames: list[Frame[Any]] = []
        self.unique: list[UniqueFrame[NumberMeta]] = []
        self.segments: list[Segment[Any]] = []
        self.objects: dict[int, tuple[Layout, bytes]] = {}
        self.spaces: list[tuple[VmSpace, dict[int, int], list[int]]] = []
        self.areas: list[KVirtArea] = []
        self.numbers: dict[int, int] = {}

    def run(self, steps: int) -> None:
        """Do `steps` random things."""
        things = (self.new_frame, self.new_frame, self.clone_frame, self.drop_frame, self.drop_frame, self.new_segment,
                  self.drop_segment, self.new_unique, self.drop_unique, self.new_object, self.new_object,
                  self.new_object, self.drop_object, self.drop_object, self.new_space, self.map_page, self.map_page,
                  self.map_page, self.unmap, self.map_io, self.new_area, self.drop_area)
        for _ in range(steps):
            self.mm.cpu = self.random.randrange(self.mm.cpu_locals.count)
            self.random.choice(things)()
        self.mm.cpu = 0

    def close(self) -> None:
        """Give everything back."""
        self.mm.cpu = 0
        deactivate(self.mm)
        for handle in self.handles():
            handle.drop()
        for address, (layout, _) in self.objects.items():
            self.mm.heap.dealloc(address, layout)

    def handles(self) -> list[Handle]:
        """All handles that are held."""
        return [*self.frames, *self.unique, *self.segments, *self.areas, *(space for space, _, _ in self.spaces)]

    # --- things to do ----------------------------------------------------------------------------------------------

    def new_frame(self) -> None:
        number = self.random.getrandbits(64)
        if self.random.random() < 0.5:
            frame: Frame[Any] = FrameAllocOptions(self.mm).alloc_frame_with(NumberMeta(number=number))
            self.numbers[frame.paddr] = number
        else:
            frame = FrameAllocOptions(self.mm).alloc_frame()
            self.mm.port.store(frame.paddr, number)
        self.frames.append(frame)

    def clone_frame(self) -> None:
        if self.frames:
            self.frames.append(self.random.choice(self.frames).clone())

    def drop_frame(self) -> None:
        if self.frames:
            self.frames.pop(self.random.randrange(len(self.frames))).drop()

    def new_segment(self) -> None:
        self.segments.append(FrameAllocOptions(self.mm).alloc_segment(self.random.randint(1, 40)))

    def drop_segment(self) -> None:
        if self.segments:
            self.segments.pop(self.random.randrange(len(self.segments))).drop()

    def new_unique(self) -> None:
        self.unique.append(FrameAllocOptions(self.mm).alloc_unique(NumberMeta(number=7)))

    def drop_unique(self) -> None:
        if self.unique:
            self.unique.pop().drop()

    def new_object(self) -> None:
        layout = Layout(self.random.choice((*OURS, 5000, 3 * PAGE)), 8)
        address = self.mm.heap.alloc(layout)
        contents = self.random.randbytes(layout.size)
        self.mm.port.write(self.mm.vaddr_to_paddr(address), contents)
        self.objects[address] = layout, contents

    def drop_object(self) -> None:
        if self.objects:
            address = self.random.choice(list(self.objects))
            self.mm.heap.dealloc(address, self.objects.pop(address)[0])

    def new_space(self) -> None:
        if len(self.spaces) < 4:
            space = VmSpace(self.mm)
            self.spaces.append((space, {}, []))
            if self.random.random() < 0.7:
                space.activate()

    def map_page(self) -> None:
        if self.spaces:
            space, mapped, _ = self.random.choice(self.spaces)
            va = self.random.choice((0x1000_0000, 0x4000_0000, 0x30_0000_0000)) + self.random.randrange(1024) * PAGE
            if va not in mapped:
                frame = FrameAllocOptions(self.mm).alloc_frame()
                mapped[va] = frame.paddr
                with space.cursor_mut(range(va, va + PAGE)) as cursor:
                    cursor.map(frame.into_uframe(), RW)

    def unmap(self) -> None:
        for space, mapped, _ in self.spaces[:1]:
            low = 0x1000_0000 + self.random.randrange(1024) * PAGE
            with space.cursor_mut(range(low, low + 64 * PAGE)) as cursor:
                cursor.unmap(64 * PAGE)
            for va in [va for va in mapped if low <= va < low + 64 * PAGE]:
                del mapped[va]

    def map_io(self) -> None:
        if self.spaces:
            space, mapped, io = self.random.choice(self.spaces)
            number = len(io)
            io_mem = IoMem.acquire(self.mm, range(0x1000_0000 + number * PAGE, 0x1000_0000 + (number + 1) * PAGE))
            va = 0x20_0000_0000 + number * PAGE
            with space.cursor_mut(range(va, va + PAGE)) as cursor:
                cursor.map_iomem(io_mem, IO, PAGE, 0)
            io.append(io_mem.paddr)
            mapped[va] = io_mem.paddr

    def new_area(self) -> None:
        if len(self.areas) < 5:
            frames = [FrameAllocOptions(self.mm).alloc_frame() for _ in range(self.random.randint(1, 5))]
            self.areas.append(KVirtArea.map_frames(self.mm, 8 * PAGE, PAGE, frames, KERNEL_RW))

    def drop_area(self) -> None:
        if self.areas:
            self.areas.pop(self.random.randrange(len(self.areas))).drop()

    # --- what must be so -------------------------------------------------------------------------------------------

    def compare(self, picture: Picture) -> None:
        """Fail unless the picture says what the test itself knows."""
        held: dict[int, tuple[str, int]] = {}
        for frame in self.frames:
            name = frame._type.type_name()
            held[frame.paddr] = name, held.get(frame.paddr, (name, 0))[1] + 1
        for segment in self.segments:
            for paddr in range(segment.start_paddr, segment.end_paddr, PAGE):
                held[paddr] = "()", 1
        for space, mapped, _ in self.spaces:
            held |= {paddr: ("()", 1) for paddr in mapped.values() if paddr >= 0x8000_0000}
            assert space.held
        states = {}
        for run in picture.frames:
            if run.state.type_name in ("()", "NumberMeta"):
                states |= {paddr: (run.state.kind.name, run.state.type_name, run.state.count)
                           for paddr in range(run.start, run.end, PAGE)}
        areas = {paddr for area in picture.areas for mapping in area.mappings
                 for paddr in range(mapping.paddr, mapping.paddr + mapping.size, PAGE)}
        expected = {paddr: ("SHARED", name, count) for paddr, (name, count) in held.items()}
        expected |= {frame.paddr: ("UNIQUE", "NumberMeta", 1) for frame in self.unique}
        expected |= {paddr: ("SHARED", "()", 1) for paddr in areas}
        assert states == expected
        assert [area.start for area in picture.areas] == sorted(area.start for area in self.areas)
        assert {area.size for area in picture.areas} <= {8 * PAGE}
        free = picture.buddy.survey.ranges()
        assert sum(size for _, size, _ in free) == picture.buddy.free == picture.usage.free * PAGE
        assert not {paddr for start, size, _ in free for paddr in range(start, start + size, PAGE)} & set(states)
        self._compare_heap(picture)
        self._compare_spaces(picture)

    def _compare_heap(self, picture: Picture) -> None:
        linear = self.mm.paging.linear_base
        active = {address for address in live_slots(picture.heap, linear) if address[1] in OURS}
        wanted = {(address, layout.size) for address, (layout, _) in self.objects.items() if layout.size <= 2048}
        assert active == wanted
        large = {(allocation.paddr + linear, allocation.size) for allocation in picture.heap.large if allocation.live}
        assert large == {(address, -(-layout.size // PAGE) * PAGE) for address, (layout, _) in self.objects.items()
                         if layout.size > 2048}

    def _compare_spaces(self, picture: Picture) -> None:
        known = {space.root_paddr: (mapped, io) for space, mapped, io in self.spaces}
        assert {space.root for space in picture.spaces[1:]} == set(known)
        for space, mappings in zip(picture.spaces[1:], picture.user_mappings, strict=True):
            mapped, io = known[space.root]
            pages = {va: mapping.paddr + va - mapping.start for mapping in mappings
                     for va in range(mapping.start, mapping.end, PAGE)}
            assert pages == mapped
            assert [paddr for paddr, _ in space.iomems] == io
            assert sum(space.pages) == len(mapped)


def live_slots(heap: HeapPicture, linear: int) -> set[tuple[int, int]]:
    """Kernel virtual address and size of every slot that a user has."""
    return {(slab.paddr + linear + n * slab.slot_size, slab.slot_size) for slab in heap.slabs
            for n in range(slab.capacity) if slab.live >> n & 1}
