"""Segments: counted handles to pages in a row (OSTD `mm/frame/segment.rs`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

import numpy as np

from kernel.errors import CorruptionError, KernelPanic, MetaTypeError, NotAligned, OutOfBound
from kernel.mm.io.reader import VmReader
from kernel.mm.io.vm_io import VmIo
from kernel.mm.io.writer import VmWriter
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SIZE

from .frame import Frame
from .handle import Handle
from .meta import BUSY, REF_COUNT, REF_COUNT_MAX, UNUSED
from .meta_type import AnyUFrameMeta, FrameMeta
from .page_handle import require_untyped

if TYPE_CHECKING:
    from kernel.mm.context import Mm

M = TypeVar("M", bound=FrameMeta)
N = TypeVar("N", bound=FrameMeta)


class Segment(Handle, VmIo, Generic[M]):
    """A reference to each frame of a range of physical memory, all with metadata of type `M`.

    The handle is a range only: the counts are in the frames' slots. Segments are never empty.
    """

    __slots__ = ("_end", "_start", "_type")

    _start: int
    _end: int
    _type: type[M]

    @classmethod
    def _adopt(cls, mm: Mm, start: int, end: int, kind: type[N]) -> Segment[N]:
        segment: Segment[Any] = object.__new__(cls)
        segment._mm, segment._start, segment._end, segment._type, segment._held = mm, start, end, kind, True
        return segment

    @classmethod
    def _claim(cls, mm: Mm, start: int, end: int, same: N | None, each: Callable[[int], N] | None) -> Segment[N]:
        """Claim frames that were handed out: all with the metadata `same`, or with what `each` gives for an address.

        When `each` raises, or a frame cannot be claimed, the frames claimed so far are dropped, and all go
        back to the allocator.
        """
        if same is not None:
            try:
                mm.types.vtable(type(same))
                mm.slots.claim_range(start, end, same)
            except BaseException:
                mm.frame_allocator.dealloc(start, end - start)
                raise
            return cls._adopt(mm, start, end, type(same))
        assert each is not None
        kind: type[N] | None = None
        paddr = start
        try:
            for paddr in range(start, end, PAGE_SIZE):
                meta = each(paddr)
                if kind is None:
                    kind = type(meta)
                elif type(meta) is not kind:
                    raise MetaTypeError(f"frame {paddr:#x} got metadata {type(meta).__name__}, "
                                        f"those before {kind.__name__}")
                mm.slots.claim(paddr, meta)
        except BaseException:
            for claimed in range(start, paddr, PAGE_SIZE):
                mm.slots.drop_holder(claimed)
            mm.frame_allocator.dealloc(paddr, end - paddr)
            raise
        assert kind is not None
        return cls._adopt(mm, start, end, kind)

    @classmethod
    def from_unused(cls, mm: Mm, start: int, end: int, meta: Callable[[int], N]) -> Segment[N]:
        """For the kernel's own use: frames that FrameDispatch.alloc handed out.

        Raises NotAligned for either end, OutOfBound, KernelPanic for an empty range, FrameMisuse for frames
        that are not handed out. When `meta` raises, the frames go back to the allocator.
        """
        for end_of_range in (start, end):
            if end_of_range & PAGE_SIZE - 1:
                raise NotAligned(f"{end_of_range:#x} is not a multiple of {PAGE_SIZE}", end_of_range)
        if end > mm.slots.max_paddr or start < mm.slots.first_paddr:
            raise OutOfBound(f"{end:#x} is above all physical memory, which ends at {mm.slots.max_paddr:#x}", end)
        if start >= end:
            raise KernelPanic(f"a segment of no frame: {start:#x} to {end:#x}")
        mm.slots.require_handed_out("claim", start, end)
        return cls._claim(mm, start, end, None, meta)

    @classmethod
    def from_frame(cls, frame: Frame[N]) -> Segment[N]:
        """A segment of one frame, which moves into it."""
        return frame.into_segment()

    def __repr__(self) -> str:
        return f"<Segment {self._start:#x}-{self._end:#x} {self._type.type_name()}{'' if self._held else ', gone'}>"

    # --- what it is -----------------------------------------------------------------------------------------

    @property
    def paddr(self) -> int:
        """Physical address of the first byte (`start_paddr`)."""
        self._check()
        return self._start

    @property
    def start_paddr(self) -> int:
        """Physical address of the first byte."""
        self._check()
        return self._start

    @property
    def end_paddr(self) -> int:
        """Physical address behind the last byte."""
        self._check()
        return self._end

    @property
    def paddr_range(self) -> range:
        """Physical addresses of all bytes."""
        return range(self._start, self._end)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._end - self._start

    @property
    def nframes(self) -> int:
        """Frames."""
        return self._end - self._start >> 12

    def __len__(self) -> int:
        return self.nframes

    # --- parts ----------------------------------------------------------------------------------------------

    def split(self, offset: int) -> tuple[Segment[M], Segment[M]]:
        """Two segments, of the first `offset` bytes and of the rest; this handle is used up.

        KernelPanic unless `offset` is a multiple of 4096 within the segment, neither end included.
        """
        self._check()
        if offset & PAGE_SIZE - 1:
            raise KernelPanic(f"segment offset {offset:#x} is not page-aligned for splitting")
        if not 0 < offset < self.size:
            raise KernelPanic(f"segment virtual address out-of-bound for splitting: {offset:#x} of {self.size:#x}")
        self._take()
        middle = self._start + offset
        return (Segment._adopt(self._mm, self._start, middle, self._type),
                Segment._adopt(self._mm, middle, self._end, self._type))

    def slice(self, start: int, end: int) -> Segment[M]:
        """One more reference to the frames in bytes `start` … `end` of the segment.

        KernelPanic unless both are multiples of 4096 in bounds, and for an empty slice (#3892: it would
        own nothing, yet keep an address).
        """
        self._check()
        if start & PAGE_SIZE - 1 or end & PAGE_SIZE - 1:
            raise KernelPanic(f"segment range {start:#x}-{end:#x} is not page-aligned for slicing")
        if not 0 <= start < end <= self.size:
            raise KernelPanic(f"segment virtual address out-of-bound for slicing: {start:#x}-{end:#x} "
                              f"of {self.size:#x}")
        self._add_holders(self._start + start, self._start + end)
        return Segment._adopt(self._mm, self._start + start, self._start + end, self._type)

    def clone(self) -> Segment[M]:
        """One more reference to every frame."""
        self._check()
        self._add_holders(self._start, self._end)
        return Segment._adopt(self._mm, self._start, self._end, self._type)

    def __iter__(self) -> Iterator[Frame[M]]:
        """Hand over the frames one by one; whoever stops early leaves the rest in the segment."""
        self._check()
        while self._held:
            yield self.next_frame()

    def next_frame(self) -> Frame[M]:
        """The first frame, which leaves the segment; the last one uses the handle up."""
        self._check()
        frame = Frame._adopt(self._mm, self._start, self._type)
        if self._start + PAGE_SIZE == self._end:
            self._take()
        else:
            self._start += PAGE_SIZE
        return frame

    def into_raw(self) -> range:
        """Give up the handle but not the counts; the physical addresses, for `from_raw`."""
        self._take()
        return range(self._start, self._end)

    @staticmethod
    def from_raw(mm: Mm, paddrs: range) -> Segment[Any]:
        """The handle given up with `into_raw`; CorruptionError if a frame has no count to adopt."""
        counts = mm.port.load_column(mm.slots.slot(paddrs.start) + REF_COUNT, len(paddrs) >> 12, META_SLOT_SIZE)
        wrong = (counts == BUSY) | (counts >= REF_COUNT_MAX)
        if not len(paddrs) or wrong.any():
            raise CorruptionError(f"{paddrs.start:#x}-{paddrs.stop:#x}: not every frame has a count to adopt")
        return Segment._adopt(mm, paddrs.start, paddrs.stop, cast("type[Any]", mm.slots.kind(paddrs.start)))

    # --- conversions ----------------------------------------------------------------------------------------

    def into_dyn(self) -> Segment[FrameMeta]:
        """The same references with their type forgotten."""
        self._check()
        kind = self._mm.slots.kind(self._start)
        self._take()
        return Segment._adopt(self._mm, self._start, self._end, kind)

    def downcast(self, kind: type[N]) -> Segment[N]:
        """The same references as a segment of metadata type `kind`.

        MetaTypeError if it is none; the handle is still good then. As upstream, only the first frame
        is looked at: all have the same type.
        """
        self._check()
        actual = self._mm.slots.kind(self._start)
        if not issubclass(actual, kind):
            raise MetaTypeError(f"segment {self._start:#x} has metadata {actual.type_name()}, not {kind.type_name()}")
        self._take()
        return Segment._adopt(self._mm, self._start, self._end, actual)

    def into_usegment(self) -> USegment:
        """The same references as an untyped segment; MetaTypeError (the handle is still good) if it is typed."""
        return self.downcast(AnyUFrameMeta)

    # --- contents -------------------------------------------------------------------------------------------

    def reader(self) -> VmReader:
        """Reads the segment from its start; AccessDenied for a typed one."""
        self._check()
        require_untyped(self._type, self._start)
        return VmReader.from_kernel_space(self._mm, self._mm.paddr_to_vaddr(self._start), self.size, self._check)

    def writer(self) -> VmWriter:
        """Writes the segment from its start; AccessDenied for a typed one."""
        self._check()
        require_untyped(self._type, self._start)
        return VmWriter.from_kernel_space(self._mm, self._mm.paddr_to_vaddr(self._start), self.size, self._check)

    # --- counts ---------------------------------------------------------------------------------------------

    def _add_holders(self, start: int, end: int) -> None:
        port, slots = self._mm.port, self._mm.slots
        column = slots.base + (start >> 6) + REF_COUNT
        counts = port.load_column(column, end - start >> 12, META_SLOT_SIZE)
        self._require_counts(counts, start)
        port.store_column(column, counts + np.uint64(1), len(counts), META_SLOT_SIZE)

    def _require_counts(self, counts: np.ndarray[Any, np.dtype[np.uint64]], start: int) -> None:
        wrong = (counts == BUSY) | (counts >= REF_COUNT_MAX - 1)
        if wrong.any():
            first = start + int(wrong.argmax()) * PAGE_SIZE
            raise CorruptionError(f"frame {first:#x} of a segment is {self._mm.slots.state(first)}; "
                                  "expected one in use")

    def _release(self) -> None:
        """Take a holder away from every frame; runs of frames without any go back in one piece."""
        mm = self._mm
        if self._end - self._start == PAGE_SIZE or not self._type.drops_silently():
            while self._start < self._end:
                mm.slots.drop_holder(self._start)
                self._start += PAGE_SIZE
            return
        port, slots = mm.port, mm.slots
        column = slots.base + (self._start >> 6) + REF_COUNT
        counts = port.load_column(column, self.nframes, META_SLOT_SIZE)
        self._require_counts(counts, self._start)
        last = counts == 1
        counts -= np.uint64(1)
        counts[last] = UNUSED
        port.store_column(column, counts, len(counts), META_SLOT_SIZE)
        for start, end in _runs(last):
            mm.frame_allocator.dealloc(self._start + start * PAGE_SIZE, (end - start) * PAGE_SIZE)


def _runs(flags: np.ndarray[Any, np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    """The runs of true values: first index, and the one behind the last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


USegment: TypeAlias = Segment[AnyUFrameMeta]
"""A segment of bytes, whatever its metadata."""

