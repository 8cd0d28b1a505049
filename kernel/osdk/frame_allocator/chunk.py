"""Chunks: what the buddy system splits and merges (osdk-frame-allocator `chunk.rs`).

A chunk of order k is 2^k frames at a multiple of its own size. Its buddy is the other half of the chunk
of order k + 1 that both would make:

        order 2   ├───────────── 0x8000_0000 ─────────────┤
        order 1   ├── 0x8000_0000 ──┤├── 0x8000_2000 ─────┤      buddy = address XOR size
        order 0   ├ …0000 ┤├ …1000 ┤ ├ …2000 ┤├ …3000 ────┤

Of a free chunk, only the head frame is claimed: a UniqueFrame with FreeHeadMeta. The tails stay unused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kernel.errors import InvalidArgs, KernelPanic, UseAfterMove
from kernel.mm.fields import usize
from kernel.mm.frame.meta_type import AllocatorMeta, Link
from kernel.mm.frame.unique import UniqueFrame
from kernel.mm.paging import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class FreeHeadMeta(Link, AllocatorMeta):
    """Metadata of the first frame of a free chunk: its `order`, and the links of the list that the chunk is in."""

    order = usize()


# --- orders ----------------------------------------------------------------------------------------------


def size_of_order(order: int) -> int:
    """Bytes of a chunk of `order`."""
    return PAGE_SIZE << order


def greater_order_of(size: int) -> int:
    """The smallest order whose chunks hold `size` bytes; parts of a page count as a page, and 0 bytes as one."""
    return max(-(-size // PAGE_SIZE) - 1, 0).bit_length()


def lesser_order_of(size: int) -> int:
    """The largest order whose chunks fit in `size` bytes; InvalidArgs below one page, which holds none."""
    if size < PAGE_SIZE:
        raise InvalidArgs(f"{size} bytes hold no chunk: the smallest has {PAGE_SIZE}")
    return (size >> PAGE_SHIFT).bit_length() - 1


def max_order_from(paddr: int) -> int:
    """The largest order of which a chunk can begin at `paddr`: 52 at 0. KernelPanic if it is not page-aligned."""
    if paddr & PAGE_SIZE - 1:
        raise KernelPanic(f"{paddr:#x} is not a multiple of {PAGE_SIZE}")
    return (paddr & -paddr).bit_length() - 1 - PAGE_SHIFT if paddr else 64 - PAGE_SHIFT


def split_to_chunks(paddr: int, size: int, max_order: int = 64 - PAGE_SHIFT) -> Iterator[tuple[int, int]]:
    """The fewest chunks, address and order, that make up `size` bytes at `paddr`, ascending.

    None has an order above `max_order`. KernelPanic if address or size are not page-aligned.
    """
    if (paddr | size) & PAGE_SIZE - 1 or size < 0:
        raise KernelPanic(f"{paddr:#x} ({size} bytes) is not a range of whole pages")
    while size:
        order = (size >> PAGE_SHIFT).bit_length() - 1
        if paddr:
            order = min(order, (paddr & -paddr).bit_length() - 1 - PAGE_SHIFT)
        order = min(order, max_order)
        yield paddr, order
        paddr += PAGE_SIZE << order
        size -= PAGE_SIZE << order


def split_to_order(paddr: int, order: int, split_order: int) -> Iterator[int]:
    """Addresses of the chunks of `split_order` in the chunk of `order` at `paddr`.

    KernelPanic if there is no chunk of `order` at `paddr`, or it is smaller than its parts.
    """
    if paddr & size_of_order(order) - 1 or split_order > order:
        raise KernelPanic(f"{paddr:#x} is no chunk of order {order} that has parts of order {split_order}")
    return iter(range(paddr, paddr + size_of_order(order), size_of_order(split_order)))


# --- chunks ----------------------------------------------------------------------------------------------


class FreeChunk:
    """A free chunk that somebody holds, by the UniqueFrame of its head (`FreeChunk`).

    Moves as handles do: after `split_free`, `merge_free` and `into_unique_head`, UseAfterMove. The buddy
    sets do the same on the slots themselves, without a handle for each chunk.
    """

    __slots__ = ("_head", "_mm")

    def __init__(self, mm: Mm, head: UniqueFrame[FreeHeadMeta]) -> None:
        self._mm = mm
        self._head: UniqueFrame[FreeHeadMeta] | None = head

    @classmethod
    def from_unused(cls, mm: Mm, paddr: int, order: int) -> FreeChunk:
        """The chunk of `order` at `paddr`, of frames that are in the allocator's hands.

        KernelPanic for an address that is no multiple of the chunk's size, what UniqueFrame.from_unused
        raises for the head, FrameMisuse for a tail.
        """
        size = size_of_order(order)
        if paddr & size - 1:
            raise KernelPanic(f"{paddr:#x} is no chunk of order {order}: not a multiple of {size:#x}")
        head = UniqueFrame.from_unused(mm, paddr, FreeHeadMeta(order=order))
        try:
            mm.slots.require_free("FreeChunk.from_unused", paddr + PAGE_SIZE, paddr + size)
        except BaseException:
            head.reset_as_unused()
            raise
        return cls(mm, head)

    def _held(self) -> UniqueFrame[FreeHeadMeta]:
        if self._head is None:
            raise UseAfterMove("this FreeChunk was split, merged or turned into its head before")
        return self._head

    def into_unique_head(self) -> UniqueFrame[FreeHeadMeta]:
        """The head instead of the chunk."""
        head = self._held()
        self._head = None
        return head

    @property
    def order(self) -> int:
        """The chunk has 2^order frames."""
        return self._held().meta.order

    @property
    def paddr(self) -> int:
        """Physical address of the chunk's first byte (`addr`)."""
        return self._held().paddr

    @property
    def buddy(self) -> int:
        """Physical address of the chunk's buddy."""
        return self.paddr ^ size_of_order(self.order)

    def split_free(self) -> tuple[FreeChunk, FreeChunk]:
        """The two halves, instead of this chunk. KernelPanic for a single frame, which has none."""
        order = self.order
        if not order:
            raise KernelPanic(f"the chunk at {self.paddr:#x} is one frame: it cannot be split")
        right = UniqueFrame.from_unused(self._mm, self.paddr + size_of_order(order - 1), FreeHeadMeta(order=order - 1))
        left = self.into_unique_head()
        left.meta_mut.order = order - 1
        return FreeChunk(self._mm, left), FreeChunk(self._mm, right)

    def merge_free(self, buddy: FreeChunk) -> FreeChunk:
        """The chunk that this one and its `buddy` make, instead of both. KernelPanic if they are not buddies."""
        order = self.order
        if buddy.order != order or buddy.paddr != self.buddy:
            raise KernelPanic(f"{self.paddr:#x} (order {order}) and {buddy.paddr:#x} (order {buddy.order}) "
                              "are not buddies")
        low, high = (self, buddy) if self.paddr < buddy.paddr else (buddy, self)
        high.into_unique_head().reset_as_unused()
        head = low.into_unique_head()
        head.meta_mut.order = order + 1
        return FreeChunk(self._mm, head)
