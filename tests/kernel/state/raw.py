"""The frame allocator itself: ranges of frames without holders, given back in other pieces than they came in."""

from __future__ import annotations

from kernel import Kernel
from kernel.errors import FrameMisuse, InvalidArgs
from kernel.mm import PAGE_SIZE, Layout, Segment, UniqueFrame, Unit
from kernel.mm.frame.handle import Handle
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator

from tests.kernel.state.part import Draw, Operation, Part, refused

MOST = 100


class RawPart(Part):
    """Ranges handed out, and segments that some of them became."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.ranges: list[tuple[int, int]] = []
        self.segments: list[Segment[Unit]] = []

    def operations(self) -> list[Operation]:
        return [
            Operation(self.alloc, 10), Operation(self.dealloc, 8), Operation(self.dealloc_part, 6),
            Operation(self.dealloc_pages, 3), Operation(self.claim, 3), Operation(self.drop, 3),
            Operation(self.drain, 1), Operation(self.take_range, 2), Operation(self.add_back, 1),
            Operation(self.misuse, 4),
        ]

    def holders(self) -> list[Handle]:
        return [*self.segments]

    def handed_out(self) -> list[tuple[int, int]]:
        return self.ranges

    def drop_all(self) -> None:
        for paddr, size in self.ranges:
            self.mm.frame_allocator.dealloc(paddr, size)
        for segment in self.segments:
            segment.drop()
        self.ranges.clear()
        self.segments.clear()

    @property
    def _inner(self) -> FrameAllocator:
        inner = self.mm.frame_allocator.inner
        assert isinstance(inner, FrameAllocator)
        return inner

    def alloc(self, draw: Draw) -> None:
        if len(self.ranges) < MOST:
            size = draw.pick([1, 1, 2, 3, 4, 5, 6, 8, 9, 15, 16, 31, 64, 100, 300, 4000]) * PAGE_SIZE
            align = PAGE_SIZE << draw.below(9)
            free = self._inner.load_total_free_size()
            paddr = self.mm.frame_allocator.alloc(Layout(size, align))
            if paddr is not None:
                assert not paddr % align
                assert self._inner.load_total_free_size() == free - size
                self.ranges.append((paddr, size))
            else:
                assert self._inner.load_total_free_size() == free

    def dealloc(self, draw: Draw) -> None:
        if self.ranges:
            paddr, size = draw.take(self.ranges)
            self.mm.frame_allocator.dealloc(paddr, size)
            with refused(FrameMisuse):
                self.mm.frame_allocator.dealloc(paddr, size)

    def dealloc_part(self, draw: Draw) -> None:
        """The middle, the head or the tail of a range; what is left stays handed out."""
        if self.ranges:
            paddr, size = draw.take(self.ranges)
            pages = size // PAGE_SIZE
            first = draw.below(pages)
            last = first + 1 + draw.below(pages - first)
            self.mm.frame_allocator.dealloc(paddr + first * PAGE_SIZE, (last - first) * PAGE_SIZE)
            for low, high in ((0, first), (last, pages)):
                if low < high:
                    self.ranges.append((paddr + low * PAGE_SIZE, (high - low) * PAGE_SIZE))

    def dealloc_pages(self, draw: Draw) -> None:
        """A range page by page, every second one first."""
        if self.ranges:
            paddr, size = draw.take(self.ranges)
            if size > 64 * PAGE_SIZE:
                self.ranges.append((paddr, size))
                return
            for start in (0, PAGE_SIZE):
                for offset in range(start, size, 2 * PAGE_SIZE):
                    self.mm.frame_allocator.dealloc(paddr + offset, PAGE_SIZE)

    def claim(self, draw: Draw) -> None:
        if self.ranges:
            paddr, size = draw.take(self.ranges)
            self.segments.append(Segment.from_unused(self.mm, paddr, paddr + size, lambda _: Unit()))

    def drop(self, draw: Draw) -> None:
        if self.segments:
            draw.take(self.segments).drop()

    def drain(self, draw: Draw) -> None:
        free = self._inner.load_total_free_size()
        self._inner.drain()
        assert self._inner.load_total_free_size() == free

    def take_range(self, draw: Draw) -> None:
        """Just these frames: all of them, or none."""
        slots = self.mm.slots
        pages = (slots.max_paddr - slots.first_paddr) // PAGE_SIZE
        first = draw.below(pages)
        count = 1 + draw.below(min(pages - first, 40))
        paddr, size = slots.first_paddr + first * PAGE_SIZE, count * PAGE_SIZE
        if self._inner.take_range(paddr, size):
            slots.mark(paddr, paddr + size, 0)  # FrameDispatch has no such operation: handed out
            self.ranges.append((paddr, size))

    def add_back(self, draw: Draw) -> None:
        """Frames that come as new memory."""
        if self.ranges:
            self.mm.frame_allocator.add_free_memory(*draw.take(self.ranges))

    def misuse(self, draw: Draw) -> None:
        allocator = self.mm.frame_allocator
        for size in (0, -PAGE_SIZE, 1, PAGE_SIZE + 8):
            if size >= 0:
                with refused(InvalidArgs):
                    allocator.alloc(Layout(size, PAGE_SIZE))
            with refused(FrameMisuse):
                allocator.dealloc(self.mm.slots.first_paddr, size)
        if self.ranges:
            paddr, size = draw.pick(self.ranges)
            with refused(FrameMisuse):
                allocator.dealloc(paddr, size + self.mm.slots.max_paddr)
            with refused(FrameMisuse):
                allocator.dealloc(paddr + 8, PAGE_SIZE)
            with refused(FrameMisuse):
                UniqueFrame.from_unused(self.mm, paddr, Unit())  # for frames in the allocator's hands
