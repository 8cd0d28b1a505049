"""A terminal in raw mode: every key goes to the guest, and the terminal is given back whatever happens.

        enter ──> raw ──SIGTSTP──> as it was, stopped ──SIGCONT──> raw ──exit──> as it was
                   └──SIGTERM, SIGHUP, SIGQUIT──> as it was, ended by the signal

A process in the background may neither change the terminal nor read from it (the shell would stop
it); it runs on without a keyboard until it is in the foreground.
"""

from __future__ import annotations

import os
import signal
import termios
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Terminal:
    """The terminal behind file descriptor `fd`, raw inside a `with` block."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] | None = None
        self._handlers: dict[int, Any] = {}

    @property
    def active(self) -> bool:
        """Whether the terminal is ours: raw, and its keys may be read."""
        return self._before is not None

    def __enter__(self) -> Self:
        for number in ENDING:
            self._handlers[number] = signal.signal(number, self._end)
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._suspend)
        self._handlers[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._resume)
        self._take()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _take(self) -> None:
        """Raw mode, as QEMU's: output is still processed, so that a bare newline starts a line."""
        if self._before is not None or not self._in_foreground():
            return
        try:
            before = termios.tcgetattr(self._fd)
            iflag, oflag, cflag, lflag, ispeed, ospeed, special = before
            iflag &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR
                       | termios.IGNCR | termios.ICRNL | termios.IXON)
            lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
            cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8
            special = list(special)
            special[termios.VMIN], special[termios.VTIME] = 1, 0
            self._before = before  # first: a signal may come right after the change
            raw = [iflag, oflag | termios.OPOST, cflag, lflag, ispeed, ospeed, special]
            termios.tcsetattr(self._fd, termios.TCSANOW, raw)
        except (termios.error, OSError):
            self._before = None

    def _give_back(self) -> None:
        before, self._before = self._before, None
        if before is not None and self._in_foreground():
            with suppress(termios.error, OSError):  # it may be gone
                termios.tcsetattr(self._fd, termios.TCSANOW, before)

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return True  # not our controlling terminal: no shell arbitrates

    def _end(self, number: int, _frame: FrameType | None) -> None:
        """Die of the signal after all, with the terminal in order."""
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _suspend(self, _number: int, _frame: FrameType | None) -> None:
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspend)
        self._take()

    def _resume(self, _number: int, _frame: FrameType | None) -> None:
        """Whoever ran meanwhile (a shell) has left the terminal in its own mode: take it again."""
        if self._in_foreground():
            before, self._before = self._before, None
            self._take()
            if before is not None and self.active:
                self._before = before
