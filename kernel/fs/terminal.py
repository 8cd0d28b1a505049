"""The terminal's line discipline: what becomes of keys before a program reads them (termios(3)).

        key ── ICRNL ── ISIG? ──> a signal for the foreground's process group
                          └── ICANON? ── edited ──> a line, when it is complete   ─┐
                                 └────────────────> the key                       ─┴─> input
        ECHO: what was typed is shown

Source: termios(3); Linux, include/uapi/asm-generic/termbits.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum, IntFlag
from typing import Final

TERMIOS: Final = struct.Struct("<4IB19s")
"""Flags of input, output, control and local; the discipline's number; special characters."""


class InputFlag(IntFlag):
    """c_iflag."""

    ICRNL = 0o400


class LocalFlag(IntFlag):
    """c_lflag."""

    ISIG = 0o1
    ICANON = 0o2
    ECHO = 0o10
    ECHOE = 0o20


class Special(IntEnum):
    """Places of special characters in c_cc."""

    INTR = 0
    QUIT = 1
    ERASE = 2
    KILL = 3
    EOF = 4


INITIAL: Final = TERMIOS.pack(0o2400, 0o5, 0o2277, 0o105073, 0,
                              b"\3\34\177\25\4\0\1\0\21\23\32\0\22\17\27\26\0\0\0")
"""A terminal as it is at first: echo, lines, the usual keys."""
SIGNALS: Final = {Special.INTR: 2, Special.QUIT: 3}
"""SIGINT, SIGQUIT."""


class LineDiscipline:
    """Takes keys, gives lines to `ready(data)` and the end of input to `end()`; `echo(data)` shows.

    `signal(number)` sends a signal to whoever is in the foreground.
    """

    def __init__(self, ready: Callable[[bytes], None], end: Callable[[], None], echo: Callable[[bytes], None],
                 signal: Callable[[int], None]) -> None:
        self.settings = INITIAL
        """A `struct termios`, as TCGETS gives it and TCSETS sets it."""
        self._ready, self._end, self._echo, self._signal = ready, end, echo, signal
        self._line = bytearray()

    def keys(self, data: bytes) -> None:
        """Somebody has typed `data`."""
        for key in data:
            self._key(key)

    def _key(self, key: int) -> None:
        iflag, _, _, lflag, _, special = TERMIOS.unpack(self.settings)
        if key == 0x0D and iflag & InputFlag.ICRNL:
            key = 0x0A
        if lflag & LocalFlag.ISIG:
            for place, number in SIGNALS.items():
                if key == special[place] and key:
                    self._line.clear()
                    self._show(lflag, _shown(key))
                    self._signal(number)
                    return
        if not lflag & LocalFlag.ICANON:
            self._show(lflag, bytes([key]))
            self._ready(bytes([key]))
        elif key == special[Special.ERASE]:
            if self._line:
                self._show(lflag, b"\b \b" * len(_shown(self._line.pop())))
        elif key == special[Special.KILL]:
            self._show(lflag, b"\b \b" * sum(len(_shown(each)) for each in self._line))
            self._line.clear()
        elif key == special[Special.EOF]:
            if self._line:
                self._complete()
            else:
                self._end()
        else:
            self._line.append(key)
            self._show(lflag, _shown(key))
            if key == 0x0A:
                self._complete()

    def _complete(self) -> None:
        line = bytes(self._line)
        self._line.clear()
        self._ready(line)

    def _show(self, lflag: int, data: bytes) -> None:
        if lflag & LocalFlag.ECHO:
            self._echo(data)


def _shown(key: int) -> bytes:
    """A key as it is echoed: ^X for one that would move the cursor."""
    return bytes([key]) if 0x20 <= key != 0x7F or key in b"\n\t" else b"^" + bytes([key ^ 0x40])
