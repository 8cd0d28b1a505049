"""The exhaustive search, on systems that are small enough to know what must come out."""

from __future__ import annotations

import random
from math import comb

import pytest

from hartwell.lab.finding import FindingKind
from hartwell.lab.race.exhaustive import Tally, exhaustive
from tests.hartwell.lab.race.abstract import Abstract, random_programs
from tests.helpers.effort import rounds


def ends(system: Abstract, preemptions: int, reduce: bool) -> set[object]:
    """All states that executions end in."""
    return {system.state() for _ in exhaustive(system, preemptions, reduce=reduce)}


def test_without_reduction_every_order_is_tried_once() -> None:
    system = Abstract([("load", 1)] * 3, [("load", 1)] * 3)
    schedules = [execution.schedule for execution in exhaustive(system, 9, reduce=False)]
    assert len(schedules) == len(set(schedules)) == comb(6, 3)


def test_the_bound_is_on_preemptions_only_and_the_fewest_come_first() -> None:
    system = Abstract([("load", 1)] * 4, [("load", 1)] * 4)
    counts = [execution.preemptions for execution in exhaustive(system, 2, reduce=False)]
    assert counts == sorted(counts)
    # with none, one thread after the other; with one, the place of it, twice
    assert (counts.count(0), counts.count(1), counts.count(2)) == (2, 6, 2 * 3 * 3)


def test_a_lost_update_needs_one_preemption() -> None:
    increment = [("load", 1), ("add", 1)]
    system = Abstract(increment, increment, bad=lambda memory: "" if memory[1] == 2 else "lost")
    found = [execution.preemptions for execution in exhaustive(system, 2) if system.finding() is not None]
    assert found[0] == 1


def test_an_atomic_increment_has_no_lost_update() -> None:
    system = Abstract([("bump", 1)] * 2, [("bump", 1)] * 2, [("bump", 1)],
                      bad=lambda memory: "" if memory[1] == 5 else "lost")
    assert all(system.finding() is None for _ in exhaustive(system, 3))


def test_threads_that_wait_for_each_other_are_a_deadlock() -> None:
    system = Abstract([("lock", 1), ("lock", 2), ("unlock", 2), ("unlock", 1)],
                      [("lock", 2), ("lock", 1), ("unlock", 1), ("unlock", 2)])
    kinds = {finding.kind for _ in exhaustive(system, 1) if (finding := system.finding())}
    assert kinds == {FindingKind.DEADLOCK}


def test_what_threads_do_to_memory_of_their_own_is_no_choice() -> None:
    system = Abstract([("store", 1, 1)] * 20 + [("bump", 9)], [("store", 2, 1)] * 20 + [("bump", 9)])
    tally = Tally()
    assert len(list(exhaustive(system, 2, tally=tally))) <= 4
    assert tally.cut < 20


@pytest.mark.parametrize("seed", range(rounds(40, 12)))
def test_the_reductions_lose_no_end_state(seed: int) -> None:
    chance = random.Random(seed)
    system = random_programs(chance, threads=2 + seed % 2, length=5 - seed % 2, words=3)
    for preemptions in (0, 1, 2):
        assert ends(system, preemptions, True) == ends(system, preemptions, False)


def test_the_reductions_save_most_of_the_work() -> None:
    program = [("load", 1), ("load", 2), ("bump", 3), ("load", 1), ("load", 2)]
    system = Abstract(program, program)
    all_of_them = sum(1 for _ in exhaustive(system, 3, reduce=False))
    assert sum(1 for _ in exhaustive(system, 3)) * 4 < all_of_them


def test_negative_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="-1 preemptions"):
        next(exhaustive(Abstract([]), -1))
