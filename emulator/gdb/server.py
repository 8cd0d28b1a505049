"""The server: a target, and a debugger that comes and goes.

        held      a debugger's packets are answered, one by one
        running   the target moves; about every 50 ms somebody looks whether the debugger wants it to stop, whether
                  one is there at all, and whether one comes, for which the machine stops

One debugger at a time; another is turned away. When it goes, by detaching or without a word, its points go with it; the
machine runs on after a detach, and stays as it is, held or running, after a lost connection.

The session of a debugger ends the run if it kills the machine, or continues beyond the end.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..debug import HostWrote
from ..errors import EmulatorError, HistoryError, SnapshotError
from ..stop import Interrupted, Stepped, Stop, Watchdog, Watchpoint
from . import access, lldb, queries, running, stopreply
from .connection import Connection, Listener
from .framing import Damaged, Packet, Signal
from .monitor import Further, Monitor
from .session import Access, Goodbye, Leave, Move, Session
from .wire import Code, PacketError, tohex

if TYPE_CHECKING:
    from ..debug import Target
    from ..runloop import Poll

GLANCE = 0.05
"""Seconds between two looks at the debugger while the guest waits for something."""
HANDLERS = {**queries.HANDLERS, **access.HANDLERS, **running.HANDLERS, **lldb.HANDLERS}
TEXT = 2048
"""Most bytes of text in one O packet."""


class Attention:
    """What a running machine is to heed: `glance` and `poll` for its Target, which is made with them.

    `console` is where the guest's input comes from, as `Machine.run` asks for it; after so many `seconds` the run ends,
    if they are given.
    """

    def __init__(self, listener: Listener, clock_hz: int, console: Poll | None = None,
                 seconds: float | None = None) -> None:
        self.listener, self.seconds = listener, seconds or 0.0
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.connection: Connection | None = None
        self.new = False
        """Whether the server has not yet begun to talk to who is at the connection."""
        self._clock_hz, self._console = clock_hz, console

    def glance(self) -> bool:
        """Whether the machine is to stop: the debugger wants it, has come or gone, or the time is up."""
        if self.late:
            return True
        if self.connection is None:
            self.connection = self.listener.accept()
            self.new = self.connection is not None
        if self.connection is None or self.new:
            return self.new
        self.connection.read()
        if self.connection.gone:
            return True
        newcomer = self.listener.accept()
        if newcomer is not None:
            newcomer.close()
        return Signal.INTERRUPT in self.connection.events

    @property
    def late(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def poll(self) -> Poll | None:
        """Console input, as `Machine.run` asks for it; None without a console, lest an idle machine be asked about."""
        return None if self._console is None else self._poll

    def _poll(self, cycles: int) -> bytes | None:
        """Input, waiting for it as long as `cycles` last; while it waits, the debugger is not forgotten."""
        if self._console is None:
            return None if cycles < 0 else b""
        until = time.monotonic() + cycles / self._clock_hz if cycles >= 0 else None
        while True:
            left = GLANCE if until is None else min(GLANCE, max(0.0, until - time.monotonic()))
            data = self._console(int(left * self._clock_hz))
            if data is None:
                self._console = None
                return None if cycles < 0 else b""
            if data or until is not None and time.monotonic() >= until or self.glance():
                return data

    def wait(self) -> None:
        """Wait until a debugger says something or comes, or the time is up."""
        watched = [self.listener.socket]
        if self.connection is not None:
            watched.append(self.connection.socket)
        left = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
        select.select(watched, [], [], left)


class Server:
    """Serves `target`, which was made with the glance and poll of `attention`.

    `monitor` obeys monitor commands that are not the server's own; `tell` is given lines for the user at the
    machine's end.
    """

    def __init__(self, target: Target, attention: Attention, *, monitor: Further | None = None,
                 tell: Callable[[str], None] | None = None) -> None:
        self.target, self._attention = target, attention
        self._monitor = Monitor(monitor)
        self._tell = tell or (lambda line: None)
        self._session: Session | None = None
        self._running = False
        self._final: Stop | None = None

    def serve(self, *, held: bool) -> Stop:
        """Serve until the run is over; how it ended. The machine is `held` at first, or runs.

        Interrupted if the debugger has killed it. KeyboardInterrupt, and what the machine raises, pass through.
        """
        self._running = not held
        self._attention.listener.open()
        try:
            while self._final is None:
                if self._attention.late:
                    self._final = Watchdog("seconds", self._attention.seconds, self.target.machine.harts[0].pc)
                elif self._running:
                    self._run_alone()
                else:
                    self._attend()
            return self._final
        finally:
            self._hang_up()

    # --- without a debugger -----------------------------------------------------------------------------------

    def _run_alone(self) -> None:
        """Let the machine run until somebody comes."""
        stop = self.target.resume()
        if self._attention.late:
            return
        if not isinstance(stop, Interrupted):
            self._final = stop
        elif self._attention.connection is None:
            raise KeyboardInterrupt
        else:
            self._running = False

    # --- with one -------------------------------------------------------------------------------------------------

    def _attend(self) -> None:
        """Answer what has come, or wait for something to come."""
        attention = self._attention
        connection = attention.connection
        if connection is None:
            if not attention.glance():
                attention.wait()
            return
        if self._session is None:
            self._begin()
        session = self._session
        assert session is not None
        if not connection.events:
            attention.glance()
            if connection.gone:
                self._lost(running=False)
            elif not connection.events:
                attention.wait()
            return
        event = connection.events.popleft()
        if isinstance(event, Packet):
            self._answer(session, connection, event.data)
        elif isinstance(event, Damaged):
            if session.acknowledged and not event.long:
                connection.send_raw(b"-")
            else:
                self._acknowledge(session, connection)
                connection.send(session.error(b"", Code.MALFORMED, "a damaged packet"))
        elif event is Signal.BAD:
            connection.repeat()

    def _begin(self) -> None:
        self._attention.new = False
        session = self._session = Session(self.target, self._monitor, HANDLERS, self._say)
        stop = self.target.stop if self.target.ended is None else self.target.ended
        session.stop_reply = self._stop_reply(session, stop, session.hart)

    def _acknowledge(self, session: Session, connection: Connection) -> None:
        if session.acknowledged:
            connection.send_raw(b"+")

    def _answer(self, session: Session, connection: Connection, packet: bytes) -> None:
        self._acknowledge(session, connection)
        answer = session.answer(packet)
        if isinstance(answer, Move):
            try:
                session.wishes.arm()
            except PacketError as why:
                answer = session.error(b"vCont", why.code, str(why))
            else:
                self._move(session, answer)
                return
        if isinstance(answer, Goodbye):
            if answer.answer is not None:
                connection.send(answer.answer)
            self._leave(session, answer.leave)
        else:
            connection.send(answer)

    def _move(self, session: Session, move: Move) -> None:
        """Make a move, and tell the debugger how it ended, if it is still there."""
        connection = self._attention.connection
        assert connection is not None
        access, session.past_access = session.past_access, None
        if access is not None and (access.hart, access.backwards) == (move.hart, move.backwards) and (
                access.wish not in session.wishes):
            session.stop_reply = self._stop_reply(session, Stepped(), access.hart)
            connection.send(session.stop_reply)
            return
        try:
            stop = move.journey(self.target)
        except EmulatorError as why:
            self._say(f"{why}\n")
            if not isinstance(why, HistoryError | SnapshotError):
                raise
            stop = self.target.stop
        if connection.gone:
            self._lost(running=True)
            return
        if isinstance(stop, Interrupted) and not self._take_interrupt(connection):
            if self._attention.late:
                return
            raise KeyboardInterrupt
        session.hart = stopreply.hart_of(self.target, stop, move.hart)
        session.over = stop is self.target.ended
        if isinstance(stop, Watchpoint | HostWrote):
            wish = session.wishes.watching(stop.watch)
            session.past_access = None if wish is None else Access(session.hart, wish, move.backwards)
        self._say(stopreply.message(self.target, stop))
        session.stop_reply = self._stop_reply(session, stop, session.hart)
        connection.send(session.stop_reply)

    def _take_interrupt(self, connection: Connection) -> bool:
        """Whether the debugger has asked for a stop; that is answered now."""
        if Signal.INTERRUPT not in connection.events:
            return False
        connection.events.remove(Signal.INTERRUPT)
        return True

    def _stop_reply(self, session: Session, stop: Stop, hart: int) -> bytes:
        answer = stopreply.reply(self.target, session.wishes, stop, hart)
        return answer + lldb.threads(session) if session.lists_threads else answer

    def _say(self, text: str) -> None:
        """Text for the debugger's user."""
        connection, data = self._attention.connection, text.encode()
        for at in range(0, len(data), TEXT):
            if connection is not None:
                connection.send(b"O" + tohex(data[at:at + TEXT]))

    # --- the end of a session -------------------------------------------------------------------------------------

    def _leave(self, session: Session, leave: Leave) -> None:
        if leave is Leave.ENDED and session.extended:
            session.stop_reply = stopreply.farewell(self.target.stop)
            return
        self._hang_up()
        if leave is Leave.DETACHED:
            self._running = True
            self._tell("the debugger has detached; the machine runs on")
        else:
            self._final = self.target.ended if leave is Leave.ENDED else Interrupted()

    def _lost(self, *, running: bool) -> None:
        """The connection is gone, without a word."""
        self._hang_up()
        self._running = running
        self._tell("the debugger is gone; the machine " + (
            "runs on" if running else "is held where it was, until one comes back"))

    def _hang_up(self) -> None:
        """Forget the debugger, and all that it wanted."""
        if self._session is not None:
            self._session.forget_points()
            self._session = None
        if self._attention.connection is not None:
            self._attention.connection.close()
            self._attention.connection, self._attention.new = None, False
