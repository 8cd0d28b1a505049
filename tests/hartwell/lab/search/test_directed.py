"""The directed search: broken allocators are found, sound ones are not, and the shortest program is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hartwell.lab.finding import FindingKind
from hartwell.lab.operation import Program
from hartwell.lab.search import Verdict, save_replay
from hartwell.lab.search.directed import Found, attempts, search, shrink
from hartwell.lab.subject import Subject, load_subject
from hartwell.lab.workload import WorkloadError

from .broken import ALLOC, DEALLOC, NOTHING, RETURN, TRAP, always, broken


def found(path: Path | str, *workloads: str) -> Found:
    """What is found in an allocator; what is saved of it fails again."""
    with load_subject(str(path)) as subject:
        result = search(subject, attempts(subject, workloads, 1, 64))
        assert result.found is not None
        saved = save_replay(f"{path}.replay", subject, result.found.operations, 0, subject.setting,
                            result.found.finding)
        again = saved.run_on(subject)
    assert again.verdict is Verdict.FAILS and str(again.finding) == str(result.found.finding)
    return result.found


def test_a_sound_allocator(buddy: Subject) -> None:
    plan = attempts(buddy, seeds=1, operations=100)
    result = search(buddy, plan)
    assert result.found is None
    assert (result.trials, result.operations) == (len(plan), sum(each.count for each in plan))
    assert shrink(buddy, Program().operations, "by hand") is None


def test_the_same_block_twice(tmp_path: Path, buddy: Subject) -> None:
    one = found(broken(tmp_path, ALLOC, always(buddy.memory.start + 8192)), "ramp")
    assert one.finding.kind is FindingKind.OVERLAP
    assert one.words == ["alloc 4,096 bytes (align 4,096) -> #0", "alloc 4,096 bytes (align 4,096) -> #1"]
    assert one.how.startswith("workload ") and one.length >= 2 and one.shrinking > 2


def test_what_needs_no_operation_at_all(tmp_path: Path) -> None:
    one = found(broken(tmp_path, ALLOC, NOTHING))
    assert (one.finding.kind, one.finding.operation, one.words) == (FindingKind.LOST, None, [])


def test_what_is_lost_is_shown_with_what_gives_it_back(tmp_path: Path) -> None:
    one = found(broken(tmp_path, DEALLOC, RETURN))
    assert (one.finding.kind, one.finding.operation) == (FindingKind.LOST, None)
    assert one.words == ["alloc 4,096 bytes (align 4,096) -> #0", "dealloc #0"]


def test_a_call_that_does_not_return(tmp_path: Path) -> None:
    one = found(broken(tmp_path, ALLOC, TRAP))
    assert one.finding.kind is FindingKind.CRASH
    assert len(one.operations) <= 1


def test_a_python_class(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from kernel.osdk.frame_allocator import FrameAllocator\n\n\nclass Mine(FrameAllocator):\n"
        "    def dealloc(self, paddr, size):\n        if size < 8192:\n            super().dealloc(paddr, size)\n")
    with load_subject(f"{tmp_path}/mine.py:Mine") as subject:
        result = search(subject, attempts(subject, ["churn"], 1, 32), patience=12)
    assert result.found is not None and result.found.finding.kind is FindingKind.LOST
    assert result.found.words == ["alloc 8,192 bytes (align 4,096) -> #0", "dealloc #0"]


def test_the_plan(buddy: Subject, slab: Subject) -> None:
    plan = attempts(buddy, ["lifo", "parts"], 2, 400, first=7)
    assert [str(each) for each in plan[:3]] == [
        "workload lifo, seed 7, 25 operations", "workload parts, seed 7, 25 operations",
        "workload lifo, seed 8, 25 operations"]
    assert [each.count for each in plan] == [25] * 4 + [100] * 4 + [400] * 4
    assert {each.count for each in attempts(buddy, ["lifo"], 1, 5)} == {5}
    with pytest.raises(WorkloadError, match="parts is not for heap allocators"):
        attempts(slab, ["parts"])
    with pytest.raises(WorkloadError, match="no workload is called nothing"):
        attempts(buddy, ["nothing"])
