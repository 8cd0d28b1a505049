"""--gdb and --wait: a run with a server for GDB and LLDB."""

from __future__ import annotations

import ipaddress
import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .kernel_boot import Limits
from .monitor import commands
from .report import Run
from .software import Software
from .status import CommandError, Outcome, outcome, say, show_command

if TYPE_CHECKING:
    from emulator.debug import Target
    from emulator.gdb import Attention, Listener
    from emulator.machine import Machine
    from emulator.stop import Stop
    from kernel.boot.booting import StageReport

LOCAL = "127.0.0.1"
_PLACE = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:.%\w]+\]|[^\[\]:]*):)?(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class GdbOptions:
    """Where to listen, port 0 being any, and whether the machine waits to be told to run."""

    host: str
    port: int
    wait: bool

    @property
    def local(self) -> bool:
        """Whether only this computer can reach the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse(place: str | None, wait: bool) -> GdbOptions | None:
    """The options as typed; None without a server. CommandError says what is wrong."""
    if place is None:
        if wait:
            raise CommandError("--wait without --gdb: nobody could tell the machine to run; add --gdb 1234")
        return None
    match = _PLACE.fullmatch(place)
    if match is None or int(match["port"]) > 65535:
        raise CommandError(f"--gdb {place}: expected [HOST:]PORT with a port from 0 to 65535, such as 1234, "
                           "127.0.0.1:1234 or [::1]:1234")
    return GdbOptions((match["host"] or LOCAL).strip("[]"), int(match["port"]), wait)


def run(machine: Machine, software: Software, limits: Limits, options: GdbOptions, *, ours: bool,
        attached: bool) -> Run:
    """Run what is loaded in `machine`, or `our` kernel, while debuggers come and go."""
    return (_run_kernel if ours else _run_image)(machine, software, limits, options, attached)


def serve(target: Target, attention: Attention, *, held: bool, elf: str | None = None,
          monitor: Callable[[str, int], str] | None = None) -> Stop:
    """Say where debuggers are waited for, and serve them until the run is over (`emulator.gdb.Server.serve`)."""
    from emulator.gdb import Server

    listener = attention.listener
    listener.open()
    place = f"[{listener.host}]:{listener.port}" if ":" in listener.host else f"{listener.host}:{listener.port}"
    state = "is held until a debugger lets it run" if held else "runs"
    say(f"gdb server at {place}; the machine {state}; attach with:")
    show_command(" ".join(["gdb-multiarch", *([shlex.quote(elf)] if elf else []), "-ex", f"'target remote {place}'"]))
    return Server(target, attention, monitor=monitor, tell=say).serve(held=held)


def listen(options: GdbOptions) -> Listener:
    """Listen where the options say, with a warning if others than this computer can come. ListenError if it fails."""
    from emulator.gdb import Listener

    listener = Listener(options.host, options.port)
    if not options.local:
        say(f"warning: whoever can reach {options.host} port {listener.port} can read and change all of this machine; "
            f"--gdb {listener.port} listens at {LOCAL} only")
    return listener


def _run_image(machine: Machine, software: Software, limits: Limits, options: GdbOptions, attached: bool) -> Run:
    from emulator.debug import Target
    from emulator.gdb import Attention
    from emulator.stop import Interrupted
    from hartwell.console import Console, QuitError

    from .boot import DEFAULT_LIMIT

    console = Console(machine.board.clock_hz, lambda: machine.uart.input_left, attached=attached)
    machine.on_output = console.write if attached else None
    machine.feed(console.at_start)
    with listen(options) as listener, console:
        started = time.monotonic()
        attention = Attention(listener, machine.board.clock_hz, console.poll, limits.seconds)
        with Target(machine, poll=attention.poll, glance=attention.glance,
                    max_insns=limits.instructions or DEFAULT_LIMIT) as target:
            try:
                stop = serve(target, attention, held=options.wait, elf=_elf(software),
                             monitor=commands(target, software.images))
                result = _killed(stop) or outcome(stop)
            except KeyboardInterrupt:
                stop = Interrupted()
                result = outcome(stop)
            except QuitError:
                stop = Interrupted()
                result = _killed(stop) or outcome(stop)
        took = time.monotonic() - started
    if attached:
        console.end_line()
    if result.worth_telling:
        say(result.message)
    return Run(stop, result, took)


def _run_kernel(machine: Machine, software: Software, limits: Limits, options: GdbOptions, attached: bool) -> Run:
    from importlib.resources import files

    from emulator.debug import ProgramEnded, Target
    from emulator.gdb import Attention
    from kernel import Kernel

    from . import kernel_boot

    machine.on_output = kernel_boot.write if attached else None
    stages: list[StageReport] = []
    with listen(options) as listener:
        started = time.monotonic()
        attention = Attention(listener, machine.board.clock_hz, None, limits.seconds)

        def program(machine: Machine) -> Kernel:
            return kernel_boot.start(machine, limits, started, stages)

        with Target(machine, program, poll=attention.poll, glance=attention.glance) as target:
            stop = serve(target, attention, held=options.wait, elf=str(files("kernel.text") / "kernel.elf"),
                         monitor=commands(target, software.images))
        took = time.monotonic() - started
    if isinstance(stop, ProgramEnded):
        result = kernel_boot.judge(stop.result, stop.error, stages)
    else:
        result = _killed(stop) or outcome(stop)
    machine.drain_console()
    say(result.message)
    return Run(None, result, took, tuple(stages))


def _killed(stop: Stop) -> Outcome | None:
    """What it means that a debugger has killed the machine: what its user wanted, and no failure."""
    from emulator.stop import Interrupted

    return Outcome("interrupted", 0, str(stop)) if isinstance(stop, Interrupted) else None


def _elf(software: Software) -> str | None:
    """The path of the program's ELF, for the symbols in it, if there is one."""
    from emulator.loader.model import ImageKind

    if software.listed is not None:
        return str(software.listed.folder / f"{software.listed.name}.elf")
    if software.kernel is None or software.kernel.kind is not ImageKind.ELF:
        return None
    return software.kernel.name
