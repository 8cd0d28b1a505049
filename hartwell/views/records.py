"""Records of what was done with a frame, a heap slot or a page: when, by whom, and how the code came there.

        history: 1 record
          frame_alloc of 4 KiB at 0x80312000, at instruction 430,637, cycle 430,637, by CPU 0
              <module> (firstfit.py:52)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernel.boot.figures import amount

if TYPE_CHECKING:
    from kernel.track import Record

LAST = 8
"""Records that are shown, the last ones; `as_dicts` has all."""


def lines(records: Sequence[Record]) -> list[str]:
    """The last records, oldest first, each with its stack below it; one line if there are none."""
    if not records:
        return ["history: nothing is recorded"]
    left_out = f", of which the last {LAST}" if len(records) > LAST else ""
    shown = [f"history: {len(records):,} record{'s' * (len(records) > 1)}{left_out}"]
    for record in records[-LAST:]:
        stage = f", in the boot stage {record.stage}" if record.stage else ""
        shown.append(f"  {record.kind.value} of {amount(record.size)} at {record.address:#x}, at instruction "
                     f"{record.instruction:,}, cycle {record.cycle:,}, by CPU {record.cpu}{stage}")
        shown += [f"      {place}" for place in record.stack]
    return shown


def as_dicts(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The view for programs, oldest first."""
    return [{"number": record.number, "operation": record.kind.value, "address": f"{record.address:#x}",
             "size": record.size, "cpu": record.cpu, "instruction": record.instruction, "cycle": record.cycle,
             "stage": record.stage,
             "stack": [{"file": place.file, "line": place.line, "function": place.function} for place in record.stack]}
            for record in records]
