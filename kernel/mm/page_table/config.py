"""Kinds of page tables, and the metadata of their nodes (OSTD `PageTableConfig`, `PageTablePageMeta`).

        storage of a node's slot
        +0  nr_children u16   entries that are not absent (a user root's shared upper half is not counted)
        +2  stray u8          the node is detached from its parent, walkers may still be in it
        +3  level u8          1 is the lowest
        +4  lock u8           0 free, n + 1 locked by CPU n

A class of metadata for each kind of table says what its nodes may do; the node's type word in emulated
memory so tells which kind of table a node belongs to.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from kernel.mm.fields import u8, u16, u64
from kernel.mm.frame.meta_type import FrameMeta
from kernel.mm.paging import ENTRIES, ROOT_KERNEL_FIRST

from .pte import ACCESSED, DIRTY, RSV1, VALID

if TYPE_CHECKING:
    from kernel.mm.context import Mm

NR_CHILDREN, STRAY, LEVEL, LOCK = 0, 2, 3, 4
"""Offsets in a node's slot."""


class Tracking(Enum):
    """What AVAIL1 (RSV1) of a leaf says about the count that the entry holds on its frame."""

    SET_IF_TRACKED = "set"
    CLEAR_IF_TRACKED = "clear"
    NEVER_TRACKED = "never"


class PageTableConfig(FrameMeta):
    """Metadata of a page-table node; subclasses configure the tables that have such nodes."""

    nr_children = u16()
    stray = u8()
    level = u8()
    lock = u8()

    ROOT_INDICES: ClassVar[range] = range(ENTRIES)
    """The entries of the root that the table manages."""
    TOP_LEVEL_CAN_UNMAP: ClassVar[bool] = True
    """Whether the root's entries can be removed."""
    TRACKING: ClassVar[Tracking] = Tracking.NEVER_TRACKED
    PRESET: ClassVar[int] = 0
    """Bits that every leaf has and that no property shows."""

    def on_drop(self, mm: Mm, paddr: int) -> None:
        """Drop the node's children."""
        from .node import drop_children

        if self.nr_children:
            drop_children(mm, paddr, type(self), self.level)

    @classmethod
    @cache
    def leaf_bits(cls, *, tracked: bool) -> int:
        """The bits that a leaf has besides its address and its property."""
        bits = VALID | cls.PRESET
        if cls.TRACKING is not Tracking.NEVER_TRACKED and tracked is (cls.TRACKING is Tracking.SET_IF_TRACKED):
            bits |= RSV1
        return bits

    @classmethod
    def is_tracked(cls, pte: int) -> bool:
        """Whether the leaf `pte` holds a count on its frame."""
        if cls.TRACKING is Tracking.NEVER_TRACKED:
            return False
        return bool(pte & RSV1) is (cls.TRACKING is Tracking.SET_IF_TRACKED)

    @classmethod
    def tracked_in(cls, column: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of the entries of a lowest table map frames that are counted."""
        if cls.TRACKING is Tracking.NEVER_TRACKED:
            return np.zeros(len(column), dtype=np.bool_)
        wanted = np.uint64(VALID | (RSV1 if cls.TRACKING is Tracking.SET_IF_TRACKED else 0))
        tracked: npt.NDArray[np.bool_] = (column & np.uint64(VALID | RSV1)) == wanted
        return tracked

    @classmethod
    @cache
    def hidden_bits(cls) -> int:
        """The bits of a leaf that its property does not show."""
        return cls.PRESET | (0 if cls.TRACKING is Tracking.NEVER_TRACKED else RSV1)


class KernelPtConfig(PageTableConfig):
    """The kernel's table: upper half, AVAIL1 marks tracked pages.

    The root's entries are tables from the start and stay: every user root shares them. A and D are set
    in all leaves up front, because a hart may leave them to software (Svade) and would then fault on
    the kernel's own pages (upstream's #3856); they say nothing and are not shown.
    """

    TYPE_NAME = "page table (kernel)"
    ROOT_INDICES = range(ROOT_KERNEL_FIRST, ENTRIES)
    TOP_LEVEL_CAN_UNMAP = False
    TRACKING = Tracking.SET_IF_TRACKED
    PRESET = ACCESSED | DIRTY


class UserPtConfig(PageTableConfig):
    """A user's table: lower half, AVAIL1 marks I/O memory, everything else is tracked.

    The root's slot also holds what belongs to the whole address space: the list of I/O memory that was
    ever mapped in it, and the set of CPUs that it is active on, a bit each.
    """

    iomems = u64()
    cpus = u64()

    TYPE_NAME = "page table (user)"
    ROOT_INDICES = range(ROOT_KERNEL_FIRST)
    TRACKING = Tracking.CLEAR_IF_TRACKED

    def on_drop(self, mm: Mm, paddr: int) -> None:
        """Drop the node's children; a root forgets its I/O memory."""
        super().on_drop(mm, paddr)
        if self.iomems:
            from kernel.mm.vm_space.iomem_list import IoMemList

            IoMemList.of_root(mm, paddr).clear()
