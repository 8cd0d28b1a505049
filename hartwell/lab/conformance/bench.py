"""The bench that checks work on: the subject, trials of it, and of the same allocator in other machines.

    def one_block(bench: Bench) -> list[Finding]:
        program = Program()
        program.dealloc(program.alloc(bench.unit, bench.unit))
        return bench.judge(program)

Every trial with a finding is kept, so that it can be done again (`failed`).
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

from emulator import Board, Machine
from hartwell.lab.errors import SubjectFailed
from hartwell.lab.finding import Finding
from hartwell.lab.operation import Operations, Program
from hartwell.lab.oracle.conservation import Conservation
from hartwell.lab.subject.python import PythonSubject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.subject.subject import Subject, SubjectKind
from hartwell.lab.trial import Failed, Outcome, Trial
from kernel.text.image import firmware_image, kernel_image

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

SLOWER: Final = 16
"""How many times less is asked of Python than of guest code."""
HEAP_UNIT: Final = 1024
"""Bytes of the heap blocks that memory is filled with."""


class Bench:
    """A subject under test, and what its checks share. `seed` is where all that is random begins."""

    def __init__(self, subject: Subject, seed: int = 0) -> None:
        self.subject, self.seed = subject, seed
        self.trial = Trial(subject)
        self.failed: Failed | None = None
        """The last trial with a finding."""
        self.operations = 0
        """How many operations were done."""
        self._others: dict[tuple[Setting, int], Trial] = {}

    # --- what the subject is -----------------------------------------------------------------------------------

    @property
    def frames(self) -> bool:
        """Whether it hands out frames; else it is a heap."""
        return self.subject.kind is SubjectKind.FRAME

    @property
    def guest(self) -> bool:
        """Whether it is machine code; else it is Python."""
        return not isinstance(self.subject, PythonSubject)

    @property
    def least(self) -> int:
        """The least alignment that can be asked for: a page, or 8 bytes."""
        return self.subject.kind.granule

    @property
    def unit(self) -> int:
        """Bytes of the blocks that memory is filled with."""
        if self.frames:
            return self.least if self.guest else SLOWER * self.least
        return HEAP_UNIT if self.guest else 4 * SLOWER * HEAP_UNIT

    @property
    def filling(self) -> int:
        """How many of those fill the memory, and a few more."""
        return self.subject.memory.size // self.unit + 8

    def count(self, number: int) -> int:
        """So many for guest code, and fewer for Python, which is slower."""
        return number if self.guest else max(number // SLOWER, 1)

    def random(self, name: str) -> Random:
        """Random numbers for the check of that name; the same for the same seed."""
        return Random(f"{name} {self.seed}")

    # --- trying it -----------------------------------------------------------------------------------------------

    def other(self, quantum: int = 0, **changes: Any) -> Trial:
        """Trials of the same allocator in a machine whose Setting has these `changes`, and in which another hart goes
        on after `quantum` cycles (0: as usual). SubjectFailed, SpecError.
        """
        setting = replace(self.subject.setting, **changes)
        if setting == self.subject.setting and not quantum:
            return self.trial
        found = self._others.get((setting, quantum))
        if found is None:
            machine = _quick(setting, quantum) if quantum else None
            found = self._others[setting, quantum] = Trial(self.subject.another(setting, machine))
        return found

    def run(self, program: Program | Operations, cpu: int = 0, *, on: Trial | None = None,
            conserve: bool = True) -> Outcome:
        """Do a program on a pristine subject, that of this bench or of the trial `on`."""
        trial = on or self.trial
        operations = program.operations if isinstance(program, Program) else program
        outcome = trial.run(operations, cpu, conserve=conserve)
        self.operations += outcome.done
        if outcome.findings:
            self.failed = Failed(operations, cpu, trial.subject.setting, conserve)
        return outcome

    def judge(self, program: Program | Operations, cpu: int = 0, *, on: Trial | None = None,
              conserve: bool = True) -> list[Finding]:
        """What is wrong when it does a program, with everything given back at the end."""
        return list(self.run(program, cpu, on=on, conserve=conserve).findings)

    def pristine(self, on: Trial | None = None) -> Conservation:
        """What the pristine subject can give. SubjectFailed when it cannot be emptied."""
        found = (on or self.trial).conservation
        if isinstance(found, Finding):
            raise SubjectFailed(found)
        return found

    def close(self) -> None:
        """Let go of the other machines; the subject is its owner's."""
        for trial in self._others.values():
            trial.subject.close()
        self._others.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _quick(setting: Setting, quantum: int) -> Machine:
    """A machine as `setting` says, with the kernel loaded, in which another hart goes on after `quantum` cycles."""
    machine = Machine(Board(harts=setting.harts, memory=setting.memory, quantum=quantum), setting.timing)
    machine.boot(kernel=kernel_image(), firmware=firmware_image())
    return machine


def named(finding: Finding, where: str) -> Finding:
    """The finding, with a word on what the allocator was under."""
    return replace(finding, what=f"{where}: {finding.what}")
