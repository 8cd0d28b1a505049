"""A machine that waits for input: a run stops there, and goes on when there is some."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.machine import Machine
from emulator.runloop import Poll
from emulator.stop import Interrupted


@dataclass(frozen=True)
class Idle(Interrupted):
    """Every hart waits, and nothing but console input could wake one."""

    def __str__(self) -> str:
        return "every hart waits, and nothing will happen without input: type TEXT gives some, continue goes on"


def no_input(machine: Machine) -> Poll:
    """A source of console input that has none, and waits for none; where nothing else can happen, `machine` is Idle."""
    def poll(cycles: int) -> bytes | None:
        if cycles < 0:
            machine.request_stop(Idle())
        return b""

    return poll
