"""Allocators that are guest code, on two harts: planted races are found, and the same without them passes."""

from __future__ import annotations

import pytest

from hartwell.lab.errors import SpecError
from hartwell.lab.finding import FindingKind
from hartwell.lab.race.report import RaceReport, again, hunt
from hartwell.lab.race.search import Strategy
from hartwell.lab.race.target import open_target
from hartwell.lab.subject.catalogue import allocators

TAKE_AND_GIVE = "| alloc 4096, free 0 | alloc 4096, free 1"
SLOTS = "alloc 64, alloc 64 | free 0, alloc 64 | free 1, alloc 64"
SCENARIOS = {"buddy/missing-lock": TAKE_AND_GIVE, "buddy-percpu/lost-update": TAKE_AND_GIVE,
             "slab/missing-lock": SLOTS, "slab/lock-dropped-early": SLOTS, "slab/blind-count": SLOTS}
"""A scenario in which each shows itself soon."""


def searched(spec: str, scenario: str, budget: int = 1_000) -> RaceReport:
    with open_target(spec, 2) as target:
        return hunt(target, 2, Strategy(budget=budget), [scenario])


def test_there_is_a_scenario_for_each_race_that_is_planted() -> None:
    assert {entry.name for entry in allocators() if entry.found_by == ("race",)} == set(SCENARIOS)


@pytest.mark.parametrize("spec", SCENARIOS)
def test_a_planted_race_is_found_and_happens_again(spec: str) -> None:
    with open_target(spec, 2) as target:
        found = hunt(target, 2, Strategy(budget=1_000), [SCENARIOS[spec]]).found
        assert found is not None
        assert found.race.preemptions <= 2
        assert again(target, found.replay, "file").listing(full=True) == found.listing(full=True)


@pytest.mark.parametrize("spec", ["buddy", "slab"])
def test_a_sound_allocator_has_none(spec: str) -> None:
    report = searched(spec, TAKE_AND_GIVE if spec == "buddy" else SLOTS, 200)
    assert report.found is None
    assert report.executions > 10


def test_a_hart_that_spins_is_waited_for_and_no_search_is_endless() -> None:
    report = searched("buddy", "| alloc 4096 | alloc 4096")
    assert report.searched[0].complete
    assert report.searched[0].steps < 5_000


def test_memory_that_is_lost_in_a_race_is_missed() -> None:
    found = searched("buddy-percpu/lost-update", TAKE_AND_GIVE).found
    assert found is not None
    assert found.race.finding.kind is FindingKind.LOST


def test_accesses_that_matter_to_nobody_else_are_counted_not_shown() -> None:
    found = searched("slab/missing-lock", SLOTS).found
    assert found is not None
    assert "to what no other uses" in found.listing()
    assert len(found.listing(full=True).splitlines()) > len(found.listing().splitlines())


@pytest.mark.parametrize(("spec", "harts", "text"), [
    ("buddy", 1, "1 harts"), ("nowhere", 2, "nowhere"), ("kernel:nothing", 2, "kernel:pages"),
    ("nowhere.elf", 2, "nowhere")])
def test_what_cannot_be_searched_is_refused(spec: str, harts: int, text: str) -> None:
    with pytest.raises(SpecError, match=text):
        open_target(spec, harts)
