"""Grading: checks done on a subject, one after the other, and what came of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hartwell.lab.errors import SubjectFailed
from hartwell.lab.finding import Finding
from hartwell.lab.operation import describe
from hartwell.lab.subject.setting import Setting
from hartwell.lab.subject.subject import Subject, SubjectKind
from hartwell.lab.trial import Failed

from .bench import Bench
from .check import Check, Level

HISTORY = 4
"""Operations before the one that failed that are told."""


@dataclass(frozen=True)
class Grade:
    """What came of a check: nothing is full marks, any of `findings` none.

    `failed` is the trial that shows it, if it can be done again; `operations` is how many were done, `seconds` of the
    host's time.
    """

    check: Check
    findings: tuple[Finding, ...]
    failed: Failed | None
    operations: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def points(self) -> int:
        """Those that were made."""
        return self.check.points if self.ok else 0

    def history(self) -> list[str]:
        """The operation that failed, and some before it, in words; [] if it is no single one's."""
        finding = self.findings[0] if self.findings else None
        if finding is None or finding.operation is None or self.failed is None:
            return []
        last = finding.operation
        operations = self.failed.operations
        if last >= len(operations):
            return []
        first = max(last - HISTORY, 0)
        return [f"{number}: {describe(operations[number])}" for number in range(first, last + 1)]


@dataclass(frozen=True)
class Grades:
    """What came of a suite, on the allocator `name` (SPEC `spec`) in a machine as `setting` says."""

    spec: str
    kind: SubjectKind
    setting: Setting
    memory: int
    seed: int
    grades: list[Grade] = field(default_factory=list)

    @property
    def points(self) -> int:
        """Those that were made."""
        return sum(grade.points for grade in self.grades)

    @property
    def of(self) -> int:
        """Those that could be made."""
        return sum(grade.check.points for grade in self.grades)

    @property
    def ok(self) -> bool:
        """Full marks."""
        return all(grade.ok for grade in self.grades)

    @property
    def level(self) -> Level | None:
        """The highest level of which all, and all below it, is ok; None if not even the first."""
        reached: Level | None = None
        for level in Level:
            grades = [grade for grade in self.grades if grade.check.level is level]
            if not grades or not all(grade.ok for grade in grades):
                break
            reached = level
        return reached

    def to_json(self, *, times: bool = False) -> dict[str, Any]:
        """As JSON has it; the host's time only if it is asked for."""
        timing = self.setting.timing
        return {
            "allocator": self.spec, "kind": self.kind.value, "harts": self.setting.harts, "memory": self.memory,
            "profile": timing.name if timing is not None else None, "seed": self.seed, "points": self.points,
            "of": self.of, "ok": self.ok, "level": self.level.title if self.level is not None else None,
            "checks": [{
                "name": grade.check.name, "level": grade.check.level.title, "title": grade.check.title,
                "oracle": grade.check.oracle, "points": grade.points, "of": grade.check.points, "ok": grade.ok,
                "operations": grade.operations, "history": grade.history(),
                "findings": [finding.to_json() for finding in grade.findings],
                **({"seconds": round(grade.seconds, 3)} if times else {}),
            } for grade in self.grades],
        }


def grade(subject: Subject, checks: Sequence[Check], seed: int = 0, *, spec: str = "",
          begun: Callable[[Check], object] | None = None, done: Callable[[Grade], object] | None = None) -> Grades:
    """Do `checks` on a subject, in order; `begun` and `done` are told of each. `spec` is how people call the subject.

    The same subject and seed give the same grades.
    """
    grades = Grades(spec or subject.spec, subject.kind, subject.setting, subject.memory.size, seed)
    with Bench(subject, seed) as bench:
        for check in checks:
            if begun is not None:
                begun(check)
            grades.grades.append(_grade(bench, check))
            if done is not None:
                done(grades.grades[-1])
    return grades


def _grade(bench: Bench, check: Check) -> Grade:
    bench.failed, before, began = None, bench.operations, time.perf_counter()
    try:
        findings = check.function(bench)
    except SubjectFailed as why:
        findings = [replace(why.finding, operation=None)]
    failed = bench.failed if findings else None
    return Grade(check, tuple(findings), failed, bench.operations - before, time.perf_counter() - began)


def all_failed(spec: str, kind: SubjectKind, setting: Setting, checks: Sequence[Check], finding: Finding,
               seed: int = 0) -> Grades:
    """Grades of an allocator that does not even come up, because of `finding`."""
    return Grades(spec, kind, setting, 0, seed, [Grade(check, (finding,), None, 0, 0.0) for check in checks])
