"""The buddy system's textbook examples, run on a real BuddySet over a real 1 MiB of memory (requirement R3.7).

    for state in split_and_merge(mm):
        print(state.title, state.blocks)

What is split and merged is not computed here but watched: an observer of the memory port sees the free
lists change. Each change makes one State, which a view can draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from kernel.errors import CorruptionError, NoMemory
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.frame.linked_list import HEAD_SIZE, SIZE
from kernel.mm.frame.meta import FREE, TAKEN
from kernel.mm.layout import Layout
from kernel.mm.port import Access

from .buddy_set import LISTS, BuddySet
from .chunk import greater_order_of, size_of_order

if TYPE_CHECKING:
    from kernel.mm.context import Mm

KIB = 1024
MIB = 1024 * KIB
WHOLE = greater_order_of(MIB)
"""The order of the piece of memory that the examples share: 8."""


class Use(Enum):
    """What a block is."""

    FREE = "free"
    ALLOCATED = "allocated"
    IN_HAND = "in hand"

    def __repr__(self) -> str:
        return self.value


@dataclass(frozen=True, order=True)
class Block:
    """A block of `order` at physical `paddr`; an allocated one has its request's name and bytes."""

    paddr: int
    order: int
    use: Use = Use.FREE
    name: str = ""
    requested: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return size_of_order(self.order)

    @property
    def wasted(self) -> int:
        """Internal fragmentation: bytes of an allocated block that nobody asked for."""
        return self.size - self.requested if self.use is Use.ALLOCATED else 0


@dataclass(frozen=True)
class State:
    """The 1 MiB after a step: the step's `title`, and all `blocks`, ascending, without a gap."""

    title: str
    blocks: tuple[Block, ...]

    def free(self, order: int) -> tuple[int, ...]:
        """Addresses of the free blocks of `order`."""
        return tuple(block.paddr for block in self.blocks if block.use is Use.FREE and block.order == order)


def split_and_merge(mm: Mm) -> list[State]:
    """1 MiB is split for 128 KiB (A), once more 128 KiB (B) fits as it is; A and B are freed, and all merges again.

    NoMemory if there is no 1 MiB at a multiple of 1 MiB.
    """
    with _example(mm) as example:
        example.alloc("A", 128 * KIB)
        example.alloc("B", 128 * KIB)
        example.free("A")
        example.free("B")
        return example.states


def internal_fragmentation(mm: Mm) -> list[State]:
    """65 KiB take a block of 128 KiB, of which 63 KiB are wasted (`Block.wasted`). NoMemory as for the other."""
    with _example(mm) as example:
        example.alloc("A", 65 * KIB)
        return example.states


@contextmanager
def _example(mm: Mm) -> Iterator[_Example]:
    """A buddy set with one free chunk of 1 MiB; everything goes back to the frame allocator at the end."""
    with FrameAllocOptions(mm).alloc_frame() as page:
        paddr = mm.frame_allocator.alloc(Layout(MIB, MIB))
        if paddr is None:
            raise NoMemory("no 1 MiB in one piece, at a multiple of its size")
        mm.slots.mark(paddr, paddr + MIB, FREE)  # in the hands of this buddy set now
        example = _Example(mm, page.paddr, paddr)
        try:
            yield example
        finally:
            example.close()
            mm.slots.mark(paddr, paddr + MIB, TAKEN)
            mm.frame_allocator.dealloc(paddr, MIB)


class _Example:
    """Runs requests on a buddy set and writes down every state that it goes through."""

    def __init__(self, mm: Mm, address: int, paddr: int) -> None:
        self._port = mm.port
        self._set = BuddySet(mm, address, WHOLE + 1, "example")
        self._set.insert_chunk(paddr, WHOLE)
        self._size_words = {address + LISTS + HEAD_SIZE * order + SIZE: order for order in range(WHOLE + 1)}
        self._changes: list[tuple[int, int]] = []
        self._blocks = {paddr: Block(paddr, WHOLE)}
        self.states: list[State] = []
        self._state("1 MiB, free")

    def close(self) -> None:
        """Take everything out of the set."""
        for block in self._blocks.values():
            if block.use is Use.ALLOCATED:
                self._set.insert_chunk(block.paddr, block.order)
        self._set.alloc_chunk(WHOLE)

    # --- the requests -----------------------------------------------------------------------------------------

    def alloc(self, name: str, size: int) -> None:
        """Allocate a block for `size` bytes."""
        order = greater_order_of(size)
        with self._port.observed(self):
            paddr = self._set.alloc_chunk(order)
        (found, _), *splits = self._changes
        self._changes = []
        assert paddr is not None
        self._blocks[paddr] = replace(self._blocks[paddr], use=Use.IN_HAND)
        self._state(f"{name} wants {_kib(size)}, which a block of {_kib(size_of_order(order))} holds; "
                    f"the smallest free one has {_kib(size_of_order(found))}")
        for half, _ in splits:
            right = paddr + size_of_order(half)
            self._blocks[paddr] = Block(paddr, half, Use.IN_HAND)
            self._blocks[right] = Block(right, half)
            self._state(f"split: {_kib(size_of_order(half + 1))} into 2 x {_kib(size_of_order(half))}")
        self._blocks[paddr] = Block(paddr, order, Use.ALLOCATED, name, size)
        waste = self._blocks[paddr].wasted
        self._state(f"{name} has {_kib(size_of_order(order))}" + (f"; {_kib(waste)} of it are wasted" if waste else ""))
        self._compare()

    def free(self, name: str) -> None:
        """Free the block of `name`, and let it merge."""
        block = next(block for block in self._blocks.values() if block.name == name)
        with self._port.observed(self):
            self._set.insert_chunk(block.paddr, block.order)
        *merges, _ = self._changes
        self._changes = []
        here = Block(block.paddr, block.order, Use.IN_HAND)
        self._blocks[here.paddr] = here
        self._state(f"{name} is freed; the buddy of its {_kib(here.size)} is "
                    + ("free" if merges else "in use: nothing merges"))
        for order, _ in merges:
            for half in (here.paddr, here.paddr ^ size_of_order(order)):
                del self._blocks[half]
            here = Block(here.paddr & ~size_of_order(order), order + 1, Use.IN_HAND)
            self._blocks[here.paddr] = here
            self._state(f"merge: 2 x {_kib(size_of_order(order))} into {_kib(here.size)}")
        self._blocks[here.paddr] = replace(here, use=Use.FREE)
        self._state(f"{_kib(here.size)} are free")
        self._compare()

    # --- what happened ----------------------------------------------------------------------------------------

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        """Write down which list of the set gets longer or shorter (port observer)."""
        order = self._size_words.get(address)
        if order is not None and kind is Access.STORE and value is not None:
            self._changes.append((order, value))

    def _state(self, title: str) -> None:
        self.states.append(State(title, tuple(sorted(self._blocks.values(), key=lambda block: block.paddr))))

    def _compare(self) -> None:
        """The blocks written down must be those in the set's lists."""
        for order in range(WHOLE + 1):
            if sorted(self._set.chunks(order)) != list(self.states[-1].free(order)):
                raise CorruptionError(f"the example went another way: {self.states[-1]}")


def _kib(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"
