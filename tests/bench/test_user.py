"""The program of `python -m bench user`: it does what it says, on our kernel and on Linux's interface."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from bench import user
from bench.measure import PROGRAMS
from tests.helpers.userland import run_program

ELF = (PROGRAMS / "user.elf").read_bytes()
WORDS = [operation.word for operation in user.OPERATIONS if not operation.busybox]


@pytest.mark.parametrize("storage", ["frames", "heap"])
@pytest.mark.parametrize("word", WORDS)
def test_each_operation_costs_instructions_and_loses_no_memory(word: str, storage: str) -> None:
    runs = [run_program(ELF, "user", word, str(count), storage=storage, memory="32M") for count in (0, 20)]
    for run in runs:
        assert (run.output, run.outcome.exit_code) == ("", 0)
        assert run.outcome.free_before == run.outcome.free_after
    assert runs[1].outcome.instructions - runs[0].outcome.instructions >= 20 * 100


@pytest.mark.skipif(shutil.which("qemu-riscv64") is None, reason="needs qemu-riscv64")
@pytest.mark.parametrize("word", [word for word in WORDS if word not in ("read", "write")])  # those make a file in /
def test_linux_runs_it_too(word: str) -> None:
    done = subprocess.run(["qemu-riscv64", PROGRAMS / "user.elf", word, "5"], check=False, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")


def test_what_it_does_not_know_is_an_error() -> None:
    run = run_program(ELF, "user", "fly", "1")
    assert (run.output, run.outcome.exit_code) == ("user: there is no fly\n", 2)


def test_figures_are_of_one_operation() -> None:
    guest = user.boot("frames", None)
    seconds, instructions = user.measured(guest, user.Operation("", "getppid", 200, user.MICROSECONDS), rounds=1)
    guest.close()
    assert 50 < instructions < 500 and seconds < 0.1
