"""The history's keyframes: found by position, dropped when there are too many, forgotten when the past changes."""

from __future__ import annotations

import pytest

from emulator import Board, Machine
from emulator.debug import Position, Target
from emulator.debug import history as history_module
from emulator.debug import travel
from emulator.debug.history import History, Keyframe
from emulator.errors import HistoryError
from emulator.snapshot import Snapshot
from emulator.stop import HostCall, Mark
from tests.helpers.machines import END, machine

SMALL = Board(memory=2 << 20)


@pytest.fixture
def snapshot() -> Snapshot:
    made = machine(END, SMALL)
    taken = made.snapshot()
    made.close()
    return taken


def filled(snapshot: Snapshot, *frames: tuple[int, int, bool]) -> History:
    history = History()
    for steps, turn, needed in frames:
        here = Position(steps, turn)
        history.add(Keyframe(here, snapshot, 0, needed, Mark(f"at {steps}") if needed else None), here)
    return history


def positions(history: History) -> list[tuple[int, int]]:
    return [(frame.position.steps, frame.position.turn) for frame in history]


def test_keyframes_are_found_by_position(snapshot: Snapshot) -> None:
    history = filled(snapshot, (10, 0, True), (50, 0, False), (50, 1, True), (80, 1, False))
    found = {position: history.before(Position(*position)) for position in [(9, 0), (10, 0), (49, 9), (50, 0), (60, 1)]}
    assert {where: None if frame is None else (frame.position.steps, frame.position.turn)
            for where, frame in found.items()} == {
                (9, 0): None, (10, 0): (10, 0), (49, 9): (10, 0), (50, 0): (50, 0), (60, 1): (50, 1)}
    assert history.first.position == Position(10)
    assert (history.mark_before(Position(70, 1)), history.mark_before(Position(5))) == (Mark("at 50"), None)
    turn = history.turn(1)
    assert turn is not None
    assert turn.position == Position(50, 1)
    assert history.turn(2) is None


def test_a_needed_keyframe_is_not_replaced_by_a_convenient_one(snapshot: Snapshot) -> None:
    history = filled(snapshot, (10, 0, True), (20, 0, False), (10, 0, False), (20, 0, True))
    assert [(frame.position.steps, frame.needed) for frame in history] == [(10, True), (20, True)]


def test_what_followed_is_forgotten(snapshot: Snapshot) -> None:
    history = filled(snapshot, (10, 0, True), (20, 1, True), (30, 1, False))
    history.forget_after(Position(20, 1))
    assert positions(history) == [(10, 0), (20, 1)]
    history.forget_after(Position(20))
    assert positions(history) == [(10, 0)]


def test_of_too_many_convenient_keyframes_those_far_away_go(snapshot: Snapshot,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "CONVENIENT", 3)
    history = filled(snapshot, (0, 0, True), (100, 1, True), *((steps, 1, False) for steps in range(110, 200, 10)))
    assert positions(history) == [(0, 0), (100, 1), (170, 1), (180, 1), (190, 1)]
    history.add(Keyframe(Position(50), snapshot, 0, False), Position(50))
    assert positions(history) == [(0, 0), (50, 0), (100, 1), (170, 1), (180, 1)]


def test_of_too_many_turns_the_first_half_is_forgotten(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "NEEDED", 8)
    history = filled(snapshot, *((10 * turn, turn, True) for turn in range(9)))
    assert positions(history) == [(10 * turn, turn) for turn in range(4, 9)]


def test_a_history_that_was_cut_short_begins_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "NEEDED", 10)

    def program(made: Machine) -> None:
        made.answer_host_calls(True)
        for _ in range(40):
            assert isinstance(made.run(), HostCall)
            made.harts[0].pc += 4

    with Target(machine("1: addi s2, s2, 1\n .word 0x0b\n j 1b\n", SMALL), program) as target:
        target.resume()
        begins = target.history.first.position
        assert begins.turn > 20
        with pytest.raises(HistoryError, match=f"which begins at {begins}"):
            target.seek(Position(1))
        assert target.position == target.end
        while target.position > begins:
            target.reverse_step()
        assert target.position == begins
        assert not target.reverse_step().ok
        assert target.position == begins


def test_long_journeys_lay_keyframes_and_stay_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(travel, "LONG_WAY", 64)
    monkeypatch.setattr(history_module, "CONVENIENT", 6)
    with Target(machine("li s2, 2000\n1: addi s2, s2, -1\n bnez s2, 1b\n" + END, SMALL)) as target:
        target.resume()
        digests = {}
        for steps in range(0, target.end.steps, 97):
            target.seek(Position(steps))
            digests[steps] = target.machine.snapshot().digest()
        assert 1 < len(target.history) <= 8
        for steps in sorted(digests, key=lambda at: at * 7919 % 1009):
            target.seek(Position(steps))
            assert target.machine.snapshot().digest() == digests[steps]
        assert len(target.history) <= 8
