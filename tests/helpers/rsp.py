"""A client of the remote protocol for tests, with no more manners than it is told to have."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from emulator.debug import Target
from emulator.gdb import Attention, Listener, Server
from emulator.machine import Machine
from emulator.stop import Stop

SECONDS = 20


class Client:
    """A connection to the server at `port`."""

    def __init__(self, port: int, *, acknowledged: bool = False) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._buffer = b""
        if not acknowledged:
            try:
                assert self.ask(b"QStartNoAckMode") == b"OK"
                self.raw(b"+")
            except (OSError, EOFError):
                self.close()
                raise

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def send(self, data: bytes) -> None:
        """Send a packet; `data` has its escapes already."""
        self.raw(b"$%b#%02x" % (data, sum(data) & 0xFF))

    def receive(self) -> bytes:
        """The next packet, without frame and acknowledgements; its checksum is looked at. EOFError at the end."""
        while True:
            start = self._buffer.find(b"$")
            end = self._buffer.find(b"#", start)
            if start >= 0 and end >= 0 and len(self._buffer) >= end + 3:
                data, check = self._buffer[start + 1:end], self._buffer[end + 1:end + 3]
                self._buffer = self._buffer[end + 3:]
                assert int(check, 16) == sum(data) & 0xFF
                return data
            more = self.socket.recv(1 << 16)
            if not more:
                raise EOFError
            self._buffer += more

    def bytes(self, count: int) -> bytes:
        """The next bytes, as they come."""
        found = b""
        while len(found) < count:
            found += self.socket.recv(count - len(found))
        return found

    def ask(self, data: bytes) -> bytes:
        """Send a packet; the answer, without the text that comes before it."""
        self.send(data)
        while (answer := self.receive()).startswith(b"O") and answer != b"OK":
            pass
        return answer

    def say(self, line: str) -> str:
        """The output of a monitor command."""
        self.send(b"qRcmd," + line.encode().hex().encode())
        text = b""
        while (answer := self.receive()) != b"OK":
            text += bytes.fromhex(answer[1:].decode())
        return text.decode()

    def close(self) -> None:
        self.socket.close()


class Serving:
    """A server in a thread of its own: its `port`, and how the run ended once it has."""

    def __init__(self, machine: Machine, *, held: bool = True, max_insns: int | None = None) -> None:
        self.listener = Listener()
        self.listener.open()
        self.port = self.listener.port
        self.told: list[str] = []
        self.stop: Stop | None = None
        self.error: BaseException | None = None
        self.attention = Attention(self.listener, machine.board.clock_hz)
        self._machine, self._held, self._max_insns = machine, held, max_insns
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._begun.wait(60), self.error

    def _serve(self) -> None:
        try:
            with Target(self._machine, poll=self.attention.poll, glance=self.attention.glance,
                        max_insns=self._max_insns) as target:
                self.target = target
                self._begun.set()
                self.stop = Server(target, self.attention, tell=self.told.append).serve(held=self._held)
        except BaseException as why:
            self.error = why

    def wait(self) -> Stop:
        """Wait for the end; how it ended."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "the server has not ended"
        if self.error is not None:
            raise self.error
        assert self.stop is not None
        return self.stop

    def close(self) -> None:
        """End it, if it has not ended."""
        self.attention.deadline = time.monotonic()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            pass
        self._thread.join(SECONDS)
        self.listener.close()
        assert not self._thread.is_alive(), "the server does not end"


@contextlib.contextmanager
def serving(machine: Machine, *, held: bool = True, max_insns: int | None = None) -> Iterator[Serving]:
    """A server for a machine, which is closed afterwards."""
    server = Serving(machine, held=held, max_insns=max_insns)
    try:
        yield server
        assert server.error is None
    finally:
        server.close()
    machine.close()


def patient(server: Serving) -> Client:
    """A client that comes back when it is turned away: the one before may not be gone yet."""
    for _ in range(100):
        try:
            return Client(server.port)
        except (OSError, EOFError):
            time.sleep(0.05)
    raise AssertionError("the server lets nobody in")
