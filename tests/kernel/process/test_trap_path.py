"""The way of traps from a program to the kernel and back: the same with several CPUs, a timed core, a debugger."""

from __future__ import annotations

import os

import pytest

from bench.measure import PROGRAMS
from emulator import Board
from emulator.stop import Stop
from hartwell.console import Console
from hartwell.userland import Job, Listeners, Userland, archive
from tests.helpers.userland import run_program

ELF = (PROGRAMS / "user.elf").read_bytes()


@pytest.mark.parametrize("timing", ["off", "rocket"])
@pytest.mark.parametrize("harts", [1, 3])
@pytest.mark.parametrize("word", ["getppid", "ping", "fork", "copy"])
def test_every_run_is_the_same(word: str, harts: int, timing: str) -> None:
    runs = [run_program(ELF, "user", word, "12", harts=harts, timing=timing, memory="32M") for _ in range(2)]
    first, second = (run.outcome.as_dict() for run in runs)
    assert first == second
    assert first["exit_code"] == 0
    assert (first["cycles"] > first["instructions"]) if timing != "off" and harts == 1 else first["cycles"] > 0


def test_what_the_kernel_does_is_charged_to_a_timed_core() -> None:
    """Each system call costs the core the accesses of the kernel's code, beyond the program's own instructions."""
    outcomes = [run_program(ELF, "user", "getppid", str(count), timing="rocket", memory="32M").outcome
                for count in (10, 110)]
    cycles, instructions = (outcomes[1].cycles - outcomes[0].cycles,
                            outcomes[1].instructions - outcomes[0].instructions)
    assert instructions >= 100 * 100 and cycles > instructions


def _run(word: str, debugged: bool) -> tuple[object, int]:
    user = Userland(Board(memory=32 << 20), None, archive.pack([archive.file("bin/user", ELF)]), "frames")
    runs = 0

    def runner(max_insns: int | None, timeout: float | None, poll: object) -> Stop:
        nonlocal runs
        runs += 1
        return user.machine.proceed(max_insns, timeout, passing=user.machine.engine.current_pc)

    if debugged:
        user.machine.runner = runner
    with open(os.devnull, "rb") as nothing:
        host = Console(user.board.clock_hz, lambda: 0, stdin=nothing.fileno())
        outcome = user.run(Job("/bin/user", [b"user", word.encode(), b"10"]), host,
                           Listeners(bytearray().extend, bytearray().extend))
    user.close()
    return outcome.as_dict(), runs


@pytest.mark.parametrize("word", ["ping", "copy"])
def test_a_debugger_that_runs_the_machine_sees_the_same_run(word: str) -> None:
    (plain, _), (debugged, runs) = _run(word, False), _run(word, True)
    assert plain == debugged and runs > 20
