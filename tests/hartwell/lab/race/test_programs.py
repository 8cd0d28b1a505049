"""Race programs on harts: what is planted is found, what is right passes, and all of it happens again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hartwell.lab.finding import FindingKind
from hartwell.lab.race.report import again, hunt
from hartwell.lab.race.search import STRATEGIES, Strategy
from hartwell.lab.race.system import Shown
from hartwell.lab.race.target import Target, open_target

PLANTED = {"lost-update": (FindingKind.CHECK, "reference count is not 0"),
           "blind-add": (FindingKind.CRASH, "an object was looked up that is freed"),
           "late-look": (FindingKind.CHECK, "freed twice")}


@contextmanager
def opened(name: str, harts: int = 2) -> Iterator[tuple[Target, Shown]]:
    with open_target(name, harts) as target:
        yield target, target.open("")


@pytest.mark.parametrize("plant", PLANTED)
def test_each_planted_race_is_found_by_each_strategy(plant: str) -> None:
    kind, text = PLANTED[plant]
    with open_target(f"race-refcount/{plant}", 2) as target:
        for name in STRATEGIES:
            found = hunt(target, 2, Strategy(name, budget=500)).found
            assert found is not None, name
            assert found.race.finding.kind is kind
            assert text in found.race.finding.what
            assert found.race.preemptions == 1


def test_the_right_program_passes() -> None:
    with open_target("race-refcount", 2) as target:
        report = hunt(target, 2, Strategy(bound=3))
        assert report.found is None
        assert report.searched[0].complete
        assert report.executions > 20
        for name in ("pct", "random"):
            assert hunt(target, 2, Strategy(name, budget=200)).found is None


def test_three_harts() -> None:
    with open_target("race-refcount", 3) as target:
        assert hunt(target, 3, Strategy(bound=1)).found is None


def test_steps_that_are_gone_back_on_are_undone() -> None:
    with opened("race-refcount") as (_, system):
        system.start()
        begun = system.digest()
        saved = system.save()
        while ready := system.ready():
            system.step(ready[-1])
        ended = system.digest()
        assert ended != begun
        system.load(saved)
        assert system.digest() == begun
        while ready := system.ready():
            system.step(ready[-1])
        assert system.digest() == ended


def test_a_race_happens_again_with_the_same_listing() -> None:
    with open_target("race-refcount/blind-add", 2) as target:
        found = hunt(target, 2, Strategy()).found
    assert found is not None
    with open_target("race-refcount/blind-add", 2) as target:
        second = again(target, found.replay, "file")
    assert second.listing() == found.listing()
    assert second.listing(full=True) == found.listing(full=True)


def test_the_listing_says_who_did_what_where() -> None:
    with open_target("race-refcount/lost-update", 2) as target:
        found = hunt(target, 2, Strategy()).found
    assert found is not None
    lines = found.listing(120).splitlines()
    assert [cell.strip() for cell in lines[0].split("│")] == ["CPU 0", "CPU 1"]
    assert any("CPU 0 is preempted" in line for line in lines)
    assert any("CPU 1 is done" in line for line in lines)
    assert any("hartwell_race_thread+" in line and "refcount.c:" in line for line in lines)
    assert any("amoswap.d" in line and "object: 1 -> 3" in line for line in lines)
    assert "reference count is not 0" in lines[-1]
    assert max(map(len, lines)) <= 120
