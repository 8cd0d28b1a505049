"""Random searches: the same seed, the same executions; what they find, and how often."""

from __future__ import annotations

import pytest

from hartwell.lab.race.search import Strategy, follow, search
from hartwell.lab.race.walks import guarantee, pct, random_walk
from tests.hartwell.lab.race.abstract import Abstract

INCREMENT = [("load", 1), ("add", 1)]


def racy() -> Abstract:
    return Abstract(INCREMENT, INCREMENT, bad=lambda memory: "" if memory[1] == 2 else "lost")


@pytest.mark.parametrize("walks", [random_walk, pct])
def test_the_same_seed_gives_the_same_executions(walks: object) -> None:
    def schedules(seed: int) -> list[tuple[int, ...]]:
        return [execution.schedule for execution in walks(racy(), 20, seed)]  # type: ignore[operator]

    assert schedules(1) == schedules(1)
    assert schedules(1) != schedules(2)


def test_pct_finds_a_bug_as_often_as_it_promises() -> None:
    """Depth 2 is enough: one switch at the right place."""
    system = Abstract([*[("load", 5)] * 10, *INCREMENT], [*[("load", 6)] * 10, *INCREMENT],
                      bad=lambda memory: "" if memory[1] == 2 else "lost")
    runs = 2000
    found = sum(system.finding() is not None for _ in pct(system, runs, 0, 2))
    assert found / runs > guarantee(2, 24, 2)


def test_what_chance_has_found_is_made_short() -> None:
    race = search(racy(), Strategy("random", seed=3)).race
    assert race is not None
    assert race.preemptions == 1


def test_a_race_can_be_followed_again() -> None:
    system = racy()
    race = search(system, Strategy()).race
    assert race is not None
    assert follow(system, race.schedule) == race.finding
    assert system.digest() == race.digest


@pytest.mark.parametrize(("options", "text"), [
    ({"name": "best"}, "'best'"), ({"bound": -1}, "bound -1"), ({"depth": 0}, "depth 0"), ({"budget": 0}, "budget 0")])
def test_strategies_that_are_none_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Strategy(**options)  # type: ignore[arg-type]
