"""`hartwell lab hang`: an allocator that does not come back, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hartwell.cli.status import CommandError

from .options import LOAD, AsJson, Seed, Spec, parse_operations

if TYPE_CHECKING:
    from hartwell.lab.hang import HangReport
    from hartwell.lab.subject.guest import GuestSubject

REUSE = "client-reuse"


def hang(
    spec: Spec,
    workload: Annotated[str | None, typer.Option(
        "-w", "--workload", metavar="NAME", rich_help_panel=LOAD, show_default="for frames reuse, for a heap random",
        help="What the allocator is put under (hartwell lab workloads lists them). reuse: a page that was never "
             "allocated is freed, then 10 pages are allocated, then 100.")] = None,
    operations: Annotated[str, typer.Option(
        "-n", "--operations", metavar="N", rich_help_panel=LOAD, help="How many operations: 5000, or 5k.")] = "2000",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> int:
    """Find a call of an allocator that does not come back, and say where it loops, and why.

    Every call has a budget of instructions. The report of one that uses it up has the backtrace, the loop, the circle
    of a list, if it walks along one, and for a lock that nobody gives back who has taken it. The exit code is 1 if a
    call hangs, or something else is wrong.

    \b
    [b]Examples[/b]
      hartwell lab hang naive           the hang on reuse: it believes its callers
      hartwell lab hang buddy           the same, with one that does not
      hartwell lab hang mine.elf -w random
    """
    from hartwell.lab.subject import SubjectKind, load_subject
    from hartwell.lab.subject.guest import GuestSubject

    count = parse_operations(operations)
    with load_subject(spec) as subject:
        if not isinstance(subject, GuestSubject):
            raise CommandError(f"{spec} is written in Python: expected guest code; Python shows its own traceback")
        if workload is None:
            workload = "reuse" if subject.kind is SubjectKind.FRAME else "random"
        report, said = _reuse(subject) if workload == "reuse" else _under(subject, workload, count, seed)
    _show(report, said, spec, workload, as_json)
    return 0 if report is None and said.startswith("no call hangs") else 1


def _reuse(subject: GuestSubject) -> tuple[HangReport | None, str]:
    """The hang on reuse: the report, or what came of it."""
    from hartwell.lab.finding import FindingKind
    from hartwell.lab.hang import explain_client_hang
    from hartwell.lab.sanitizer.client import Client, run_client
    from hartwell.lab.subject import catalogue

    elf = catalogue.find(REUSE)
    assert elf is not None
    client = Client(subject, elf.read_bytes(), REUSE)
    outcome = run_client(client, "reuse", judge=False)
    finding = outcome.finding
    if finding is None:
        return None, "no call hangs, and the illegal free was not refused"
    if finding.kind is FindingKind.HANG:
        return explain_client_hang(client, "reuse", finding), ""
    return None, f"no call hangs: {finding.what}" if "panic" in finding.details else str(finding)


def _under(subject: GuestSubject, name: str, count: int, seed: int) -> tuple[HangReport | None, str]:
    """A workload: the report, or what came of it."""
    from hartwell.lab.finding import FindingKind
    from hartwell.lab.hang import explain_hang
    from hartwell.lab.trial import Trial
    from hartwell.lab.workload import WorkloadError, workload

    try:
        operations = workload(name).operations(subject.kind, subject.memory.size, count, seed)
    except WorkloadError as why:
        raise CommandError(str(why)) from None
    for finding in Trial(subject).run(operations, conserve=False).findings:
        if finding.kind is FindingKind.HANG and finding.operation is not None:
            return explain_hang(subject, finding, operations), ""
        return None, str(finding)
    return None, f"no call hangs, of {count:,} operations"


def _show(report: HangReport | None, said: str, spec: str, workload: str, as_json: bool) -> None:
    from hartwell.views.table import print_json, print_lines

    if as_json:
        print_json({"allocator": spec, "workload": workload, "said": said,
                    "report": None if report is None else report.to_json()})
    else:
        print_lines([said] if report is None else report.lines())
