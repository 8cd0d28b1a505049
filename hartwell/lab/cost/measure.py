"""Measuring an allocator under workloads: the operations run under the oracles, and what they cost is told.

        report = measure(subject, ["random", "power-law"], count=10_000, seed=1)

Each workload begins with a pristine allocator: its memory given to it, nothing allocated, the caches as that left them.
Blocks are written to between the calls, as by a client that uses its memory; only the calls themselves are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hartwell import __version__
from hartwell.lab.finding import Finding
from hartwell.lab.operation import Kind, Operations, Results, State
from hartwell.lab.oracle.conservation import Conservation
from hartwell.lab.subject.guest import GuestSubject
from hartwell.lab.subject.subject import Subject
from hartwell.lab.trial import Trial
from hartwell.lab.workload import workload

from .distribution import Distribution
from .fragmentation import Fragmentation, follow
from .history import History
from .waste import Waste, measure_waste
from .worst import TRIES, Worst, find_worst, shorten

FORMAT: Final = "hartwell-lab-cost"
VERSION: Final = 1
METRICS: Final = ("cycles", "instructions", "misses")
UNTIMED: Final = "one cycle per instruction"
PYTHON_TRIES: Final = 8
"""Runs to find a shorter sequence of a Python allocator's, whose machine is booted anew for each."""


@dataclass(frozen=True)
class Calls:
    """What calls of one kind cost: `alloc`, `dealloc`, or `none` for allocations that found no memory."""

    name: str
    cycles: Distribution
    instructions: Distribution
    misses: Distribution

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"calls": self.name, "cycles": self.cycles.to_json(), "instructions": self.instructions.to_json(),
                "misses": self.misses.to_json()}


@dataclass(frozen=True)
class Workloaded:
    """What a subject did under one workload."""

    workload: str
    operations: int
    calls: tuple[Calls, ...]
    unit: str
    time: int
    """Virtual time that all calls took, in `unit`."""
    peak: int
    """The most bytes allocated at a time."""
    history: History
    fragmentation: Fragmentation
    waste: Waste | None
    worst: tuple[Worst, ...]
    findings: tuple[Finding, ...]

    @property
    def number(self) -> int:
        """How many calls there were."""
        return sum(each.cycles.count for each in self.calls)

    @property
    def throughput(self) -> float:
        """Calls in a million cycles; 0 where no cycles were counted."""
        return self.number * 1e6 / self.time if self.time and self.unit == "cycles" else 0.0

    def of(self, name: str) -> Calls | None:
        """The calls of a kind, if there were any."""
        return next((each for each in self.calls if each.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "workload": self.workload, "operations": self.operations, "calls": self.number, "unit": self.unit,
            "time": self.time, "calls_per_million_cycles": round(self.throughput, 3), "peak": self.peak,
            "costs": [each.to_json() for each in self.calls], "worst": [each.to_json() for each in self.worst],
            "waste": None if self.waste is None else self.waste.to_json(),
            "fragmentation": self.fragmentation.to_json(),
            "findings": [finding.to_json() for finding in self.findings],
        }


@dataclass(frozen=True)
class Report:
    """What was measured of one subject: `profile` and `accuracy` say what its cycles are worth."""

    subject: str
    spec: str
    kind: str
    memory: int
    ram: int
    harts: int
    seed: int
    count: int
    profile: str
    accuracy: str
    clock: int
    """Cycles in a second of the board's clock."""
    workloads: tuple[Workloaded, ...]

    @property
    def findings(self) -> list[Finding]:
        """All that is wrong."""
        return [finding for each in self.workloads for finding in each.findings]

    def to_json(self) -> dict[str, Any]:
        """As JSON has it: what `hartwell lab cost --json` prints, and `hartwell lab compare` takes."""
        return {
            "format": FORMAT, "version": VERSION, "hartwell": __version__, "subject": self.subject, "spec": self.spec,
            "kind": self.kind, "memory": self.memory, "ram": self.ram, "harts": self.harts, "seed": self.seed,
            "operations": self.count, "profile": self.profile, "accuracy": self.accuracy, "clock_hz": self.clock,
            "workloads": [each.to_json() for each in self.workloads],
        }


def measure(subject: Subject, workloads: Sequence[str], count: int, seed: int, *,
            progress: Callable[[int, int], object] | None = None) -> Report:
    """Measure `subject` under each of `workloads`, `count` operations of each.

    `progress` is told how many workloads of how many are done. WorkloadError for a name that there is none of, or a
    workload that is not for this kind of allocator. SubjectFailed if the allocator does not survive its start.
    """
    profile = subject.setting.timing
    made = [(name, workload(name).operations(subject.kind, subject.memory.size, count, seed)) for name in workloads]
    found: list[Workloaded] = []
    with _Twin(subject) as twin:
        for name, operations in made:
            if progress is not None:
                progress(len(found), len(made))
            found.append(_measure(subject, twin, name, operations))
    subject.reset()
    setting = subject.setting
    return Report(subject.name, subject.spec, subject.kind.value, subject.memory.size, setting.memory, setting.harts,
                  seed, count, profile.name if profile else "off", profile.accuracy if profile else UNTIMED,
                  subject.machine.board.clock_hz, tuple(found))


class _Twin:
    """The same allocator for what needs no cycles, which is quicker without a timing model.

    `counting` is what instructions are counted on: guest code retires as many without a model, but those of a Python
    allocator are estimated with one only.
    """

    def __init__(self, subject: Subject) -> None:
        guest = isinstance(subject, GuestSubject)
        self._own = subject.setting.timing is not None
        self.subject = subject.another(replace(subject.setting, timing=None)) if self._own else subject
        self.counting = self.subject if guest else subject
        self.tries = TRIES if guest else PYTHON_TRIES
        measured = Trial(self.subject).conservation
        self.conservation = measured if isinstance(measured, Conservation) else None

    def __enter__(self) -> _Twin:
        return self

    def __exit__(self, *_: object) -> None:
        if self._own:
            self.subject.close()


def _measure(subject: Subject, twin: _Twin, name: str, operations: Operations) -> Workloaded:
    outcome = Trial(subject).run(operations, conserve=False)
    results = outcome.results
    history = History.of(operations, results, subject.memory)
    worst = [found for metric in ("cycles", "instructions")
             if (found := find_worst(operations, results, history, metric)) is not None]
    waste = None
    if not outcome.findings:
        twin.subject.reset()
        twin.counting.reset()
        worst = [replace(each, sequence=shorten(twin.counting, operations, each, twin.tries))
                 if each.metric == "instructions" else each for each in worst]
        if twin.conservation is not None and history.peak >= 0:
            waste = measure_waste(twin.subject, twin.conservation, operations, history.peak,
                                  int(history.live[history.peak]))
    return Workloaded(name, outcome.done, tuple(_calls(operations, results)), history.unit, history.end,
                      max(int(history.live.max(initial=0)), 0), history, follow(history, subject.memory), waste,
                      tuple(worst), outcome.findings)


def _calls(operations: Operations, results: Results) -> list[Calls]:
    """The calls by kind: those that there were."""
    done = results["state"] == State.DONE
    alloc, gave = done & (operations["kind"] == Kind.ALLOC), results["value"] != 0
    kinds: dict[str, npt.NDArray[np.bool_]] = {
        "alloc": alloc & gave, "dealloc": done & (operations["kind"] == Kind.DEALLOC), "none": alloc & ~gave}
    found = []
    for name, which in kinds.items():
        if which.any():
            found.append(Calls(name, *(Distribution.of(results[metric][which]) for metric in METRICS)))
    return found
