"""A failure of an allocator under the debugger: its replay is the program that drives the machine.

        boot, the allocator is loaded and given its memory      stage:NAME
        operation 0, 1, …                                       operation:N        a mark before each
        the operation that fails                                where the session begins (`go_to_failure`)

Every operation is a call of its own, so that the marks are between them; the allocator does what it did in the trial.
The history begins at reset: all that the allocator ever did is in it.

        what an oracle says         where the session begins
        hang                        where it loops, when its budget is used up
        crash                       at the instruction that trapped, or that panics
        contents                    behind the operation that saw it: last-write tells who did it
        lost, splintered            at the last call that gives memory back
        a wrong block, no block     at the return of the allocation, with the address in a0
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emulator.debug import BreakAt, Target
from emulator.stop import Breakpoint, Stop
from hartwell.lab.errors import SubjectFailed
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Kind, Operations, describe
from hartwell.lab.search.judge import given_back
from hartwell.lab.search.replay import Replay
from hartwell.lab.subject import Subject, load_subject, text
from hartwell.lab.subject.guest import PREFIXES, GuestSubject
from kernel.text.image import firmware_image, kernel_image

if TYPE_CHECKING:
    from emulator.loader.model import Image
    from emulator.machine import Machine
    from kernel.mm.operations import Operation

AT_CALL: Final = (FindingKind.LOST, FindingKind.SPLINTERED)
WRONG_BLOCK: Final = (FindingKind.OVERLAP, FindingKind.MISALIGNED, FindingKind.OUT_OF_RANGE, FindingKind.EXHAUSTED)


@dataclass(frozen=True)
class LabOperation:
    """What is known at the mark before an operation of a replay."""

    number: int
    does: str


@dataclass(frozen=True)
class Over:
    """How a replay's program ended, in words."""

    said: str


class Replaying:
    """`replay`'s allocator in a machine that is to be debugged, as it fails with `finding`, which a run has shown."""

    def __init__(self, replay: Replay, finding: Finding) -> None:
        self.replay, self.finding = replay, finding
        end = len(replay.operations) if finding.operation is None else finding.operation + 1
        self.operations: Operations = replay.operations[:end]
        """What is done up to the failure."""
        if finding.operation is None:
            self.operations = np.concatenate([self.operations, given_back(self.operations)])
        self.subject: Subject | None = None
        """The allocator, once the machine has got to it."""

    def machine(self) -> Machine:
        """The machine, with the kernel loaded, before its first instruction."""
        machine = self.replay.setting.machine()
        machine.boot(kernel=kernel_image(), firmware=firmware_image())
        return machine

    def images(self) -> list[Image]:
        """The programs that run: firmware, kernel, and for guest code the lab's driver and the allocator."""
        images = [firmware_image(), kernel_image()]
        data = self.replay.elf()
        if data is not None:
            images.append(text.read_text(text.driver_elf(), "driver.elf", text.DRIVER_TEXT))
            images.append(text.read_text(data, self.replay.located, text.ALLOCATOR_TEXT))
        return images

    def program(self, machine: Machine) -> Over:
        """The program, for a Target."""
        try:
            self.subject = subject = load_subject(self.replay.located, self.replay.setting, machine)
        except SubjectFailed as why:
            return Over(f"the allocator does not survive the boot: {why}")
        if not isinstance(subject, GuestSubject):
            subject.kernel.mm.operations = _marker(machine)
        for number in range(len(self.operations)):
            operation = self.operations[number:number + 1]
            machine.mark(f"operation:{number}", LabOperation(number, describe(operation[0])))
            try:
                subject.run(operation, self.replay.cpu, contents=self.replay.contents)
            except SubjectFailed as why:
                return Over(f"operation {number} failed: {why.finding.kind.value}: {why.finding.what}")
        if self.finding.operation is None and self.finding.kind in (FindingKind.HANG, FindingKind.CRASH):
            from hartwell.lab.oracle.conservation import drain

            try:
                drain(subject, self.replay.cpu)
            except SubjectFailed as why:
                return Over(f"taking all that there is failed: {why.finding.kind.value}: {why.finding.what}")
        return Over("the replay is over")

    # --- where it failed ------------------------------------------------------------------------------------

    def go_to_failure(self, target: Target) -> Stop:
        """Run to where the failure is (see the top of this file); why the machine stands still there."""
        stop = target.resume()
        subject, kind = self.subject, self.finding.kind
        if not isinstance(subject, GuestSubject) or not len(self.operations):
            return stop
        if kind is FindingKind.CRASH and self.finding.address:
            return self._back(target, self.finding.address) or stop
        called = {Kind.ALLOC: "alloc", Kind.DEALLOC: "dealloc"}.get(Kind(int(self.operations[-1]["kind"])))
        if called is None or kind not in (*AT_CALL, *WRONG_BLOCK):
            return stop
        if kind in WRONG_BLOCK and called != "alloc":
            return stop
        call = self._back(target, subject.text.address(PREFIXES[subject.kind] + called))
        if call is None or kind in AT_CALL:
            return call or stop
        hart = subject.kernel.service.hart(self.replay.cpu)
        point = target.points.add(BreakAt(hart.read("ra")))
        try:
            return target.resume()
        finally:
            target.points.remove(point)

    def _back(self, target: Target, address: int) -> Stop | None:
        """Go back to the last time that the instruction at an address was to be done; None if it never was."""
        here = target.position
        point = target.points.add(BreakAt(address))
        try:
            stop = target.reverse_resume()
        finally:
            target.points.remove(point)
        if isinstance(stop, Breakpoint):
            return stop
        target.seek(here)
        return None

    # --- in words -------------------------------------------------------------------------------------------

    def introduction(self) -> list[str]:
        """What is looked at, for the session's first lines."""
        finding, last = self.finding, len(self.operations) - 1
        ends = len(self.replay.operations)
        said = [f"{self.replay.located}: {finding.kind.value}: {finding.what}"]
        shown = range(max(last - 14, 0), last + 1)
        if shown.start:
            said.append(f"  operation:0 to operation:{shown.start - 1}")
        width = len(f"operation:{last}")
        for number in shown:
            mark = "  <-- fails" if number == finding.operation else "  (at the end)" if number >= ends else ""
            said.append(f"  {f'operation:{number}':{width}}  {describe(self.operations[number])}{mark}")
        return said

    def hints(self) -> list[str]:
        """What to do first, for people, where the session begins."""
        kind, address = self.finding.kind, self.finding.address
        guest = isinstance(self.subject, GuestSubject)
        hints = ["break operation:N, then rc, goes back to before an operation"]
        if kind is FindingKind.CONTENTS:
            hints.insert(0, f"last-write {address:#x} 1 tells who has written there last")
        elif kind is FindingKind.HANG and guest:
            hints.insert(0, "it loops here: si, finish and bt show where; rc goes back")
        elif kind is FindingKind.CRASH and guest:
            hints.insert(0, "this instruction is what failed: bt and info registers tell more, last-write who wrote")
        elif kind in AT_CALL and guest:
            hints.insert(0, "the last block is about to be given back: n, s and finish go on from here")
        elif kind in WRONG_BLOCK and guest:
            hints.insert(0, "the allocator has just returned, a0 has its answer; rs goes back through it")
        elif not guest:
            hints.insert(0, "the allocator is Python: op:frame_alloc and op:heap_alloc are marks, too; last-write and "
                            "diff look at its memory")
        return hints


def _marker(machine: Machine) -> Callable[[Operation], None]:
    """What makes marks of the operations of a Python allocator's kernel."""
    from kernel.mm.operations import Moment

    def tell(operation: Operation) -> None:
        done = ":done" if operation.moment is Moment.RETURN else ""
        machine.mark(f"op:{operation.kind.value}{done}", operation)

    return tell
