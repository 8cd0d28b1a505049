"""`hartwell boot --gdb`: a debugger at the command, and at Hartwell's own kernel."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from emulator.board import Board
from emulator.machine import Machine
from kernel import Kernel
from kernel.text.image import firmware_image, kernel_image
from tests.helpers.gdb import debug, facts, needs_gdb
from tests.helpers.machines import ROOT
from tests.helpers.rsp import Client

from .conftest import COMMAND, Hartwell, environment

KERNEL = ROOT / "kernel" / "text" / "kernel.elf"


@needs_gdb
def test_the_kernel_in_python_stops_at_its_stages_forwards_and_backwards() -> None:
    made = Machine(Board(harts=2))
    made.boot(kernel=kernel_image(), firmware=firmware_image())
    lines = debug(made, "monitor stop-at stage:*", "continue", "continue", "monitor pass-by",
                  "monitor stop-at stage:activate", "continue", "p/x $satp >> 60", "monitor pass-by", "continue",
                  "p/x $satp >> 60", "monitor stop-at stage:heap", "reverse-continue", "monitor position",
                  "set $a0 = 1", "monitor present", "maintenance flush register-cache", "continue", "continue",
                  program=Kernel.start, elf=KERNEL)
    facts(lines, "At stage:entry.", "At stage:early-info.", "At stage:activate.",
          "The run is over: the program is over.", "$2 = 0x9", "At stage:heap.", " of step ",
          "Could not write register", "the present", "exited normally]")


@needs_gdb
def test_a_watchpoint_sees_software_on_the_host() -> None:
    made = Machine(Board())
    made.boot(kernel=kernel_image(), firmware=firmware_image())
    lines = debug(made, "monitor stop-at stage:heap", "continue", "monitor pass-by", "monitor phys on",
                  "watch *(long *)0x80300000", "continue", program=scribble, elf=KERNEL)
    facts(lines, "Hardware watchpoint 1", "wrote to 0x80300000.", "Old value = 0",
          "New value = 77")


def scribble(machine: Machine) -> None:
    """A program on the host that writes to memory behind a mark."""
    Kernel.start(machine)
    machine.mark("stage:ready")
    machine.bus.write(0x8030_0000, (77).to_bytes(8, "little"))
    machine.mark("stage:over")


@dataclass
class Command:
    """A `hartwell boot --gdb` that runs: the lines that it has said, and where its server is."""

    process: subprocess.Popen[bytes]
    said: list[str]
    port: int

    def end(self) -> tuple[int, str, list[str]]:
        """Wait for the end: the exit code, the console, and what else it said."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.decode(), err.decode().splitlines()


@contextmanager
def command(folder: Path, *arguments: str) -> Iterator[Command]:
    """Start the command, and read what it says of its server."""
    with subprocess.Popen([*COMMAND, "boot", *arguments], cwd=folder, env=environment(), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stderr is not None
        said: list[str] = []
        try:
            while not said or "target remote" not in said[-1]:
                line = process.stderr.readline().decode()
                assert line, said
                said.append(line.rstrip("\n"))
            found = re.search(r"target remote \S+:(\d+)'", said[-1])
            assert found is not None
            yield Command(process, said, int(found[1]))
        finally:
            process.kill()


def test_it_says_where_it_listens_and_how_to_attach(tmp_path: Path) -> None:
    with command(tmp_path, "hello", "--gdb", "0", "-S") as running:
        place = f"127.0.0.1:{running.port}"
        assert running.said == [
            f"hartwell: gdb server at {place}; the machine is held until a debugger lets it run; attach with:",
            f"  gdb-multiarch {ROOT}/images/hello/hello.elf -ex 'target remote {place}'"]
        client = Client(running.port)
        assert client.ask(b"p20") == b"0010000000000000"
        client.ask(b"c")
        assert client.ask(b"c") == b"W00"
        client.close()
        code, out, more = running.end()
        assert (code, more) == (0, [])
        assert out.endswith("Hello from Hartwell.\r\nThis is hart 0, in S-mode.\r\n")


def test_the_guests_exit_code_is_the_commands(tmp_path: Path) -> None:
    with command(tmp_path, "bad-exit", "--gdb", "127.0.0.1:0", "--wait", "--json") as running:
        client = Client(running.port)
        assert client.ask(b"D") == b"OK"
        client.close()
        code, out, more = running.end()
        assert code == 42
        assert '"guest_code": 42' in out
        assert more[0] == "hartwell: the debugger has detached; the machine runs on"


def test_a_machine_runs_without_a_debugger_and_reads_its_input(tmp_path: Path) -> None:
    with command(tmp_path, "uart-echo", "--gdb", "0") as running:
        client = Client(running.port)
        assert client.ask(b"?").startswith(b"T02")
        client.ask(b"D")
        client.close()
        assert running.process.stdin is not None
        running.process.stdin.write(b"to the guest\rquit\r")
        code, out, _ = running.end()
        assert code == 0
        assert "to the guest" in out


def test_a_debugger_kills_the_machine_and_that_is_no_failure(tmp_path: Path) -> None:
    with command(tmp_path, "bad-loop", "--gdb", "0") as running:
        client = Client(running.port)
        assert client.ask(b"vKill;1") == b"OK"
        client.close()
        assert running.end()[0] == 0


def test_time_runs_out_while_it_waits(tmp_path: Path) -> None:
    with command(tmp_path, "hello", "--gdb", "0", "-S", "--timeout", "0.5") as running:
        code, _, more = running.end()
        assert (code, more) == (3, ["hartwell: the limit of 0.5 seconds was reached (hart 0 at 0x1000)"])


def test_it_warns_of_a_place_that_others_can_reach(tmp_path: Path) -> None:
    with command(tmp_path, "hello", "--gdb", "0.0.0.0:0", "-S") as running:
        assert running.said[0].startswith("hartwell: warning: whoever can reach 0.0.0.0 port ")
        client = Client(running.port)
        client.ask(b"vKill;1")
        client.close()
        running.end()


@pytest.mark.parametrize(("arguments", "error"), [
    (("-S",), "--wait without --gdb: nobody could tell the machine to run; add --gdb 1234"),
    (("--gdb", "here"), "--gdb here: expected [HOST:]PORT with a port from 0 to 65535"),
    (("--gdb", "65536"), "--gdb 65536: expected [HOST:]PORT with a port from 0 to 65535"),
    (("--gdb", "1:2:3"), "--gdb 1:2:3: expected [HOST:]PORT"),
    (("--gdb", "0", "--trace", "traps"), "--trace and --gdb: a trace is of a run that only goes forwards"),
])
def test_mistakes_are_told_before_anything_runs(hartwell: Hartwell, arguments: tuple[str, ...], error: str) -> None:
    done = hartwell("boot", "hello", *arguments)
    assert done.code == 2
    assert done.error.startswith(f"error: {error}")


def test_a_port_in_use_is_named(hartwell: Hartwell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = hartwell("boot", "hello", "--gdb", str(port))
    assert done.code == 2
    assert done.error == f"error: cannot listen at 127.0.0.1:{port}: Address already in use"
