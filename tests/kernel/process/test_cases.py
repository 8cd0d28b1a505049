"""The cases in cases/, on one CPU and on three: threads, signals, waiting, memory. Each says itself what is wrong."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .guest import Programs

pytestmark = pytest.mark.cross

FILES = {"/garbage": b"no program" * 20, "/empty": b"", "/script": b"#! /missing\n", "/loop": b"#!/loop\n",
         "/data": b"d" * 4096}
ANYWHERE = (
    "threads", "exit_with_threads", "exit_by_thread", "exec_with_threads", "fault_in_thread", "kill_spinning",
    "signal_spinning", "sleeper", "sleep_beside", "leave_children", "thread_ends", "fp_secret", "fp_fork", "restart",
    "partial_write", "sigkill",
    "waits", "futex_after_fork", "futex_shared", "vforks", "vfork_exec", "fork_while_threads_write", "taken_by_munmap",
    "taken_by_none", "taken_by_read",
    "out_of_memory", "vfork_signal",
)
"""What can go wrong by what other CPUs do meanwhile."""
ONE_CPU = (
    "fp_in_handler", "sigreturn", "handler_stack", "alt_stack", "no_reader", "ignored_by_exec", "children_ignored",
    "sleep_left", "fork_signals", "many_areas", "exec_fails", "limits", "rights", "shared_is_given_back", "shared_file",
)

ON_LINUX = (
    "threads", "exit_with_threads", "exit_by_thread", "fault_in_thread", "kill_spinning", "signal_spinning",
    "fp_in_handler", "fp_fork", "restart", "partial_write", "no_reader", "futex_after_fork",
    "rights", "alt_stack", "handler_stack", "sigreturn", "sleep_left", "fork_signals", "many_areas",
    "shared_is_given_back",
)
"""What can be asked of Linux by qemu-riscv64, which keeps signals of its own, has vfork be fork, and really waits."""
QEMU = shutil.which("qemu-riscv64")


def run(programs: Programs, cases: bytes, name: str) -> None:
    ran = programs.run(cases, name, files=FILES)
    assert ran.status == 0, (ran.output.decode(), ran.deaths)


@pytest.mark.parametrize("name", ANYWHERE + ONE_CPU)
def test_one_cpu(programs: Programs, cases: bytes, name: str) -> None:
    run(programs, cases, name)


@pytest.mark.parametrize("name", ANYWHERE)
def test_three_cpus(programs_smp: Programs, cases: bytes, name: str) -> None:
    run(programs_smp, cases, name)


@pytest.mark.qemu_user
@pytest.mark.skipif(QEMU is None, reason="qemu-riscv64 is not installed (Debian package qemu-user)")
@pytest.mark.parametrize("name", ON_LINUX)
def test_linux_does_the_same(cases: bytes, tmp_path: Path, name: str) -> None:
    """The cases say what is right: Linux must say so, too. Pauses are real time there: a busy host may be late."""
    image = tmp_path / "cases"
    image.write_bytes(cases)
    image.chmod(0o755)
    assert QEMU is not None
    for _ in range(3):
        done = subprocess.run([QEMU, image, name], capture_output=True, timeout=20, check=False)
        if done.returncode == 0:
            return
    pytest.fail(done.stdout.decode())
