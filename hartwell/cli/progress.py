"""Progress of a long run: a line on stderr that is written over and over, at a terminal only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from emulator.machine import Machine

EVERY: Final = 0.5
"""Seconds between two lines."""
CLEAR: Final = "\r\033[K"


@contextmanager
def progress(machine: Machine) -> Iterator[None]:
    """Show how far `machine` is, inside the `with` block, if stderr is a terminal; the line is gone afterwards."""
    if not sys.stderr.isatty():
        yield
        return
    shown = _Progress(machine)
    machine.tracers.append(shown)
    try:
        yield
    finally:
        machine.tracers.remove(shown)
        if shown.written:
            write(CLEAR)


class _Progress:
    """Looks at the clock whenever the machine stops for a moment."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._began = self._last = time.monotonic()
        self.written = False

    def drain(self) -> None:
        now = time.monotonic()
        if now - self._last >= EVERY:
            self._last, self.written = now, True
            write(f"{CLEAR}hartwell: {self._machine.instructions / 1e6:,.0f} million instructions, "
                   f"{now - self._began:.0f} s")


def write(text: str) -> None:
    """Write to stderr, even to a closed pipe."""
    with suppress(OSError):
        os.write(2, text.encode())
