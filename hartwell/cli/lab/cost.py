"""`hartwell lab cost`: what an allocator costs, in cycles and in memory."""

from __future__ import annotations

import typer

from hartwell.cli.options import Timing
from hartwell.cli.stats import DEFAULT_PROFILE

from .options import (
    LAB_MEMORY, AsJson, Html, LabHarts, LabMemory, Operations, Seed, Spec, Workloads, counting, make_setting,
    parse_operations, workload_names, write_page,
)

DEFAULT_WORKLOADS = ("churn", "random", "power-law", "fragmentation")
DEFAULT_COUNT = "10000"


def cost(
    spec: Spec,
    workload: Workloads = None,
    operations: Operations = DEFAULT_COUNT,
    seed: Seed = 1,
    memory: LabMemory = LAB_MEMORY,
    smp: LabHarts = 1,
    timing: Timing = DEFAULT_PROFILE,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Show what an allocator costs: cycles, cache misses and instructions of each call, fragmentation, and waste.

    Without --workload it is put under churn, random, power-law and fragmentation. All oracles watch: the status is 1 if
    one of them finds something.

    \b
    [b]Examples[/b]
      hartwell lab cost buddy                          on a Rocket core
      hartwell lab cost buddy -w all --html cost.html  with drawings
      hartwell lab cost slab -w random -n 100k --timing u74
      hartwell lab cost ./mine.elf --json > before.json
      hartwell lab compare before.json ./mine.elf      what has become worse since
    """
    from hartwell.lab.cost import measure
    from hartwell.lab.report.terminal import cost_lines
    from hartwell.lab.subject import load_subject
    from hartwell.views.table import print_json, print_lines

    count = parse_operations(operations)
    with load_subject(spec, make_setting(memory, smp, timing)) as subject, counting("workloads") as counter:
        names = workload_names(workload, subject.kind, DEFAULT_WORKLOADS)
        report = measure(subject, names, count, seed, progress=counter)
    if html is not None:
        from hartwell.lab.report.page import cost_page

        write_page(html, cost_page(report))
    if as_json:
        print_json(report.to_json())
    else:
        print_lines(cost_lines(report))
    if report.findings:
        raise typer.Exit(1)
