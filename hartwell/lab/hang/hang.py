"""From a call that does not come back to a report: the machine does it again, and is watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hartwell.debug.disassembly import disassemble
from hartwell.debug.programs import Programs
from hartwell.lab.errors import LabError, SubjectFailed
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Operations, describe
from hartwell.lab.sanitizer.client import call_client
from hartwell.lab.sanitizer.frames import frames_of
from hartwell.lab.subject.guest import GuestSubject
from kernel.cpu.errors import CpuHung
from kernel.errors import KernelError

from .chain import find_chain
from .lock import Script, holder, waited_for
from .loop import Loop, find_loop
from .report import NAMES, ChainSeen, HangReport, Line, LockSeen
from .steps import steps_of

if TYPE_CHECKING:
    from hartwell.lab.sanitizer.client import Client
    from hartwell.lab.subject.subject import Subject

WATCHED: Final = (2_000, 20_000, 100_000)
"""Steps that are watched: more if so many show no loop."""


def explain_hang(subject: GuestSubject, finding: Finding, operations: Operations, cpu: int = 0) -> HangReport:
    """Why operation `finding.operation` of this program, which CPU `cpu` runs, does not come back.

    The subject is reset, and does all again. LabError for a finding that is no hang of an operation, or does not come
    again.
    """
    number = finding.operation
    if finding.kind is not FindingKind.HANG or number is None:
        raise LabError(f"{finding}: expected an operation that hangs")
    script = Script(number + 1, lambda begin, end: subject.run(operations[begin:end], cpu),
                    lambda part: describe(operations[part]), True)
    return _explain(subject, finding, script, cpu)


def with_reports(subject: Subject, findings: tuple[Finding, ...], operations: Operations,
                 cpu: int = 0) -> tuple[Finding, ...]:
    """The findings of a trial, those that are hangs of guest code with their reports, and as deadlocks if they are."""
    if not isinstance(subject, GuestSubject):
        return findings
    return tuple(_with_report(subject, each, operations, cpu) for each in findings)


def _with_report(subject: GuestSubject, finding: Finding, operations: Operations, cpu: int) -> Finding:
    if finding.kind is not FindingKind.HANG or finding.operation is None:
        return finding
    try:
        report = explain_hang(subject, finding, operations, cpu)
    except LabError:  # it is another one's doing, who is not there any more
        return finding
    found = report.finding
    return replace(found, report=str(report), details={**found.details, "report": report.to_json()})


def explain_client_hang(client: Client, scenario: str, finding: Finding) -> HangReport:
    """Why a scenario of a client does not come back; see `explain_hang`."""
    subject, function = client.subject, client.function(scenario)
    script = Script(1, lambda begin, end: call_client(subject, function), lambda part: f"scenario {scenario}", False)
    return _explain(subject, finding, script, 0)


def _explain(subject: GuestSubject, finding: Finding, script: Script, cpu: int) -> HangReport:
    subject.reset()
    hung = _hang(lambda: script.run(0, script.length))
    hart = subject.machine.harts[hung.hart]
    programs = Programs([text.image for text in (subject.driver, subject.text, *subject.clients)])
    frames, loop = frames_of(hart, programs), _loop(subject, hart.id)
    if loop is None:
        return HangReport(finding, hart.id, frames, "", (), (), 0, 0, None, None)

    def word(address: int) -> int:
        return int.from_bytes(hart.read_memory(address, 8), "little")

    code = tuple(_line(hart.read_memory, programs, pc) for pc in loop.body)
    calls = tuple(dict.fromkeys(_function(programs, pc) for pc in loop.called))
    chain, seen = find_chain(loop, word), None
    if chain is not None and (chain.back is not None or len(chain.nodes) > 1):
        seen = ChainSeen(NAMES[chain.register], chain.offset, chain.nodes, len(chain.cycle))
    lock, access = None, waited_for(loop) if seen is None or not seen.cycle else None
    if access is not None:
        value = int.from_bytes(hart.read_memory(access.address, access.size), "little")
        taken = holder(subject, script, cpu, access, programs)
        lock = LockSeen(access.address, f"<{programs.format(access.address)}>", value, taken)
        finding = replace(finding, kind=FindingKind.DEADLOCK)
    return HangReport(finding, hart.id, frames, _function(programs, loop.head), code, calls,
                      len(loop.iterations[-1]), len(loop.iterations), seen, lock)


def _hang(deed: Callable[[], object]) -> CpuHung:
    """Do it, until its budget is used up. LabError if it comes back."""
    try:
        deed()
    except CpuHung as why:
        return why
    except SubjectFailed as why:
        if isinstance(why.__context__, CpuHung):
            return why.__context__
        raise LabError(f"the call failed in another way than before: {why.finding}") from None
    except KernelError as why:
        raise LabError(f"the call failed in another way than before: {why}") from None
    raise LabError("the call that hung came back this time: it depends on what else the program had done")


def _loop(subject: GuestSubject, hart: int) -> Loop | None:
    """The loop that a hart is in, which goes on in it."""
    for count in WATCHED:
        loop = find_loop(steps_of(subject.machine, hart, count))
        if loop is not None:
            return loop
    return None


def _line(read: Callable[[int, int], bytes], programs: Programs, pc: int) -> Line:
    line = programs.line(pc)
    source = f"{line.file}:{line.line}" if line is not None else programs.format(pc)
    return Line(disassemble(read, programs, pc, 1)[0], source, (line.text or "").strip() if line is not None else "")


def _function(programs: Programs, pc: int) -> str:
    function = programs.function(pc)
    return function.name if function is not None else programs.format(pc)
