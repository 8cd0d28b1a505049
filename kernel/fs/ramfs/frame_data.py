"""A file as frames: `Vec<Frame<()>>`, a page of the file in each.

The vector is a heap object with the physical address of each frame, whose count it holds. Nothing is ever
moved but the vector. What a frame has behind the end of the file is zero: whatever grows the file later
finds it so.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kernel.errno import Errno, SysError
from kernel.errors import NoMemory
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.frame.frame import Frame
from kernel.mm.frame.meta_type import Unit
from kernel.mm.frame.segment import Segment
from kernel.mm.io.reader import AnyVmReader, VmReader
from kernel.mm.io.writer import AnyVmWriter, VmWriter
from kernel.mm.layout import Layout
from kernel.mm.paging import PAGE_SHIFT, PAGE_SIZE

from .file_data import FileData, require_size, transfer, transfer_all

WORD = 8
"""Bytes of an element of the vector."""
MIN_CAPACITY = 4
"""Elements of the first allocation at least (RawVec::MIN_NON_ZERO_CAP for 8 bytes)."""
MANY = 8
"""Frames that are worth asking for in one go."""


class FrameData(FileData):
    """Contents in frames; see FileData."""

    __slots__ = ()

    def resize(self, size: int) -> None:
        require_size(size)
        state = self._state
        old = state.size
        if size > old:
            self._grow(_pages(size))
            state.size = size
            return
        state.size = size
        self._cut(_pages(size))
        if size % PAGE_SIZE and size < old:
            self._port.fill(self._paddr(size), min(old - size, -size % PAGE_SIZE))

    def frame(self, index: int) -> Frame[Unit] | None:
        state = self._state
        if not 0 <= index < state.length:
            return None
        held: Frame[Unit] = Frame.from_raw(self._mm, self._paddr(index << PAGE_SHIFT))
        try:
            return held.clone()
        finally:
            held.into_raw()

    def hold_frames(self, index: int, count: int) -> list[int]:
        state, slots = self._state, self._mm.slots
        count = min(count, state.length - index)
        if index < 0 or count <= 0:
            return []
        vector = self._mm.vaddr_to_paddr(state.buffer) + WORD * index
        held: list[int] = []
        try:
            for paddr in self._port.load_column(vector, count).tolist():
                slots.slot(paddr)
                slots.add_holder(paddr)
                held.append(paddr)
        except BaseException:
            for paddr in held:
                slots.drop_holder(paddr)
            raise
        return held

    def frames(self) -> list[int]:
        state = self._state
        if not state.length:
            return []
        vector: list[int] = self._port.load_column(self._mm.vaddr_to_paddr(state.buffer), state.length).tolist()
        return vector

    # --- copying ----------------------------------------------------------------------------------------------

    def _copy_out(self, offset: int, size: int, writer: AnyVmWriter) -> tuple[int, SysError | None]:
        mm, linear = self._mm, self._mm.paging.linear_base
        pieces = self._pieces(offset, size)
        if len(pieces) == 1:
            paddr, length = pieces[0]
            return transfer(VmReader.from_kernel_space(mm, paddr + linear, length), writer)
        return transfer_all((VmReader.from_kernel_space(mm, paddr + linear, length), writer)
                            for paddr, length in pieces)

    def _copy_in(self, offset: int, size: int, reader: AnyVmReader) -> tuple[int, SysError | None]:
        state, had, old = self._state, self._state.length, self._state.size
        self._grow(_pages(offset + size))
        mm, linear = self._mm, self._mm.paging.linear_base
        pieces: Iterator[tuple[AnyVmReader, AnyVmWriter]] = (
            (reader, VmWriter.from_kernel_space(mm, paddr + linear, length))
            for paddr, length in self._pieces(offset, size))
        done, fault = transfer_all(pieces)
        if done and offset + done > old:
            state.size = offset + done
        if fault is not None:
            self._cut(max(had, _pages(state.size)))
        return done, fault

    def _pieces(self, offset: int, size: int) -> list[tuple[int, int]]:
        """Where `size` bytes at `offset` lie, in order: addresses and sizes; frames in a row are one piece."""
        first, inside = offset >> PAGE_SHIFT, offset % PAGE_SIZE
        vector = self._mm.vaddr_to_paddr(self._state.buffer) + WORD * first
        if inside + size <= PAGE_SIZE:
            return [(self._port.load(vector) + inside, size)]
        frames = self._port.load_column(vector, _pages(inside + size))
        pieces = []
        for start, end in _rows(frames):
            length = min((end - start) * PAGE_SIZE - inside, size)
            pieces.append((int(frames[start]) + inside, length))
            inside = 0
            size -= length
        return pieces

    def _paddr(self, offset: int) -> int:
        """Where the byte at `offset` lies."""
        return (self._port.load(self._mm.vaddr_to_paddr(self._state.buffer) + WORD * (offset >> PAGE_SHIFT))
                + offset % PAGE_SIZE)

    # --- frames -----------------------------------------------------------------------------------------------

    def _grow(self, pages: int) -> None:
        """Have `pages` frames, new ones zeroed; the old vector is given up only when all of them are there."""
        state, port, heap = self._state, self._port, self._mm.heap
        had, old, capacity = state.length, state.buffer, state.capacity
        if pages <= had:
            return
        try:
            slots = self._mm.slots
            if pages << PAGE_SHIFT > slots.max_paddr - slots.first_paddr:
                raise NoMemory(f"{pages} frames are more than the machine has")
            if pages > capacity:
                larger = max(pages, 2 * capacity, MIN_CAPACITY)
                state.buffer, state.capacity = heap.alloc(Layout(WORD * larger, WORD)), larger
                if had:
                    port.copy(self._mm.vaddr_to_paddr(state.buffer), self._mm.vaddr_to_paddr(old), WORD * had)
            self._add_frames(pages)
        except BaseException as why:
            self._drop_from(had)
            if state.buffer != old:
                heap.dealloc(state.buffer, Layout(WORD * state.capacity, WORD))
                state.buffer, state.capacity = old, capacity
            if isinstance(why, NoMemory):
                raise SysError(Errno.ENOSPC, str(why)) from None
            raise
        if old and state.buffer != old:
            heap.dealloc(old, Layout(WORD * capacity, WORD))

    def _add_frames(self, pages: int) -> None:
        """Have `pages` frames in the vector, which has room for them; many at once are in a row, if there is one."""
        state, port, options = self._state, self._port, FrameAllocOptions(self._mm)
        vector, had = self._mm.vaddr_to_paddr(state.buffer), state.length
        row = pages - had
        while had < pages:
            row = min(row, pages - had)
            if row < MANY:
                row = 1
                port.store(vector + WORD * had, options.alloc_frame().into_raw())
            else:
                try:
                    paddrs = options.alloc_segment(row).into_raw()
                except NoMemory:
                    row //= 2
                    continue
                port.store_column(vector + WORD * had, _addresses(paddrs), row)
            had += row
            state.length = had

    def _cut(self, pages: int) -> None:
        """Keep `pages` frames at most; without any, the vector goes, too."""
        state = self._state
        self._drop_from(pages)
        if not pages and state.capacity:
            self._mm.heap.dealloc(state.buffer, Layout(WORD * state.capacity, WORD))
            state.buffer = state.capacity = 0

    def _drop_from(self, pages: int) -> None:
        """Drop the frames from number `pages` on, the last ones first."""
        state = self._state
        length = state.length
        if length == pages + 1:
            paddr = self._paddr(pages << PAGE_SHIFT)
            state.length = pages
            Frame.from_raw(self._mm, paddr).drop()
        elif length > pages:
            vector = self._mm.vaddr_to_paddr(state.buffer) + WORD * pages
            frames = self._port.load_column(vector, length - pages)
            for start, end in reversed(_rows(frames)):
                state.length = pages + start
                first = int(frames[start])
                Segment.from_raw(self._mm, range(first, first + (end - start) * PAGE_SIZE)).drop()


def _addresses(paddrs: range) -> npt.NDArray[np.uint64]:
    """The address of each frame of a range of bytes."""
    return np.arange(paddrs.start, paddrs.stop, PAGE_SIZE, dtype=np.uint64)


def _rows(frames: npt.NDArray[np.uint64]) -> list[tuple[int, int]]:
    """The parts of a vector whose frames are in a row: first and behind the last, by number."""
    starts = np.flatnonzero(np.diff(frames, prepend=frames[:1]) != PAGE_SIZE).tolist()  # the first's difference is 0
    return list(zip(starts, [*starts[1:], len(frames)], strict=True))


def _pages(size: int) -> int:
    """Frames that `size` bytes need."""
    return size + PAGE_SIZE - 1 >> PAGE_SHIFT
