"""A trial: operations on a subject, and what the oracles say.

    outcome = Trial(subject).run(operations)
    for finding in outcome.findings: ...

The subject is made pristine first. Operations go to it in batches; behind each the shadow follows them, and at the
first batch with a finding the trial ends. What is allocated at the end is looked at once more, and, if `conserve` is
asked for, given back: then all memory must be to be had again, in blocks as large as at first.

A trial is deterministic: the same subject and operations give the same outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .errors import SubjectFailed
from .finding import Finding
from .operation import RESULT, Operations, Program, Results, State, handles_of
from .oracle.conservation import Conservation
from .oracle.shadow import Live, Shadow
from .subject.setting import Setting
from .subject.subject import Subject

BATCH = 8192
"""Operations between two looks of the oracles."""


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: the operations that were done and their results, and what is wrong with them.

    `done` says how many operations were done before it ended; `live` what was allocated then.
    """

    operations: Operations
    results: Results
    findings: tuple[Finding, ...]
    done: int
    live: Live

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


@dataclass(frozen=True)
class Failed:
    """A trial with a finding, as it can be done again: `operations` as CPU `cpu` of a subject in this `setting`."""

    operations: Operations
    cpu: int
    setting: Setting
    conserve: bool = True


class Trial:
    """Trials of `subject`. Its conservation is measured when it is first asked for: it costs some allocations."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._conservation: Conservation | Finding | None = None

    def run(self, operations: Operations, cpu: int = 0, *, contents: bool = True, conserve: bool = True,
            sanitize: bool = False, progress: Callable[[int], object] | None = None) -> Outcome:
        """Do `operations` on a pristine subject, as CPU `cpu`.

        `contents`: blocks are filled, and looked at; `conserve`: see above; `sanitize`: what an allocator in guest code
        does with memory that is not its own is caught at the instruction (`sanitizer`; Python code is not judged);
        `progress` is told how many operations are done. ProgramError for operations that make no sense.
        """
        conservation = self.conservation if conserve else None
        if not sanitize:
            return self._run(operations, cpu, contents, conservation, progress)
        from .sanitizer import sanitized

        with sanitized(self.subject) as sanitizer:
            outcome = self._run(operations, cpu, contents, conservation, progress)
            return replace(outcome, findings=tuple(map(sanitizer.explain, outcome.findings))) if sanitizer else outcome

    def _run(self, operations: Operations, cpu: int, contents: bool, conservation: Conservation | Finding | None,
             progress: Callable[[int], object] | None) -> Outcome:
        subject = self.subject
        subject.reset()
        largest = conservation.largest if isinstance(conservation, Conservation) else 0
        shadow = Shadow(subject.memory, subject.kind, max(handles_of(operations), 1), largest)
        results = np.zeros(len(operations), dtype=RESULT)
        findings: list[Finding] = []
        done = 0
        for begin in range(0, len(operations), BATCH):
            part = operations[begin:begin + BATCH]
            findings, done = self._part(part, cpu, contents, shadow, results[begin:begin + BATCH])
            findings, done = [_later(finding, begin) for finding in findings], done + begin
            if progress is not None:
                progress(done)
            if findings:
                break
        if not findings:
            findings = self._end(shadow, cpu, contents, conservation)
        return Outcome(operations, results, tuple(findings), done, shadow.live)

    @property
    def conservation(self) -> Conservation | Finding:
        """What the pristine subject can give, or what is wrong with that; measured once. It is pristine afterwards."""
        if self._conservation is None:
            try:
                measured = Conservation.measure(self.subject)
                self._conservation = measured.complaint() or measured
            except SubjectFailed as why:
                finding = why.finding
                self._conservation = replace(finding, operation=None, what=f"emptied when pristine: {finding.what}")
                self.subject.reset()
        return self._conservation

    def _part(self, part: Operations, cpu: int, contents: bool, shadow: Shadow,
              results: Results) -> tuple[list[Finding], int]:
        """Do a batch; what is wrong, and how many operations were done."""
        failed: list[Finding] = []
        try:
            results[:] = self.subject.run(part, cpu, contents=contents)
        except SubjectFailed as why:
            failed = [why.finding]
            if why.partial is not None:
                results[:len(why.partial)] = why.partial
        findings = shadow.follow(part, results)
        done = int(np.isin(results["state"], (State.DONE, State.SKIPPED)).sum())
        return findings + failed, done

    def _end(self, shadow: Shadow, cpu: int, contents: bool,
             conservation: Conservation | Finding | None) -> list[Finding]:
        """Look at what is still allocated, give it back, and see whether all memory is there."""
        blocks = shadow.blocks()
        program = Program()
        for handle, _, _ in blocks:
            if conservation is not None:
                program.dealloc(handle)
            elif contents:
                program.check(handle)
        results = np.zeros(len(program), dtype=RESULT)
        findings, _ = self._part(program.operations, cpu, contents, shadow, results)
        findings = [_without_number(finding) for finding in findings]
        if findings or conservation is None:
            return findings
        return [conservation] if isinstance(conservation, Finding) else conservation.check(self.subject, cpu)


def _later(finding: Finding, by: int) -> Finding:
    return finding if finding.operation is None else replace(finding, operation=finding.operation + by)


def _without_number(finding: Finding) -> Finding:
    """A finding of the operations at the end, which are none of the program's."""
    return replace(finding, operation=None, what=f"at the end, {finding.what}")

