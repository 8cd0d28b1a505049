"""`hartwell lab trial`: one workload on one allocator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hartwell.cli.options import MACHINE, Harts, Timing, load_timing
from hartwell.cli.status import CommandError

from .options import LAB_MEMORY, LOAD, AsJson, Operations, Seed, Spec, Workload, counting, parse_operations

if TYPE_CHECKING:
    from hartwell.lab.subject import Subject
    from hartwell.lab.trial import Outcome

Row = tuple[str, int, int, float, int, int]
"""What is done, how often, how often in vain; instructions or cycles: mean, median, most."""


def trial(
    spec: Spec,
    workload: Workload = "random",
    operations: Operations = "5k",
    seed: Seed = 0,
    cpu: Annotated[int, typer.Option("--cpu", metavar="N", rich_help_panel=LOAD, help="The CPU that does it.")] = 0,
    memory: Annotated[str, typer.Option(
        "-m", "--memory", metavar="SIZE", rich_help_panel=MACHINE,
        help="The machine's memory, of which the allocator gets a quarter.")] = LAB_MEMORY,
    smp: Harts = None,
    timing: Timing = "off",
    sanitize: Annotated[bool, typer.Option(
        "--sanitize", rich_help_panel=LOAD,
        help="Judge every store of the allocator as it happens: the first wrong one ends the trial, with a report.")
    ] = False,
    save: Annotated[str | None, typer.Option(
        "--save", metavar="FILE", rich_help_panel=LOAD,
        help="Write a failure to FILE, as it is, for hartwell lab replay and hartwell debug --replay.")] = None,
    as_json: AsJson = False,
) -> int:
    """Put an allocator under a workload, under all oracles, and say what it did.

    \b
    [b]Examples[/b]
      hartwell lab trial buddy                            5000 random operations
      hartwell lab trial buddy -w fragmentation -n 1M     the attack
      hartwell lab trial slab -w trace:boot               what a boot asks for
      hartwell lab trial ./mine.elf -w lifo --seed 7 --smp 4 --cpu 3

    \b
    [b]Exit code[/b]
      0 all is well; 1 an oracle says that it is not; 2 a mistake
    """
    from emulator.loader.sizes import parse_size
    from hartwell.lab.subject import load_subject
    from hartwell.lab.subject.setting import Setting
    from hartwell.lab.trial import Trial
    from hartwell.lab.workload import workload as named
    from hartwell.views.table import print_json

    count, work = parse_operations(operations), named(workload)
    setting = Setting(1 if smp is None else smp, parse_size(memory, "-m"), timing=load_timing(timing))
    with load_subject(spec, setting) as subject, counting("operations") as counter:
        if not 0 <= cpu < subject.cpus:
            raise CommandError(f"--cpu {cpu}: expected a CPU of the machine's, 0 to {subject.cpus - 1}; --smp gives "
                               "more")
        program = work.operations(subject.kind, subject.memory.size, count, seed)
        outcome = Trial(subject).run(program, cpu, sanitize=sanitize, progress=lambda done: counter(done, count))
        if save is not None and outcome.findings:
            from hartwell.lab.search import save_replay

            save_replay(save, subject, program, cpu, setting, outcome.findings[0],
                        f"workload {workload}, seed {seed}, {count:,} operations")
        counter.clear()
        if outcome.findings:
            from dataclasses import replace

            from hartwell.lab.hang import with_reports

            outcome = replace(outcome, findings=with_reports(subject, outcome.findings, program, cpu))
    modelled = setting.timing is not None
    rows = _rows(outcome, "cycles" if modelled else "instructions")
    if as_json:
        print_json({"allocator": spec, "workload": workload, "seed": seed, "operations": outcome.done,
                    "unit": "cycles" if modelled else "instructions",
                    "calls": [dict(zip(("call", "done", "in vain", "mean", "median", "most"), row, strict=True))
                              for row in rows],
                    "peak": outcome.live.peak, "findings": [each.to_json() for each in outcome.findings]})
    else:
        _show(subject, outcome, rows, "cycles" if modelled else "instructions", workload, seed)
    return 0 if outcome.ok else 1


def _rows(outcome: Outcome, unit: str) -> list[Row]:
    """A row for each kind of call that the allocator got."""
    import numpy as np

    from hartwell.lab.operation import Kind, State

    rows: list[Row] = []
    done = outcome.results["state"] == State.DONE
    kinds = outcome.operations["kind"][:len(done)]
    for kind, name in ((Kind.ALLOC, "alloc"), (Kind.DEALLOC, "dealloc"), (Kind.ADD, "add")):
        of = outcome.results[done & (kinds == kind)]
        if len(of):
            cost = of[unit]
            rows.append((name, len(of), int((of["value"] == 0).sum()), float(cost.mean()), int(np.median(cost)),
                         int(cost.max())))
    return rows


def _show(subject: Subject, outcome: Outcome, rows: list[Row], unit: str, workload: str, seed: int) -> None:
    from emulator.loader.sizes import format_size
    from hartwell.views.table import print_table

    print(f"{subject.name}: {outcome.done:,} operations of workload {workload}, seed {seed}, with "
          f"{format_size(subject.memory.size)}; at most {format_size(outcome.live.peak)} allocated at a time")
    if rows and any(row[5] for row in rows):
        print_table(("call", "done", "in vain", f"{unit}: mean", "median", "most"),
                    [(name, f"{done:,}", f"{vain:,}", f"{mean:,.1f}", f"{median:,}", f"{most:,}")
                     for name, done, vain, mean, median, most in rows])
    else:
        print_table(("call", "done", "in vain"), [(row[0], f"{row[1]:,}", f"{row[2]:,}") for row in rows])
    for finding in outcome.findings:
        print(finding.report or str(finding))
    print("no oracle has anything to say" if outcome.ok else
          f"{len(outcome.findings)} finding{'s' * (len(outcome.findings) > 1)}; hartwell lab search makes it small")
