"""The history of a trial: virtual time, and what was allocated where, operation by operation.

*Virtual time* is what the calls have cost so far: cycles of the hart, and nothing else, neither the host nor what the
lab does between calls. Where no cycles are counted (a Python allocator without a timing model), it is the number of
the operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from emulator.engine.native import Code, function, load
from hartwell.lab.operation import Operations, Results, handles_of
from hartwell.lab.subject.subject import Memory

from . import changes as native

Words = npt.NDArray[np.int64]


@cache
def _code() -> Code:
    return load([native])


@dataclass(frozen=True)
class History:
    """What each operation did: `size` bytes more (or fewer) allocated at `address`, counted from the memory's start.

    `time` is the virtual time when it was over, in `unit`; `live` and `blocks` are the bytes and blocks allocated then.
    """

    time: Words
    unit: str
    address: Words
    size: Words
    live: Words
    blocks: Words

    @classmethod
    def of(cls, operations: Operations, results: Results, memory: Memory) -> History:
        """The history of operations on a pristine subject with `memory`."""
        count = len(operations)
        operations, results = np.ascontiguousarray(operations), np.ascontiguousarray(results)
        handles = np.zeros((max(handles_of(operations), 1), 2), dtype=np.uint64)
        address, size, number = (np.zeros(count, dtype=np.int64) for _ in range(3))
        given = [array.ctypes.data for array in (operations, results, handles)]
        words = np.array([*given, memory.start, *(a.ctypes.data for a in (address, size, number))], dtype=np.uint64)
        assert len(words) == native.WORDS
        function(_code(), native.changes)(words.ctypes.data, count)
        cycles = results["cycles"].astype(np.int64)
        unit = "cycles" if cycles.any() else "operations"
        time = np.cumsum(cycles) if unit == "cycles" else np.arange(1, count + 1, dtype=np.int64)
        return cls(time, unit, address, size, np.cumsum(size), np.cumsum(number))

    @property
    def end(self) -> int:
        """The virtual time when all is over."""
        return int(self.time[-1]) if len(self.time) else 0

    @property
    def peak(self) -> int:
        """The first operation behind which more bytes are allocated than at any time before; -1 if there is none."""
        return int(self.live.argmax()) if len(self.live) else -1

    def moments(self, count: int) -> npt.NDArray[np.int64]:
        """For `count` moments at equal distances of virtual time, the last of them the end: operations done by then."""
        times = [self.end * (n + 1) // count for n in range(count)]
        return np.searchsorted(self.time, times, side="right").astype(np.int64)


class Occupancy:
    """Bytes allocated of each page of the memory, from its beginning up to any operation: go forward with `to`."""

    def __init__(self, history: History, memory: Memory) -> None:
        self._history, self._done = history, 0
        self._occupy = function(_code(), native.occupy)
        self.pages = np.zeros(memory.size >> native.SHIFT, dtype=np.uint32)
        """As it is now."""
        self.touched = np.zeros(len(self.pages), dtype=bool)
        """Pages that ever had a block."""

    def to(self, operation: int) -> npt.NDArray[np.uint32]:
        """Go on up to operation number `operation` (not with it)."""
        address, size = (array[self._done:operation] for array in (self._history.address, self._history.size))
        self._occupy(self.pages.ctypes.data, self.touched.ctypes.data, len(self.pages), address.ctypes.data,
                     size.ctypes.data, len(address))
        self._done = max(operation, self._done)
        return self.pages
