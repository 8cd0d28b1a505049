"""hartwell lab campaign."""

from __future__ import annotations

import json
from pathlib import Path

from tests.hartwell.conftest import Hartwell


def test_a_plan_and_its_table(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text('allocators = ["buddy"]\nworkloads = ["lifo", "random"]\noperations = 100\n'
                                        'seeds = 2\n')
    done = hartwell("lab", "campaign", "plan.toml", "--resume", "done")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["buddy", "lifo", "2", "0", "200"], ["buddy", "random", "2", "0", "200"]]
    assert lines[-1] == "4 trials, 0 failed; 400 operations"
    again = hartwell("lab", "campaign", "plan.toml", "--resume", "done", "--json", "--jobs", 1)
    plain = json.loads(again.out)
    assert plain["ok"] and plain["cells"] == 4 and plain["results"][0]["cell"]["workload"] == "lifo"


def test_mistakes(hartwell: Hartwell) -> None:
    for arguments, said in (
        (("plan.toml", "buddy"), "expected one plan alone"),
        (("buddy", "-n", "many"), "-n 'many': expected a number of operations"),
    ):
        done = hartwell("lab", "campaign", *arguments)
        assert done.code == 2 and said in done.error, done
