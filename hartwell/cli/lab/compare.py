"""`hartwell lab compare`: two allocators, or two versions of one, side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hartwell.cli.options import MACHINE
from hartwell.cli.stats import DEFAULT_PROFILE
from hartwell.cli.status import CommandError

from .cost import DEFAULT_COUNT, DEFAULT_WORKLOADS
from .options import (
    LAB_MEMORY, LOAD, AsJson, Html, Workloads, counting, make_setting, parse_operations, workload_names, write_page,
)

if TYPE_CHECKING:
    from hartwell.lab.cost.saved import Document
    from hartwell.lab.subject.setting import Setting

SAVED = ".json"
WHAT = "an allocator, as elsewhere, or FILE.json: a report that hartwell lab cost --json has printed."
AS_SAVED = "or as the report has it"


def compare(
    a: Annotated[str, typer.Argument(metavar="A", show_default=False, help=f"What to compare with: {WHAT}")],
    b: Annotated[str, typer.Argument(metavar="B", show_default=False, help=f"What must not be worse: {WHAT}")],
    threshold: Annotated[str, typer.Option(
        "--threshold", metavar="SHARE", help="How much worse B may be: 5% or 0.05. Of shares: so many points.")] = "5%",
    metric: Annotated[list[str] | None, typer.Option(
        "--metric", metavar="NAME", show_default="the usual ones",
        help="A figure to compare, by its name in the table; may be repeated.")] = None,
    workload: Workloads = None,
    operations: Annotated[str | None, typer.Option(
        "-n", "--operations", metavar="N", rich_help_panel=LOAD, show_default=f"{DEFAULT_COUNT}, {AS_SAVED}",
        help="How many operations: 5000, or 5k.")] = None,
    seed: Annotated[int | None, typer.Option(
        "--seed", metavar="N", min=0, rich_help_panel=LOAD, show_default=f"1, {AS_SAVED}",
        help="Where all chance comes from.")] = None,
    memory: Annotated[str | None, typer.Option(
        "-m", "--memory", metavar="SIZE", rich_help_panel=MACHINE, show_default=f"{LAB_MEMORY}, {AS_SAVED}",
        help="RAM of the machine.")] = None,
    smp: Annotated[int | None, typer.Option(
        "--smp", metavar="N", min=1, max=8, rich_help_panel=MACHINE, show_default=f"1, {AS_SAVED}",
        help="Number of harts.")] = None,
    timing: Annotated[str | None, typer.Option(
        "--timing", metavar="NAME|FILE", rich_help_panel=MACHINE, show_default=f"{DEFAULT_PROFILE}, {AS_SAVED}",
        help="The core whose cycles are counted, or off.")] = None,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Compare what two allocators cost under the same operations. The status is 1 if B is worse by more than allowed.

    A report that was saved says what the other one is measured with: the same workloads, operations, machine and core.
    Everything is deterministic: without a change there is no difference at all.

    \b
    [b]Examples[/b]
      hartwell lab compare buddy bitmap
      hartwell lab cost ./mine.elf --json > before.json      before a change …
      hartwell lab compare before.json ./mine.elf            … and after it, in CI
      hartwell lab compare first-fit slab --metric waste --threshold 10%
    """
    from hartwell.lab.cost.compare import compare as compared, metric as metric_called
    from hartwell.lab.cost.saved import load_document
    from hartwell.lab.report.terminal import compare_lines
    from hartwell.views.table import print_json, print_lines

    allowed = parse_threshold(threshold)
    for name in metric or ():
        metric_called(name)                                 # a mistake is told before anything is measured
    saved = {name: load_document(name) for name in (a, b) if name.endswith(SAVED)}
    like: dict[str, Any] = next(iter(saved.values()), {})
    count = parse_operations(operations if operations is not None else str(like.get("operations", DEFAULT_COUNT)))
    chance = seed if seed is not None else like.get("seed", 1)
    setting = make_setting(memory or (f"{like['ram'] >> 10}K" if like else LAB_MEMORY), smp or like.get("harts", 1),
                           timing or like.get("profile", DEFAULT_PROFILE))
    names = workload or [each["workload"] for each in like.get("workloads", ())] or DEFAULT_WORKLOADS
    both = [saved.get(name) or _measured(name, setting, names, count, chance) for name in (a, b)]
    found = compared(both[0], both[1], metric or (), allowed)
    if html is not None:
        from hartwell.lab.report.comparison import compare_page

        write_page(html, compare_page(found))
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(compare_lines(found))
    if not found.ok:
        raise typer.Exit(1)


def parse_threshold(text: str) -> float:
    """A share: 5% or 0.05."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?)\s*(%?)", text.strip())
    if match is None:
        raise CommandError(f"--threshold {text!r}: expected a share, such as 5% or 0.05")
    return float(match[1]) / (100 if match[2] else 1)


def _measured(spec: str, setting: Setting, names: Sequence[str], count: int, seed: int) -> Document:
    """A report of the allocator that `spec` names."""
    from hartwell.lab.cost import measure
    from hartwell.lab.subject import load_subject

    with load_subject(spec, setting) as subject, counting("workloads") as counter:
        chosen = workload_names(names, subject.kind, DEFAULT_WORKLOADS)
        return measure(subject, chosen, count, seed, progress=counter).to_json()
