"""Types of frame metadata: what a metadata slot's 40 bytes of storage mean (OSTD `AnyFrameMeta`).

    class PageCacheMeta(AnyUFrameMeta):
        file = u64()
        index = u64()
        dirty = u8()

A type's fields lie in the slot where its declaration puts them, so that a dump of the slot is the truth.
Two markers exist: AnyUFrameMeta for frames whose contents are plain bytes, which anybody who holds the
frame may read and write, and Accessible for frames that may be looked up by their address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kernel.errors import FrameMisuse, MetaTypeError
from kernel.mm.fields import Struct, u64
from kernel.mm.paging import PAGE_SIZE

if TYPE_CHECKING:
    from kernel.mm.context import Mm

STORAGE_SIZE = 40
"""Bytes of a slot that hold metadata."""


class FrameMeta(Struct):
    """A frame metadata type: a struct of at most 40 bytes. MetaTypeError at its declaration otherwise.

    Pass one to `FrameAllocOptions.alloc_frame_with`; `Frame.meta` gives one back that lies in the slot.
    """

    TYPE_NAME: ClassVar[str] = ""
    """How type tables and views call it; the class's own name unless it says otherwise."""

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        if cls.SIZE > STORAGE_SIZE:
            raise MetaTypeError(f"frame metadata {cls.__name__} has {cls.SIZE} bytes; a slot stores {STORAGE_SIZE}")

    def on_drop(self, mm: Mm, paddr: int) -> None:
        """Called before the frame at `paddr`, which had this metadata, becomes unused; does nothing by itself.

        An exception keeps the frame with its last holder.
        """

    @classmethod
    def type_name(cls) -> str:
        """The type's name as people see it."""
        return cls.TYPE_NAME or cls.__name__

    @classmethod
    def drops_silently(cls) -> bool:
        """Whether the type leaves `on_drop` as it is."""
        return cls.on_drop is FrameMeta.on_drop


class AnyUFrameMeta(FrameMeta):
    """A marker: the frame is untyped, its contents are bytes for everybody who holds it (`AnyUFrameMeta`)."""


class Accessible(FrameMeta):
    """A marker: the frame can be looked up by address (`Frame.access`), and so never be a UniqueFrame."""


class AllocatorMeta(FrameMeta):
    """A marker: metadata that a frame allocator keeps in frames that are free (`UniqueFrame.from_unused`).

    Such a frame is given up with `reset_as_unused`. It cannot be dropped: that would give the allocator a
    frame that it has already, which is how the hang of issue #1760 began.
    """

    def on_drop(self, mm: Mm, paddr: int) -> None:
        """FrameMisuse."""
        raise FrameMisuse("drop", paddr, PAGE_SIZE, f"free: the frame allocator keeps its {self.type_name()} there",
                          "reset_as_unused by the allocator")


def refuse_allocators(kind: type[FrameMeta]) -> None:
    """MetaTypeError for AllocatorMeta: a frame that somebody holds would pass for a free one."""
    if issubclass(kind, AllocatorMeta):
        raise MetaTypeError(f"{kind.type_name()} is an allocator's: it marks frames that are free, and cannot be the "
                            "metadata of one that was handed out")


class Unit(AnyUFrameMeta):
    """No metadata: Rust's `()`, the metadata of frames from `FrameAllocOptions.alloc_frame`."""

    TYPE_NAME = "()"


class Link(FrameMeta):
    """Metadata that can be in a LinkedList; subclasses add at most 24 bytes (`Link<M>`).

    `next` and `prev` are the kernel virtual addresses of the neighbours' metadata slots, 0 for none.
    """

    next = u64()
    prev = u64()


# The kernel's own, for frames that no allocator ever owns (OSTD `mm/frame/meta.rs`).


class UnusableMemoryMeta(FrameMeta):
    """Broken or firmware memory: never to be touched."""


class ReservedMemoryMeta(FrameMeta):
    """Holes and memory that others reserved."""


class KernelMeta(FrameMeta):
    """The kernel's image."""


class EarlyAllocatedFrameMeta(FrameMeta):
    """Frames that the early allocator handed out."""


class MetaPageMeta(FrameMeta):
    """Frames that hold the metadata slots themselves."""
