"""A held machine: stops, the end and the way back from it, changing the past, input, resets, interruption."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from emulator import Board, Machine
from emulator.debug import BreakAt, HostWrote, Position, Target, WatchAt
from emulator.debug import target as target_module
from emulator.debug import travel
from emulator.errors import HistoryError
from emulator.stop import (
    Breakpoint, Deadlock, Exited, HistoryBegins, Interrupted, ResetRequested, Stepped, Stop, Watch, Watchdog,
    Watchpoint,
)
from tests.helpers.machines import END, FIRMWARE, image, load, machine

SMALL = Board(memory=2 << 20)
COUNT = "li s2, 0\n1: addi s2, s2, 1\n j 1b\n"
LOOP = "li s2, 100\n1: addi s2, s2, -1\n bnez s2, 1b\n" + END


@pytest.fixture
def looping() -> Iterator[Target]:
    made = machine(LOOP, SMALL)
    with Target(made) as target:
        yield target
    made.close()


def test_the_end_is_told_again_and_can_be_left_backwards(looping: Target) -> None:
    assert looping.resume() == Exited(0)
    assert looping.ended == Exited(0)
    end = looping.position
    assert [looping.resume(), looping.step(), looping.step(5)] == [Exited(0)] * 3
    assert looping.position == looping.end == end
    assert looping.reverse_step(10) == Stepped()
    assert looping.in_past
    assert looping.position.steps == end.steps - 10
    assert looping.step(9) == Stepped()
    assert looping.step() == Exited(0)
    assert not looping.in_past
    assert looping.resume() == Exited(0)


@pytest.mark.parametrize(("source", "stop"), [
    (COUNT, Watchdog), ("csrwi mie, 0\n1: wfi\n j 1b\n", Deadlock), ("li t0, 1\n csrw mtvec, t0\n.word 0\n", Stop)])
def test_a_machine_that_runs_by_itself_ends_at_its_limit_or_where_it_cannot_go_on(source: str, stop: type) -> None:
    with Target(machine(source, SMALL), max_insns=20_000) as target:
        ended = target.resume()
        assert isinstance(ended, stop)
        assert not ended.ok
        assert target.ended == ended
        target.reverse_step()
        assert target.resume() == ended


def test_the_limit_counts_what_came_before_a_stop() -> None:
    with Target(machine(COUNT, SMALL), max_insns=1000) as target:
        target.step(300)
        point = target.points.add(BreakAt(target.machine.harts[0].pc))
        target.resume()
        target.points.remove(point)
        assert isinstance(target.resume(), Watchdog)
        assert 1000 <= target.machine.instructions < 1003  # the end of a block


def test_positions_are_told_apart_and_refused_beyond_the_history(looping: Target) -> None:
    looping.step(50)
    assert (str(looping.position), str(Position(1234, 2))) == ("step 50", "step 1,234, turn 2")
    for position in (Position(51), Position(50, 1)):
        with pytest.raises(HistoryError, match="beyond the end of the history, step 50"):
            looping.seek(position)
    assert looping.position == Position(50)
    with pytest.raises(HistoryError, match="is before the history"):
        looping.seek(Position(-1))
    assert (looping.position, looping.in_past) == (Position(50), False)


def test_a_history_begins_where_the_machine_was_when_the_target_came() -> None:
    made = machine(LOOP, SMALL)
    made.proceed(steps=60)
    with Target(made) as target:
        target.step(10)
        assert target.reverse_step(11) == HistoryBegins()
        assert target.position.steps == 60
        assert target.reverse_resume() == HistoryBegins()
        with pytest.raises(HistoryError, match="instruction 10 is before the history, which begins at instruction 60"):
            target.goto(10)


def test_goto_counts_instructions_and_finds_the_last_place_with_so_many() -> None:
    source = "la t0, 2f\n csrw mtvec, t0\n nop\n .word 0\n 2: nop\n nop\n" + END
    with Target(machine(source, SMALL)) as target:
        target.resume()
        places = {}
        for steps in range(target.end.steps + 1):
            target.seek(Position(steps))
            places[target.machine.instructions] = target.position
        for instruction, place in places.items():
            assert target.goto(instruction) == Stop()
            assert target.position == place
        assert target.goto(10_000) == Exited(0)


def test_goto_in_the_future_runs_there_and_stops_at_points(looping: Target) -> None:
    assert looping.goto(40) == Stop()
    assert (looping.machine.instructions, looping.in_past) == (40, False)
    looping.points.add(BreakAt(looping.machine.harts[0].pc))
    assert isinstance(looping.goto(60), Breakpoint)
    assert looping.machine.instructions < 60


def test_changing_the_past_makes_another_future(looping: Target) -> None:
    looping.resume()
    end = looping.end
    looping.seek(Position(50))
    looping.changing()
    assert not looping.in_past
    assert looping.ended is None
    looping.machine.harts[0].write("s2", 1)
    assert looping.resume() == Exited(0)
    assert looping.end.steps < end.steps
    changed = Position(50, 1)
    looping.seek(changed)
    assert looping.machine.harts[0].read("s2") == 1
    assert looping.reverse_step() == Stepped()  # over the change
    assert looping.position == Position(50)
    assert looping.machine.harts[0].read("s2") > 1
    assert looping.step() == Stepped()
    assert (looping.position, looping.machine.harts[0].read("s2")) == (changed, 1)


def test_what_the_user_stores_is_a_write_of_the_hosts(looping: Target) -> None:
    looping.step(20)
    looping.changing()
    looping.machine.bus.write(0x8010_0000, b"\x07")
    looping.step(20)
    written = looping.last_write(0x8010_0000, 1)
    assert written is not None
    assert written.stop == HostWrote(Watch(0x8010_0000, 1), None)
    assert (written.before, written.after, written.place) == (b"\0", b"\x07", Position(20))
    point = looping.points.add(WatchAt(Watch(0x8010_0000, 1)))
    assert looping.reverse_resume() == HostWrote(Watch(0x8010_0000, 1), None)
    assert looping.machine.bus.read(0x8010_0000, 1) == b"\0"
    assert looping.resume() == HostWrote(Watch(0x8010_0000, 1), None)
    assert looping.machine.bus.read(0x8010_0000, 1) == b"\x07"
    looping.points.remove(point)


def test_last_write_leaves_no_trace() -> None:
    made = machine("li a0, 0x80100000\n li s2, 9\n1: sd s2, 0(a0)\n addi s2, s2, -1\n bnez s2, 1b\n" + END, SMALL)
    with Target(made) as target:
        point = target.points.add(BreakAt(0x8000_0004))
        target.resume()
        target.points.remove(point)
        target.resume()
        before = (target.position, target.stop, target.in_past, list(target.points), made.snapshot().digest())
        found = target.last_write(0x8010_0004, 2)
        assert found is not None
        assert isinstance(found.stop, Watchpoint)
        assert found.stop.address == 0x8010_0000
        assert target.last_write(0x8018_0000, 8) is None
        assert before == (target.position, target.stop, target.in_past, list(target.points), made.snapshot().digest())
        assert found.place in [frame.position for frame in target.history] or found.place < target.position
        target.seek(found.place)
        assert made.harts[0].pc == found.stop.pc
        assert made.instructions == found.instructions
        assert made.harts[0].read("s2") == 1


def test_console_input_is_a_turn_of_the_host_that_comes_again() -> None:
    shown = image("uart-echo")
    made = Machine(Board())
    made.boot(kernel=load(shown.path), firmware=load(FIRMWARE))
    left = [bytes([byte]) for byte in b"one\rquit\r"]
    with Target(made, poll=lambda _: left.pop(0) if left else b"") as target:
        assert target.resume() == Exited(0)
        assert target.end.turn == 9
        console, end = made.console, target.end
        assert not left
        target.seek(Position(0))
        assert made.console == b""
        assert target.resume() == Exited(0)  # nobody is asked again
        assert (made.console, target.position) == (console, end)


def test_output_is_told_once() -> None:
    made = image("hello").boot()
    told = bytearray()
    made.on_output = told.extend
    with Target(made) as target:
        target.resume()
        whole = bytes(told)
        assert whole == made.console
        target.reverse_step(100_000)
        assert len(made.console) < len(whole)
        target.resume()
        assert told == whole
    assert made.on_output is not None


RESETS = """
        li      a0, 0x80100000
        ld      a1, 0(a0)
        addi    a1, a1, 1
        sd      a1, 0(a0)
        li      t0, 3
        li      t1, 0x100000
        li      t2, 0x7777
        beq     a1, t0, 1f
        sw      t2, 0(t1)               # reset
        nop
        nop
1:
""" + END


def test_resets_of_the_guest_are_part_of_the_history() -> None:
    made = machine(RESETS, SMALL)
    with Target(made) as target:
        assert target.resume() == Exited(0)
        end = target.end
        assert made.steps < end.steps
        assert made.bus.read(0x8010_0000, 1) == b"\x03"
        seen = {}
        for steps in reversed(range(end.steps)):
            target.reverse_step()
            assert target.position == Position(steps)
            seen[steps] = (made.harts[0].pc, made.bus.read(0x8010_0000, 1), made.steps)
        assert [pc for pc, _, _ in seen.values()].count(0x1000) == 3
        assert target.reverse_step() == HistoryBegins()
        for steps in range(end.steps):
            assert (made.harts[0].pc, made.bus.read(0x8010_0000, 1), made.steps) == seen[steps], steps
            target.step()
        assert target.stop == Exited(0)
        target.points.add(WatchAt(Watch(0x8010_0000, 8)))
        values = []
        while isinstance(target.reverse_resume(), Watchpoint):
            values.append(made.bus.read(0x8010_0000, 1)[0])
        assert values == [2, 1, 0]


def test_a_reset_that_is_not_answered_is_an_end() -> None:
    made = machine(RESETS, SMALL)
    made.reboot = False
    with Target(made) as target:
        assert target.resume() == ResetRequested()
        target.reverse_step(3)
        assert target.resume() == ResetRequested()


def test_ctrl_c_stops_the_run_and_the_journey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(travel, "LONG_WAY", 1 << 40)  # no keyframes on the way: a journey takes long
    with Target(machine(COUNT, SMALL)) as target:
        interrupt_soon()
        assert target.resume() == Interrupted()
        assert not target.in_past
        here = target.position
        assert here.steps > 1_000_000
        target.step()
        here = target.position
        target.points.add(BreakAt(0x8000_0000))
        monkeypatch.setattr(target.machine, "proceed", lambda *_, **__: Interrupted())
        assert target.reverse_step(1000) == Interrupted()
        assert target.reverse_resume() == Interrupted()
        assert target.last_write(0x8010_0000, 8) is None
        monkeypatch.undo()
        assert target.position == here


def interrupt_soon() -> None:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()


def test_a_poll_can_stop_the_machine() -> None:
    made = machine(COUNT, SMALL)

    def poll(_: int) -> bytes | None:
        made.request_stop(Interrupted())
        return b""

    with Target(made, poll=poll) as target:
        assert target.resume() == Interrupted()
        assert target.position.steps > 0
        assert target.resume() == Interrupted()


def test_two_targets_at_once_do_not_know_of_each_other() -> None:
    with Target(machine(LOOP, SMALL)) as one, Target(machine(COUNT, SMALL), max_insns=5000) as other:
        one.points.add(BreakAt(0x8000_0004))
        hits = 0
        while isinstance(one.resume(), Breakpoint):
            hits += 1
            other.step(7)
            one.reverse_step(2)
            one.step(2)
            other.reverse_step(3)
        assert hits > 50
        assert one.stop == Exited(0)
        assert other.position.steps == 4 * hits


def test_a_closed_target_leaves_the_machine_as_it_is_and_free_of_points() -> None:
    made = machine(LOOP, SMALL)
    with Target(made) as target:
        target.points.add(BreakAt(0x8000_0100))
        target.points.add(WatchAt(Watch(0x8010_0000, 8)))
        target.step(30)
        target.reverse_step(10)
    assert made.steps == 20
    assert made.run(max_insns=10_000) == Exited(0)
    assert made.on_reset == []


def test_long_runs_are_cut_by_keyframes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_module, "EAGER", 10_000)
    with Target(machine(COUNT, SMALL), max_insns=100_000) as target:
        target.resume()
        assert len(target.history) == 10
        assert [frame.position.steps // 10_000 for frame in target.history] == list(range(10))
