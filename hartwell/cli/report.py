"""What a run amounted to: --stats for people, --json for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .status import Outcome

if TYPE_CHECKING:
    from emulator.machine import Machine
    from emulator.stop import Stop


def as_json(machine: Machine, stop: Stop | None, result: Outcome, seconds: float | None) -> str:
    """One object in one line. Without `seconds` it depends on the run only, never on the host."""
    report: dict[str, Any] = {
        "reason": result.reason,
        "message": result.message,
        "exit_code": result.exit_code,
        "guest_code": getattr(stop, "code", None),
        "instructions": machine.instructions,
        "cycles": max(hart.cycles for hart in machine.harts),
        "traps": sum(hart.traps for hart in machine.harts),
        "harts": [{"hart": hart.id, "instructions": hart.instructions, "cycles": hart.cycles, "traps": hart.traps,
                   "pc": f"{hart.pc:#x}"} for hart in machine.harts],
        "console": machine.console.decode("utf-8", "backslashreplace"),
    }
    if seconds is not None:
        report["seconds"] = round(seconds, 6)
    return json.dumps(report)


def as_text(machine: Machine, seconds: float) -> list[str]:
    """A table with a line per hart, then how fast the host was."""
    rows = [("hart", "instructions", "cycles", "traps", "pc")]
    rows += [(str(hart.id), f"{hart.instructions:,}", f"{hart.cycles:,}", f"{hart.traps:,}", f"{hart.pc:#x}")
             for hart in machine.harts]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    speed = machine.instructions / seconds / 1e6 if seconds else 0
    return [*lines, f"{machine.instructions:,} instructions in {seconds:.3f} s: {speed:,.1f} million per second"]
