"""The recorder: a real run's operations of frames and heap, as they are done, become a trace.

    recorder = Recorder()
    kernel = Kernel.boot(machine, Choices(operations=recorder))        # or, later on: kernel.mm.operations = recorder
    recorder.trace("boot").save("boot.trace")

        kernel's dispatch ── Operation (kernel.mm.operations) ──> Recorder ──> alloc, free, split of handles

Who does not record pays nothing: the kernel tells nobody. Memory that was handed out before recording began is not
known, and that it comes back is not recorded. What comes back in other pieces than it was handed out in is split.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from typing import Final

import numpy as np

from hartwell.lab.operation import OPERATION, Kind
from hartwell.lab.subject.subject import SubjectKind
from kernel.mm.operations import Moment, Operation, OperationKind

from .errors import WorkloadError
from .trace import Trace
from .workload import HANDLES

Row = tuple[int, int, int, int, int]
_KINDS: Final = {
    OperationKind.FRAME_ALLOC: (SubjectKind.FRAME, True), OperationKind.FRAME_DEALLOC: (SubjectKind.FRAME, False),
    OperationKind.HEAP_ALLOC: (SubjectKind.HEAP, True), OperationKind.HEAP_DEALLOC: (SubjectKind.HEAP, False),
}


class Recorder:
    """A listener of a kernel's operations (`Mm.operations`), which writes them down.

    `most` is how many of each kind are recorded: the first ones.
    """

    def __init__(self, most: int | None = None) -> None:
        self._lists = {kind: _List(kind, most) for kind in SubjectKind}

    def __call__(self, operation: Operation) -> None:
        if operation.moment is not Moment.RETURN or operation.kind not in _KINDS or operation.address is None:
            return
        kind, allocates = _KINDS[operation.kind]
        into = self._lists[kind]
        if into.full:
            return
        if allocates:
            into.alloc(operation.address, operation.size, operation.align)
        else:
            into.dealloc(operation.address, operation.size)

    def count(self, kind: SubjectKind) -> int:
        """How many operations of a kind are recorded."""
        return len(self._lists[kind].rows)

    def trace(self, source: str) -> Trace:
        """What was recorded, said to be of `source`: a line."""
        frame, heap = (np.array(self._lists[kind].rows, dtype=OPERATION) for kind in SubjectKind)
        return Trace(" ".join(source.split()), frame, heap)


class _List:
    """The operations of one kind of allocator, and which blocks are out, by address."""

    def __init__(self, kind: SubjectKind, most: int | None) -> None:
        self.rows: list[Row] = []
        self._kind, self._most = kind, most
        self._free: list[int] = []
        self._next = 0
        self._starts: list[int] = []
        self._blocks: dict[int, tuple[int, int]] = {}  # start -> bytes, handle

    @property
    def full(self) -> bool:
        """Whether there are as many as are wanted."""
        return self._most is not None and len(self.rows) >= self._most

    def alloc(self, address: int, size: int, align: int) -> None:
        """A block was handed out."""
        handle = self._handle()
        self._put(address, size, handle)
        self.rows.append((Kind.ALLOC, handle, size, max(align, self._kind.granule), 0))

    def dealloc(self, address: int, size: int) -> None:
        """Memory came back: all that is known of it."""
        while size > 0 and not self.full:
            at = bisect_right(self._starts, address) - 1
            start = self._starts[at] if at >= 0 else -1
            if start < 0 or address >= start + self._blocks[start][0]:  # nothing known is here: what is next?
                if at + 1 >= len(self._starts) or self._starts[at + 1] >= address + size:
                    return
                size -= self._starts[at + 1] - address
                address = self._starts[at + 1]
                continue
            if start < address:
                self._cut(start, address)
            length, handle = self._blocks[address]
            if self._kind is SubjectKind.FRAME and length > size:
                self._cut(address, address + size)
                length = size
            del self._blocks[address], self._starts[bisect_right(self._starts, address) - 1]
            heapq.heappush(self._free, handle)
            self.rows.append((Kind.DEALLOC, handle, 0, 0, 0))
            address, size = address + length, size - length

    def _cut(self, start: int, at: int) -> None:
        """Split the block that begins at `start`."""
        length, handle = self._blocks[start]
        rest = self._handle()
        self._blocks[start] = at - start, handle
        self._put(at, start + length - at, rest)
        self.rows.append((Kind.SPLIT, handle, rest, 0, at - start))

    def _put(self, address: int, size: int, handle: int) -> None:
        if address not in self._blocks:
            self._starts.insert(bisect_right(self._starts, address), address)
        self._blocks[address] = size, handle

    def _handle(self) -> int:
        if self._free:
            return heapq.heappop(self._free)
        if self._next >= HANDLES:
            raise WorkloadError(f"more than {HANDLES:,} {self._kind.value} blocks are allocated at a time; expected a "
                                "run that a trace has room for")
        self._next += 1
        return self._next - 1
