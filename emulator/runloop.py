"""The run loop's Python half: slices of a run, and what the engine's reasons to stop mean.

        engine.run() ── a slice ──> reason ──> drain the console and tracers ──> Stop, or the next slice

Slices exist for the host: after each it may look at its keyboard and its clock. How they are cut changes
nothing that the guest can see.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .engine import layout
from .engine.watch import STORES
from .errors import DeviceFailedError, EngineError
from .stop import (
    Breakpoint, Deadlock, HostCall, Interrupted, Matched, ResetRequested, Stepped, Stop, TrapLoop, Watch, Watchdog,
    Watchpoint,
)

if TYPE_CHECKING:
    from .devices.device import Device
    from .machine import Machine

MASK = (1 << 64) - 1
FIRST_SLICE, SHORTEST_SLICE, LONGEST_SLICE = 100_000, 1_000, 200_000_000
SLICE_SECONDS = 0.05
"""The machine looks at the host (keyboard, clock) about this often; slices of instructions adapt to it."""

GLANCES = (layout.STOP_LIMIT, layout.STOP_IDLE, layout.STOP_PACE)
"""Reasons after which it is: the end of a slice, and where `poll` may have waited."""

Poll = Callable[[int], bytes | None]
"""Gives console input; see `Machine.run`."""


class RunLoop:
    """Runs one machine; keeps what devices ask for while it does."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._engine = machine, machine.engine
        self.asked: Stop | None = None
        """The Stop that a device wants."""
        self.watches: tuple[Watch, ...] = ()
        """The watchpoints, in the engine's order."""
        self.glance: Callable[[], bool] | None = None
        """Whether the user wants the machine to stand still; see `Machine.glance`."""
        self._failure: BaseException | None = None

    def ask(self, stop: Stop) -> None:
        """Make the run return `stop` before the next block; the first one that asks gets it."""
        if self.asked is None:
            self.asked = stop
        self._engine.request_stop()

    def device_failed(self, device: Device, what: str, why: BaseException) -> None:
        """Remember a device's exception, and stop at the next block: it cannot pass through the engine."""
        if isinstance(why, KeyboardInterrupt):
            self.asked = Interrupted()
        elif self._failure is None and isinstance(why, Exception):
            failure = DeviceFailedError(f"device {device.name}: {what} raised {type(why).__name__}: {why}")
            failure.__cause__ = why
            self._failure = failure
        elif self._failure is None:
            self._failure = why
        self._engine.request_stop()

    def restore(self, asked: Stop | None) -> None:
        """Be what a loop was in which `asked` had been asked for."""
        self.asked, self._failure = asked, None

    def proceed(self, max_insns: int | None, timeout: float | None, poll: Poll | None, passing: int | None) -> Stop:
        """See `Machine.proceed`."""
        left = max_insns if max_insns is not None else layout.INFINITE
        ends = time.monotonic() + timeout if timeout is not None else None
        slice_length = FIRST_SLICE
        machine, engine = self._machine, self._engine
        engine.prepare(poll is not None, passing)
        if self.asked is not None and (stop := self._asked_to_stop()) is not None:
            return stop
        while True:
            chunk = min(left, slice_length)
            began = time.monotonic()
            try:
                reason = engine.run(chunk)
            except KeyboardInterrupt:
                return Interrupted()
            done = chunk - engine.word(layout.M_RUN_LIMIT)
            left -= done
            if reason == layout.STOP_LIMIT:
                pace = SLICE_SECONDS / max(time.monotonic() - began, 1e-6)
                slice_length = int(min(max(done * min(pace, 8.0), SHORTEST_SLICE), LONGEST_SLICE))
            machine.drain_console()
            for tracer in machine.tracers:
                tracer.drain()
            stop = self.meaning(reason, poll)
            if stop is not None:
                return stop
            if machine.interrupted:
                machine.interrupted = False
                return Interrupted()
            if left <= 0:
                return Watchdog("instructions", max_insns or 0, machine.harts[0].pc)
            if ends is not None and time.monotonic() >= ends:
                assert timeout is not None
                return Watchdog("seconds", timeout, machine.harts[0].pc)
            if reason in GLANCES and self.glance is not None and self.glance():
                return Interrupted()

    def meaning(self, reason: int, poll: Poll | None) -> Stop | None:
        """What the engine's reason means to us: a Stop, or None to go on."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        machine = self._machine
        if machine.transcript.pattern and machine.transcript.matched():
            return Matched()
        if self.asked is not None and not self._engine.within_block:
            return self._asked_to_stop()
        arg = self._engine.word(layout.M_STOP_ARG)
        hart = self._engine.current_hart
        if reason == layout.STOP_HOSTCALL:
            return HostCall(hart, arg)
        if reason == layout.STOP_EVENT:
            machine.run_due(arg)
        elif reason == layout.STOP_IDLE:
            if poll is None or not self._wait_for_input(poll, -1):
                return Deadlock(tuple(h.pc for h in machine.harts))
        elif reason == layout.STOP_PACE:
            if poll is not None:
                self._wait_for_input(poll, arg)
            self._engine.set_word(layout.M_PACED, 2)
        elif reason == layout.STOP_TRAP_LOOP:
            state = machine.harts[hart]
            side = "s" if state.priv == 1 else "m"
            return TrapLoop(hart, *(state.read_csr(side + name) for name in ("epc", "cause", "tval")))
        elif reason == layout.STOP_STEP:
            return Stepped()
        elif reason == layout.STOP_BREAK:
            return Breakpoint(hart, machine.harts[hart].pc)
        elif reason == layout.STOP_WATCH:
            return self._watchpoint()
        elif reason == layout.STOP_GUARD:
            assert machine.guard is not None
            return machine.guard.found()
        elif reason == layout.STOP_ENGINE:
            raise EngineError(f"the engine stopped with error {arg} on hart {hart} at {machine.harts[hart].pc:#x}; "
                              "this is a defect of Hartwell, please report it")
        if poll is not None and reason == layout.STOP_LIMIT:
            self._wait_for_input(poll, 0)
        return None

    def _watchpoint(self) -> Watchpoint:
        """The access that hit a watchpoint."""
        word = self._engine.word
        watch = self.watches[word(layout.M_WATCH_HIT) - 1]
        self._engine.set_word(layout.M_WATCH_HIT, 0)
        return Watchpoint(word(layout.M_WATCH_HART), word(layout.M_WATCH_PC) & MASK, watch,
                          word(layout.M_WATCH_ADDRESS) & MASK, word(layout.M_WATCH_SIZE),
                          word(layout.M_WATCH_KIND) == STORES)

    def _asked_to_stop(self) -> Stop | None:
        """What a device asked for; a reset is done here and now, if that is how resets are to be answered.

        Nothing yet in the middle of a block that a debugger splits: stops are at the places where they would be.
        """
        if self._engine.within_block:
            return None
        stop, self.asked = self.asked, None
        if isinstance(stop, ResetRequested) and self._machine.reboot:
            self._machine.reset()
            return None
        return stop

    def _wait_for_input(self, poll: Poll, cycles: int) -> bool:
        """Ask for console input; False when there will never be more."""
        data = poll(cycles)
        if data:
            self._machine.feed(data)
        return data is not None
