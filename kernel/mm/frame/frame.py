"""Frames: counted handles to one page of physical memory (OSTD `mm/frame/mod.rs`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from kernel.errors import CorruptionError, FrameMisuse, GetFrameError, MetaTypeError
from kernel.mm.io.vm_io import VmIo
from kernel.mm.paging import PAGE_SIZE

from .page_handle import PageHandle
from .meta import BUSY, REF_COUNT, UNIQUE, VTABLE
from .meta_type import Accessible, AnyUFrameMeta, FrameMeta, refuse_allocators

if TYPE_CHECKING:
    from kernel.mm.context import Mm

    from .segment import Segment
    from .unique import UniqueFrame

M = TypeVar("M", bound=FrameMeta)
N = TypeVar("N", bound=FrameMeta)


class Frame(PageHandle[M], VmIo):
    """A counted reference to a frame with metadata of type `M`.

    Frames come from FrameAllocOptions, `clone`, `access`, and conversions. The last one dropped gives
    the page back to the allocator. Two are equal if they are of the same frame. Untyped frames are also
    VmIo: `frame.write_bytes(0, b"…")`.
    """

    __slots__ = ()

    @classmethod
    def _adopt(cls, mm: Mm, paddr: int, kind: type[M]) -> Frame[M]:
        """A handle for a count that somebody already holds."""
        frame: Frame[M] = object.__new__(cls)
        frame._mm, frame._paddr, frame._type, frame._held = mm, paddr, kind, True
        return frame

    def _release(self) -> None:
        self._mm.slots.drop_holder(self._paddr)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and other._paddr == self._paddr and other._mm is self._mm

    def __hash__(self) -> int:
        return hash(self._paddr)

    # --- what it is -----------------------------------------------------------------------------------------

    @property
    def map_level(self) -> int:
        """The page-table level at which the frame is mapped: 1."""
        return 1

    @property
    def reference_count(self) -> int:
        """How many hold the frame at this moment."""
        self._check()
        return self._mm.port.load(self._mm.slots.base + (self._paddr >> 6) + REF_COUNT)

    # --- more and fewer -------------------------------------------------------------------------------------

    def clone(self) -> Frame[M]:
        """One more reference."""
        self._check()
        self._mm.slots.add_holder(self._paddr)
        return Frame._adopt(self._mm, self._paddr, self._type)

    def borrow(self) -> FrameRef[M]:
        """A reference that is not counted, good as long as this frame is held."""
        self._check()
        return FrameRef(self)

    def into_raw(self) -> int:
        """Give up the handle but not the count; the physical address, for `from_raw`. Without one, it leaks."""
        self._take()
        return self._paddr

    @staticmethod
    def from_raw(mm: Mm, paddr: int) -> Frame[Any]:
        """The handle for a count given up with `into_raw`; CorruptionError if the frame has no count."""
        slots = mm.slots
        slot = slots.slot(paddr)
        count = mm.port.load(slot + REF_COUNT)
        if not 0 < count < UNIQUE:
            raise CorruptionError(f"frame {paddr:#x} has no count to adopt: it is {slots.state(paddr)}")
        return Frame._adopt(mm, paddr, cast("type[Any]", mm.types.kind(mm.port.load(slot + VTABLE))))

    @staticmethod
    def from_in_use(mm: Mm, paddr: int) -> Frame[FrameMeta]:
        """One more reference to whatever frame is at `paddr`.

        Raises NotAligned, OutOfBound, Unused, Busy or Unique (`Frame::from_in_use`).
        """
        slot = mm.slots.get_from_in_use(paddr)
        return Frame._adopt(mm, paddr, mm.types.kind(mm.port.load(slot + VTABLE)))

    # --- accessible frames (R1) -----------------------------------------------------------------------------

    @staticmethod
    def access(mm: Mm, paddr: int, kind: type[N]) -> Frame[N] | None:
        """One more reference to the frame at `paddr`, if it has a holder and metadata of type `kind`; else None.

        MetaTypeError if `kind` is not Accessible. The type is read when the count is already held: before
        that, the frame could become another one.
        """
        if not issubclass(kind, Accessible):
            raise MetaTypeError(f"{kind.__name__} is not Accessible: its frames cannot be looked up by address")
        try:
            slot = mm.slots.get_from_in_use(paddr)
        except GetFrameError:
            return None
        frame: Frame[Any] = Frame._adopt(mm, paddr, kind)
        if mm.port.load(slot + VTABLE) == mm.types.vtable(kind):
            return frame
        frame.drop()
        return None

    def make_inaccessible(self, new: Callable[[M], N]) -> UniqueFrame[N] | None:
        """Turn the frame into a UniqueFrame with the metadata `new(old)`, if this is its only holder.

        Meanwhile the count is that of a busy frame, which no `access` gets past. With other holders the
        result is None, and this handle is still good. MetaTypeError if the new metadata is Accessible.
        """
        from .unique import UniqueFrame

        self._check()
        mm, slot = self._mm, self._mm.slots.base + (self._paddr >> 6)
        if mm.port.compare_exchange(slot + REF_COUNT, 1, BUSY) != 1:
            return None
        try:
            meta = new(self._type.at(mm.port, slot))
            UniqueFrame.require_allowed(type(meta))
            refuse_allocators(type(meta))
            vtable, data = mm.types.vtable(type(meta)), meta.to_bytes()
        except BaseException:
            mm.port.store(slot + REF_COUNT, 1)
            raise
        self._take()
        mm.port.store(slot + VTABLE, vtable)
        mm.port.write(slot, data)
        mm.port.store(slot + REF_COUNT, UNIQUE)
        return UniqueFrame._adopt(mm, self._paddr, type(meta))

    # --- conversions ----------------------------------------------------------------------------------------

    def into_dyn(self) -> Frame[FrameMeta]:
        """The same reference with its type forgotten."""
        self._check()
        kind = self._mm.slots.kind(self._paddr)
        self._take()
        return Frame._adopt(self._mm, self._paddr, kind)

    def downcast(self, kind: type[N]) -> Frame[N]:
        """The same reference as a frame of metadata type `kind`.

        MetaTypeError if it is none; the handle is still good then.
        """
        self._check()
        actual = self._mm.slots.kind(self._paddr)
        if not issubclass(actual, kind):
            raise MetaTypeError(f"frame {self._paddr:#x} has metadata {actual.type_name()}, not {kind.type_name()}")
        self._take()
        return Frame._adopt(self._mm, self._paddr, actual)

    def into_uframe(self) -> UFrame:
        """The same reference as an untyped frame; MetaTypeError (the handle is still good) if it is typed."""
        kind = self._type
        if not issubclass(kind, AnyUFrameMeta):
            return self.downcast(AnyUFrameMeta)
        self._take()
        return Frame._adopt(self._mm, self._paddr, kind)

    def try_into_unique(self) -> UniqueFrame[M] | None:
        """The frame as a UniqueFrame if this is its only holder, else None, and this handle is still good.

        MetaTypeError for Accessible metadata.
        """
        from .unique import UniqueFrame

        self._check()
        UniqueFrame.require_allowed(self._type)
        slot = self._mm.slots.base + (self._paddr >> 6)
        if self._mm.port.compare_exchange(slot + REF_COUNT, 1, UNIQUE) != 1:
            return None
        self._take()
        return UniqueFrame._adopt(self._mm, self._paddr, self._type)

    def into_segment(self) -> Segment[M]:
        """A segment of this one frame."""
        from .segment import Segment

        self._take()
        return Segment._adopt(self._mm, self._paddr, self._paddr + PAGE_SIZE, self._type)


def require_frame(frame: object, mm: Mm, operation: str) -> None:
    """For operations that take over a frame's count: that it is one, and `mm`'s; the handle is good after an error.

    TypeError for anything but a Frame (a UniqueFrame has no count to give), UseAfterMove for one that is
    gone, FrameMisuse for another kernel's.
    """
    if not isinstance(frame, Frame):
        raise TypeError(f"{operation} takes a Frame, not {frame!r}")
    frame._check()
    if frame._mm is not mm:
        raise FrameMisuse(operation, frame._paddr, PAGE_SIZE, "a frame of another kernel", "one of this kernel")


class FrameRef(Generic[M]):
    """A frame that is borrowed from a holder: not counted, nothing to drop (`FrameRef`).

    UseAfterMove when the holder is gone.
    """

    __slots__ = ("_frame",)

    def __init__(self, frame: Frame[M]) -> None:
        self._frame = frame

    def get(self) -> Frame[M]:
        """The frame itself; do not drop or move it."""
        self._frame._check()
        return self._frame

    @property
    def paddr(self) -> int:
        """Physical address of the frame."""
        return self.get().paddr

    @property
    def meta(self) -> M:
        """The frame's metadata."""
        return self.get().meta

    @property
    def reference_count(self) -> int:
        """How many hold the frame; borrowers do not count."""
        return self.get().reference_count

    def clone(self) -> Frame[M]:
        """A counted reference of one's own."""
        return self.get().clone()


UFrame: TypeAlias = Frame[AnyUFrameMeta]
"""A frame of bytes, whatever its metadata."""
