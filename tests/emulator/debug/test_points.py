"""Points: breakpoints, watchpoints and marks, with conditions, switched off and on, and how many there can be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator import Board
from emulator.debug import BreakAt, MarkAt, Point, Points, Target, WatchAt
from emulator.errors import EngineError
from emulator.stop import Breakpoint, Exited, HistoryBegins, Mark, Marked, Stepped, Stop, Watch, Watchpoint
from tests.helpers.machines import END, machine

LOOP = """
        li      a0, 0x80100000
        li      s2, 10
1:      sd      s2, 0(a0)
        addi    s2, s2, -1
        bnez    s2, 1b
""" + END
TOP = 0x8000_0014
"""The loop's first instruction."""
WORD = Watch(0x8010_0000, 8)


@pytest.fixture
def target() -> Iterator[Target]:
    made = machine(LOOP, Board(memory=2 << 20))
    with Target(made) as held:
        yield held
    made.close()


def stops(target: Target) -> list[Stop]:
    found = []
    while not isinstance(stop := target.resume(), Exited):
        found.append(stop)
    return found


def test_a_breakpoint_and_a_watchpoint_at_one_instruction_both_stop(target: Target) -> None:
    before, behind = target.points.add(BreakAt(TOP)), target.points.add(WatchAt(WORD))
    found = stops(target)
    assert [type(stop) for stop in found] == [Breakpoint, Watchpoint] * 10
    assert {stop.pc for stop in found if isinstance(stop, Breakpoint | Watchpoint)} == {TOP}
    assert (before.hits, behind.hits) == (10, 10)
    back = []
    while target.reverse_resume() != HistoryBegins():
        back.append((target.machine.harts[0].pc, target.machine.harts[0].read("s2")))
    assert back == [(TOP, number) for number in range(1, 11)]  # backwards, both are at the place before the store


def test_conditions_are_asked_of_every_hit_forwards_and_backwards(target: Target) -> None:
    s2 = target.machine.harts[0]
    point = target.points.add(BreakAt(TOP), lambda _: s2.read("s2") in (3, 7))
    seen = []
    while isinstance(target.resume(), Breakpoint):
        seen.append(s2.read("s2"))
    assert (seen, point.hits) == ([7, 3], 2)
    back = []
    while isinstance(target.reverse_resume(), Breakpoint):
        back.append(s2.read("s2"))
    assert back == [3, 7]
    ahead = []
    while isinstance(target.resume(), Breakpoint):
        ahead.append(s2.read("s2"))
    assert ahead == [7, 3]


def test_a_condition_that_never_holds_does_not_take_steps_away(target: Target) -> None:
    target.points.add(BreakAt(TOP), lambda _: False)
    target.points.add(WatchAt(WORD), lambda _: False)
    for steps in range(1, 25):
        assert target.step() == Stepped()
        assert target.position.steps == steps
    target.reverse_step(24)
    assert target.step(24) == Stepped()
    assert target.position.steps == 24


def test_points_that_are_switched_off_do_not_stop(target: Target) -> None:
    point = target.points.add(BreakAt(TOP))
    assert isinstance(target.resume(), Breakpoint)
    point.enabled = False
    target.points.arm()
    assert target.resume() == Exited(0)
    point.enabled = True
    target.points.arm()
    assert isinstance(target.reverse_resume(), Breakpoint)
    assert target.machine.harts[0].read("s2") == 1


def test_two_points_at_one_address_are_both_hit(target: Target) -> None:
    one, other = target.points.add(BreakAt(TOP)), target.points.add(BreakAt(TOP))
    target.resume()
    assert (one.hits, other.hits, len(target.points)) == (1, 1, 2)
    target.points.remove(one)
    assert isinstance(target.resume(), Breakpoint)
    assert other.hits == 2


def test_a_step_off_a_breakpoint_passes_it_and_a_step_onto_one_stops_before_it(target: Target) -> None:
    target.points.add(BreakAt(TOP + 4))
    assert isinstance(target.resume(), Breakpoint)
    here = target.position.steps
    assert target.step() == Stepped()
    assert target.position.steps == here + 1
    stop = target.step(10)
    assert isinstance(stop, Breakpoint)
    assert target.position.steps == here + 3


@pytest.mark.parametrize(("place", "most", "what"), [
    (lambda i: BreakAt(0x8001_0000 + 4 * i), 256, "breakpoints"),
    (lambda i: WatchAt(Watch(0x8010_0000 + 64 * i, 8)), 32, "watchpoints")])
def test_there_can_be_so_many_and_one_more_changes_nothing(target: Target, place, most: int, what: str) -> None:  # type: ignore[no-untyped-def]
    for number in range(most):
        target.points.add(place(number))
    with pytest.raises(EngineError, match=f"{most + 1} {what}: expected at most {most}"):
        target.points.add(place(most))
    assert len(target.points) == most
    target.points.remove(next(iter(target.points)))
    target.points.add(place(most))


def test_a_point_of_others_cannot_be_removed(target: Target) -> None:
    with pytest.raises(ValueError, match="not in list"):
        target.points.remove(Point(BreakAt(TOP)))


@pytest.mark.parametrize(("pattern", "name", "matches"), [
    ("stage:heap", "stage:heap", True), ("stage:*", "stage:heap", True), ("op:*", "stage:heap", False),
    ("stage:hea?", "stage:heap", True), ("STAGE:*", "stage:heap", False)])
def test_marks_are_told_by_patterns(pattern: str, name: str, matches: bool) -> None:
    made = machine(LOOP, Board(memory=2 << 20))
    points = Points(made)
    points.add(MarkAt(pattern))
    assert points.wants(Mark(name)) == matches
    assert bool(points.at(Marked(Mark(name)))) == matches
    made.close()


@pytest.mark.parametrize("watch", [(0, 0), (1 << 64, 1), ((1 << 64) - 1, 2), (-1, 1)])
def test_no_watch_is_made_of_nothing(watch: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected loads or stores, of bytes below 2\\^64"):
        Watch(*watch)
    with pytest.raises(ValueError, match="expected loads or stores"):
        Watch(0, 1, stores=False)


def test_the_last_bytes_of_the_address_space_can_be_watched(target: Target) -> None:
    target.points.add(WatchAt(Watch((1 << 64) - 8, 8, virtual=True)))
    target.points.add(BreakAt((1 << 64) - 2))
    assert target.resume() == Exited(0)
