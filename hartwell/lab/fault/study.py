"""A study: injections of some kinds into one allocator, over all cores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from typing import Any, Final

from hartwell.lab.campaign.pool import Died, run_tasks
from hartwell.lab.workload import workload

from .report import FaultReport
from .verdict import FaultError, Injection, Verdict
from .work import KINDS, Conditions, FaultWork, load, targets

CHUNK: Final = 25
"""Injections of one task."""
Task = dict[str, Any]
Answers = Iterator[tuple[int, "dict[str, Any] | Died"]]


class Study:
    """Injections of `kinds` into the allocator that `conditions` name, or into some `aims` of them only.

    SpecError, WorkloadError, FaultError.
    """

    def __init__(self, conditions: Conditions, kinds: Sequence[str] = KINDS, aims: Collection[str] = ()) -> None:
        self.conditions = conditions
        workload(conditions.workload)
        with load(conditions) as subject:
            found = [(kind, target) for kind in kinds for target in targets(subject, kind)]
        known = [target for _, target in found]
        for aim in aims:
            if aim not in known:
                raise FaultError(f"{conditions.spec}: there is no target {aim!r}; expected one of {', '.join(known)}")
        self.groups = [(kind, target, index * conditions.injections) for index, (kind, target) in enumerate(found)
                       if not aims or target in aims]
        """Kind, target, number of the first injection."""

    def run(self, jobs: int | None = None, *, only: Collection[int] | None = None,
            progress: Callable[[int, int], object] | None = None) -> FaultReport:
        """Make the injections (those with numbers in `only`, if that is given) in `jobs` processes, 0 for this one.

        `progress` is told how many of how many are done. The report is the same for any number of processes.
        """
        tasks = [task for kind, target, first in self.groups for task in self._tasks(kind, target, first, only)]
        of = sum(len(task["numbers"]) for task in tasks)
        done = 0
        found: list[Injection] = []
        lost: list[Task] = []
        for number, answer in self._answers(tasks, jobs):
            if isinstance(answer, Died):
                lost += [{**tasks[number], "numbers": [each]} for each in tasks[number]["numbers"]]
                continue
            found += _injections(answer)
            done += len(tasks[number]["numbers"])
            if progress is not None:
                progress(done, of)
        for number, answer in self._answers(lost, jobs):  # which one of them was it?
            if isinstance(answer, Died):
                task = lost[number]
                found.append(Injection(task["numbers"][0], task["kind"], task["target"], 0, "", Verdict.DIED,
                                       str(answer)))
            else:
                found += _injections(answer)
        return FaultReport(self.conditions, tuple(sorted(found, key=lambda injection: injection.number)))

    def _tasks(self, kind: str, target: str, first: int, only: Collection[int] | None) -> Iterator[Task]:
        numbers = [number for number in range(first, first + self.conditions.injections)
                   if only is None or number in only]
        for begin in range(0, len(numbers), CHUNK):
            yield {"conditions": self.conditions.to_json(), "kind": kind, "target": target, "first": first,
                   "numbers": numbers[begin:begin + CHUNK]}

    def _answers(self, tasks: list[Task], jobs: int | None) -> Answers:
        if jobs == 0:
            work = FaultWork()
            try:
                for number, task in enumerate(tasks):
                    yield number, work(task)
            finally:
                work.close()
        elif tasks:
            from hartwell.lab.campaign.campaign import cores

            with closing(run_tasks(FaultWork(), tasks, jobs or cores())) as answers:  # type: ignore[type-var]
                yield from answers


def _injections(answer: dict[str, Any]) -> list[Injection]:
    if "error" in answer:
        raise FaultError(answer["error"])
    return [Injection.from_json(plain) for plain in answer["injections"]]
