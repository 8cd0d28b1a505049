"""Directed search: one workload and seed after the other, short programs first, until one fails; then it is shrunk.

    search(subject)                 all workloads for its kind, 8 seeds each, up to 400 operations
        for operations in 1/16, 1/4, all: for each seed: for each workload: a trial
        ── the first that fails ──> cut behind the operation that fails ──> Shrinker ──> Found

Short programs come first, for most bugs need few operations, and a short program is quickly shrunk. The same subject
and numbers give the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hartwell.lab.finding import Finding
from hartwell.lab.operation import Operations, describe
from hartwell.lab.subject import Subject
from hartwell.lab.trial import Trial
from hartwell.lab.workload import WorkloadError, made, workload

from .judge import Judge, explicit, given_back
from .shrink import PATIENCE, Shrinker

SEEDS: Final = 8
OPERATIONS: Final = 400
SHARES: Final = (16, 4, 1)
"""The programs' lengths: what is asked for, divided by each of these in turn."""
SHORTEST: Final = 8
Progress = Callable[[int, int, str], object]
"""Told how many trials of how many are done, and what is being done."""


@dataclass(frozen=True)
class Attempt:
    """A trial that is made: `count` operations of a workload with a seed."""

    workload: str
    count: int
    seed: int

    def __str__(self) -> str:
        return f"workload {self.workload}, seed {self.seed}, {self.count:,} operations"


@dataclass(frozen=True)
class Found:
    """A failure: the shortest program that was found for it, and what an oracle says of that.

    `how` is how it was found, for people; `first` the finding as it was before shrinking, of a program of `length`
    operations up to it; `shrinking` trials were made to shrink it.
    """

    finding: Finding
    operations: Operations
    how: str
    first: Finding
    length: int
    shrinking: int

    @property
    def words(self) -> list[str]:
        """The program, an operation a line."""
        return [describe(operation) for operation in self.operations]


@dataclass(frozen=True)
class Searched:
    """What came of a search: how many trials and operations it made before it found something, and what; or None."""

    trials: int
    operations: int
    found: Found | None


def attempts(subject: Subject, workloads: Sequence[str] = (), seeds: int = SEEDS, operations: int = OPERATIONS,
             first: int = 0) -> list[Attempt]:
    """The trials of a search, in order: `seeds` of them from `first` on. WorkloadError for a workload that is none."""
    names = list(workloads) or [each.name for each in made() if subject.kind in each.kinds]
    for name in names:
        if subject.kind not in workload(name).kinds:
            raise WorkloadError(f"the workload {name} is not for {subject.kind.value} allocators")
    lengths = sorted({max(operations // share, min(SHORTEST, operations)) for share in SHARES})
    return [Attempt(name, length, seed) for length in lengths for seed in range(first, first + seeds) for name in names]


def search(subject: Subject, planned: Sequence[Attempt] | None = None, *, cpu: int = 0, patience: int = PATIENCE,
           progress: Progress = lambda done, of, note: None) -> Searched:
    """Make the `planned` trials (by default `attempts(subject)`) until one fails, and shrink that.

    `patience` is how many trials shrinking may take; see Progress.
    """
    planned = attempts(subject) if planned is None else planned
    trial = Trial(subject)
    made = 0
    for number, (attempt, operations) in enumerate(_programs(subject, planned)):
        progress(number, len(planned), f": {attempt}")
        outcome = trial.run(operations, cpu)
        made += len(operations)
        if not outcome.ok:
            end = outcome.findings[0].operation
            where = "at the end" if end is None else f"at operation {end}"
            return Searched(number + 1, made, _shrunk(trial, *explicit(trial, outcome, cpu), cpu,
                                                      f"{attempt}, {where}", patience, progress))
    return Searched(len(planned), made, None)


def shrink(subject: Subject, operations: Operations, how: str, *, cpu: int = 0, patience: int = PATIENCE,
           progress: Progress = lambda done, of, note: None) -> Found | None:
    """Shrink a program that fails on `subject`; None if it does not fail."""
    trial = Trial(subject)
    outcome = trial.run(operations, cpu)
    if outcome.ok:
        return None
    return _shrunk(trial, *explicit(trial, outcome, cpu), cpu, how, patience, progress)


def _programs(subject: Subject, planned: Sequence[Attempt]) -> Iterator[tuple[Attempt, Operations]]:
    for attempt in planned:
        yield attempt, workload(attempt.workload).operations(subject.kind, subject.memory.size, attempt.count,
                                                             attempt.seed)


def _shrunk(trial: Trial, operations: Operations, finding: Finding, cpu: int, how: str, patience: int,
            progress: Progress) -> Found:
    judge = Judge(trial, cpu, finding)
    shrinker = Shrinker(judge, trial.subject.kind, patience,
                        lambda length: progress(judge.trials, patience, f" to shrink it: {length:,} operations"))
    best = shrinker.shrink(operations)
    if judge.at_end:  # what is given back at the end is said, too
        whole = np.concatenate([best, given_back(best)])
        best = whole if judge(whole) is not None else best
    said = judge(best)
    return Found(said or finding, best if said is not None else operations, how, finding, len(operations),
                 judge.trials)
