"""Unique frames: one page with a single holder, who may change its metadata (OSTD `mm/frame/unique.rs`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from kernel.errors import CorruptionError, MetaTypeError

from .frame import Frame
from .page_handle import PageHandle
from .meta import BUSY, REF_COUNT, UNIQUE, VTABLE
from .meta_type import Accessible, FrameMeta, refuse_allocators

if TYPE_CHECKING:
    from kernel.mm.context import Mm

M = TypeVar("M", bound=FrameMeta)
N = TypeVar("N", bound=FrameMeta)


class UniqueFrame(PageHandle[M]):
    """The only reference to a frame with metadata of type `M`, which is never Accessible."""

    __slots__ = ()

    @staticmethod
    def require_allowed(kind: type[FrameMeta]) -> None:
        """MetaTypeError for Accessible metadata: a look-up by address would break uniqueness (R1.4)."""
        if issubclass(kind, Accessible):
            raise MetaTypeError(f"{kind.type_name()} is Accessible: its frames can be looked up by address, "
                                "so no UniqueFrame can have it")

    @classmethod
    def _adopt(cls, mm: Mm, paddr: int, kind: type[N]) -> UniqueFrame[N]:
        frame: UniqueFrame[Any] = object.__new__(cls)
        frame._mm, frame._paddr, frame._type, frame._held = mm, paddr, kind, True
        return frame

    @classmethod
    def _claim(cls, mm: Mm, paddr: int, meta: N, *, free: bool) -> UniqueFrame[N]:
        cls.require_allowed(type(meta))
        mm.slots.claim(paddr, meta, UNIQUE, free=free)
        return cls._adopt(mm, paddr, type(meta))

    @classmethod
    def from_unused(cls, mm: Mm, paddr: int, meta: N) -> UniqueFrame[N]:
        """For frame allocators: the free frame at `paddr`, which must be in the allocator's hands.

        Everybody else gets frames from FrameAllocOptions (R2.2). Raises NotAligned, OutOfBound, InUse,
        Busy, Unique, FrameMisuse for a frame that was handed out, and MetaTypeError for metadata that
        is not an allocator's.
        """
        return cls._claim(mm, paddr, meta, free=True)

    def _release(self) -> None:
        slot = self._mm.slots.base + (self._paddr >> 6)
        self._mm.port.store(slot + REF_COUNT, BUSY)
        self._mm.slots.drop_last(self._paddr, slot, UNIQUE)

    meta_mut = PageHandle.meta
    """The same as `meta`: who has a unique frame may change it."""

    def repurpose(self, meta: N) -> UniqueFrame[N]:
        """The same frame with other metadata: the old one is dropped.

        MetaTypeError for Accessible metadata, and for an allocator's.
        """
        self._check()
        self.require_allowed(type(meta))
        refuse_allocators(type(meta))
        mm, slot = self._mm, self._mm.slots.base + (self._paddr >> 6)
        vtable = mm.types.vtable(type(meta))
        mm.slots.kind(self._paddr).at(mm.port, slot).on_drop(mm, self._paddr)
        self._take()
        mm.port.store(slot + VTABLE, vtable)
        mm.port.write(slot, meta.to_bytes())
        return UniqueFrame._adopt(mm, self._paddr, type(meta))

    def reset_as_unused(self) -> None:
        """For frame allocators: leave the frame, claimed with `from_unused`, in the allocator's hands.

        FrameMisuse for any other frame: it would be free, and in nobody's books.
        """
        self._check()
        self._mm.slots.reset(self._paddr, self._mm.slots.base + (self._paddr >> 6))
        self._take()

    def into_frame(self) -> Frame[M]:
        """The frame as one that can have more holders (`From<UniqueFrame> for Frame`)."""
        self._take()
        self._mm.port.store(self._mm.slots.base + (self._paddr >> 6) + REF_COUNT, 1)
        return Frame._adopt(self._mm, self._paddr, self._type)

    def into_raw(self) -> int:
        """Give up the handle but not the frame; the physical address, for `from_raw`."""
        self._take()
        return self._paddr

    @staticmethod
    def from_raw(mm: Mm, paddr: int, kind: type[N] | None = None) -> UniqueFrame[N]:
        """The handle given up with `into_raw`; CorruptionError if the frame is not unique, or not of type `kind`."""
        slot = mm.slots.slot(paddr)
        if mm.port.load(slot + REF_COUNT) != UNIQUE:
            raise CorruptionError(f"frame {paddr:#x} is {mm.slots.state(paddr)}; expected a unique one")
        actual = mm.types.kind(mm.port.load(slot + VTABLE))
        if kind is not None and not issubclass(actual, kind):
            raise CorruptionError(f"frame {paddr:#x} has metadata {actual.type_name()}, expected {kind.type_name()}")
        return UniqueFrame._adopt(mm, paddr, cast("type[N]", actual))
