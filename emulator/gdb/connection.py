"""The socket: where the server listens, and a debugger's connection."""

from __future__ import annotations

import select
import socket
from collections import deque
from types import TracebackType
from typing import Self

from ..errors import EmulatorError
from .framing import BACKLOG, Decoder, Event, encode

BLOCK = 1 << 16
PATIENCE = 5.0
"""Seconds that a debugger has to take an answer, before it is taken for dead."""


class ListenError(EmulatorError):
    """The server cannot listen where it was told to."""


class Listener:
    """A socket at `host` and `port` (0: a free one). ListenError if there can be none.

    Nobody can connect until it is `open`: a debugger that is let wait for its first answer asks again, and gets two.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                                             flags=socket.AI_PASSIVE)[0]
            self.socket = socket.socket(family, kind)
        except OSError as why:
            raise ListenError(f"cannot listen at {host}:{port}: {why.strerror or why}") from None
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(address)
        except OSError as why:
            self.socket.close()
            raise ListenError(f"cannot listen at {host}:{port}: {why.strerror or why}") from None
        self.host, self.port = self.socket.getsockname()[:2]
        self._open = False

    def open(self) -> None:
        """Let debuggers connect from now on. ListenError if another process has taken the port meanwhile."""
        if self._open:
            return
        try:
            self.socket.listen(4)
        except OSError as why:
            raise ListenError(f"cannot listen at {self.host}:{self.port}: {why.strerror or why}") from None
        self._open = True

    def accept(self) -> Connection | None:
        """The next debugger, if one is waiting."""
        if not self._open or not _readable(self.socket, 0):
            return None
        try:
            client, _ = self.socket.accept()
        except OSError:  # it is gone again
            return None
        return Connection(client)

    def close(self) -> None:
        """Listen no more."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class Connection:
    """A debugger at the other end of a socket. Once it is `gone`, nothing is read or sent any more."""

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.socket.setblocking(False)
        if client.family in (socket.AF_INET, socket.AF_INET6):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.events: deque[Event] = deque()
        self.gone = False
        self._decoder = Decoder()
        self._last = b""

    def read(self) -> None:
        """Take some of what has come; it is in `events` then."""
        if self.gone or not _readable(self.socket, 0):
            return
        try:
            data = self.socket.recv(BLOCK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.events.extend(self._decoder.feed(data))
        self.gone = not data or len(self.events) > BACKLOG

    def send(self, data: bytes) -> None:
        """Send a packet with this data."""
        self._last = encode(data)
        self.send_raw(self._last)

    def repeat(self) -> None:
        """Send the last packet once more."""
        self.send_raw(self._last)

    def send_raw(self, data: bytes) -> None:
        """Send bytes outside of packets."""
        if self.gone or not data:
            return
        try:
            self.socket.settimeout(PATIENCE)
            self.socket.sendall(data)
        except OSError:
            self.gone = True
        finally:
            if not self.gone:
                self.socket.setblocking(False)

    def close(self) -> None:
        """Hang up."""
        self.gone = True
        self.socket.close()


def _readable(which: socket.socket, wait: float | None) -> bool:
    return bool(select.select([which], [], [], wait)[0])
