"""Packets on the wire: `$data#checksum`, and the single bytes between them.

        $ … # xx     a packet; in it `}` and a byte XOR 0x20 stand for one of  # $ } *
        +  -         the last packet came in good order, or did not
        0x03         stop the machine, please

The checksum is the sum of the bytes between $ and #, modulo 256, as two hexadecimal digits. Whatever else comes
between packets is noise, and skipped. Source: GDB manual, appendix "GDB Remote Serial Protocol", Overview.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .wire import unhex

PACKET_SIZE = 0x4000
"""Most bytes of a packet's contents, in either direction, escapes not counted."""
BACKLOG = 1 << 16
"""Events that may wait; a client that sends more than that is not listening to answers."""

START, END, ESCAPE, STAR = 0x24, 0x23, 0x7D, 0x2A
_ESCAPED = frozenset((START, END, ESCAPE, STAR))


class Signal(Enum):
    """What comes as a single byte."""

    GOOD = ord("+")
    BAD = ord("-")
    INTERRUPT = 0x03


_SIGNALS = {signal.value: signal for signal in Signal}


@dataclass(frozen=True)
class Packet:
    """The contents of a packet, without frame and escapes."""

    data: bytes


@dataclass(frozen=True)
class Damaged:
    """A packet that was not understood: to be asked for again, or, if `long`, refused."""

    long: bool = False


Event = Packet | Damaged | Signal


class Decoder:
    """Bytes as they come, to events. It never raises, and keeps no more than a packet."""

    def __init__(self) -> None:
        self._state = self._between
        self._data = bytearray()
        self._sum = 0
        self._length = 0
        self._escaped = False
        self._digit = 0
        self._events: deque[Event] = deque()

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that `data` completes."""
        for byte in data:
            self._state(byte)
            while self._events:
                yield self._events.popleft()

    def _between(self, byte: int) -> None:
        if byte == START:
            self._begin()
        elif byte in _SIGNALS:
            self._events.append(_SIGNALS[byte])

    def _begin(self) -> None:
        self._data.clear()
        self._sum = self._length = 0
        self._escaped = False
        self._state = self._inside

    def _inside(self, byte: int) -> None:
        if byte == START:  # the end of the one before was lost
            self._events.append(Damaged())
            self._begin()
            return
        if byte == END:
            self._state = self._first_digit
            return
        self._sum = (self._sum + byte) & 0xFF
        if byte == ESCAPE and not self._escaped:
            self._escaped = True
            return
        self._length += 1
        if self._length <= PACKET_SIZE:
            self._data.append(byte ^ 0x20 if self._escaped else byte)
        self._escaped = False

    def _first_digit(self, byte: int) -> None:
        self._digit = byte
        self._state = self._second_digit

    def _second_digit(self, byte: int) -> None:
        self._state = self._between
        if unhex(bytes((self._digit, byte))) != bytes((self._sum,)) or self._escaped:
            self._events.append(Damaged())
        elif self._length > PACKET_SIZE:
            self._events.append(Damaged(long=True))
        else:
            self._events.append(Packet(bytes(self._data)))


def encode(data: bytes) -> bytes:
    """`data` as a packet."""
    if not _ESCAPED.isdisjoint(data):
        data = b"".join(bytes((ESCAPE, byte ^ 0x20)) if byte in _ESCAPED else bytes((byte,)) for byte in data)
    return b"$%b#%02x" % (data, sum(data) & 0xFF)
