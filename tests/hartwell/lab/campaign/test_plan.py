"""Plans: what a TOML file may say, and what is said about one that makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from hartwell.lab.campaign import Plan
from hartwell.lab.campaign.plan import PlanError
from hartwell.lab.workload import WorkloadError, names

WHOLE = """
allocators = ["slab", "buddy", "buddy"]
workloads  = ["random", "lifo"]
operations = [100, 20]
memory     = ["64M", "128M"]
seeds      = [7, 3]
harts      = 2
contents   = false
"""


def test_a_plan_is_all_combinations(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(WHOLE)
    cells = Plan.load(tmp_path / "plan.toml").cells()
    assert len(cells) == 2 * 2 * 2 * 2 * 2
    assert cells[0].name == "buddy lifo 20 64 MiB 2 harts seed 3" and not cells[0].contents
    assert {cell.memory for cell in cells} == {64 << 20, 128 << 20}


def test_all_workloads() -> None:
    assert Plan(("buddy",), ("all",)).with_all_workloads().workloads == tuple(names())
    with pytest.raises(WorkloadError, match="no workload is called nonsense: expected one of churn, "):
        Plan(("buddy",), ("random", "nonsense")).with_all_workloads()


@pytest.mark.parametrize("text, said", [
    ("", "is empty"),
    ("seeds = 2", "allocators: is missing"),
    ("allocators = []", "allocators: expected at least one"),
    ('allocators = ["buddy"]\nworkload = "random"', "workload: is no entry of a plan; expected one of allocators, "),
    ('allocators = ["buddy"]\nseeds = -1', "seeds: -1: expected how many"),
    ('allocators = ["buddy"]\nseeds = 1000000\nharts = [1, 2]', "a campaign of 2,000,000 cells"),
    ('allocators = ["buddy"]\nmemory = "a lot"', "memory"),
    ('allocators = ["buddy"]\nharts = [9]', "harts: 9: expected 1 to 8"),
    ("allocators = [", "plan.toml"),
])
def test_a_plan_that_makes_no_sense(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(PlanError, match=said) as caught:
        Plan.load(tmp_path / "plan.toml")
    assert str(caught.value).startswith(str(tmp_path / "plan.toml"))
