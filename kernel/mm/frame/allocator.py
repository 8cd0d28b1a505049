"""Frame allocation: the injected policy behind checks of our own (OSTD `mm/frame/allocator.rs`).

        FrameAllocOptions ──► FrameDispatch ──► GlobalFrameAllocator (injected)
            claims, zeroes      verifies           decides

Upstream trusts the policy's answers and whatever is given back. Here, before anything changes:

        alloc            every frame of the answer must be in the allocator's hands       AllocatorFault
        dealloc          every frame must have been handed out and have no holder         FrameMisuse
        add_free_memory  the same: a frame that the allocator has cannot be added again   FrameMisuse

An allocator written by others also has a budget of lines (`Watchdog`): a loop becomes AllocatorHung.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, runtime_checkable

from kernel.errors import AllocatorFault, FrameMisuse, InvalidArgs, KernelPanic, NoMemory
from kernel.mm.layout import PAGE_LAYOUT, Layout
from kernel.mm.operations import Moment, OperationKind, tell
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.watchdog import Watchdog

from .frame import Frame
from .meta import FREE, REF_COUNT, TAKEN, UNUSED, VTABLE, MetaSlots
from .meta_type import FrameMeta, Unit, refuse_allocators
from .segment import Segment
from .unique import UniqueFrame

if TYPE_CHECKING:
    from kernel.mm.context import Mm

A = ParamSpec("A")
R = TypeVar("R")
M = TypeVar("M", bound=FrameMeta)


class GlobalFrameAllocator(Protocol):
    """The policy: which free frames an allocation gets (`GlobalFrameAllocator`).

    An allocator that wants to keep its books in the free frames' metadata slots claims them with
    `UniqueFrame.from_unused` and lets go with `reset_as_unused`. It may not use the heap, whose
    allocator stands on this one.
    """

    def alloc(self, layout: Layout) -> int | None:
        """The physical address of `layout.size` bytes (a multiple of 4096), None if there are none."""

    def dealloc(self, paddr: int, size: int) -> None:
        """Take back any page-aligned part of an earlier allocation."""

    def add_free_memory(self, paddr: int, size: int) -> None:
        """Take over frames that were never the allocator's."""


@runtime_checkable
class TakesRanges(Protocol):
    """What an allocator can also offer: memory can then be unplugged."""

    def take_range(self, paddr: int, size: int) -> bool:
        """Hand out exactly these frames; False, with nothing changed, unless all of them are free."""


class FrameDispatch:
    """The frame allocator as the rest of the kernel sees it; `mm.frame_allocator`.

    `watchdog` guards calls of an allocator that is not ours; None for none.
    """

    __slots__ = ("_alloc", "_dealloc", "_mm", "_port", "inner", "name", "watchdog")

    def __init__(self, mm: Mm, inner: GlobalFrameAllocator, watchdog: Watchdog | None = None) -> None:
        self._mm, self._port, self.inner, self.watchdog = mm, mm.port, inner, watchdog
        self.name = type(inner).__name__
        self._alloc, self._dealloc = self._guarded(inner.alloc), self._guarded(inner.dealloc)

    def _guarded(self, call: Callable[A, R]) -> Callable[A, R]:
        """A call of the allocator under the watchdog, if there is one."""
        watchdog, name = self.watchdog, self.name
        if watchdog is None:
            return call
        return lambda *args, **options: watchdog.call(name, call.__name__, call, *args, **options)

    def alloc(self, layout: Layout) -> int | None:
        """Physical address of `layout.size` bytes of unused frames, or None; the caller must claim them.

        Raises InvalidArgs for a size that is no positive multiple of 4096, AllocatorFault, AllocatorHung.
        """
        size, align = layout.size, layout.align
        heard = self._mm.operations is not None
        if heard:
            tell(self._mm, OperationKind.FRAME_ALLOC, Moment.CALL, None, size, align)
        if size <= 0 or size & PAGE_SIZE - 1:
            raise InvalidArgs(f"{size} bytes are not a number of frames")
        paddr = self._alloc(layout)
        if paddr is None:
            if heard:
                tell(self._mm, OperationKind.FRAME_ALLOC, Moment.RETURN, None, size, align)
            return None
        slots = self._mm.slots
        if paddr & (align - 1 | PAGE_SIZE - 1):
            raise AllocatorFault(self.name, "alloc", paddr, size, f"not a multiple of {max(align, PAGE_SIZE)}")
        if not slots.first_paddr <= paddr <= slots.max_paddr - size:
            raise AllocatorFault(self.name, "alloc", paddr, size, _extent(slots))
        if size == PAGE_SIZE:
            slot, port = slots.base + (paddr >> 6), self._port
            if port.load(slot + REF_COUNT) == UNUSED and port.load(slot + VTABLE) == FREE:
                port.store(slot + VTABLE, TAKEN)
                if heard:
                    tell(self._mm, OperationKind.FRAME_ALLOC, Moment.RETURN, paddr, size, align)
                return paddr
        try:
            slots.require_free("alloc", paddr, paddr + size)
        except FrameMisuse as why:
            raise AllocatorFault(self.name, "alloc", paddr, size, f"{why.state}; expected free frames") from None
        slots.mark(paddr, paddr + size, TAKEN)
        if heard:
            tell(self._mm, OperationKind.FRAME_ALLOC, Moment.RETURN, paddr, size, align)
        return paddr

    def dealloc(self, paddr: int, size: int) -> None:
        """Give back frames that have no holder any more: any part of what was allocated, once.

        FrameMisuse for anything else; nothing is changed then.
        """
        slots = self._mm.slots
        heard = self._mm.operations is not None
        if heard:
            tell(self._mm, OperationKind.FRAME_DEALLOC, Moment.CALL, paddr, size)
        if size == PAGE_SIZE and not paddr & PAGE_SIZE - 1 and slots.first_paddr <= paddr < slots.max_paddr:
            slot, port = slots.base + (paddr >> 6), self._port
            if port.load(slot + REF_COUNT) == UNUSED and (was := port.load(slot + VTABLE)) != FREE:
                port.store(slot + VTABLE, FREE)
                try:
                    self._dealloc(paddr, PAGE_SIZE)
                except BaseException:
                    port.store(slot + VTABLE, was)
                    raise
                if heard:
                    tell(self._mm, OperationKind.FRAME_DEALLOC, Moment.RETURN, paddr, size)
                return
        self._give("dealloc", paddr, size, self._dealloc)
        if heard:
            tell(self._mm, OperationKind.FRAME_DEALLOC, Moment.RETURN, paddr, size)

    def add_free_memory(self, paddr: int, size: int) -> None:
        """Give the allocator frames that it never had; FrameMisuse if one has a holder, or is its own already."""
        heard = self._mm.operations is not None
        if heard:
            tell(self._mm, OperationKind.ADD_FREE_MEMORY, Moment.CALL, paddr, size)
        self._give("add_free_memory", paddr, size, self._guarded(self.inner.add_free_memory))
        if heard:
            tell(self._mm, OperationKind.ADD_FREE_MEMORY, Moment.RETURN, paddr, size)

    def take_range(self, paddr: int, size: int) -> bool:
        """Hand out exactly the frames of this range, for the caller to claim; False unless all of them are free.

        InvalidArgs if the injected allocator cannot do that.
        """
        if not isinstance(self.inner, TakesRanges):
            raise InvalidArgs(f"{self.name} cannot take a range of frames out of its free memory")
        heard = self._mm.operations is not None
        if heard:
            tell(self._mm, OperationKind.FRAME_ALLOC, Moment.CALL, paddr, size)
        if not self._guarded(self.inner.take_range)(paddr, size):
            if heard:
                tell(self._mm, OperationKind.FRAME_ALLOC, Moment.RETURN, None, size)
            return False
        try:
            self._mm.slots.require_free("take_range", paddr, paddr + size)
        except FrameMisuse as why:
            raise AllocatorFault(self.name, "take_range", paddr, size, f"{why.state}; expected free frames") from None
        self._mm.slots.mark(paddr, paddr + size, TAKEN)
        if heard:
            tell(self._mm, OperationKind.FRAME_ALLOC, Moment.RETURN, paddr, size)
        return True

    def _give(self, operation: str, paddr: int, size: int, give: Callable[[int, int], None]) -> None:
        slots = self._mm.slots
        whole = "frames that exist" if operation == "add_free_memory" else "what was allocated"
        if paddr & PAGE_SIZE - 1 or size & PAGE_SIZE - 1 or size <= 0:
            raise FrameMisuse(operation, paddr, size, "not a range of whole frames", whole)
        if not slots.first_paddr <= paddr <= slots.max_paddr - size:
            raise FrameMisuse(operation, paddr, size, _extent(slots), whole)
        slots.require_handed_out(operation, paddr, paddr + size)
        slots.mark(paddr, paddr + size, FREE)
        try:
            give(paddr, size)
        except BaseException:
            slots.mark(paddr, paddr + size, TAKEN)
            raise


def _extent(slots: MetaSlots) -> str:
    return f"physical memory is {slots.first_paddr:#x}-{slots.max_paddr:#x}"


class FrameAllocOptions:
    """How frames are to be allocated: `FrameAllocOptions(mm).zeroed(False).alloc_frame()`.

    Frames are zeroed unless one says otherwise. Every method raises NoMemory when there is nothing
    left, MetaTypeError for what is no metadata or an allocator's, and what FrameDispatch.alloc raises.
    """

    __slots__ = ("_mm", "_zeroed")

    def __init__(self, mm: Mm) -> None:
        self._mm, self._zeroed = mm, True

    def zeroed(self, zeroed: bool) -> FrameAllocOptions:
        """Whether contents are zeroed; these options."""
        self._zeroed = zeroed
        return self

    def alloc_frame(self) -> Frame[Unit]:
        """One untyped frame."""
        return self.alloc_frame_with(_UNIT)

    def alloc_frame_with(self, meta: M) -> Frame[M]:
        """One frame with the metadata `meta`."""
        mm = self._mm
        paddr = self._alloc_one(meta)
        mm.slots.claim(paddr, meta)
        return Frame._adopt(mm, paddr, type(meta))

    def alloc_unique(self, meta: M) -> UniqueFrame[M]:
        """One frame with a single holder; MetaTypeError for Accessible metadata."""
        UniqueFrame.require_allowed(type(meta))
        paddr = self._alloc_one(meta)
        return UniqueFrame._claim(self._mm, paddr, meta, free=False)

    def alloc_segment(self, nframes: int) -> Segment[Unit]:
        """`nframes` untyped frames in a row; InvalidArgs for none, KernelPanic for more than 64 bits can count."""
        return self._alloc_segment(nframes, _UNIT, None)

    def alloc_segment_with(self, nframes: int, meta: Callable[[int], M]) -> Segment[M]:
        """The same with metadata: `meta` is called with each frame's physical address, in order."""
        return self._alloc_segment(nframes, None, meta)

    def _alloc_one(self, meta: FrameMeta) -> int:
        self._mm.types.vtable(type(meta))  # nothing may fail between the allocation and the claim
        refuse_allocators(type(meta))
        paddr = self._mm.frame_allocator.alloc(PAGE_LAYOUT)
        if paddr is None:
            raise NoMemory("no free frame")
        if self._zeroed:
            self._mm.port.fill(paddr, PAGE_SIZE)
        return paddr

    def _alloc_segment(self, nframes: int, same: M | None, each: Callable[[int], M] | None) -> Segment[M]:
        mm = self._mm
        if nframes <= 0:
            raise InvalidArgs(f"a segment of {nframes} frames; expected at least one")
        size = nframes * PAGE_SIZE
        if size >= 1 << 64:
            raise KernelPanic(f"attempt to multiply with overflow: {nframes} frames of {PAGE_SIZE} bytes")
        if size >= 1 << 62:
            raise NoMemory(f"no {nframes} free frames in a row")
        paddr = mm.frame_allocator.alloc(Layout(size, PAGE_SIZE))
        if paddr is None:
            raise NoMemory(f"no {nframes} free frames in a row")
        if self._zeroed:
            mm.port.fill(paddr, size)
        return Segment._claim(mm, paddr, paddr + size, same, each)


_UNIT = Unit()

