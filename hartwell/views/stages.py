"""What each stage of our kernel's boot cost: a line for each, with its share of the cycles.

        stage            cycles   share  instructions
        entry           389,967   9.5 %       300,226
        frame-metadata  629,715  15.4 %         6,112

Instructions are those that harts retired; cycles are the boot hart's, the stage's accesses to memory included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .table import table_lines

if TYPE_CHECKING:
    from kernel.boot.booting import StageReport


def lines(stages: Sequence[StageReport], *, plain: bool) -> list[str]:
    """The table, without a line if no stage has ended; with `plain` without a terminal's escape sequences."""
    if not stages:
        return []
    rows, cycles, instructions = [], 0, 0
    for stage in stages:
        spent = stage.cycles - cycles
        rows.append((stage.name, f"{spent:,}", f"{100 * spent / max(1, stages[-1].cycles):.1f} %",
                     f"{stage.instructions - instructions:,}"))
        cycles, instructions = stage.cycles, stage.instructions
    return table_lines(("stage", "cycles", "share", "instructions"), rows, plain=plain)
