"""Hypothesis' state machines: what they find, and that they can be used in a test of one's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from hartwell.lab.finding import FindingKind
from hartwell.lab.search.machines import explore, machine_for
from hartwell.lab.search.steps import AllocatorFailed, Steps
from hartwell.lab.subject import Subject, load_subject
from hartwell.lab.subject.setting import Setting

from .broken import ALLOC, NOTHING, broken

ROOT = Path(__file__).parents[4]
FEW = settings(max_examples=5, stateful_step_count=15, deadline=None, database=None, derandomize=True,
               suppress_health_check=list(HealthCheck), phases=(Phase.generate,))


def test_a_sound_allocator(slab: Subject) -> None:
    result = explore(slab, examples=4, steps=10)
    assert result.found is None and result.trials >= 4 and result.operations >= 10


def test_a_broken_one_and_the_same_again() -> None:
    with load_subject("buddy/tail-lost") as subject:
        one, other = (explore(subject, examples=10, steps=10, seed=3) for _ in range(2))
    assert one.found is not None and other.found is not None
    assert one.found.words == other.found.words == ["alloc 12,288 bytes (align 4,096) -> #0", "dealloc #0"]
    assert one.found.how == "Hypothesis, seed 3"


def test_one_that_is_wrong_before_anything_is_done(tmp_path: Path) -> None:
    with load_subject(str(broken(tmp_path, ALLOC, NOTHING))) as subject:
        found = explore(subject, examples=3).found
    assert found is not None and found.words == [] and found.finding.kind is FindingKind.LOST


def test_in_a_test_of_ones_own() -> None:
    machine = machine_for(lambda: load_subject("buddy/tail-lost"))
    with pytest.raises(AllocatorFailed) as failed:
        run_state_machine_as_test(machine, settings=FEW)
    assert failed.value.finding.kind is FindingKind.LOST
    assert machine.subject is not None
    machine.subject.close()


def test_memory_is_added() -> None:
    half = 8 << 20
    setting = Setting(pieces=((0, half),))
    machine = machine_for(lambda: load_subject("buddy", setting), ((half, half // 2), (half + half // 2, half // 2)))
    run_state_machine_as_test(machine, settings=FEW)
    assert machine.subject is not None
    steps = Steps(machine.subject)
    for offset, size in machine.spare:
        steps.add(offset, size)
    assert steps.alloc(half, 4096) is not None and steps.alloc(half // 2, 4096) is not None
    machine.subject.close()


def test_steps_are_judged_at_once(buddy: Subject) -> None:
    steps = Steps(buddy)
    first = steps.alloc(16384, 4096)
    assert first is not None and steps.sizes == {0: 16384}
    rest = steps.split(first, 4096)
    assert steps.sizes == {0: 4096, rest: 12288}
    assert steps.alloc(1 << 40, 4096) is None
    steps.check(rest)
    address = int(buddy.run(steps.operations[3:4])["value"][0])
    buddy.machine.bus.write(address, b"\xff")
    with pytest.raises(AllocatorFailed, match="byte 0") as failed:
        steps.check(rest)
    assert failed.value.finding.operation == len(steps) - 1 == 4
    assert (failed.value.operations == steps.operations).all()


def test_without_hypothesis_it_says_what_to_do() -> None:
    code = ("import sys; sys.modules['hypothesis'] = None\nfrom hartwell.lab.search.errors import SearchError\n"
            "try:\n    import hartwell.lab.search.machines\nexcept SearchError as why:\n    print(why)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pip install 'hartwell[lab]'" in done.stdout
