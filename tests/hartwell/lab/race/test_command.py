"""`hartwell lab race`: what it prints, saves and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hartwell.lab.race.replay import ReplayError, load_replay
from hartwell.lab.race.report import again, hunt
from hartwell.lab.race.search import Strategy
from hartwell.lab.race.target import open_target
from tests.hartwell.conftest import Hartwell


def test_a_race_is_shown_saved_and_shown_again(hartwell: Hartwell, tmp_path: Path) -> None:
    found = hartwell("lab", "race", "race-refcount/blind-add", "--save", "race.json")
    assert found.code == 1
    assert "CPU 1 is preempted" in found.out
    assert found.out.splitlines()[-1] == "saved: hartwell lab race --replay race.json"
    listing = found.out[found.out.index("race-refcount/blind-add: a race"):found.out.index("saved: ")]
    second = hartwell("lab", "race", "--replay", "race.json")
    assert (second.code, second.out) == (1, listing.replace("\n\nsaved", "\n"))
    kept = json.loads((tmp_path / "race.json").read_text())
    assert kept["turns"] == [[1, 2], [0, 4], [1, 2]]


def test_no_race(hartwell: Hartwell) -> None:
    done = hartwell("lab", "race", "race-refcount", "--bound", "1")
    assert done.code == 0
    assert "race-refcount: no race in" in done.out


def test_json(hartwell: Hartwell) -> None:
    done = hartwell("lab", "race", "race-refcount/late-look", "--json")
    told = json.loads(done.out)
    assert done.code == 1
    assert told["race"]["finding"]["kind"] == "check"
    assert [step["thread"] for step in told["race"]["steps"]] == [
        thread for thread, count in told["race"]["turns"] for _ in range(count)]


WRONG: tuple[tuple[dict[str, object], str], ...] = (
    ({"build": "0"}, "another build"), ({"digest": "0"}, "ended in another way"), ({"turns": [[0, 1]]}, "could go on"),
    ({"turns": [[0, 99]]}, "cannot go on"), ({"turns": [[2, 1]]}, "[thread, steps]"), ({"harts": "2"}, "expected int"),
    ({"version": 9}, "version 9"), ({"format": "x"}, "expected an object"))


def test_a_replay_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with open_target("race-refcount/late-look", 2) as target:
        found = hunt(target, 2, Strategy()).found
        assert found is not None
        path = tmp_path / "race.json"
        for change, text in WRONG:
            path.write_text(json.dumps({**json.loads(found.replay.to_json()), **change}))
            with pytest.raises(ReplayError) as refused:
                again(target, load_replay(str(path)), str(path))
            assert text in str(refused.value)


@pytest.mark.parametrize(("arguments", "text"), [
    ([], "SPEC"), (["buddy", "--strategy", "luck"], "'luck'"), (["buddy", "--bound", "-1"], "--bound -1"),
    (["buddy", "--harts", "9"], "2 to 8"), (["buddy", "--scenario", "alloc"], "scenario"),
    (["--replay", "none.json"], "none.json"), (["buddy", "--replay", "x"], "--replay FILE says all")])
def test_mistakes(hartwell: Hartwell, arguments: list[str], text: str) -> None:
    done = hartwell("lab", "race", *arguments)
    assert done.code == 2
    assert text in done.error
