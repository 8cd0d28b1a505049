"""Every program of the folder `programs/`, by its manifest: on our kernel, and on Linux's interface as QEMU has it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hartwell import programs
from tests.helpers.userland import Ran, run_program

FOLDER = Path(__file__).resolve().parents[2] / "programs"
QEMU = shutil.which("qemu-riscv64")


def test_every_folder_with_an_elf_has_a_manifest() -> None:
    assert programs.names() == sorted(path.parent.name for path in FOLDER.glob("*/*.elf"))
    assert len(programs.names()) == 6


def run(name: str, *, storage: str = "frames", harts: int = 1) -> Ran:
    found = programs.find(name)
    assert found is not None
    return run_program(found.program(), name, storage=storage, harts=harts, memory=found.memory)


@pytest.mark.parametrize("storage", ["heap", "frames"])
@pytest.mark.parametrize("name", programs.names())
def test_a_program_prints_what_its_folder_says_and_gives_all_memory_back(name: str, storage: str) -> None:
    found = programs.find(name)
    assert found is not None
    ran = run(name, storage=storage)
    assert ran.output == found.expected()
    assert ran.errors == ""
    assert ran.outcome.exit_code == found.exit
    assert ran.outcome.free_after == ran.outcome.free_before
    assert not ran.outcome.missing


@pytest.mark.parametrize("name", ["cowtest", "preempt", "ramfs"])
def test_a_program_prints_the_same_with_more_harts(name: str) -> None:
    ran, found = run(name, harts=3), programs.find(name)
    assert found is not None
    assert (ran.output, ran.outcome.exit_code) == (found.expected(), found.exit)
    assert ran.outcome.free_after == ran.outcome.free_before


def test_a_run_is_the_same_every_time() -> None:
    first, second = run("cowtest"), run("cowtest")
    assert first.outcome.as_dict() == second.outcome.as_dict()
    assert first.output == second.output


@pytest.mark.qemu_user
@pytest.mark.skipif(QEMU is None, reason="qemu-riscv64 is not installed (Debian package qemu-user)")
@pytest.mark.parametrize("name", [program.name for program in programs.everything() if program.linux])
def test_a_program_prints_the_same_on_linux(name: str) -> None:
    found = programs.find(name)
    assert found is not None and QEMU is not None
    done = subprocess.run([QEMU, str(FOLDER / name / f"{name}.elf")], capture_output=True, text=True, check=False,
                          timeout=60)
    assert (done.stdout, done.returncode) == (found.expected(), found.exit)
