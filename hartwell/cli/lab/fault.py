"""`hartwell lab fault`: what becomes of an allocator when memory is out, an interrupt comes, or a bit flips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hartwell.cli.status import CommandError

from .options import LOAD, AsJson, Jobs, Seed, Spec, Workload, counting, parse_jobs, parse_operations

if TYPE_CHECKING:
    from hartwell.lab.fault import FaultReport, Injection, Verdict
    from hartwell.lab.fault.report import Row

SHOWN = 8
"""Injections that are told of one by one."""


def fault(
    spec: Spec,
    kind: Annotated[str, typer.Option(
        "--kind", metavar="alloc|interrupt|flip|all",
        help="Memory that is out at an allocation; an interrupt in a call, whose handler allocates; a bit that flips.")
    ] = "all",
    aims: Annotated[list[str] | None, typer.Option(
        "--target", metavar="NAME", show_default="all", help="What is aimed at: the table's second column; repeatable.")
    ] = None,
    count: Annotated[str, typer.Option(
        "-n", "--injections", metavar="N", help="How many injections each target gets, at most.")] = "100",
    seed: Seed = 0,
    workload: Workload = "random",
    operations: Annotated[str, typer.Option(
        "--operations", metavar="N", rich_help_panel=LOAD, help="How many operations the program has.")] = "200",
    only: Annotated[list[int] | None, typer.Option(
        "--only", metavar="NUMBER", help="Make this injection alone, and tell all about it; repeatable.")] = None,
    irq_safe: Annotated[bool, typer.Option(
        "--irq-safe", help="Harm that comes of an interrupt is a failure, too: the allocator is meant to stand it.")
    ] = False,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> int:
    """Inject faults into a run that goes well, and classify what becomes of it.

    Detected: the allocator, the hart or the kernel noticed. Masked: nothing wrong came of it. Silent: corruption that
    only the lab's oracles saw. Behind each count is the share that it stands for, with 95 % confidence.

    The exit code is 1 if memory that is out does harm: silent corruption, or a hang.

    \b
    [b]Examples[/b]
      hartwell lab fault buddy                         all kinds
      hartwell lab fault buddy --kind flip -n 1000     flipped bits, more of them
      hartwell lab fault slab --target link --only 512 one of them again
      hartwell lab fault osdk-frame --kind alloc       the kernel out of memory
    """
    from hartwell.lab.fault import Conditions, Study
    from hartwell.lab.fault.work import KINDS

    if kind != "all" and kind not in KINDS:
        raise CommandError(f"--kind {kind}: expected {', '.join(KINDS)} or all")
    conditions = Conditions(spec, workload, parse_operations(operations), parse_operations(count), seed)
    study = Study(conditions, KINDS if kind == "all" else (kind,), aims or ())
    with counting("injections") as counter:
        report = study.run(0 if only else parse_jobs(jobs), only=only, progress=counter)
    _show(report, as_json, bool(only))
    return 1 if report.harm(irq_safe) else 0


def _show(report: FaultReport, as_json: bool, closely: bool) -> None:
    from hartwell.lab.fault import Verdict
    from hartwell.views.table import print_json, print_table

    if as_json:
        print_json(report.to_json())
        return
    if closely:
        for each in report.injections:
            print(_tell(each))
        return
    verdicts = [verdict for verdict in Verdict if verdict is not Verdict.DIED or report.of(verdict)]
    print_table(("fault", "target", "injections", *(verdict.value for verdict in verdicts)),
                (_row(row, verdicts) for row in report.rows()), left=2)
    for verdict, heading in (Verdict.DIED, "Hartwell's process died"), (Verdict.SILENT, "silent corruption"):
        found = report.of(verdict)
        if found:
            print(f"\n{heading}: {len(found):,}, the first of which" if len(found) > SHOWN else f"\n{heading}:")
            for each in found[:SHOWN]:
                print(_tell(each))


def _row(row: Row, verdicts: list[Verdict]) -> tuple[str, ...]:
    cells = []
    for verdict in verdicts:
        low, high = row.interval(verdict)
        cells.append(f"{row.counts[verdict]:,} ({100 * low:.0f}-{100 * high:.0f} %)" if row.counts[verdict] else "0")
    return (row.kind, row.target, f"{row.injections:,}", *cells)


def _tell(injection: Injection) -> str:
    said = f"\n        {injection.said}" if injection.said else ""
    return (f"  {injection.number:5}  {injection.kind} {injection.target}, operation {injection.operation}: "
            f"{injection.what}\n        {injection.verdict.value}{said}")
