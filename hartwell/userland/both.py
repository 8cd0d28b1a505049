"""One program with its files on the heap and in frames, and what that changes: `hartwell run --ramfs both`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .outcome import Outcome
from .taken import Taken

ROWS: Final[tuple[tuple[str, Callable[[Outcome, Taken], int]], ...]] = (
    ("frame allocations", lambda outcome, taken: taken.operations["frame_allocations"]),
    ("heap allocations", lambda outcome, taken: taken.operations["heap_allocations"]),
    ("bytes copied", lambda outcome, taken: taken.copied),
    ("bytes filled", lambda outcome, taken: taken.filled),
    ("bytes of memory at most", lambda outcome, taken: taken.peak),
    ("page faults", lambda outcome, taken: outcome.faults),
    ("instructions", lambda outcome, taken: outcome.instructions),
    ("cycles", lambda outcome, taken: outcome.cycles),
)
"""What is compared."""


def figures(outcome: Outcome) -> dict[str, int]:
    """The rows of a run that was counted."""
    assert outcome.taken is not None
    return {name: value(outcome, outcome.taken) for name, value in ROWS}


def table(outcomes: list[Outcome]) -> list[str]:
    """The runs side by side, and by how much the second differs from the first, for people."""
    from hartwell.views.table import table_lines
    from kernel.cost import ESTIMATE

    first, second = map(figures, outcomes)
    rows = [[name, f"{first[name]:,}", f"{second[name]:,}", _change(first[name], second[name])] for name in first]
    lines = table_lines(("", *(outcome.storage for outcome in outcomes), "change"), rows, plain=True)
    return [*lines, f"cycles are {outcomes[0].profile}'s ({outcomes[0].accuracy}); those of the kernel's accesses "
            f"are an estimate ({ESTIMATE})"]


def _change(before: int, after: int) -> str:
    return f"{(after - before) * 100 / before:+.1f} %" if before else ""
