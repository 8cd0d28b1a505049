"""Allocates ranges of virtual addresses (OSTD `util/range_alloc.rs`), with its books in emulated memory.

        head ──► block ──► block ──► …       every block of the whole range, free and taken, ascending

        block, a heap slot of 32 bytes:  +0 start u64   +8 end u64   +16 next u64   +24 taken u64

First fit, from the end of the lowest free block that is large enough. The taken blocks are in the list,
too, so that giving one back needs no memory, and the list shows what is in use. Addresses of blocks are
kernel virtual ones; 0 ends the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.errors import CorruptionError, KernelPanic
from kernel.mm.layout import Layout
from kernel.sync.spin import SpinLock

if TYPE_CHECKING:
    from kernel.mm.context import Mm

BLOCK = Layout(32, 8)
END, NEXT, TAKEN = 8, 16, 24
AREA_SIZE = 24
"""Bytes of static memory: lock u64, head u64, whether the list was begun u64."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block as its heap slot says: at kernel virtual `address`."""

    address: int
    start: int
    end: int
    taken: bool


class RangeAllocator:
    """Allocates from `start` … `end`; its head is in the static area `area` of AREA_SIZE bytes."""

    def __init__(self, mm: Mm, area: int, start: int, end: int) -> None:
        self._mm, self._port, self._area, self.start, self.end = mm, mm.port, area, start, end
        self._linear = mm.paging.linear_base
        self.lock = SpinLock(mm.port, area, "virtual range allocator", lambda: mm.cpu)

    def alloc(self, size: int) -> tuple[int, int]:
        """Start and end of `size` bytes, a positive number. KernelPanic if no block is large enough; NoMemory."""
        with self.lock:
            if not self._port.load(self._area + 16):
                self._port.store(self._area + 8, self._new_block(self.start, self.end, 0, False))
                self._port.store(self._area + 16, 1)
            for block in self.blocks():
                if not block.taken and block.end - block.start >= size:
                    break
            else:
                raise KernelPanic(f"no {size:#x} bytes of virtual addresses are free in {self.start:#x}-{self.end:#x}")
            at = block.address - self._linear
            if block.end - block.start == size:
                self._port.store(at + TAKEN, 1)
            else:
                new = self._new_block(block.end - size, block.end, self._port.load(at + NEXT), True)
                self._port.store(at + NEXT, new)
                self._port.store(at + END, block.end - size)
            return block.end - size, block.end

    def split(self, start: int, middle: int) -> None:
        """Make two of the taken block at `start`, the second of them at `middle`. NoMemory."""
        with self.lock:
            _, block = self._find(start)
            at = block.address - self._linear
            new = self._new_block(middle, block.end, self._port.load(at + NEXT), True)
            self._port.store(at + NEXT, new)
            self._port.store(at + END, middle)

    def free(self, start: int) -> None:
        """Give back the taken block at `start`; KernelPanic if there is none. Free neighbours become one block."""
        with self.lock:
            before, block = self._find(start)
            self._port.store(block.address - self._linear + TAKEN, 0)
            self._merge_next(block.address)
            if before and not self._port.load(before - self._linear + TAKEN):
                self._merge_next(before)

    def blocks(self) -> Iterator[Block]:
        """All blocks, ascending; none before the first allocation. CorruptionError if the list is broken."""
        load = self._port.load
        address, expected = load(self._area + 8), self.start
        while address:
            at = address - self._linear
            start, end, taken = load(at), load(at + END), load(at + TAKEN)
            following = load(at + NEXT)
            if start != expected or not start < end <= self.end or taken > 1:
                raise CorruptionError(f"block {address:#x} of the virtual ranges: {start:#x}-{end:#x}, taken {taken}; "
                                      f"expected one from {expected:#x}")
            yield Block(address, start, end, bool(taken))
            address, expected = following, end

    def _find(self, start: int) -> tuple[int, Block]:
        """The taken block at `start`, and the address of the one before it."""
        before = 0
        for block in self.blocks():
            if block.start == start and block.taken:
                return before, block
            before = block.address
        raise KernelPanic(f"no virtual range was allocated at {start:#x}")

    def _merge_next(self, address: int) -> None:
        """Make the free block one with the next, if that is free."""
        at = address - self._linear
        following = self._port.load(at + NEXT)
        if following and not self._port.load(following - self._linear + TAKEN):
            self._port.store(at + END, self._port.load(following - self._linear + END))
            self._port.store(at + NEXT, self._port.load(following - self._linear + NEXT))
            self._mm.heap.dealloc(following, BLOCK)

    def _new_block(self, start: int, end: int, following: int, taken: bool) -> int:
        address = self._mm.heap.alloc(BLOCK)
        for offset, word in ((0, start), (END, end), (NEXT, following), (TAKEN, int(taken))):
            self._port.store(address - self._linear + offset, word)
        return address
