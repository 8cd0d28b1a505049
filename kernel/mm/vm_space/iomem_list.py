"""The I/O memory that was ever mapped in an address space (upstream: `VmSpace::iomems`).

        word in the root's slot ──► record ──► record ──► 0

        record, a heap slot of 32 bytes:  +0 paddr u64   +8 size u64   +16 next u64   +24 unused
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kernel.errors import CorruptionError
from kernel.mm.io_mem import IoMem
from kernel.mm.layout import Layout
from kernel.mm.page_table.config import UserPtConfig

if TYPE_CHECKING:
    from kernel.mm.context import Mm

RECORD = Layout(32, 8)
SIZE_AT, NEXT_AT = 8, 16


class IoMemList:
    """The list whose head is the word at physical `head`; addresses in it are kernel virtual."""

    __slots__ = ("_head", "_linear", "_mm")

    def __init__(self, mm: Mm, head: int) -> None:
        self._mm, self._head, self._linear = mm, head, mm.paging.linear_base

    @classmethod
    def of_root(cls, mm: Mm, root: int) -> IoMemList:
        """The list of the user page table whose root is at physical `root`."""
        return cls(mm, mm.slots.base + (root >> 6) + UserPtConfig.iomems.offset)

    def __iter__(self) -> Iterator[IoMem]:
        load = self._mm.port.load
        for at in self._records():
            yield IoMem(load(at), load(at + SIZE_AT))

    def _records(self) -> Iterator[int]:
        """Physical addresses of the records, first to last; CorruptionError for a list that does not end."""
        load, seen = self._mm.port.load, set[int]()
        record = load(self._head)
        while record:
            if record in seen or not self._mm.heap.is_live(record, RECORD):
                raise CorruptionError(f"the list of I/O memory at {self._head:#x} links to {record:#x}, which is no "
                                      "record of it")
            seen.add(record)
            at = record - self._linear
            yield at
            record = load(at + NEXT_AT)

    def add(self, io_mem: IoMem) -> bool:
        """Add it at the end unless it is there; whether it was added. NoMemory."""
        port, word = self._mm.port, self._head
        for at in self._records():
            if port.load(at) == io_mem.paddr and port.load(at + SIZE_AT) == io_mem.size:
                return False
            word = at + NEXT_AT
        record = self._mm.heap.alloc(RECORD)
        at = record - self._linear
        port.store(at, io_mem.paddr)
        port.store(at + SIZE_AT, io_mem.size)
        port.store(at + NEXT_AT, 0)
        port.store(word, record)
        return True

    def remove_last(self) -> None:
        """Take the last one off again."""
        port, word = self._mm.port, self._head
        for at in self._records():
            if port.load(at + NEXT_AT):
                word = at + NEXT_AT
        if record := port.load(word):
            port.store(word, 0)
            self._mm.heap.dealloc(record, RECORD)

    def clear(self) -> None:
        """Forget all."""
        port = self._mm.port
        while record := port.load(self._head):
            port.store(self._head, port.load(record - self._linear + NEXT_AT))
            self._mm.heap.dealloc(record, RECORD)
