"""Packets about the session itself: what each side can do, documents, threads, monitor commands."""

from __future__ import annotations

from collections.abc import Callable

from ..machine import Machine
from . import description
from .framing import PACKET_SIZE
from .session import Answer, Handler, Session
from .wire import Code, PacketError, data, numbers, tohex

SUPPORTED = (b"PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:memory-map:read+;qXfer:threads:read+;"
             b"vContSupported+;swbreak+;hwbreak+;ReverseStep+;ReverseContinue+" % PACKET_SIZE)
DOCUMENTS: dict[tuple[bytes, bytes], Callable[[Machine], bytes]] = {
    (b"features", b"target.xml"): lambda _machine: description.target(),
    (b"memory-map", b""): description.memory_map,
    (b"threads", b""): description.threads,
}


def supported(session: Session, rest: bytes) -> bytes:
    """qSupported:FEATURE;…: what the debugger can do; what we can."""
    session.features = frozenset(rest.removeprefix(b":").split(b";"))
    return SUPPORTED


def why_stopped(session: Session, _rest: bytes) -> bytes:
    """?: why the machine stands still."""
    return session.stop_reply


def no_acknowledgements(session: Session, _rest: bytes) -> bytes:
    """QStartNoAckMode: the connection loses nothing, so nothing need be acknowledged."""
    session.acknowledged = False
    return b"OK"


def transfer(session: Session, rest: bytes) -> bytes:
    """qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH: a part of a document, m if more follows, else l."""
    parts = rest.removeprefix(b":").split(b":")
    if len(parts) != 4 or parts[1] != b"read":
        raise PacketError(Code.MALFORMED, "qXfer: expected OBJECT:read:ANNEX:OFFSET,LENGTH")
    if all(parts[0] != kind for kind, _ in DOCUMENTS):
        return b""
    make = DOCUMENTS.get((parts[0], parts[2]))
    if make is None:
        return b"E00"  # a wrong annex (GDB manual, qXfer)
    offset, length = numbers(parts[3], "offset", "length")
    document = make(session.machine)
    length = min(length, PACKET_SIZE - 1)
    return (b"m" if offset + length < len(document) else b"l") + document[offset:offset + length]


def choose_hart(session: Session, rest: bytes) -> bytes:
    """Hg THREAD, Hc THREAD: what following packets are about."""
    what, hart = rest[:1], session.some_hart(rest[1:])
    if what == b"c":
        session.moving = hart
    elif what == b"g":
        session.hart = session.hart if hart is None else hart
    else:
        raise PacketError(Code.MALFORMED, "H: expected Hg or Hc, and a thread")
    return b"OK"


def is_alive(session: Session, rest: bytes) -> bytes:
    """T THREAD: whether it is there."""
    session.hart_of(rest)
    return b"OK"


def current(session: Session, _rest: bytes) -> bytes:
    """qC: the hart looked at."""
    return b"QC%x" % (session.hart + 1)


def first_threads(session: Session, _rest: bytes) -> bytes:
    """qfThreadInfo: all threads."""
    return b"m" + b",".join(b"%x" % (hart.id + 1) for hart in session.machine.harts)


def further_threads(_session: Session, _rest: bytes) -> bytes:
    """qsThreadInfo: that was all."""
    return b"l"


def about_thread(session: Session, rest: bytes) -> bytes:
    """qThreadExtraInfo,THREAD: what there is to say about a hart."""
    hart = session.machine.harts[session.hart_of(rest.removeprefix(b","))]
    return tohex(f"hart {hart.id}: {description.extra(hart)}".encode())


def attached(_session: Session, _rest: bytes) -> bytes:
    """qAttached: the machine was there before the debugger; at its end GDB detaches, and does not kill."""
    return b"1"


def command(session: Session, rest: bytes) -> Answer:
    """qRcmd,HEX: a monitor command; its output."""
    line = data(rest.removeprefix(b","), "command").decode("utf-8", "replace")
    session.say(session.monitor.obey(session, line))
    return b"OK"


def extended(session: Session, _rest: bytes) -> bytes:
    """!: stay when the guest has ended."""
    session.extended = True
    return b"OK"


def not_understood(_session: Session, _rest: bytes) -> bytes:
    """vMustReplyEmpty."""
    return b""


HANDLERS: dict[bytes, Handler] = {
    b"qSupported": supported, b"?": why_stopped, b"QStartNoAckMode": no_acknowledgements, b"qXfer": transfer,
    b"H": choose_hart, b"T": is_alive, b"qC": current, b"qfThreadInfo": first_threads,
    b"qsThreadInfo": further_threads, b"qThreadExtraInfo": about_thread, b"qAttached": attached, b"qRcmd": command,
    b"!": extended, b"vMustReplyEmpty": not_understood,
}
