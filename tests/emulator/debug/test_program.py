"""Programs on the host: held at marks and wherever the machine is, gone through backwards without being run again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator import Board, Machine
from emulator.debug import BreakAt, HostWrote, MarkAt, Position, ProgramEnded, Target, WatchAt
from emulator.errors import HistoryError
from emulator.stop import Breakpoint, HistoryBegins, HostCall, Marked, Stepped, Stop, Watch
from kernel import Kernel
from kernel.text.image import firmware_image, kernel_image
from tests.helpers.machines import machine

GUEST = "li s2, 0\n1: addi s2, s2, 1\n .word 0x0000000b\n j 1b\n"
"""Counts, and calls the host each time."""
PLACE = 0x8010_0000


class Counting:
    """A program that answers host calls; it remembers how often it did anything at all."""

    def __init__(self, calls: int) -> None:
        self.calls, self.done, self.log = calls, 0, list[str]()

    def __call__(self, machine: Machine) -> str:
        machine.answer_host_calls(True)
        try:
            for number in range(self.calls):
                stop = machine.run(max_insns=100_000)
                assert isinstance(stop, HostCall), stop
                self.done += 1
                machine.mark(f"call:{number}")
                machine.bus.write(PLACE, machine.harts[0].read("s2").to_bytes(8, "little"))
                machine.harts[0].pc += 4
            return "done"
        finally:
            self.log.append("finally")


def held(program: Counting) -> Target:
    return Target(machine(GUEST, Board(memory=2 << 20)), program)


def test_a_program_is_held_wherever_its_machine_is() -> None:
    program = Counting(5)
    with held(program) as target:
        assert target.driven
        assert (program.done, target.position) == (0, Position(0))
        seen = []
        while not isinstance(stop := target.step(), ProgramEnded):
            assert stop == Stepped()
            seen.append((program.done, target.position))
        assert seen == sorted(seen)
        assert len({position for _, position in seen}) == len(seen)
        assert (stop.result, stop.error, stop.ok, str(stop)) == ("done", None, True, "the program is over")
        assert target.ended == stop
        assert target.resume() == stop
    assert program.log == ["finally"]


def test_the_past_comes_again_without_the_program() -> None:
    program = Counting(6)
    with held(program) as target:
        target.resume()
        target.seek(Position(0))
        target.points.add(WatchAt(Watch(PLACE, 8)))
        values, stop = [], target.resume()
        while isinstance(stop, HostWrote):
            values.append(target.machine.bus.read(PLACE, 1)[0])
            stop = target.resume()
        assert isinstance(stop, ProgramEnded)
        assert values == [1, 2, 3, 4, 5, 6]
        back = []
        while isinstance(stop := target.reverse_resume(), HostWrote):
            back.append(target.machine.bus.read(PLACE, 1)[0])
        assert stop == HistoryBegins()
        assert back == [5, 4, 3, 2, 1, 0]
        assert program.done == 6
        written = target.last_write(PLACE, 8)
        assert written is None  # at the beginning nothing has been written yet
        target.seek(target.end)
        written = target.last_write(PLACE, 8)
        assert written is not None
        assert isinstance(written.stop, HostWrote)
        assert (written.before[0], written.after[0], written.stop.mark) == (5, 6, written.stop.mark)
        assert str(written.stop) == "software on the host in call:5 wrote to 0x80100000"


def test_marks_stop_it_forwards_and_backwards() -> None:
    program = Counting(6)
    with held(program) as target:
        point = target.points.add(MarkAt("call:[135]"))
        ahead = []
        while isinstance(stop := target.resume(), Marked):
            ahead.append((stop.mark.name, target.position, target.machine.bus.read(PLACE, 1)[0]))
        assert [(name, value) for name, _, value in ahead] == [("call:1", 1), ("call:3", 3), ("call:5", 5)]
        assert point.hits == 3
        back = []
        while isinstance(stop := target.reverse_resume(), Marked):
            back.append((stop.mark.name, target.position, target.machine.bus.read(PLACE, 1)[0]))
        assert back == ahead[::-1]
        again = []
        while isinstance(stop := target.resume(), Marked):
            again.append((stop.mark.name, target.position, target.machine.bus.read(PLACE, 1)[0]))
        assert again == ahead


def test_a_breakpoint_where_the_host_is_called_is_hit_once_each_way() -> None:
    with held(Counting(4)) as target:
        target.points.add(BreakAt(0x8000_0008))
        ahead = []
        while isinstance(target.resume(), Breakpoint):
            ahead.append(target.position)
        back = []
        while isinstance(target.reverse_resume(), Breakpoint):
            back.append(target.position)
        assert len(ahead) == 4
        assert back == ahead[::-1]


def test_the_past_of_a_program_cannot_be_changed() -> None:
    with held(Counting(3)) as target:
        target.step(8)
        target.reverse_step(2)
        with pytest.raises(HistoryError, match="the program on the host that drives this machine is further on"):
            target.changing()
        target.seek(target.end)
        target.changing()
        target.machine.harts[0].write("s2", 40)
        assert isinstance(target.resume(), ProgramEnded)
        assert target.machine.bus.read(PLACE, 1)[0] > 40


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), AssertionError()])
def test_what_a_program_raises_is_its_end(error: BaseException) -> None:
    def program(machine: Machine) -> None:
        machine.run(max_insns=50)
        raise error

    with Target(machine(GUEST, Board(memory=2 << 20)), program) as target:
        stop = target.resume()
        assert isinstance(stop, ProgramEnded)
        assert not stop.ok
        assert stop.error is error
        assert str(stop) == f"the program ended with an error: {str(error) or type(error).__name__}"


def test_a_closed_target_ends_its_program_which_cleans_up_and_cannot_go_on() -> None:
    program = Counting(50)
    tried: list[Stop] = []

    def stubborn(machine: Machine) -> None:
        try:
            program(machine)
        finally:
            tried.append(machine.run(max_insns=10))

    with Target(machine(GUEST, Board(memory=2 << 20)), stubborn) as target:
        target.step(7)
        target.reverse_step(3)
        made = target.machine
    assert (program.log, tried) == (["finally"], [])
    assert made.runner is None
    assert made.on_mark is None
    made.run(max_insns=10)


def test_a_program_that_was_never_begun_is_not_begun_by_closing() -> None:
    program = Counting(1)
    with held(program):
        pass
    assert program.log == []


@pytest.fixture(scope="module")
def booted() -> Iterator[Target]:
    made = Machine(Board(memory=32 << 20))
    made.boot(kernel=kernel_image(), firmware=firmware_image())
    with Target(made, Kernel.start) as target:
        target.points.add(MarkAt("stage:*"))
        yield target
    made.close()


def test_the_stages_of_a_kernels_boot_are_visited_in_both_directions(booted: Target) -> None:
    ahead = []
    while isinstance(stop := booted.resume(), Marked):
        ahead.append(stop.mark.name)
    assert isinstance(stop, ProgramEnded)
    assert stop.ok
    assert len(ahead) == len(set(ahead)) > 5
    back = []
    while isinstance(stop := booted.reverse_resume(), Marked):
        back.append(stop.mark.name)
    assert back == ahead[::-1]
