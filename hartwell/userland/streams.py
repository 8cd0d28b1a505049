"""A program's standard streams: the guest's console on the host's standard input, output and error."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kernel.fs.console import Console as Guest
from kernel.fs.open_file import Flags
from kernel.process.files import Files
from kernel.process.system import System

if TYPE_CHECKING:
    from hartwell.console import Console as Host

GLANCE: Final = 0.05
"""Seconds between two looks at the keyboard while programs run."""
DEVICE: Final = b"/dev/console"


class LimitError(Exception):
    """The host's time is over."""


class Streams:
    """Connects `guest`, the console of `system`, with `host`, whose time ends at its deadline.

    While all tasks wait, the host is waited for, as long as there may be input; while they run, it is looked at
    now and then. What is there from the start is read at once, so that a file's bytes make the same run each time.
    """

    def __init__(self, guest: Guest, host: Host, system: System) -> None:
        self._guest, self._host, self._system = guest, host, system
        self._next = 0.0
        if host.at_start:
            guest.feed(host.at_start)
        if host.poll is None:
            guest.hang_up()
        system.scheduler.idle = self._idle
        if host.poll is not None or host.deadline is not None:
            system.scheduler.attend = self._attend
            system.kernel.machine.glance = self._glance

    def _idle(self, ticks: int | None) -> bool:
        """Nobody can run, for so many ticks of the timebase or for ever: wait, in real time, if a key may come."""
        self._heed_deadline()
        if self._host.poll is None:
            return False
        board = self._system.kernel.machine.board
        data = self._host.poll(-1 if ticks is None else ticks * board.clock_hz // board.timebase_hz)
        self._heed_deadline()
        return self._take(data) or data is None

    def _attend(self) -> None:
        """Tasks have trapped: look whether there is something new, if the last look was some time ago."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + GLANCE
        self._heed_deadline()
        if self._host.poll is not None and (self._guest.terminal or not self._guest.has_input):
            if self._take(self._host.poll(0)):
                self._system.scheduler.interrupt()  # a key may have been a signal, for a task that is in U-mode already

    def _glance(self) -> bool:
        """A task keeps running: have it trap if there is something new."""
        if self._expired() or self._host.poll is not None and select.select([self._host.source], [], [], 0)[0]:
            self._next = 0.0
            self._system.scheduler.interrupt()
        return False

    def _take(self, data: bytes | None) -> bool:
        if data is None:
            self._guest.hang_up()
        elif data:
            self._guest.feed(data)
        return bool(data)

    def _expired(self) -> bool:
        return self._host.deadline is not None and time.monotonic() >= self._host.deadline

    def _heed_deadline(self) -> None:
        if self._expired():
            raise LimitError


class Sink:
    """Standard error: what is written there leaves the machine as all output does, but goes elsewhere on the host."""

    def __init__(self, system: System, console: Guest, errors: Callable[[bytes], None]) -> None:
        self._machine, self._console, self._errors = system.kernel.machine, console, errors

    def write(self, data: bytes) -> None:
        """Put it out, by the guest's console."""
        machine = self._machine
        machine.drain_console()
        before, machine.on_output = machine.on_output, self._errors
        try:
            self._console.output(data)
            machine.drain_console()
        finally:
            machine.on_output = before


def first_files(system: System, console: Guest, errors: Callable[[bytes], None],
                terminals: tuple[bool, bool, bool]) -> Files:
    """The open files of the first process: the console, with standard error apart.

    `terminals` says which of the three are terminals on the host, so that programs see what a shell would show them.
    """
    files, place = Files(system.files.root), system.files.place
    apart = Guest(Sink(system, console, errors).write)
    for number, terminal in enumerate(terminals):
        file = system.files.open(place, DEVICE, Flags.RDWR)
        if number == 2 and not (terminal and terminals[1]):
            assert file.inode is not None
            separate = apart.open(file.inode, Flags.RDWR)
            file.close()
            file = separate
        file.is_terminal = terminal
        files.add(file)
    return files
