"""qemu-system-riscv64, where it is installed: the machine beside which ours is held."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

PROGRAM = shutil.which("qemu-system-riscv64")
needs_qemu = pytest.mark.skipif(PROGRAM is None, reason="qemu-system-riscv64 is not installed")
CPU = "rv64,h=off,sstc=off,zba=off,zbb=off,zbc=off,zbs=off,Zihintpause=off"
"""The hart that ours is."""


def command(*, bios: Path | str, kernel: Path | str | None = None, harts: int = 1, memory: str = "128M",
            more: Sequence[str] = ()) -> list[str]:
    """The command line of a virt board with its console on standard input and output."""
    assert PROGRAM is not None
    line = [PROGRAM, "-M", "virt", "-cpu", CPU, "-smp", str(harts), "-m", memory, "-display", "none",
            "-serial", "stdio", "-monitor", "none", "-bios", str(bios)]
    return [*line, *(("-kernel", str(kernel)) if kernel is not None else ()), *more]


def run(line: Sequence[str], stdin: bytes = b"", seconds: float = 20) -> tuple[bytes, int | None]:
    """Console and exit code; None for a guest that still ran after `seconds`."""
    # Files, not pipes: a guest that prints more than a pipe holds would wait for a reader.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=out, stderr=err) as process:
            assert process.stdin is not None
            process.stdin.write(stdin)
            process.stdin.flush()  # not closed: QEMU takes the end of its input for one more character
            try:
                process.wait(seconds)
                code: int | None = process.returncode
            except subprocess.TimeoutExpired:
                process.kill()
                code = None
        out.seek(0)
        err.seek(0)
        console, complaint = out.read(), err.read()
    assert not complaint, complaint.decode(errors="replace")
    return console, code
