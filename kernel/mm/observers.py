"""Observers for the memory port: counting accesses, writing them down, making one fail.

    count = AccessCounter()
    with kernel.mm.port.observed(count):
        FrameAllocOptions(kernel.mm).alloc_frame().drop()
    print(count)                            # 14 loads, 10 stores, 3 atomics, 4304 bytes

Anything with a method `access(kind, address, size, value)` is an observer; these are the common ones.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .frame.meta import IN_LIST, REF_COUNT, VTABLE
from .paging import META_SLOT_SIZE, PAGE_SIZE
from .port import Access

if TYPE_CHECKING:
    from .context import Mm

_PARTS = {REF_COUNT: "ref_count", VTABLE: "vtable", IN_LIST: "in_list"}


@dataclass
class AccessCounter:
    """Counts loads, stores and atomics, bulk operations as one each, and their bytes."""

    loads: int = 0
    stores: int = 0
    atomics: int = 0
    bytes: int = 0

    @property
    def total(self) -> int:
        """Accesses of all kinds."""
        return self.loads + self.stores + self.atomics

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        if kind is Access.LOAD:
            self.loads += 1
        elif kind is Access.STORE:
            self.stores += 1
        else:
            self.atomics += 1
        self.bytes += size

    def __str__(self) -> str:
        return f"{self.loads} loads, {self.stores} stores, {self.atomics} atomics, {self.bytes} bytes"


@dataclass(frozen=True, slots=True)
class Record:
    """An access: what it was, where, how many bytes, and the word stored (None for loads and bulk stores)."""

    kind: Access
    address: int
    size: int
    value: int | None


@dataclass
class AccessTrace:
    """Writes the last `limit` accesses down, oldest first."""

    limit: int = 10_000
    records: deque[Record] = field(init=False)

    def __post_init__(self) -> None:
        self.records = deque(maxlen=self.limit)

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        self.records.append(Record(kind, address, size, value))

    def lines(self, mm: Mm) -> list[str]:
        """The records in words, with what is at each address: `atomic 8 slot of frame 0x80901000, ref_count <- 0x0`."""
        return [f"{record.kind.value:6} {record.size:5} {place(mm, record.address)}"
                + ("" if record.value is None else f" <- {record.value:#x}") for record in self.records]


class FailAt:
    """Makes the access number `number`, counted from 0, fail with `error`; those before and behind it happen."""

    def __init__(self, number: int, error: BaseException) -> None:
        self.seen = 0
        self._number, self._error = number, error

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        self.seen += 1
        if self.seen == self._number + 1:
            raise self._error


def place(mm: Mm, address: int) -> str:
    """What is at physical `address`, in the memory manager's terms."""
    slots = mm.slots
    if slots.first_paddr >> 6 <= address - slots.base < slots.max_paddr >> 6:
        offset = (address - slots.base) % META_SLOT_SIZE
        part = _PARTS.get(offset, f"storage + {offset}" if offset < REF_COUNT else f"+ {offset}")
        return f"slot of frame {slots.frame_of(address - offset):#x}, {part}"
    if mm.statics.base <= address < mm.statics.base + mm.statics.size:
        return f"static {mm.statics.name_of(address)}"
    return f"frame {address & -PAGE_SIZE:#x} + {address % PAGE_SIZE:#x}"
