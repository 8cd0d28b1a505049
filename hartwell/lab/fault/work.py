"""Injections by their numbers: what a process of a study does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np

from hartwell.lab.errors import LabError, SubjectFailed
from hartwell.lab.subject import load_subject
from hartwell.lab.subject.guest import GuestSubject
from hartwell.lab.subject.python import PythonSubject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.subject.subject import Subject
from hartwell.lab.workload import workload

from . import clients, flip, interrupt, refuse
from .clients import BOOT, CLIENTS, Clients
from .golden import Golden
from .verdict import FaultError, Injection

KINDS: Final = ("alloc", "interrupt", "flip")
GIVEN: Final = 2 << 20
"""Bytes that a guest allocator is given: what a verdict costs grows with it."""
GUEST_MEMORY: Final = 24 << 20
PYTHON_MEMORY: Final = 16 << 20
BUDGET: Final = 200_000
"""Instructions, or lines of Python, that a call may take before it counts as hung."""


@dataclass(frozen=True)
class Conditions:
    """All that an injection depends on besides its number: the allocator, the program, the seed.

    Each target is injected into `injections` times, evenly spread where there are no more places than that.
    """

    spec: str
    workload: str = "random"
    operations: int = 200
    injections: int = 100
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """The conditions as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """The conditions that `to_json` gave."""
        return cls(**plain)


def load(conditions: Conditions) -> Subject:
    """The subject of a study, in the machine that is fit for it. SpecError; FaultError if it does not even boot."""
    try:
        subject = load_subject(conditions.spec, Setting(memory=GUEST_MEMORY, given=GIVEN, budget=BUDGET))
        if isinstance(subject, PythonSubject):
            small = subject.another(Setting(memory=PYTHON_MEMORY, budget=BUDGET))
            subject.close()
            return small
        return subject
    except SubjectFailed as why:
        raise FaultError(f"{conditions.spec}: fails without any fault: {why.finding}; mend that first") from None


def targets(subject: Subject, kind: str) -> tuple[str, ...]:
    """What injections of a kind can be aimed at."""
    guest = isinstance(subject, GuestSubject)
    if kind == "flip":
        return flip.targets(subject)
    if kind == "interrupt":
        return interrupt.TARGETS if guest else ()
    return (refuse.TARGET,) if guest else (BOOT, *CLIENTS)


class FaultWork:
    """Makes injections; keeps the golden run from one task to the next."""

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    def __call__(self, plain: dict[str, Any]) -> dict[str, Any]:
        """The task's injections: `conditions`, `kind`, `target`, `first` (number of the target's first injection),
        `numbers`. The answer has `injections`, or an `error` in words."""
        conditions = Conditions.from_json(plain["conditions"])
        try:
            if self._kept is None or self._kept.conditions != conditions:
                self.close()
                self._kept = _Kept(conditions)
            made = [self._kept.inject(plain["kind"], plain["target"], plain["first"], number)
                    for number in plain["numbers"]]
        except LabError as why:
            return {"error": str(why)}
        return {"injections": [injection.to_json() for injection in made if injection is not None]}

    def close(self) -> None:
        """Let go of the machines."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()


class _Kept:
    """The subject, its golden run and its clients, as far as they were needed."""

    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions
        self.subject = load(conditions)
        self._golden: Golden | None = None
        self._clients = Clients(self.subject) if isinstance(self.subject, PythonSubject) else None

    def inject(self, kind: str, target: str, first: int, number: int) -> Injection | None:
        """Make an injection; None where there is nothing to be injected into."""
        index, most = number - first, self.conditions.injections
        random = np.random.Generator(np.random.PCG64([self.conditions.seed, number]))
        if kind == clients.KIND and self._clients is not None:
            count = self._clients.count(target)
            request = _place(index, most, 2 * count)
            return None if request is None else self._clients.refuse(number, target, request >> 1, bool(request & 1))
        golden = self.golden
        if kind == refuse.KIND:
            allocation = _place(index, most, len(golden.allocations()))
            return None if allocation is None else refuse.refuse(golden, number, allocation)
        if kind == interrupt.KIND:
            return interrupt.interrupt(golden, number, target, random)
        return flip.flip(golden, number, target, random)

    @property
    def golden(self) -> Golden:
        """The golden run."""
        if self._golden is None:
            conditions, subject = self.conditions, self.subject
            operations = workload(conditions.workload).operations(
                subject.kind, min(subject.given, GIVEN), conditions.operations, conditions.seed)
            self._golden = Golden(subject, operations)
        return self._golden

    def close(self) -> None:
        """Let go of the machines."""
        if self._clients is not None:
            self._clients.close()
        self.subject.close()


def _place(index: int, most: int, places: int) -> int | None:
    """Which of `places` the injection `index` of `most` is in: each once, if there are no more; None for none."""
    if places <= most:
        return index if index < places else None
    return index * places // most
