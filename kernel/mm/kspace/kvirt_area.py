"""Kernel virtual areas: ranges of kernel space that map what one likes (OSTD `mm/kspace/kvirt_area.rs`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kernel.errors import KernelPanic, UseAfterMove
from kernel.mm.frame.frame import Frame, require_frame
from kernel.mm.frame.handle import Handle
from kernel.mm.page_table.items import MappedItemRef
from kernel.mm.page_table.pte import PageProperty
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.tlb.flusher import TlbFlusher, every_cpu
from kernel.mm.tlb.unmap import unmap_range

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class KVirtArea(Handle):
    """A range of kernel virtual addresses, `start` … `end`, and what is mapped in it.

    Dropping it unmaps all, flushes the TLBs of all CPUs, and only then drops the frames and gives back
    the addresses (upstream flushes nothing there, #2849).
    """

    __slots__ = ("_end", "_start")

    _start: int
    _end: int

    @classmethod
    def map_frames(cls, mm: Mm, area_size: int, map_offset: int, frames: Iterable[Frame[Any]],
                   prop: PageProperty) -> KVirtArea:
        """An area of `area_size` bytes with `frames` mapped from `map_offset` on; it takes over their handles.

        KernelPanic if size or offset are no multiples of 4096, if the frames do not fit, or if no addresses
        are left; FrameMisuse for another kernel's frame, UseAfterMove for a handle that is gone or comes twice;
        NoMemory. The handles are still good then.
        """
        _require_aligned(area_size, map_offset)
        given = list(frames)
        for frame in given:
            require_frame(frame, mm, "map_frames")
        if len({id(frame) for frame in given}) != len(given):
            raise UseAfterMove("map_frames takes over each handle once, and was given one of them twice")
        return cls._make(mm, area_size, map_offset, given, 0, len(given) * PAGE_SIZE, prop)

    @classmethod
    def map_untracked_frames(cls, mm: Mm, area_size: int, map_offset: int, pa_range: range,
                             prop: PageProperty) -> KVirtArea:
        """An area of `area_size` bytes with the physical `pa_range`, perhaps empty, mapped from `map_offset` on.

        Nobody counts what is mapped. Errors as for `map_frames`.
        """
        _require_aligned(area_size, map_offset, pa_range.start, pa_range.stop)
        return cls._make(mm, area_size, map_offset, [], pa_range.start, max(pa_range.stop - pa_range.start, 0), prop)

    @classmethod
    def _make(cls, mm: Mm, size: int, offset: int, frames: list[Frame[Any]], paddr: int, length: int,
              prop: PageProperty) -> KVirtArea:
        if size <= 0 or offset < 0 or offset + length > size:
            raise KernelPanic(f"assertion failed: {length:#x} bytes at offset {offset:#x} "
                              f"do not fit an area of {size:#x}")
        start, end = mm.kspace.areas.alloc(size)
        try:
            if length:
                mapped = range(start + offset, start + offset + length)
                with mm.kspace.page_table.cursor_mut(mapped, make_tables=False) as cursor:
                    if frames:
                        cursor.reserve(length)
                    else:
                        cursor.map_range(paddr, length, prop)
                    for frame in frames:
                        cursor.map(frame, prop)
        except BaseException:
            mm.kspace.areas.free(start)
            raise
        return cls._adopt(mm, start, end)

    @classmethod
    def _adopt(cls, mm: Mm, start: int, end: int) -> KVirtArea:
        area = object.__new__(cls)
        area._mm, area._start, area._end, area._held = mm, start, end, True
        return area

    @classmethod
    def from_raw(cls, mm: Mm, start: int) -> KVirtArea:
        """The handle for the area at `start`, given up with `into_raw`; KernelPanic if there is none."""
        for block in mm.kspace.areas.blocks():
            if block.start == start and block.taken:
                return cls._adopt(mm, start, block.end)
        raise KernelPanic(f"no virtual range was allocated at {start:#x}")

    def into_raw(self) -> int:
        """Give up the handle but not the area; its start."""
        self._take()
        return self._start

    def __repr__(self) -> str:
        return f"<KVirtArea {self._start:#x}-{self._end:#x}{'' if self._held else ', gone'}>"

    @property
    def start(self) -> int:
        """The area's first address."""
        return self._start

    @property
    def end(self) -> int:
        """The address behind the area."""
        return self._end

    @property
    def range(self) -> range:
        """The area's addresses."""
        return range(self._start, self._end)

    @property
    def size(self) -> int:
        """Bytes of the area."""
        return self._end - self._start

    def query(self, addr: int) -> MappedItemRef | None:
        """What is mapped at `addr`, None for nothing. KernelPanic outside of the area."""
        self._check()
        if not self._start <= addr < self._end:
            raise KernelPanic(f"assertion failed: {addr:#x} is not in {self}")
        page = addr & -PAGE_SIZE
        with self._mm.kspace.page_table.cursor(range(page, page + PAGE_SIZE), make_tables=False) as cursor:
            return cursor.query()[1]

    def split(self, offset: int) -> tuple[KVirtArea, KVirtArea]:
        """Two areas for this one: `offset` bytes, and the rest.

        KernelPanic unless `offset` is inside and a multiple of 4096; NoMemory.
        """
        self._check()
        if offset & PAGE_SIZE - 1 or not 0 < offset < self.size:
            raise KernelPanic(f"assertion failed: {self} cannot be split at {offset:#x}")
        middle = self._start + offset
        self._mm.kspace.areas.split(self._start, middle)
        self._take()
        return KVirtArea._adopt(self._mm, self._start, middle), KVirtArea._adopt(self._mm, middle, self._end)

    def _release(self) -> None:
        mm = self._mm
        with TlbFlusher(mm, every_cpu, kernel=True) as flusher:
            with mm.kspace.page_table.cursor_mut(self.range, make_tables=False) as cursor:
                unmap_range(cursor, self.size, flusher)
                flusher.dispatch_tlb_flush()
            flusher.sync_tlb_flush()
        mm.kspace.areas.free(self._start)


def _require_aligned(*numbers: int) -> None:
    for number in numbers:
        if number & PAGE_SIZE - 1:
            raise KernelPanic(f"assertion failed: {number:#x} is not a multiple of {PAGE_SIZE}")
