"""The table of planted bugs: the page has all of them, and says what a hunt says. (test_planted finds each of them.)"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hartwell.lab.errors import SpecError
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.hunt import Budget, hunt, oracle_of, planted, sound

from tests.hartwell.conftest import ROOT, Hartwell

PAGE = (ROOT / "docs" / "lab-planted.md").read_text("utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]*) \| ([^|]+) \| [0-9.]+ \|$", re.M)
ROWS = {row[0]: row[1:] for row in ROW.findall(PAGE)}
SAMPLE = ("buddy/off-by-one-order", "slab/late-link", "first-fit/small-rest-lost", "first-fit/list-cycle",
          "race-refcount/lost-update", "client-bugs:late_store")


def test_the_page_has_every_planted_bug_and_all_that_is_sound() -> None:
    assert {name: title for name, (title, *_) in ROWS.items()} == dict(planted())
    assert len(ROWS) >= 50 and "**not found**" not in PAGE and " 0 false alarms" in PAGE
    assert re.findall(r"^\| `([^`]+)` \| none \|", PAGE, re.M) == sound()


@pytest.mark.parametrize("spec", SAMPLE)
def test_what_the_page_says_of_a_bug(spec: str) -> None:
    catch = hunt(spec)
    assert catch.finding is not None
    _, by, step, after = ROWS[spec]
    assert (by, step) == (f"{catch.oracle}: {catch.finding.kind.value}", catch.step)
    done, unit = (catch.operations, "operations") if catch.operations else (catch.interleavings, "interleavings")
    assert after == f"{done:,} {unit}"


@pytest.mark.parametrize("spec", ["race-refcount", "client-bugs:clean"])
def test_nothing_is_found_in_what_is_sound(spec: str) -> None:
    catch = hunt(spec)
    assert catch.finding is None and catch.oracle == catch.step == "" and catch.operations + catch.interleavings > 0


def test_a_sound_allocator_comes_to_the_last_step() -> None:
    catch = hunt("first-fit", Budget(operations=50, interleavings=30))
    assert catch.finding is None and catch.operations > 50 * 12 and 0 < catch.interleavings <= 30


def test_every_kind_of_finding_is_some_oracles() -> None:
    assert all(oracle_of(Finding(kind, "")) for kind in FindingKind)


def test_nothing_to_hunt_in() -> None:
    with pytest.raises(SpecError, match="client-bugs.elf: has no scenario none: "):
        hunt("client-bugs:none")


def test_the_command_says_each_step_and_what_shows_more(hartwell: Hartwell) -> None:
    done = hartwell("lab", "hunt", "race-refcount/late-look")
    assert done.code == 1
    assert [line.split()[-1] for line in done.out.splitlines() if line.startswith("  two harts")] == ["FAIL"]
    assert done.out.splitlines()[-2:] == ["  found by  interleavings",
                                          "  next      hartwell lab race race-refcount/late-look"]


def test_the_command_tells_programs_the_same(hartwell: Hartwell) -> None:
    done = hartwell("lab", "hunt", "race-refcount", "--json")
    told = json.loads(done.out)
    assert (done.code, told["finding"], [step["name"] for step in told["steps"]]) == (0, None, ["two harts"])
    refused = hartwell("lab", "hunt", "nothing-such")
    assert refused.code == 2 and "no allocator comes along under that name" in refused.err


def test_what_a_hunt_finds_in_a_trial_is_saved_and_fails_again(hartwell: Hartwell) -> None:
    done = hartwell("lab", "hunt", "bitmap/size-truncated", "--save", "bug.replay")
    assert done.code == 1 and done.out.splitlines()[-1] == "  next      hartwell debug --replay bug.replay"
    assert "alloc 4,294,971,392 bytes" in done.out
    again = hartwell("lab", "replay", "bug.replay")
    assert again.code == 1 and "bitmap/size-truncated: still fails: out of range" in again.out


def test_what_is_no_trial_is_not_saved(hartwell: Hartwell, tmp_path: Path) -> None:
    done = hartwell("lab", "hunt", "race-refcount/late-look", "--save", "bug.replay")
    assert done.out.splitlines()[-1].endswith(" hartwell lab race race-refcount/late-look --save bug.replay")
    assert done.code == 1 and "bug.replay is not written" in done.err and not (tmp_path / "bug.replay").exists()
