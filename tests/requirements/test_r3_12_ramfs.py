"""R3.12, the RamFS exercise: contents on the heap, then in frames; both versions correct, and what it gains."""

from __future__ import annotations

import re

import pytest

from hartwell import programs
from hartwell.userland import Outcome
from hartwell.userland.both import figures, table
from tests.helpers.userland import run_program


@pytest.mark.timeout(180)
def test_r3_12_ramfs_runs_correctly_both_ways_and_the_change_is_measured() -> None:
    found = programs.find("ramfs")
    assert found is not None
    outcomes: list[Outcome] = []
    for storage in ("heap", "frames"):
        ran = run_program(found.program(), "ramfs", storage=storage, timing="rocket", counted=True)
        assert (ran.output, ran.outcome.exit_code) == (found.expected(), 0)
        assert ran.outcome.free_after == ran.outcome.free_before
        outcomes.append(ran.outcome)
    heap, frames = map(figures, outcomes)
    assert heap["instructions"] == frames["instructions"]  # the program's own work is the same
    # A file of 62 pages that grows and shrinks: one piece that moves, or frames that come and go.
    assert heap["frame allocations"] < 200 < frames["frame allocations"]
    assert frames["bytes copied"] < heap["bytes copied"]
    assert frames["bytes of memory at most"] < heap["bytes of memory at most"]
    shown = table(outcomes)
    assert shown[0].split() == ["heap", "frames", "change"]
    assert any(re.match(r"cycles +[\d,]{9,} +[\d,]{9,} +[+-][\d.]+ %$", line) for line in shown)
    assert "rocket" in shown[-1] and "±" in shown[-1]
