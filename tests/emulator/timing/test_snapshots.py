"""Snapshots of machines that count cycles: caches, predictors and pipelines are in them, to the cycle."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.board import Board
from emulator.errors import SnapshotError
from emulator.machine import Machine
from emulator.snapshot import Snapshot
from emulator.timing.profile_file import load_profile
from tests.helpers.machines import FIRMWARE, LIMIT, image, load, timed

from .test_determinism import PROGRAMS, counts, each_program, start

ROCKET = load_profile("rocket")


def booted(name: str, harts: int, profile: str = "rocket") -> Machine:
    made = timed(Board(harts=harts, memory=image(name).memory), profile)
    made.boot(kernel=load(image(name).path), firmware=load(FIRMWARE))
    made.feed(image(name).stdin)
    return made


def assert_same_future(made: Machine, whole: object, tmp_path: Path, limit: int = LIMIT) -> None:
    """As the run without snapshots, from here: in this machine, twice, and from a file in another."""
    snapshot = made.snapshot()
    snapshot.save(tmp_path / "timed.snap")
    other = Snapshot.load(tmp_path / "timed.snap").machine()
    assert counts(other) == counts(made)
    for machine in (made, other, made):
        machine.restore(snapshot)
        machine.run(max_insns=limit)
        assert counts(machine) == whole
    other.close()


@each_program
def test_a_program_costs_the_same_cycles_behind_a_snapshot(program: str, tmp_path: Path) -> None:
    whole, chance = start(program), random.Random(program)
    assert whole.run(max_insns=LIMIT).ok
    made = start(program)
    made.run(max_insns=chance.randrange(whole.instructions))
    assert_same_future(made, counts(whole), tmp_path)
    made.close()
    whole.close()


@pytest.mark.parametrize(("name", "harts"), [("timer", 1), ("pagefault-sv48", 1), ("uart-echo", 2), ("sbi-selftest", 2),
                                             ("smp-pingpong", 2), ("smp-pingpong", 4)])
def test_an_image_costs_the_same_cycles_behind_a_snapshot(name: str, harts: int, tmp_path: Path) -> None:
    whole, chance = booted(name, harts), random.Random(f"{name} {harts}")
    assert whole.run(max_insns=LIMIT).ok
    for _ in range(2):
        made = booted(name, harts)
        made.run(max_insns=chance.randrange(whole.instructions))
        assert_same_future(made, counts(whole), tmp_path)
        made.close()
    whole.close()


def test_snapshots_between_steps_and_all_the_time_cost_no_cycle(tmp_path: Path) -> None:
    whole, often = start(PROGRAMS[0]), start(PROGRAMS[0])
    assert whole.run(max_insns=LIMIT).ok
    often.run(max_insns=3000)
    for _ in range(40):
        often.step()
        often.restore(often.snapshot())
    assert_same_future(often, counts(whole), tmp_path)
    for one in (whole, often):
        one.close()


def test_going_back_gives_back_what_was_lost_to_each_cause() -> None:
    made = start("vm_code_16")
    assert made.timing is not None
    made.run(max_insns=5000)
    before, stats = made.snapshot(), made.timing.stats()
    assert sum(stats.harts[0].stalls.values()) > 100
    made.run(max_insns=5000)
    assert made.timing.stats() != stats
    made.restore(before)
    assert made.timing.stats() == stats
    made.close()


@pytest.mark.parametrize(("profile", "words"), [
    (None, "timing rocket, expected off"), (load_profile("simple"), "timing rocket, expected off"),
    (replace(ROCKET, name="mine", l1d=replace(ROCKET.l1d, miss=45)),
     "timing rocket, l1d.miss 44, expected mine, l1d.miss 45"),
])
def test_another_timing_is_refused_by_name(profile: object, words: str) -> None:
    made, other = start("k_mix"), Machine(Board(memory=64 << 20), profile)  # type: ignore[arg-type]
    with pytest.raises(SnapshotError, match=f"the snapshot is of a machine with another timing: {words}"):
        other.restore(made.snapshot())
    made.close()
    other.close()


def test_a_flat_profile_counts_as_none_does(tmp_path: Path) -> None:
    made, other = timed(Board(), "simple"), Machine()
    other.restore(made.snapshot())
    made.snapshot().save(tmp_path / "flat.snap")
    again = Snapshot.load(tmp_path / "flat.snap").machine()
    assert again.timing is not None and again.timing.profile == load_profile("simple")
    for one in (made, other, again):
        one.close()
