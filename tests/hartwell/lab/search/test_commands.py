"""hartwell lab search, replay and trial, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hartwell.lab.subject import Subject
from tests.hartwell.conftest import Hartwell

from .broken import ALLOC, NOTHING, TRAP, always, broken


def test_a_search_is_saved_and_replayed(hartwell: Hartwell, tmp_path: Path, buddy: Subject) -> None:
    broken(tmp_path, ALLOC, always(buddy.memory.start + 8192))
    found = hartwell("lab", "search", "broken.elf", "--seeds", "1", "-w", "ramp", "--save", "bug.replay")
    assert (found.code, found.err) == (1, "")
    lines = found.out.splitlines()
    start = buddy.memory.start + 8192
    assert lines[0] == (f"broken.elf: overlap: alloc 4,096 bytes (align 4,096) -> #1: {start:#x}-{start + 4096:#x} "
                        f"overlaps #0 ({start:#x}-{start + 4096:#x}), which is allocated")
    assert lines[4:6] == ["    0  alloc 4,096 bytes (align 4,096) -> #0",
                          "    1  alloc 4,096 bytes (align 4,096) -> #1  <-- fails"]
    assert "hartwell debug --replay bug.replay" in lines[-1]
    again = hartwell("lab", "replay", "bug.replay")
    assert again.code == 1 and again.out.splitlines()[-1].startswith("broken.elf: still fails: overlap: alloc")
    other = hartwell("lab", "replay", "bug.replay", "buddy")
    assert other.code == 0 and other.out.startswith("buddy: passes now; it was: overlap: ")
    broken(tmp_path, ALLOC, TRAP)
    now = hartwell("lab", "replay", "bug.replay")
    assert now.code == 1 and "broken.elf: fails in another way: " in now.out
    assert now.error == "broken.elf is not what it was when bug.replay was written"
    as_json = json.loads(hartwell("lab", "replay", "bug.replay", "--json").out)
    assert (as_json["verdict"], as_json["changed"]) == ("fails in another way", True)
    assert as_json["findings"][0]["kind"] == "crash" and as_json["expected"]["kind"] == "overlap"


def test_a_search_for_programs_and_one_that_finds_nothing(hartwell: Hartwell, tmp_path: Path) -> None:
    broken(tmp_path, ALLOC, NOTHING)
    found = hartwell("lab", "search", "broken.elf", "--json")
    said = json.loads(found.out)
    assert found.code == 1 and said["found"]["finding"]["kind"] == "lost" and said["found"]["operations"] == []
    none = hartwell("lab", "search", "buddy", "--seeds", "1", "-w", "lifo", "-n", "32")
    assert (none.code, none.out) == (0, "buddy: nothing found in 2 trials, 40 operations\nhartwell lab hunt buddy "
                                     "tries what no workload does: memory in pieces, two harts, and more\n")


@pytest.mark.parametrize("arguments, expected", [
    ("search buddy -w no-such", "no workload is called"), ("search buddy --seeds 0", "at least one seed"),
    ("search buddy --hypothesis -w lifo", "Hypothesis chooses"), ("replay y.replay", "no such file"),
    ("trial buddy --cpu 1", "expected a CPU of the machine's, 0 to 0"),
])
def test_mistakes(hartwell: Hartwell, arguments: str, expected: str) -> None:
    result = hartwell("lab", *arguments.split())
    assert result.code == 2 and expected in result.error


def test_a_trial(hartwell: Hartwell, tmp_path: Path) -> None:
    fine = hartwell("lab", "trial", "slab", "-n", "300", "--timing", "rocket", "--smp", "2", "--cpu", "1")
    lines = fine.out.splitlines()
    assert fine.code == 0 and lines[0].startswith("slab: 300 operations of workload random, seed 0, with 16 MiB")
    assert lines[1].split() == ["call", "done", "in", "vain", "cycles:", "mean", "median", "most"]
    assert lines[2].startswith("alloc ") and lines[-1] == "no oracle has anything to say"
    broken(tmp_path, ALLOC, TRAP)
    bad = hartwell("lab", "trial", "broken.elf", "-n", "50", "--save", "t.replay", "--json")
    said = json.loads(bad.out)
    assert bad.code == 1 and said["findings"][0]["kind"] == "crash" and said["unit"] == "instructions"
    assert hartwell("lab", "replay", "t.replay").code == 1
