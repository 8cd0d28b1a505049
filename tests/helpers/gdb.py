"""gdb-multiarch, where it is installed, talking to a machine of ours (or QEMU's): what it prints in batch mode."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from emulator.debug import Target
from emulator.gdb import Attention, Listener, Server
from emulator.machine import Machine
from emulator.stop import Stop, Watchdog

PROGRAM = shutil.which("gdb-multiarch")
needs_gdb = pytest.mark.skipif(PROGRAM is None, reason="gdb-multiarch is not installed")
SECONDS = 60
"""A session takes a second or two."""
QUIET = ("set debuginfod enabled off", "set pagination off", "set confirm off", "set width 0", "set height 0")


def command(port: int, commands: Sequence[str], elf: Path | None = None, symbols: Sequence[Path] = ()) -> list[str]:
    """The command line: connect to a local port, obey, leave; {port} is the port in commands, too.

    The symbols are those of `elf`, and of further files.
    """
    assert PROGRAM is not None
    connect = (*(f"add-symbol-file {path}" for path in symbols), "target remote 127.0.0.1:{port}")
    return [PROGRAM, "-q", "-batch", "-nx", *([str(elf)] if elf is not None else []),
            *(part for line in QUIET for part in ("-iex", line)),
            *(part for line in (*connect, *commands) for part in ("-ex", line.replace("{port}", str(port))))]


def debug(machine: Machine, *commands: str, elf: Path | None = None, symbols: Sequence[Path] = (),
          program: Callable[[Machine], object] | None = None, held: bool = True,
          monitor: Callable[[str, int], str] | None = None, at_end: Callable[[Target, Stop], None] | None = None,
          max_insns: int | None = None) -> list[str]:
    """Let gdb obey `commands` on `machine`, then kill it; the lines that it printed.

    `at_end` is given the target, and how the run ended, before the target is closed.
    """
    with Listener() as listener, tempfile.TemporaryFile() as output:
        attention = Attention(listener, machine.board.clock_hz, seconds=SECONDS)
        with Target(machine, program, poll=attention.poll, glance=attention.glance, max_insns=max_insns) as target:
            server = Server(target, attention, monitor=monitor)
            listener.open()
            line = command(listener.port, [*commands, "kill"], elf, symbols)
            with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT) as process:
                try:
                    stop = server.serve(held=held)
                    process.wait(SECONDS)
                finally:
                    process.kill()
            output.seek(0)
            printed = output.read().decode()
            assert not isinstance(stop, Watchdog), printed
            if at_end is not None:
                at_end(target, stop)
    return printed.splitlines()


def facts(lines: Sequence[str], *wanted: str) -> None:
    """Assert that lines with these texts in them were printed, in this order."""
    rest = iter(lines)
    for text in wanted:
        assert any(text in line for line in rest), f"{text!r} is not there, or not in this order:\n" + "\n".join(lines)
