"""Cursors over a user address space (OSTD `vm_space::Cursor`, `CursorMut`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from kernel.errors import AccessDenied, InvalidArgs, KernelPanic, MetaTypeError, PageTableError
from kernel.mm.frame.frame import Frame, FrameRef, UFrame
from kernel.mm.frame.handle import Handle
from kernel.mm.frame.meta import VTABLE
from kernel.mm.frame.meta_type import AnyUFrameMeta
from kernel.mm.io_mem import IoMem
from kernel.mm.page_table import cursor as pt
from kernel.mm.page_table.cursor_mut import CursorMut as PtCursorMut
from kernel.mm.page_table.items import MappedItemRef, Untracked
from kernel.mm.page_table.pte import CachePolicy, PageFlags, PageProperty
from kernel.mm.page_table.sharing import map_row, share
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.tlb.cpu_set import AtomicCpuSet
from kernel.mm.tlb.flusher import ALL, FLUSH_ALL_PAGES_THRESHOLD, TlbFlusher
from kernel.mm.tlb.unmap import unmap_range

from .iomem_list import IoMemList

if TYPE_CHECKING:
    from kernel.mm.context import Mm

    from .vm_space import VmSpace

UserProtectOp = Callable[[PageFlags, CachePolicy], tuple[PageFlags, CachePolicy]]
"""Gives a page's new flags and cache policy for its old ones."""


class MappedRam(NamedTuple):
    """A mapped frame; borrowed from the mapping."""

    frame: FrameRef[AnyUFrameMeta]
    prop: PageProperty


class MappedIoMem(NamedTuple):
    """A mapped page of I/O memory."""

    paddr: int
    prop: PageProperty


VmQueriedItem: TypeAlias = MappedRam | MappedIoMem


class Cursor(Handle):
    """Looks at a locked range of a space: `with space.cursor(range(a, b)) as cursor: …`.

    Addresses are bytes, multiples of 4096. No other cursor, looking or changing, can have a part of the
    range meanwhile.
    """

    __slots__ = ("_cursor",)

    _cursor: pt.Cursor

    def __init__(self, space: VmSpace, va: range) -> None:
        self._held = False
        self._mm = space._mm
        try:
            self._cursor = space.page_table.cursor(va)
        except PageTableError as error:
            raise AccessDenied(str(error)) from error
        self._held = True

    def _release(self) -> None:
        self._cursor.drop()

    def __repr__(self) -> str:
        return repr(self._cursor)

    @property
    def virt_addr(self) -> int:
        """The address where the cursor stands."""
        return self._cursor.virt_addr

    def query(self) -> tuple[range, VmQueriedItem | None]:
        """The addresses that the entry at the cursor maps, and what; None for nothing.

        AccessDenied at the end of the range.
        """
        try:
            va, item = self._cursor.query()
        except PageTableError as error:
            raise AccessDenied(str(error)) from error
        return va, None if item is None else _queried(item)

    def find_next(self, length: int) -> int | None:
        """Move to the next mapped page within `length` bytes; its address, None if there is none.

        KernelPanic if `length` is not a multiple of 4096 or goes beyond the range.
        """
        return self._cursor.find_next(length)

    def absent(self, length: int) -> list[range]:
        """Where nothing is mapped within the next `length` bytes, ascending; the cursor stays where it is.

        KernelPanic if `length` is not a multiple of 4096 or goes beyond the range.
        """
        return self._cursor.absent(length)

    def jump(self, va: int) -> None:
        """Move to `va`. AccessDenied outside of the range, KernelPanic if it is not page-aligned."""
        try:
            self._cursor.jump(va)
        except PageTableError as error:
            raise AccessDenied(str(error)) from error


class CursorMut(Cursor):
    """Changes a locked range of a space: `with space.cursor_mut(range(a, b)) as cursor: …`.

    What it unmaps it keeps until the TLBs are flushed: until `flusher.sync_tlb_flush()`, or its own end.
    """

    __slots__ = ("_changes", "_flusher", "_map", "_root")

    _changes: PtCursorMut

    def __init__(self, space: VmSpace, va: range) -> None:
        self._held = False
        self._mm: Mm = space._mm
        try:
            self._cursor = self._changes = space.page_table.cursor_mut(va)
        except PageTableError as error:
            raise AccessDenied(str(error)) from error
        self._held = True
        self._map = self._changes.map
        self._root = self._changes.root_paddr
        self._flusher: TlbFlusher | None = None

    def _release(self) -> None:
        # The flusher first: it reads the space's CPU set, which lives as long as the cursor holds the root.
        if self._flusher is not None and self._flusher.held:
            self._flusher.drop()
        self._cursor.drop()

    @property
    def flusher(self) -> TlbFlusher:
        """The cursor's TLB flusher."""
        if self._flusher is None:
            self._check()
            self._flusher = TlbFlusher(self._mm, AtomicCpuSet.of_root(self._mm, self._root).load)
        return self._flusher

    def map(self, frame: UFrame, prop: PageProperty) -> None:
        """Map `frame` at the cursor and move behind it; the mapping takes over the handle's count.

        MetaTypeError for a typed frame, FrameMisuse for another kernel's, KernelPanic at the range's end or if
        something is mapped there, NoMemory. The handle is still good then.
        """
        if isinstance(frame, Frame) and not issubclass(frame._type, AnyUFrameMeta):
            raise MetaTypeError(f"{frame} is typed: user space may map untyped frames only")
        self._map(frame, prop)

    def map_held(self, frames: Sequence[int], prop: PageProperty) -> None:
        """Map frames, at the cursor and behind it, in a row within one table (2 MiB), and move behind them.

        They are given by physical address, with a count on each, which the mappings take over; after an error all are
        given up. MetaTypeError if one is typed, KernelPanic beyond the range or if something is mapped there, NoMemory.
        """
        mm = self._mm
        try:
            self._check()
            for vtable in {mm.port.load(mm.slots.slot(paddr) + VTABLE) for paddr in frames}:
                if not issubclass(kind := mm.types.kind(vtable), AnyUFrameMeta):
                    raise MetaTypeError(f"{kind.type_name()} is typed: user space may map untyped frames only")
            map_row(self._changes, frames, prop)
        except BaseException:
            for paddr in frames:
                mm.slots.drop_holder(paddr)
            raise

    def share(self, other: CursorMut, length: int, *, copy_on_write: bool) -> int:
        """Map the frames of the next `length` bytes in another space, at the same addresses; how many pages.

        Both cursors end behind the bytes. `copy_on_write` takes W from both spaces' pages; A and D are not set in
        the other's. I/O memory is left out. The flush of what lost W is issued, not dispatched. KernelPanic if
        `length` is not a multiple of 4096 or goes beyond one of the ranges, or if the other space maps one of the
        pages; FrameMisuse for another kernel's space. NoMemory: what was mapped until then stays.
        """
        self._check()
        other._check()
        pages = 0
        for run in share(self._changes, other._changes, length, copy_on_write=copy_on_write):
            pages += run.pages
            if run.weakened:
                self.flusher.push(run.va, run.pages if run.pages < FLUSH_ALL_PAGES_THRESHOLD else ALL)
        return pages

    def map_iomem(self, io_mem: IoMem, prop: PageProperty, length: int, offset: int) -> None:
        """Map `length` bytes of `io_mem` from `offset` on, and move behind them; the space remembers `io_mem`.

        KernelPanic if length or offset is no multiple of 4096, or something is mapped there. InvalidArgs if the
        bytes are not all in `io_mem` (upstream maps those that are, and does not tell), if there are none, or
        if `io_mem` is not of whole pages. AccessDenied if it is RAM of this machine. NoMemory. Nothing is changed
        then.
        """
        if (length | offset) & PAGE_SIZE - 1:
            raise KernelPanic(f"assertion failed: {length:#x} bytes from {offset:#x} are not whole pages")
        if length <= 0 or offset < 0 or offset + length > io_mem.size:
            raise InvalidArgs(f"{length:#x} bytes from {offset:#x} are not in I/O memory of {io_mem.size:#x} bytes")
        if self._mm.port.touches(io_mem.paddr, io_mem.size):  # it was acquired from another kernel, or not at all
            raise AccessDenied(f"{io_mem} has RAM in it, which is no I/O memory")
        if (io_mem.paddr | io_mem.size) & PAGE_SIZE - 1:
            raise InvalidArgs(f"I/O memory of {io_mem.size:#x} bytes at {io_mem.paddr:#x} is not of whole pages")
        self._check()
        iomems = IoMemList.of_root(self._mm, self._root)
        added = iomems.add(io_mem)
        try:
            self._changes.map_range(io_mem.paddr + offset, length, prop, 1)
        except BaseException:
            if added:
                iomems.remove_last()
            raise

    def find_iomem_by_paddr(self, paddr: int) -> tuple[IoMem, int] | None:
        """The I/O memory mapped at some time that has physical `paddr`, and the offset in it; None if there is none."""
        self._check()
        for io_mem in IoMemList.of_root(self._mm, self._root):
            if io_mem.paddr <= paddr < io_mem.paddr + io_mem.size:
                return io_mem, paddr - io_mem.paddr
        return None

    def unmap(self, length: int) -> int:
        """Unmap the next `length` bytes; the number of pages that were mapped, without those of single I/O pages.

        Dispatches the TLB flush; the frames are dropped after it. KernelPanic if `length` is not a multiple of
        4096 or goes beyond the range; NoMemory if a huge page had to be split.
        """
        self._check()
        try:
            return unmap_range(self._changes, length, self.flusher)
        finally:
            self.flusher.dispatch_tlb_flush()

    def protect_next(self, length: int, op: UserProtectOp) -> range | None:
        """Give the next mapped page within `length` bytes new flags and cache policy, and move behind it.

        The addresses that it maps; None if there is none. No TLB is flushed: see `flusher`. KernelPanic if
        `length` is not a multiple of 4096 or goes beyond the range; NoMemory if a huge page had to be split.
        """

        def change(prop: PageProperty) -> PageProperty:
            flags, cache = op(prop.flags, prop.cache)
            return PageProperty(flags, cache, prop.priv_flags)

        return self._changes.protect_next(length, change)


def _queried(item: MappedItemRef) -> VmQueriedItem:
    if isinstance(item, Untracked):
        return MappedIoMem(item.paddr, item.prop)
    return MappedRam(item.frame, item.prop)
