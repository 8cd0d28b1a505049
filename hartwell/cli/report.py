"""What a run amounted to: --stats for people, --json for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .status import Outcome, say

if TYPE_CHECKING:
    from emulator.machine import Machine
    from emulator.stop import Stop
    from kernel.boot.booting import StageReport


@dataclass(frozen=True)
class Run:
    """A run that is over: how it ended, and in how many of the host's seconds; `stages` are our kernel's boot's."""

    stop: Stop | None
    result: Outcome
    seconds: float
    stages: tuple[StageReport, ...] | None = None


def show(machine: Machine, run: Run, stats: bool, json_wanted: bool) -> None:
    """Say what --stats, --json and --timing ask for: JSON on stdout, the rest on stderr."""
    if json_wanted:
        print(as_json(machine, run, stats))
    elif stats:
        for line in as_text(machine, run):
            say(line)
    elif machine.timing is not None:
        from hartwell.views.stats import summary

        say(summary(machine.timing.stats()))


def as_json(machine: Machine, run: Run, with_seconds: bool) -> str:
    """One object in one line. Without the seconds it depends on the run only, never on the host."""
    report: dict[str, Any] = {
        "reason": run.result.reason,
        "message": run.result.message,
        "exit_code": run.result.exit_code,
        "guest_code": getattr(run.stop, "code", None),
        "instructions": machine.instructions,
        "cycles": max(hart.cycles for hart in machine.harts),
        "traps": sum(hart.traps for hart in machine.harts),
        "harts": [{"hart": hart.id, "instructions": hart.instructions, "cycles": hart.cycles, "traps": hart.traps,
                   "pc": f"{hart.pc:#x}"} for hart in machine.harts],
        "timing": _timing(machine),
        "console": machine.console.decode("utf-8", "backslashreplace"),
    }
    if with_seconds:
        report["seconds"] = round(run.seconds, 6)
    if run.stages is not None:
        report["stages"] = [{"name": stage.name, "title": stage.title, "figures": stage.figures, "cycles": stage.cycles,
                             "instructions": stage.instructions} for stage in run.stages]
    return json.dumps(report)


def _timing(machine: Machine) -> dict[str, Any] | None:
    """What the cycles were counted with, and what they went to; None if a cycle is an instruction."""
    if machine.timing is None:
        return None
    from hartwell.views.stats import as_dict

    return as_dict(machine.timing.stats())


def as_text(machine: Machine, run: Run) -> list[str]:
    """A table with a line per hart, what cycles are, or went to, then how fast the host was."""
    speed = machine.instructions / run.seconds / 1e6 if run.seconds else 0
    host = f"{machine.instructions:,} instructions in {run.seconds:.3f} s: {speed:,.1f} million per second"
    if machine.timing is not None:
        from hartwell.views import stages, stats
        from hartwell.views.table import can_print

        shown = stats.lines(machine.timing.stats(), plain=True, ascii_only=not can_print("█▏"))
        told = stages.lines(run.stages or (), plain=True)
        return [*shown, *(["", *told] if told else []), "", host]
    rows = [("hart", "instructions", "cycles", "traps", "pc")]
    rows += [(str(hart.id), f"{hart.instructions:,}", f"{hart.cycles:,}", f"{hart.traps:,}", f"{hart.pc:#x}")
             for hart in machine.harts]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [*table, "cycles without a timing model: one per instruction, and those in WFI (--timing counts a core's)",
            host]
