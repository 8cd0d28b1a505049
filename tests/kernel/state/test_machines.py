"""200,000 operations on booted kernels, in batches of one to thirty-two, with the whole-state check after each batch.

The histories are Hypothesis's, the same ones at every run. At the end of each, everything is given back, and
all memory must be free in the same blocks as at the start.
"""

from __future__ import annotations

import pytest

from kernel.mm import SV39, SV48
from kernel.mm.paging import PagingMode
from tests.kernel.state.frames import FramesPart
from tests.kernel.state.heap import HeapPart
from tests.kernel.state.machine import BATCH, StateMachine, Tally, run_machine
from tests.kernel.state.raw import RawPart
from tests.kernel.state.tables import TablesPart

PARTS = {"frames": (FramesPart,), "heap": (HeapPart,), "tables": (TablesPart,), "raw": (RawPart,),
         "all": (FramesPart, HeapPart, TablesPart, RawPart)}
EXAMPLES, OPERATIONS = 64, 25_000
"""Histories of each test, and operations that they must come to."""
CASES = 8


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "harts", "left", "paging"), [
    ("frames", 2, None, SV48),
    ("frames", 1, 12, SV48),
    ("heap", 3, None, SV48),
    ("heap", 2, 40, SV48),
    ("tables", 2, None, SV48),
    ("tables", 2, 12, SV39),
    ("all", 2, None, SV39),
    ("all", 2, 40, SV48),
], ids=lambda value: getattr(value, "name", str(value)))
def test_everything_is_accounted_for_after_every_batch(name: str, harts: int, left: int | None,
                                                       paging: PagingMode) -> None:
    """`left` are the pages of free memory to begin with, None for all."""

    class Case(StateMachine):
        PARTS = PARTS[name]
        HARTS = harts
        LEFT = left
        PAGING = paging

    tally: Tally = run_machine(Case, EXAMPLES)
    print(f"{name}: {tally}")
    assert tally.operations >= OPERATIONS
    assert tally.checks >= tally.operations / BATCH
    assert (left is None) == (tally.out_of_memory == 0) or name == "heap"


def test_the_cases_come_to_two_hundred_thousand_operations() -> None:
    assert CASES * OPERATIONS >= 200_000
