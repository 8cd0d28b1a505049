"""A program as parts that can be taken out: which operation needs which, and what is left, with handles of its own.

        0  alloc -> #3          a *life* begins            needs nothing
        1  split #3 -> #4       another begins             needs 0
        2  dealloc #4                                      needs 1
        3  alloc -> #4          a handle is given again    needs nothing

Without operation 0 there is no 1 and no 2, but 3 stays. What is left gets the handles 0, 1, … in order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hartwell.lab.operation import OPERATION, Kind, Operations
from hartwell.lab.subject.driver import HANDLES

Mask = npt.NDArray[np.bool_]


class Parts:
    """The operations of a program, each by its number. Operations on handles that have no block are no part of it."""

    def __init__(self, operations: Operations) -> None:
        self.operations = np.ascontiguousarray(operations, dtype=OPERATION)
        needs, used = [-1] * len(operations), [True] * len(operations)
        born: dict[int, int] = {}
        for number, (kind, handle, size, _, _) in enumerate(self.operations.tolist()):
            if kind == Kind.ALLOC:
                born[handle] = number
            elif kind != Kind.ADD:
                needs[number] = born.get(handle, -1)
                used[number] = handle in born
                if kind == Kind.SPLIT and used[number]:
                    born[size] = number
                elif kind == Kind.DEALLOC:
                    born.pop(handle, None)
        self._needs: npt.NDArray[np.int64] = np.array(needs, dtype=np.int64)
        self._used: Mask = np.array(used, dtype=np.bool_)
        self._free = self._needs < 0

    def __len__(self) -> int:
        return len(self.operations)

    def without(self, kept: Mask, first: int, last: int) -> Mask:
        """What is left of `kept` without the operations from `first` up to, not including, `last`."""
        left = kept.copy()
        left[first:last] = False
        return self.settled(left)

    def settled(self, kept: Mask) -> Mask:
        """`kept` without what needs an operation that is not there."""
        left = kept & self._used
        while True:
            better = left & (self._free | left[self._needs])
            if (better == left).all():
                return better
            left = better

    def program(self, kept: Mask) -> Operations:
        """The operations that are kept, with handles given out anew: in order, and again only if there are too many."""
        numbers = np.flatnonzero(kept)
        program = self.operations[numbers].copy()
        kinds = program["kind"]
        begins = (kinds == Kind.ALLOC) | (kinds == Kind.SPLIT)
        place = np.full(len(self), -1, dtype=np.int64)
        place[numbers] = np.cumsum(begins) - 1
        if int(begins.sum()) > HANDLES:
            self._share(kept, place)
        needs = self._needs[numbers]
        own = np.where(needs >= 0, place[needs], place[numbers])
        program["handle"] = np.where(kinds == Kind.ADD, 0, own)
        split = kinds == Kind.SPLIT
        program["size"][split] = place[numbers][split]
        return program

    def _share(self, kept: Mask, place: npt.NDArray[np.int64]) -> None:
        """Handles for more lives than there are handles: one that is free is given again."""
        free, held = list(range(HANDLES))[::-1], {}
        for number in np.flatnonzero(kept):
            kind = int(self.operations[number]["kind"])
            if kind in (Kind.ALLOC, Kind.SPLIT):
                held[int(number)] = place[number] = free.pop()
            elif kind == Kind.DEALLOC:
                free.append(held.pop(int(self._needs[number])))
