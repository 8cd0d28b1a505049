"""The golden run: what a program gives without a fault, and a way to be anywhere in it.

        pristine ──> operation 0 ──> … ──> operation k ──> … ──> all given back ──> emptied
                                            │ at(k)                │ untouched        │ yields
                                            ▼                      ▼                  ▼
                                        the fault, the rest        nobody else's      what there must be again

An injection goes from `at(k)` on; `verdict` does the rest of the program and compares.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from hartwell.lab.errors import SubjectFailed
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import RESULT, Kind, Operations, Program, Results, State, handles_of
from hartwell.lab.oracle.conservation import Conservation, drain
from hartwell.lab.oracle.shadow import Shadow
from hartwell.lab.subject.guest import GuestSubject
from hartwell.lab.subject.subject import SubjectKind
from kernel.errors import KernelError
from kernel.mm.check import check
from kernel.mm.paging import PAGE_SIZE

from .verdict import FaultError, Verdict

if TYPE_CHECKING:
    from hartwell.lab.subject.subject import Subject

Mask = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
SPARE_HANDLES: Final = 4096
"""Handles beyond those of the program, for whoever takes memory in a fault."""
_PLACES: Final = 32
"""Places in the golden run that are kept, and begun from."""


class Golden:
    """The golden run of `operations` on `subject`. FaultError if something is wrong without any fault."""

    def __init__(self, subject: Subject, operations: Operations) -> None:
        self.subject, self.operations = subject, operations
        self.handles = handles_of(operations) + SPARE_HANDLES
        self._kept: dict[int, Callable[[], None]] = {}
        subject.reset()
        self.data = data_pages(subject) if isinstance(subject, GuestSubject) else []
        """The pages of the allocator's own data: virtual and physical addresses, ascending."""
        before = self._ram().copy() if isinstance(subject, GuestSubject) else None
        try:
            self.results: Results = subject.run(operations)
            shadow = Shadow(subject.memory, subject.kind, self.handles)
            findings = shadow.follow(operations, self.results)
            if not findings:
                given_back = _give_back(shadow)
                findings = shadow.follow(given_back, subject.run(given_back))
            self.untouched = None if before is None else self._untouched(before)
            self.checks = self._breach() == ""
            """Whether the kernel's check has nothing against a run without a fault, and so a say in others."""
            # Emptying a heap in Python takes seconds, and the kernel's check knows all that it has.
            checked = subject.kind is SubjectKind.HEAP and not isinstance(subject, GuestSubject)
            self.yields = None if checked else Conservation(drain(subject, 0), subject.given, subject.kind)
        except SubjectFailed as why:
            findings = [why.finding]
        if findings:
            raise FaultError(f"{subject.name}: fails without any fault: {findings[0]}; mend that first "
                             "(hartwell lab campaign)")
        self._memory = before
        subject.reset()

    def allocations(self) -> list[int]:
        """The operations that are given memory."""
        done = (self.operations["kind"] == Kind.ALLOC) & (self.results["value"] != 0)
        return [int(number) for number in np.flatnonzero(done)]

    def calls(self) -> list[int]:
        """The operations that call the allocator."""
        kinds = self.operations["kind"]
        called = ((kinds == Kind.ALLOC) | (kinds == Kind.DEALLOC)) & (self.results["state"] == State.DONE)
        return [int(number) for number in np.flatnonzero(called)]

    # --- being somewhere ------------------------------------------------------------------------------------------

    def at(self, operation: int) -> Shadow:
        """Have the subject be where it is before `operation`; the shadow as it is then."""
        subject, step = self.subject, max(len(self.operations) // _PLACES, 1)
        begin = operation // step * step
        if begin in self._kept:
            self._kept[begin]()
        else:
            subject.reset()
            self._run(0, begin)
            moment = subject.moment()
            if moment is not None:
                self._kept[begin] = moment
        self._run(begin, operation)
        return self.shadow(operation)

    def _run(self, begin: int, end: int) -> None:
        if end > begin:
            self.subject.run(self.operations[begin:end])

    def shadow(self, operation: int) -> Shadow:
        """The shadow as it is before `operation`."""
        shadow = Shadow(self.subject.memory, self.subject.kind, self.handles)
        shadow.follow(self.operations[:operation], self.results[:operation])
        return shadow

    # --- what became of it ------------------------------------------------------------------------------------------

    def verdict(self, operation: int, shadow: Shadow, *, changed: Sequence[int] = (),
                own: bool = True) -> tuple[Verdict, str]:
        """Do the program from `operation` on, give everything back, and say how it ended.

        `changed` are physical addresses of words that the fault itself has changed; with `own` false, what is
        written besides the allocator's own memory is not looked at.
        """
        rest = self.operations[operation:]
        results, failed = self.attempt(rest)
        ended = self.judge(shadow, rest, results, failed)
        if ended is not None:
            return ended
        told = results["value"]
        refused = (rest["kind"] == Kind.ALLOC) & (told == 0) & (self.results["value"][operation:] != 0)
        refusals = int(refused.sum())
        given_back = _give_back(shadow)
        ended = self.judge(shadow, given_back, *self.attempt(given_back))
        if ended is not None:
            return ended
        if own and self.untouched is not None and (touched := self._touched(self.untouched, changed)):
            return Verdict.SILENT, f"memory of somebody else's was written to, first at {touched:#x}"
        breach = self._breach() if self.checks else ""  # told of if it is not noticed when all memory is taken, either
        try:
            findings = self.yields.check(self.subject) if self.yields is not None else []
        except KernelError as why:
            return Verdict.DETECTED, f"{type(why).__name__}: {_line(why)}"
        if findings:
            return _verdict_of(findings[0])
        if breach:
            return Verdict.SILENT, f"the kernel's invariants do not hold: {breach}"
        if refusals:
            return Verdict.SILENT, f"{refusals} allocations found no memory that there was"
        same = np.array_equal(told, self.results["value"][operation:])
        return Verdict.MASKED, "" if same else "other addresses"

    def _breach(self) -> str:
        """What the kernel's check has against the state with everything given back, of allocators in Python."""
        if isinstance(self.subject, GuestSubject):
            return ""
        try:
            check(self.subject.kernel.mm, objects=[] if self.subject.kind is SubjectKind.HEAP else None)
        except KernelError as why:
            return _line(why)
        return ""

    def attempt(self, operations: Operations) -> tuple[Results, Finding | None]:
        """Do operations; what they gave, and why they ended early, if they did."""
        if not len(operations):
            return np.zeros(0, dtype=RESULT), None
        try:
            return self.subject.run(operations), None
        except SubjectFailed as why:
            partial = why.partial if why.partial is not None else np.zeros(len(operations), dtype=RESULT)
            return partial, why.finding

    def judge(self, shadow: Shadow, operations: Operations, results: Results,
              failed: Finding | None) -> tuple[Verdict, str] | None:
        """What the shadow has against these results; None for nothing. What it saw came before what ended them."""
        findings = shadow.follow(operations, results)
        if findings:
            return Verdict.SILENT, str(findings[0])
        return None if failed is None else _verdict_of(failed)

    # --- memory that is nobody's business here ------------------------------------------------------------------------

    def _ram(self) -> Words:
        bank = self.subject.machine.board.banks[0]
        return self.subject.machine.bus.memory(bank.base, bank.size).view(np.uint64)

    def _untouched(self, before: Words) -> Mask:
        """The pages that the golden run leaves alone, without all that is the allocator's."""
        pages = PAGE_SIZE // 8
        same: Mask = (self._ram().reshape(-1, pages) == before.reshape(-1, pages)).all(axis=1)
        assert isinstance(self.subject, GuestSubject)
        memory = self.subject.memory
        own = range(memory.paddr, memory.paddr + memory.size, PAGE_SIZE)
        for paddr in [*own, *(paddr for _, paddr in self.data), *self.subject.workspace.pages]:
            same[(paddr - self.subject.machine.board.banks[0].base) // PAGE_SIZE] = False
        return same

    def _touched(self, untouched: Mask, changed: Sequence[int]) -> int:
        """The physical address of the first word that is not as it was, in pages that should be left alone; 0."""
        assert self._memory is not None
        base, ram, words = self.subject.machine.board.banks[0].base, self._ram(), PAGE_SIZE // 8
        memcmp = ctypes.CDLL(None).memcmp  # three times as fast as numpy's, and most of what a verdict costs
        memcmp.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
        edges = np.flatnonzero(np.diff(untouched, prepend=False, append=False)).reshape(-1, 2) * words
        for begin, end in edges.tolist():
            if not memcmp(ram[begin:].ctypes.data, self._memory[begin:].ctypes.data, 8 * (end - begin)):
                continue
            for index in (begin + np.flatnonzero(ram[begin:end] != self._memory[begin:end])).tolist():
                if base + 8 * index not in changed:
                    return base + 8 * int(index)
        return 0


def data_pages(subject: GuestSubject) -> list[tuple[int, int]]:
    """The pages of the allocator's writable segments: virtual and physical addresses."""
    hart = subject.machine.harts[0]
    found = []
    for segment in subject.text.image.segments:
        if "w" not in segment.flags:
            continue
        for page in range(segment.virtual & -PAGE_SIZE, segment.virtual + segment.size, PAGE_SIZE):
            paddr = hart.translate(page, 1)
            if paddr is not None:
                found.append((page, paddr))
    return sorted(found)


def _give_back(shadow: Shadow) -> Operations:
    program = Program()
    for handle, _, _ in shadow.blocks():
        program.dealloc(handle)
    return program.operations


def _verdict_of(finding: Finding) -> tuple[Verdict, str]:
    """What a finding says: of one that ended a call, or of what was missing in the end."""
    if finding.kind is FindingKind.HANG:
        return Verdict.HANG, str(finding)
    silent = finding.kind in (FindingKind.LOST, FindingKind.SPLINTERED) or (
        finding.kind is FindingKind.OUT_OF_RANGE and finding.operation is None)
    return Verdict.SILENT if silent else Verdict.DETECTED, str(finding)


def _line(why: BaseException) -> str:
    return str(why).partition("\n")[0]
