"""One operation after the other on a live subject, judged at once: the next can be chosen by what came of the last.

    steps = Steps(subject)                  # pristine
    handle = steps.alloc(8192, 4096)        # None: no memory
    steps.dealloc(handle)
    steps.end()                             # everything is given back, and must be to be had again

Each raises AllocatorFailed as soon as an oracle says something. A Trial does many operations at a time: much faster.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from hartwell.lab.errors import SubjectFailed
from hartwell.lab.finding import Finding
from hartwell.lab.operation import OPERATION, RESULT, Kind, Operations
from hartwell.lab.oracle.conservation import Conservation
from hartwell.lab.oracle.shadow import Shadow
from hartwell.lab.subject import Subject

MOST: Final = 4096
"""Handles."""
Row = tuple[int, int, int, int, int]


class AllocatorFailed(AssertionError):
    """What an oracle says: an AssertionError, for tests; `operations` are all up to there."""

    def __init__(self, finding: Finding, operations: Operations) -> None:
        super().__init__(str(finding))
        self.finding, self.operations = finding, operations


class Steps:
    """Steps on `subject` as `cpu`, which is made pristine; `conservation` is its measure, None not to look at that."""

    def __init__(self, subject: Subject, conservation: Conservation | None = None, cpu: int = 0) -> None:
        self.subject, self.cpu, self._conservation = subject, cpu, conservation
        subject.reset()
        self._shadow = Shadow(subject.memory, subject.kind, MOST, conservation.largest if conservation else 0)
        self._rows: list[Row] = []
        self._handles = 0
        self.sizes: dict[int, int] = {}
        """Bytes of each handle that has a block."""

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def operations(self) -> Operations:
        """All that was done."""
        return np.array(self._rows, dtype=OPERATION)

    def alloc(self, size: int, align: int) -> int | None:
        """Allocate; the handle, None if there is no memory."""
        handle = self._handles
        self._handles += 1
        if not self._do((Kind.ALLOC, handle, size, align, 0)):
            return None
        self.sizes[handle] = size
        return handle

    def dealloc(self, handle: int) -> None:
        """Give a block back."""
        del self.sizes[handle]
        self._do((Kind.DEALLOC, handle, 0, 0, 0))

    def split(self, handle: int, offset: int) -> int:
        """Cut a block at `offset`; the handle of what is behind it."""
        rest = self._handles
        self._handles += 1
        self._do((Kind.SPLIT, handle, rest, 0, offset))
        self.sizes[rest], self.sizes[handle] = self.sizes[handle] - offset, offset
        return rest

    def check(self, handle: int) -> None:
        """Look at a block's contents."""
        self._do((Kind.CHECK, handle, 0, 0, 0))

    def add(self, offset: int, size: int) -> None:
        """Give the allocator more memory; how much can be had at the end is then not looked at."""
        self._conservation = None
        self._do((Kind.ADD, 0, size, 0, offset))

    def end(self) -> None:
        """Give everything back, and see whether all memory is there."""
        for handle in sorted(self.sizes):
            self.dealloc(handle)
        if self._conservation is not None:
            for finding in self._conservation.check(self.subject, self.cpu):
                raise AllocatorFailed(finding, self.operations)

    def _do(self, row: Row) -> int:
        """Do it; the result's value."""
        self._rows.append(row)
        operation, results = np.array([row], dtype=OPERATION), np.zeros(1, dtype=RESULT)
        failed: list[Finding] = []
        try:
            results = self.subject.run(operation, self.cpu)
        except SubjectFailed as why:
            failed = [why.finding]
            results = why.partial if why.partial is not None else results
        for finding in (*self._shadow.follow(operation, results), *failed):
            raise AllocatorFailed(replace(finding, operation=len(self._rows) - 1), self.operations)
        return int(results["value"][0])
