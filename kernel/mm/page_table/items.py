"""What page tables map: tracked frames and untracked pages, owned or looked at (OSTD `MappedItem`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias, cast

from kernel.errors import UseAfterMove
from kernel.mm.frame.frame import Frame, FrameRef
from kernel.mm.frame.meta import VTABLE

from .pte import PageProperty

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class Tracked(NamedTuple):
    """A frame and the count that its mapping held; drop it after the TLB flush."""

    frame: Frame[Any]
    prop: PageProperty


class TrackedRef(NamedTuple):
    """A mapped frame, looked at: the mapping holds the count. Good while the cursor stays and the page is mapped."""

    frame: FrameRef[Any]
    prop: PageProperty


class Untracked(NamedTuple):
    """A page of `level` at `paddr` that nobody counts."""

    paddr: int
    level: int
    prop: PageProperty


MappedItem: TypeAlias = Tracked | Untracked
MappedItemRef: TypeAlias = TrackedRef | Untracked


class Mapped(NamedTuple):
    """A page taken out of a page table; it was mapped at `va`."""

    va: int
    item: MappedItem


class StrayPageTable(NamedTuple):
    """A subtree taken out of a page table: it mapped `len` bytes from `va` with `num_frames` level-1 entries.

    Drop `pt`, and with it all that the subtree maps, after the TLB flush.
    """

    pt: Frame[Any]
    va: int
    len: int
    num_frames: int


PageTableFrag: TypeAlias = Mapped | StrayPageTable


class _LentFrame(Frame[Any]):
    """A frame whose count belongs to a page-table entry: it can be looked at and cloned, not given up."""

    __slots__ = ()

    def _take(self) -> NoReturn:
        raise UseAfterMove(f"frame {self._paddr:#x} is borrowed from a mapping: clone it")

    def drop(self) -> NoReturn:
        """UseAfterMove: there is nothing to drop."""
        self._take()

    def try_into_unique(self) -> NoReturn:
        """UseAfterMove: the mapping holds the frame."""
        self._take()

    def make_inaccessible(self, new: object) -> NoReturn:
        """UseAfterMove: the mapping holds the frame."""
        self._take()

    def __del__(self) -> None:
        """Nothing to release."""


def lend(mm: Mm, paddr: int) -> FrameRef[Any]:
    """The frame at `paddr`, which a mapping holds (`FrameRef::borrow_paddr`)."""
    kind = mm.types.kind(mm.port.load(mm.slots.base + (paddr >> 6) + VTABLE))
    return FrameRef(_LentFrame._adopt(mm, paddr, cast("type[Any]", kind)))
