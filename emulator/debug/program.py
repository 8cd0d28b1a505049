"""A program on the host that drives a machine, held whenever its machine is.

A program is a function of the machine: a kernel's boot, a test, a script. It runs in a coroutine of its own
(greenlet); wherever it has the machine run, or sets a mark, the debugger gets control, and gives it back when it
likes. Both run in one thread, one at a time.

        debugger                          program
        advance(None)    ────────────>    program(machine) …
                         <── Wants ───    … machine.run()
        advance(stop)    ────────────>    … which returns `stop`
                         <── Marked ──    … machine.mark("stage:heap")
        advance(None)    ────────────>
                         <── Ended ───    … returns
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import greenlet

from ..errors import EmulatorError
from ..stop import Mark, Marked, Stop
from .stops import ProgramEnded

if TYPE_CHECKING:
    from ..machine import Machine
    from ..runloop import Poll


@dataclass(frozen=True)
class Wants:
    """The program wants the machine to run, as `Machine.run` says."""

    max_insns: int | None
    timeout: float | None
    poll: Poll | None


class Killed(BaseException):
    """Raised in a program whose debugger wants no more of it."""


Event = Wants | Marked | ProgramEnded


class Program:
    """`body(machine)` in a coroutine. It takes the machine's `runner` and `on_mark` until it is over."""

    def __init__(self, machine: Machine, body: Callable[[Machine], object]) -> None:
        self._machine, self._body = machine, body
        self._debugger = greenlet.getcurrent()
        self._coroutine = greenlet.greenlet(self._run)
        self.ended: ProgramEnded | None = None
        """How it ended, when it has."""

    @property
    def frame(self) -> FrameType | None:
        """Where its code is held; None before it has begun, and when it is over."""
        frame: FrameType | None = self._coroutine.gr_frame
        return frame

    def advance(self, stop: Stop | None) -> Event:
        """Let the program go on, with `stop` as why its machine stopped, until it says something again.

        EmulatorError if it is over.
        """
        if self.ended is not None:
            raise EmulatorError("the program is over")
        self._debugger = greenlet.getcurrent()
        self._machine.runner, self._machine.on_mark = self._wants, self._marked
        event: Event = self._coroutine.switch(stop)
        self._machine.runner = self._machine.on_mark = None
        if isinstance(event, ProgramEnded):
            self.ended = event
        return event

    def kill(self) -> None:
        """Make the program end where it is; its `finally` blocks run, and cannot run the machine."""
        if self.ended is None and self._coroutine:
            self._debugger = greenlet.getcurrent()
            self._machine.runner = self._refuse
            self.ended = self._coroutine.throw(Killed)
            self._machine.runner = None

    def _run(self, _first: Stop | None) -> ProgramEnded:
        try:
            return ProgramEnded(self._body(self._machine), None)
        except (Exception, Killed, KeyboardInterrupt) as why:
            return ProgramEnded(None, why)

    def _wants(self, max_insns: int | None, timeout: float | None, poll: Poll | None) -> Stop:
        stop: Stop = self._debugger.switch(Wants(max_insns, timeout, poll))
        return stop

    def _marked(self, mark: Mark) -> None:
        self._debugger.switch(Marked(mark))

    def _refuse(self, _max_insns: int | None, _timeout: float | None, _poll: Poll | None) -> Stop:
        raise Killed
