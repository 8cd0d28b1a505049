"""Shrinking: the shortest program that fails in the same way, with the smallest numbers.

    1. operations    whole stretches are taken out, half of the program first, then quarters, … then one by one, and
                     two at a time when few are left (ddmin: Zeller and Hildebrandt, Simplifying and Isolating
                     Failure-Inducing Input, 2002). What needs one that is gone goes, too (`parts`); but what needs a
                     cut can do with the whole block.
    2. numbers       sizes, alignments and offsets are made as small as they can be, each by itself

and again, until neither changes anything. The result is *minimal*: without any one of its operations it does not fail,
unless the patience was too short. It is the same for the same program, always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from hartwell.lab.finding import Finding
from hartwell.lab.operation import Kind, Operations
from hartwell.lab.subject.subject import SubjectKind

from .parts import Parts

PATIENCE: Final = 4000
"""Trials, at most."""
FEW: Final = 14
"""Operations of which every two are tried without."""
SMALL: Final = 8
"""Granules of the sizes that are tried each: from there on, twice as many."""
Fails = Callable[[Operations], Finding | None]


class Shrinker:
    """Shrinks programs for an allocator of `kind` that fail as `fails` says; `progress` is told the length."""

    def __init__(self, fails: Fails, kind: SubjectKind, patience: int = PATIENCE,
                 progress: Callable[[int], object] = lambda length: None) -> None:
        self._fails, self._kind, self._left, self._progress = fails, kind, patience, progress
        self._align = kind.granule
        self._size = kind.granule if kind is SubjectKind.FRAME else 1

    def shrink(self, operations: Operations) -> Operations:
        """The shortest program that fails as `operations` do; themselves, if they do not fail."""
        best = self._try(operations)
        if best is None:
            return operations
        while self._left > 0:
            before = best.copy()
            best = self._fewer(best)
            best = self._smaller(best)
            if len(best) == len(before) and (best == before).all():
                break
        return best

    def _try(self, operations: Operations) -> Operations | None:
        """The operations up to the one that fails, if any does."""
        if self._left <= 0:
            return None
        self._left -= 1
        finding = self._fails(operations)
        if finding is None:
            return None
        cut = operations if finding.operation is None else operations[:finding.operation + 1]
        self._progress(len(cut))
        return cut

    # --- fewer operations -----------------------------------------------------------------------------------

    def _fewer(self, best: Operations) -> Operations:
        size = max(len(best), 1)
        while size:
            best, shorter = self._stretches(best, size)
            size = min(size if shorter and size == 1 else size // 2, len(best))
        best = self._joined(best)
        return self._pairs(best) if len(best) <= FEW else best

    def _stretches(self, best: Operations, size: int) -> tuple[Operations, bool]:
        """Take out stretches of `size` operations, the last first; what is left, and whether anything went."""
        parts, kept = Parts(best), np.ones(len(best), dtype=np.bool_)
        kept = parts.settled(kept)
        last, went = len(best), False
        while last > 0 and self._left > 0:
            first = max(last - size, 0)
            if kept[first:last].any():
                left = parts.without(kept, first, last)
                shorter = self._try(parts.program(left))
                if shorter is not None:
                    kept, went = left, True
                    gone = int(left.sum()) - len(shorter)
                    if gone:  # it failed earlier than before: what is behind goes
                        kept[np.flatnonzero(left)[len(shorter):]] = False
            last = first
        return (parts.program(kept), True) if went else (best, False)

    def _joined(self, best: Operations) -> Operations:
        """Take out cuts: what was done with the part behind one is done with the whole."""
        number = len(best) - 1
        while number >= 0:
            if int(best[number]["kind"]) == Kind.SPLIT:
                whole = best.copy()
                later = whole[number + 1:]
                later["handle"][later["handle"] == best[number]["size"]] = best[number]["handle"]
                parts, kept = Parts(whole), np.ones(len(best), dtype=np.bool_)
                kept[number] = False
                shorter = self._try(parts.program(parts.settled(kept)))
                best = best if shorter is None else shorter
            number = min(number, len(best)) - 1
        return best

    def _pairs(self, best: Operations) -> Operations:
        """Take out two operations that are only of use together."""
        second = len(best) - 1
        while second > 0:
            for first in range(second - 1, -1, -1):
                if second >= len(best):
                    break
                parts = Parts(best)
                kept = np.ones(len(best), dtype=np.bool_)
                kept[[first, second]] = False
                shorter = self._try(parts.program(parts.settled(kept)))
                if shorter is not None:
                    best = shorter
                    second = len(best)
                    break
            second -= 1
        return best

    # --- smaller numbers ------------------------------------------------------------------------------------

    def _smaller(self, best: Operations) -> Operations:
        number = 0
        while number < len(best):
            kind = int(best[number]["kind"])
            if kind == Kind.ALLOC:
                best = self._number(best, number, "align", self._align, exact=False)
                if number < len(best):
                    best = self._number(best, number, "size", self._size, exact=True)
            elif kind == Kind.SPLIT:
                best = self._number(best, number, "offset", self._align, exact=False)
            number += 1
        return best

    def _number(self, best: Operations, number: int, field: str, unit: int, *, exact: bool) -> Operations:
        """Make a number as small as it can be: a power of two of `unit`s; if `exact`, any number of them."""
        value = int(best[number][field])
        low, small = 0, unit
        while small < value:
            found = self._with(best, number, field, small)
            if found is not None:
                best, value = found, small
                break
            low, small = small, small + unit if exact and small < SMALL * unit else 2 * small
        while exact and number < len(best) and value - low > unit:
            middle = (low + value) // 2 // unit * unit
            found = self._with(best, number, field, middle)
            if found is None:
                low = middle
            else:
                best, value = found, middle
        return best

    def _with(self, best: Operations, number: int, field: str, value: int) -> Operations | None:
        changed = best.copy()
        changed[number][field] = value
        return self._try(changed)
