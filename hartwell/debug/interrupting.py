"""Ctrl-C while a command runs: it stops the machine, and never the debugger."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from emulator.machine import Machine


@contextmanager
def interruptible(machine: Machine) -> Iterator[None]:
    """Inside the block, SIGINT stops the machine where it is consistent; a second one raises KeyboardInterrupt.

    For the main thread. A SIGINT that came when no machine ran is forgotten at the end of the block.
    """
    def stop(_number: int, _frame: FrameType | None) -> None:
        if machine.interrupted:
            raise KeyboardInterrupt
        machine.interrupted = True

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        machine.interrupted = False
        signal.signal(signal.SIGINT, before)
