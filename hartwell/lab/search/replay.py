"""Replays: a failure of an allocator, with all that is needed to see it again.

    save_replay("bug.replay", subject, operations, cpu, setting, finding)      whoever has found something

    replay = Replay.load("bug.replay")
    replayed = replay.run()                   # the same operations, on the same machine, under the same oracles
    replayed.verdict                          # FAILS, OTHERWISE (another finding), FIXED

`hartwell lab replay F` says the verdict, `hartwell debug --replay F` opens the debugger at the failure. A trial is
deterministic: an allocator that has not changed (`Replayed.changed`) fails again, at the same operation. What a replay
has of the finding is its kind, words and place; all else is found anew. See `replayfile` for the file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from emulator.errors import EmulatorError
from emulator.loader import read_file
from hartwell.lab.errors import SubjectFailed
from hartwell.lab.finding import Finding
from hartwell.lab.operation import OPERATION, RESULT, Operations
from hartwell.lab.oracle.shadow import Live
from hartwell.lab.subject import Subject, SubjectKind, load_subject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.subject.spec import elf_of
from hartwell.lab.trial import Outcome, Trial
from hartwell.lab.writing import write_text

from . import replayfile
from .errors import ReplayError



class Verdict(Enum):
    """What a replay says of the allocator as it is now."""

    FAILS = "still fails"
    OTHERWISE = "fails in another way"
    FIXED = "passes now"


@dataclass(frozen=True)
class Replayed:
    """What came of a replay: the verdict, the trial, and whether the allocator is another one than it was then."""

    verdict: Verdict
    outcome: Outcome
    changed: bool

    @property
    def finding(self) -> Finding | None:
        """The finding that the verdict is about, the expected one if it is there."""
        return self.outcome.findings[0] if self.outcome.findings else None


@dataclass(frozen=True)
class Replay:
    """A failure: the allocator `spec`, whose `digest` (sha256 of its ELF or source file; "": not known) it had then, in
    a machine as `setting` says, does `operations` as `cpu`, and `finding` is what an oracle says.

    `found` is how it was found, for people. `contents` and `conserve` are those of the trial.
    """

    spec: str
    kind: SubjectKind
    digest: str
    setting: Setting
    cpu: int
    operations: Operations
    finding: Finding
    found: str = ""
    contents: bool = True
    conserve: bool = True
    path: str = ""
    """The file that it was read from: a relative SPEC is looked for beside it, too."""

    # --- files ----------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str) -> Replay:
        """The replay in a file. ReplayError if it cannot be read or is damaged."""
        try:
            data = read_file(path, "replay")
        except EmulatorError as why:
            raise ReplayError(str(why)) from None
        return cls.parse(data, path)

    @classmethod
    def parse(cls, data: bytes, name: str) -> Replay:
        """The replay in `data`, of a file called `name`. ReplayError says where it is damaged, and how."""
        read = replayfile.parse(data, name)
        return cls(read.spec, read.kind, read.digest, read.setting, read.cpu, read.operations, read.finding, read.found,
                   read.contents, read.conserve, name)

    def text(self) -> str:
        """The replay as its file has it."""
        return replayfile.text(replayfile.Contents(
            self.spec, self.kind, self.digest, self.setting, self.cpu, self.operations, self.finding, self.found,
            self.contents, self.conserve), os.path.basename(self.path) or "FILE")

    def save(self, path: str) -> None:
        """Write it to a file. OutputError."""
        write_text(path, self.text(), "replay")

    def elf(self) -> bytes | None:
        """The allocator's ELF as it is now; None if it is a Python class. SpecError if it is gone."""
        return elf_of(self.located)

    # --- running --------------------------------------------------------------------------------------------

    @property
    def located(self) -> str:
        """The SPEC as it can be loaded from here: a file that is not there, but beside the replay, is that one."""
        file, colon, attribute = self.spec.rpartition(":")
        if self.spec.endswith(".elf") or not file.endswith(".py"):
            file, colon, attribute = self.spec, "", ""
        beside = os.path.join(os.path.dirname(self.path), file)
        if file.endswith((".elf", ".py")) and not os.path.exists(file) and os.path.exists(beside):
            return beside + colon + attribute
        return self.spec

    def run(self, spec: str | None = None) -> Replayed:
        """Do it again, on the allocator `spec`, by default the one it was found in. SpecError if there is none."""
        try:
            subject = load_subject(spec or self.located, self.setting)
        except SubjectFailed as why:
            finding = replace(why.finding, operation=None)
            return self._judge(Outcome(self.operations, np.zeros(0, RESULT), (finding,), 0, Live(0, 0, 0)), "")
        with subject:
            return self.run_on(subject)

    def run_on(self, subject: Subject) -> Replayed:
        """The same on a subject that is there, in a machine of the replay's setting. It is not pristine afterwards."""
        outcome = Trial(subject).run(self.operations, self.cpu, contents=self.contents, conserve=self.conserve)
        return self._judge(outcome, subject.digest)

    def _judge(self, outcome: Outcome, digest: str) -> Replayed:
        same = [finding for finding in outcome.findings if finding.kind is self.finding.kind]
        others = [finding for finding in outcome.findings if finding.kind is not self.finding.kind]
        verdict = Verdict.FAILS if same else Verdict.OTHERWISE if others else Verdict.FIXED
        changed = bool(self.digest and digest and digest != self.digest)
        return Replayed(verdict, replace(outcome, findings=(*same, *others)), changed)


def save_replay(path: str, subject: Subject, operations: Operations, cpu: int, setting: Setting, finding: Finding,
                found: str = "", *, contents: bool = True, conserve: bool = True) -> Replay:
    """Write a failure of `subject` down in a file, to be seen again; the replay. OutputError.

    `operations` are all from the pristine subject on, `finding` is what a Trial of them says; `found` is a line on how
    it was found ("conformance: reuse", "search: random, seed 7"). What follows the finding's operation is left away.
    """
    end = len(operations) if finding.operation is None else min(finding.operation + 1, len(operations))
    kept = np.ascontiguousarray(operations[:end], dtype=OPERATION)
    replay = Replay(subject.spec, subject.kind, subject.digest, setting, cpu, kept, finding, found, contents, conserve,
                    path)
    replay.save(path)
    return replay


