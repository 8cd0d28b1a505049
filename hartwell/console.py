"""The guest's console on the host: standard input and output, be they a terminal, pipes or files.

What standard input is decides how the guest gets it:

        terminal            key by key; Ctrl-A is the escape. An idle machine waits in real time
        regular file        all of it is on the line from the start: the same run every time
        pipe, socket        what is there at the start, then whatever comes, until its end; an idle
                            machine waits in real time, as at a terminal, until the end is seen
        /dev/null, closed   nothing: a guest that waits for a key only is a deadlock

Ctrl-A x ends the run, Ctrl-A h shows the keys, Ctrl-A Ctrl-A is one Ctrl-A for the guest.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from .terminal import Terminal

ESCAPE = 0x01
BLOCK = 1 << 16
GLANCE = 0.05
"""Seconds between two looks while there is no key to wait for."""
HELP = """
Ctrl-A x       end the run
Ctrl-A h       show this
Ctrl-A Ctrl-A  one Ctrl-A for the guest
"""


class QuitError(Exception):
    """The user typed Ctrl-A x."""


class Console:
    """Standard input and output as a guest's console; a `with` block around the run.

    `clock_hz` tells how long an idle machine's cycles take, `deadline` (of time.monotonic) when no
    wait may go on, `backlog` how many bytes the guest has not read yet. With `attached` false the
    terminal stays as it is and no key is read.
    """

    def __init__(self, clock_hz: int, backlog: Callable[[], int], *, attached: bool = True,
                 stdin: int = 0, stdout: int = 1) -> None:
        self.deadline: float | None = None
        self._clock_hz = clock_hz
        self._backlog = backlog
        self._in, self._out = stdin, stdout
        self._terminal: Terminal | None = None
        self._ended = False
        self._escaped = False
        self._stack = ExitStack()
        self._last = b"\n"
        self.at_start = b""
        """Input that is there before the machine runs; to be fed at once."""
        if os.isatty(stdin):
            if attached:
                self._terminal = Terminal(stdin)
            else:
                self._ended = True
        else:
            self.at_start = self._drain()

    def __enter__(self) -> Self:
        if self._terminal is not None:
            self._stack.enter_context(self._terminal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    # --- input --------------------------------------------------------------------------------------

    @property
    def source(self) -> int:
        """The descriptor that input comes from."""
        return self._in

    @property
    def poll(self) -> Callable[[int], bytes | None] | None:
        """What `Machine.run` asks for input; None when all of it is known, and the run deterministic."""
        return None if self._ended else self._poll

    def _poll(self, cycles: int) -> bytes | None:
        """Input, waiting for it as long as `cycles` last (for ever if negative). None: there is no more."""
        if self._ended:
            return None
        until = time.monotonic() + cycles / self._clock_hz if cycles >= 0 else None
        if self.deadline is not None:
            until = self.deadline if until is None else min(until, self.deadline)
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            if self._readable(left):
                data = self._read()
                if data is None:
                    return None
                if self._terminal is not None:
                    data = self._keys(data)
                if data:
                    return data
            if until is not None and time.monotonic() >= until:
                return b""

    def _readable(self, wait: float | None) -> bool:
        """Whether there is input that we may read and the guest has room for, within `wait` seconds."""
        if self._backlog() > BLOCK or (self._terminal is not None and not self._terminal.active):
            time.sleep(GLANCE if wait is None else min(wait, GLANCE))
            return False
        return bool(select.select([self._in], [], [], wait)[0])

    def _read(self) -> bytes | None:
        """What is there; None at the end."""
        try:
            data = os.read(self._in, BLOCK)
        except BlockingIOError:
            return b""
        except OSError:  # a terminal that was hung up, a directory
            data = b""
        self._ended = not data
        return data or None

    def _drain(self) -> bytes:
        """A file to its end; of a stream what is there now, so that a short one is known before the run."""
        parts: list[bytes] = []
        regular = stat.S_ISREG(os.fstat(self._in).st_mode)
        while not self._ended and (regular or len(parts) < 16 and select.select([self._in], [], [], 0)[0]):
            parts.append(self._read() or b"")
        return b"".join(parts)

    def _keys(self, data: bytes) -> bytes:
        """`data` without the escapes in it, which are obeyed."""
        typed = bytearray()
        for byte in data:
            if not self._escaped:
                self._escaped = byte == ESCAPE
                if not self._escaped:
                    typed.append(byte)
                continue
            self._escaped = False
            if byte == ESCAPE:
                typed.append(byte)
            elif byte in b"xX":
                raise QuitError
            elif byte in b"hH?":
                self.write(HELP.encode())
        return bytes(typed)

    # --- output -------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write all of `data`, now. BrokenPipeError when nobody reads it any more."""
        self._last = data[-1:] or self._last
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._out, view):]
            except BlockingIOError:  # whoever shares the descriptor made it non-blocking
                select.select([], [self._out], [])

    def end_line(self) -> None:
        """Start a new line on a terminal if the guest left one unfinished, for what we say next."""
        if self._last != b"\n" and os.isatty(self._out):
            self.write(b"\n")
