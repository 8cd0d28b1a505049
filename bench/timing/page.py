"""Where a comparison is written down: the tables of docs/accuracy.md, and the error that the profile states."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..measure import ROOT
from .compare import Result
from .programs import Group, Split
from .report import BOUNDS, MEAN_BOUND, WHOLE, Summary, percent, summaries

PAGE = ROOT / "docs" / "accuracy.md"
PROFILES = ROOT / "emulator" / "timing" / "profiles"
BEGIN, END = "<!-- results: made by python -m bench.timing --write-docs -->", "<!-- end -->"
ERROR = re.compile(r"^error\s*=.*$", re.M)


def filled(page: str, results: Sequence[Result]) -> str:
    """The text `page` with the tables of `results` between its markers; ValueError if it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no place for the results: expected a line {BEGIN} and, below it, {END}")
    return f"{before}{begin}\n\n{_overview(results)}\n\n{_programs(results)}\n\n{end}{after}"


def stated(profile: str, error: float) -> str:
    """The text of a profile's TOML file with `error` as its error."""
    line = f"error = {error:.1f}"
    if ERROR.search(profile):
        return ERROR.sub(line, profile, count=1)
    top, bracket, tables = profile.partition("\n[")  # keys behind a table's name would be that table's
    return f"{top.rstrip()}\n{line}\n{bracket}{tables}"


def profile_file(name: str) -> Path:
    """The TOML file of one of our profiles."""
    return PROFILES / f"{name}.toml"


def _overview(results: Sequence[Result]) -> str:
    """A row for each group, a column for each set."""
    cells = {(summary.group, summary.split): _cell(summary) for summary in summaries(results)}
    heads = [f"{split.value if split else WHOLE}" for split in (None, *Split)]
    lines = ["| mean error (worst) | bounds: mean, one program | " + " | ".join(heads) + " |",
             "|---|---|" + "---|" * len(heads)]
    for group in (None, *Group):
        row = [cells.get((group, split), "") for split in (None, *Split)]
        bounds = f"{MEAN_BOUND} %" + (f", {BOUNDS[group]} %" if group else "")
        lines.append(f"| {group.value if group else WHOLE} | {bounds} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def _cell(summary: Summary) -> str:
    return (f"{percent(summary.mean, sign='')} of {summary.count} "
            f"({percent(summary.worst.error)}, `{summary.worst.program.name}`)")


def _programs(results: Sequence[Result]) -> str:
    lines = ["| program | set | instructions | cycles, measured | modelled | error |", "|---|---|--:|--:|--:|--:|"]
    for result in results:
        program = result.program
        lines.append(f"| `{program.name}` | {program.split.value} | {program.instructions:,} | {program.cycles:,} | "
                     f"{result.cycles:,} | {percent(result.error)} |")
    return "\n".join(lines)
