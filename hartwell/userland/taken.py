"""What a program took of the kernel: allocations, mappings, bytes that were copied, the most memory at a time."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from kernel.mm.context import Mm
from kernel.mm.operations import Moment, Operation, OperationKind
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SIZE
from kernel.mm.port import Access

NAMES: Final = {
    OperationKind.FRAME_ALLOC: "frame_allocations", OperationKind.FRAME_DEALLOC: "frame_deallocations",
    OperationKind.HEAP_ALLOC: "heap_allocations", OperationKind.HEAP_DEALLOC: "heap_deallocations",
    OperationKind.MAP: "pages_mapped", OperationKind.UNMAP: "unmappings", OperationKind.PROTECT: "protections",
}
"""The operations that are counted, and how they are called."""
WORD: Final = 8


@dataclass(frozen=True)
class Taken:
    """Counts of operations by their names (NAMES), and bytes.

    `copied` bytes went from memory to memory, the program's included; `filled` were set, most to zero. `peak` is the
    most memory that was out of the frame allocator at a time, beyond what was when the counting began.
    """

    operations: dict[str, int]
    copied: int
    filled: int
    peak: int

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {**self.operations, "bytes_copied": self.copied, "bytes_filled": self.filled, "peak_bytes": self.peak}


class Counting:
    """Counts what is asked of a memory manager in a `with` block."""

    def __init__(self, mm: Mm) -> None:
        self._mm = mm
        self._counts: Counter[OperationKind] = Counter()
        self._out = self._peak = self._copied = self._filled = self._loaded = 0
        slots = mm.slots
        self._metadata = range(slots.slot(slots.first_paddr), slots.slot(slots.max_paddr - PAGE_SIZE) + META_SLOT_SIZE)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        before = self._mm.operations
        self._mm.operations = self._operation
        self._stack.callback(setattr, self._mm, "operations", before)
        self._stack.enter_context(self._mm.port.observed(self))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    def taken(self) -> Taken:
        """What there has been so far."""
        return Taken({name: self._counts[kind] for kind, name in NAMES.items()}, self._copied, self._filled, self._peak)

    def _operation(self, operation: Operation) -> None:
        if operation.moment is not Moment.RETURN or operation.address is None:
            return
        kind = operation.kind
        self._counts[kind] += 1
        if kind is OperationKind.FRAME_ALLOC:
            self._out += operation.size
            self._peak = max(self._peak, self._out)
        elif kind is OperationKind.FRAME_DEALLOC:
            self._out -= operation.size

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        """An observer's: words are the kernel's own. The port tells of a copy as a load and a store."""
        if size <= WORD or address in self._metadata:
            return
        if kind is Access.LOAD:
            self._loaded = size
            return
        if self._loaded == size:
            self._copied += size
        else:
            self._filled += size
        self._loaded = 0
