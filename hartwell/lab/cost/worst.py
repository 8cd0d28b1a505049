"""The dearest call: which it was, what was allocated then, and the shortest way there.

Cycles depend on caches and predictors, and so on all that went before; instructions depend on the allocator's own
state only. So the dearest call by cycles is told with its place, and the one by instructions is made again: operations
are left out, whole lives of blocks at a time, as long as the call still costs as much (delta debugging, A. Zeller and
R. Hildebrandt, 2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hartwell.lab.errors import LabError
from hartwell.lab.operation import Kind, Operations, Results, State, describe
from hartwell.lab.subject.subject import Subject

from .history import History

BEFORE: Final = 3
"""Operations before the dearest call that are told."""
SHOWN: Final = 40
"""Operations of a sequence that are told in words."""
TRIES: Final = 120
WORK: Final = 300_000
"""Runs, and operations of them all, that finding a shorter sequence may take."""


@dataclass(frozen=True)
class Worst:
    """The dearest call by `metric`: operation number `operation`, whose cost is `cost`.

    `blocks` and `live` (bytes) were allocated before it. `sequence` are operations that bring a pristine allocator to a
    call that costs at least as much: the last of them. None if no such were looked for, or none found.
    """

    metric: str
    operation: int
    text: str
    cost: int
    cycles: int
    instructions: int
    misses: int
    blocks: int
    live: int
    before: tuple[str, ...]
    sequence: Operations | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON has it; the sequence as rows of kind, handle, size, align and offset."""
        sequence = None if self.sequence is None else [[int(value) for value in row] for row in self.sequence.tolist()]
        return {"metric": self.metric, "operation": self.operation, "what": self.text, "cost": self.cost,
                "cycles": self.cycles, "instructions": self.instructions, "misses": self.misses,
                "live_blocks": self.blocks, "live_bytes": self.live, "before": list(self.before),
                "sequence": sequence}

    def told(self) -> list[str]:
        """The sequence in words, a line each; the middle of a long one is left out."""
        if self.sequence is None:
            return []
        lines = [describe(operation) for operation in self.sequence]
        if len(lines) <= SHOWN:
            return lines
        half = SHOWN // 2
        return [*lines[:half], f"… {len(lines) - 2 * half:,} more …", *lines[-half:]]


def find_worst(operations: Operations, results: Results, history: History, metric: str) -> Worst | None:
    """The first of the calls that cost most by `metric` ("cycles" or "instructions"); None if none cost anything."""
    called = (results["state"] == State.DONE) & np.isin(operations["kind"], (Kind.ALLOC, Kind.DEALLOC))
    costs = np.where(called, results[metric], 0)
    if not len(costs) or not costs.any():
        return None
    at = int(costs.argmax())
    result, before = results[at], range(max(at - BEFORE, 0), at)
    return Worst(metric, at, describe(operations[at]), int(costs[at]), int(result["cycles"]),
                 int(result["instructions"]), int(result["misses"]), int(history.blocks[at - 1]) if at else 0,
                 int(history.live[at - 1]) if at else 0, tuple(describe(operations[n]) for n in before))


def shorten(subject: Subject, operations: Operations, worst: Worst, tries: int = TRIES) -> Operations | None:
    """A short sequence behind which the last operation costs `subject` at least as many instructions as `worst` did.

    It takes up to `tries` runs, and WORK operations. None if not even all operations up to the worst do (the subject
    is another, or not deterministic). The subject is pristine before and afterwards.
    """
    until = operations[:worst.operation + 1]
    until = until[until["kind"] != Kind.CHECK]
    lives = lives_of(until)
    runs = _Runs(subject, until, lives, worst.cost, tries)
    target = int(lives[-1])
    others = [int(life) for life in np.unique(lives) if life != target]
    if runs.hold([]):  # more often than not, what went before makes no difference
        return runs.chosen([])
    if not runs.hold(others):
        return None
    living = still_alive(until, lives)
    alive = [life for life in others if life in living]
    if len(alive) < len(others) and runs.hold(alive):
        others = alive
    parts = 2
    while others:
        size = -(-len(others) // parts)
        kept = others
        for begin in range(0, len(others), size):
            gone = set(others[begin:begin + size])
            fewer = [life for life in kept if life not in gone]
            if len(fewer) < len(kept) and runs.hold(fewer):
                kept = fewer
        if runs.over or size == 1 and len(kept) == len(others):
            others = kept
            break
        others, parts = kept, max(2, min(parts if len(kept) < len(others) else 2 * parts, len(kept)))
    return runs.chosen(others)


def lives_of(operations: Operations) -> npt.NDArray[np.int64]:
    """For each operation, the number of the life that it belongs to.

    That of a block is from its allocation to when it is given back, with all parts that it is cut into.
    """
    lives = np.zeros(len(operations), dtype=np.int64)
    of_handle: dict[int, int] = {}
    kinds, handles, sizes = (operations[name].tolist() for name in ("kind", "handle", "size"))
    for number, (kind, handle, size) in enumerate(zip(kinds, handles, sizes, strict=True)):
        if kind == Kind.ALLOC:
            of_handle[handle] = number
        lives[number] = of_handle.get(handle, number)
        if kind == Kind.SPLIT:
            of_handle[size] = int(lives[number])
    return lives


def still_alive(operations: Operations, lives: npt.NDArray[np.int64]) -> set[int]:
    """The lives whose blocks have not all been given back."""
    parts: dict[int, int] = {}
    for kind, life in zip(operations["kind"].tolist(), lives.tolist(), strict=True):
        parts[life] = parts.get(life, 0) + {Kind.ALLOC: 1, Kind.SPLIT: 1, Kind.DEALLOC: -1}.get(kind, 0)
    return {life for life, number in parts.items() if number > 0}


class _Runs:
    """Runs of some of the lives, of which the last operation must cost at least `cost`."""

    def __init__(self, subject: Subject, operations: Operations, lives: npt.NDArray[np.int64], cost: int,
                 tries: int) -> None:
        self._subject, self._operations, self._lives, self._cost = subject, operations, lives, cost
        self._tries, self._work = tries, WORK

    @property
    def over(self) -> bool:
        """Whether all tries are used up."""
        return self._tries <= 0 or self._work <= 0

    def chosen(self, others: list[int]) -> Operations:
        """The operations of `others` and of the last one's own life."""
        wanted = np.array([*others, self._lives[-1]], dtype=np.int64)
        found: Operations = self._operations[np.isin(self._lives, wanted)]
        return found

    def hold(self, others: list[int]) -> bool:
        """Whether the last operation is as dear with `others` only; False when all tries are used up."""
        if self.over:
            return False
        operations = self.chosen(others)
        self._tries -= 1
        self._work -= len(operations)
        try:
            results = self._subject.run(operations, contents=False)
        except LabError:
            return False
        finally:
            self._subject.reset()
        return int(results["instructions"][-1]) >= self._cost
