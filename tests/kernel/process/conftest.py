"""Fixtures: programs on a kernel with one CPU or several, and the cases in C."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.kernels import boot

from .guest import Programs

HERE = Path(__file__).parent
PROGRAMS = HERE.parents[2] / "programs"
CFLAGS = ("-std=gnu11 -O2 -march=rv64gc -mabi=lp64d -mcmodel=medany -mno-relax -ffreestanding -fno-builtin -fno-pic "
          "-fno-stack-protector -fno-common -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -Wall "
          "-Wextra -Werror -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--no-relax").split()


def _programs(harts: int) -> Iterator[Programs]:
    kernel = boot(memory=16 << 20, harts=harts)
    yield Programs(kernel)
    kernel.close()
    kernel.machine.close()


@pytest.fixture(scope="module")
def programs() -> Iterator[Programs]:
    """One CPU, 16 MiB; one kernel for all tests of a file, which is the point: nothing may be left by any."""
    yield from _programs(1)


@pytest.fixture(scope="module")
def programs_smp() -> Iterator[Programs]:
    """Three CPUs, 16 MiB."""
    yield from _programs(3)


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The cases, compiled."""
    out = tmp_path_factory.mktemp("cases") / "cases.elf"
    common = PROGRAMS / "common"
    sources = [*sorted((HERE / "cases").glob("*.c")), *(common / name for name in ("start.S", "print.c", "string.c"))]
    subprocess.run(["riscv64-unknown-elf-gcc", *CFLAGS, f"-I{common}", "-o", out, *sources], check=True, cwd=HERE)
    return out.read_bytes()
