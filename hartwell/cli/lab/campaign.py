"""`hartwell lab campaign`: many trials, over all cores or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hartwell.cli.status import CommandError, say

from .options import LOAD, WORK, AsJson, Jobs, counting, parse_jobs, parse_operations

if TYPE_CHECKING:
    from hartwell.lab.campaign import CampaignReport, CellResult, Plan
    from hartwell.lab.campaign.report import Row


def campaign(
    specs: Annotated[list[str], typer.Argument(
        metavar="PLAN.toml|SPEC...", show_default=False,
        help="A plan, or the allocators: names (hartwell lab list), FILE.elf, FILE.py:Class.")],
    workloads: Annotated[list[str] | None, typer.Option(
        "-w", "--workload", metavar="NAME", rich_help_panel=LOAD, show_default="random",
        help="A workload (hartwell lab workloads); can be given several times; all is all of them.")] = None,
    operations: Annotated[list[str] | None, typer.Option(
        "-n", "--operations", metavar="N", rich_help_panel=LOAD, show_default="2000",
        help="How many operations a trial has: 5000, or 5k; can be given several times.")] = None,
    seeds: Annotated[int | None, typer.Option(
        "--seeds", metavar="N", rich_help_panel=LOAD, show_default="1", help="Trials of each kind: seeds 0 to N - 1.")
    ] = None,
    memory: Annotated[list[str] | None, typer.Option(
        "-m", "--memory", metavar="SIZE", rich_help_panel=LOAD, show_default="64M",
        help="The machine's memory, of which the allocator gets a quarter; can be given several times.")] = None,
    harts: Annotated[int | None, typer.Option(
        "--smp", metavar="N", rich_help_panel=LOAD, show_default="1", help="Harts that the machine has.")] = None,
    jobs: Jobs = None,
    resume: Annotated[str | None, typer.Option(
        "--resume", metavar="FILE", rich_help_panel=WORK,
        help="Keep what is done in FILE, and go on from there if it is there already.")] = None,
    scheduler: Annotated[str | None, typer.Option(
        "--scheduler", metavar="ADDRESS", rich_help_panel=WORK,
        help="Have the Dask cluster whose scheduler is there do the work: tcp://head:8786.")] = None,
    as_json: AsJson = False,
) -> int:
    """Make trials of allocators x workloads x sizes x seeds, on all cores.

    The report is the same for any number of processes, and for a campaign that was interrupted (Ctrl-C) and went on.
    The exit code is 1 if anything is wrong.

    \b
    [b]Examples[/b]
      hartwell lab campaign buddy slab --seeds 20      20 trials of each
      hartwell lab campaign buddy -w all -n 1k -n 50k  short and long ones
      hartwell lab campaign plan.toml --resume done    an evening's work
      hartwell lab campaign plan.toml --scheduler tcp://head:8786
    """
    from hartwell.lab.campaign import Campaign, Processes

    plan = _plan(specs, {"workloads": workloads, "seeds": seeds, "memory": memory, "harts": harts, "operations":
                         None if operations is None else [parse_operations(text) for text in operations]})
    if scheduler is not None and jobs is not None:
        raise CommandError("both --jobs and --scheduler: the cluster has as many workers as it has")
    made = Campaign(plan, resume)
    with counting("trials") as counter:
        failed = 0

        def progress(done: int, of: int, result: CellResult | None) -> None:
            nonlocal failed
            failed += result is not None and result.failed
            counter(done, of, f", {failed:,} failed" if failed else "")

        try:
            if scheduler is None:
                report = made.run(Processes(parse_jobs(jobs)), progress)
            else:
                from hartwell.lab.campaign.cluster import Cluster

                with Cluster(scheduler) as cluster:
                    report = made.run(cluster, progress)
        except KeyboardInterrupt:
            counter.clear()
            say("interrupted" + (f"; what is done is in {resume}: the same command goes on" if resume else ""))
            raise
    _show(report, as_json)
    return 0 if report.ok else 1


def _plan(specs: list[str], options: dict[str, object]) -> Plan:
    from hartwell.lab.campaign import Plan

    given = {name: value for name, value in options.items() if value}
    if any(spec.endswith(".toml") for spec in specs):
        if len(specs) > 1:
            raise CommandError(f"{' '.join(specs)}: expected one plan alone, or allocators")
        if given:
            raise CommandError(f"both a plan and {', '.join(given)} as options: {specs[0]} says what there is to do")
        return Plan.load(specs[0]).with_all_workloads()
    return Plan.from_table({"allocators": specs, **given}).with_all_workloads()


def _show(report: CampaignReport, as_json: bool) -> None:
    from hartwell.views.table import print_json, print_table

    if as_json:
        print_json(report.to_json())
        return
    print_table(("allocator", "workload", "trials", "failed", "operations", "first finding"), map(_row, report.rows()),
                left=2, prose=1)
    done = sum(result.done for result in report.results)
    print(f"\n{len(report.results):,} trials, {len(report.failures):,} failed; {done:,} operations")


def _row(row: Row) -> tuple[str, ...]:
    first = "" if row.first is None else (
        f"{row.first.cell.operations:,} operations, seed {row.first.cell.seed}: {row.first.said}")
    return (row.allocator, row.workload, f"{row.cells:,}", f"{row.failed:,}", f"{row.operations:,}", first)
