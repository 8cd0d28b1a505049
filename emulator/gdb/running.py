"""Packets that move the machine, or say where it is to stop: c s vCont bc bs, Z z, and the ways to leave.

All harts are on one clock, and a machine of several cannot run in part: whatever a debugger wants of single threads,
`c` lets all of them run, and a step is over when the hart that it is for has made it, wherever the others are then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..debug import Target
from ..stop import Interrupted, Stepped, Stop
from . import registers
from .points import Kind, Wish
from .session import Answer, Goodbye, Handler, Leave, Move, Session
from .stopreply import farewell
from .wire import Code, PacketError, number, numbers, shown

ACTIONS = b"vCont;c;C;s;S;r"


@dataclass(frozen=True)
class _Action:
    """What vCont wants of some threads: `hart` None is all."""

    letter: str
    hart: int | None
    start: int = 0
    end: int = 0


def resume(session: Session, rest: bytes) -> Answer:
    """c [ADDRESS]: run."""
    _jump(session, rest)
    return _unless_over(session, Move(lambda target: target.resume()))


def step(session: Session, rest: bytes) -> Answer:
    """s [ADDRESS]: a step."""
    _jump(session, rest)
    return _step(session, session.hart if session.moving is None else session.moving)


def with_signal(handler: Handler) -> Handler:
    """C and S SIGNAL[;ADDRESS]: as c and s; harts know no signals."""

    def obey(session: Session, rest: bytes) -> Answer:
        signal, _, address = rest.partition(b";")
        number(signal, "signal")
        return handler(session, address)

    return obey


def _jump(session: Session, address: bytes) -> None:
    if address:
        value = number(address, "address").to_bytes(8, "little")
        registers.check(registers.REGISTERS[registers.PC], value)
        session.target.changing()
        registers.write(session.machine, session.hart, registers.REGISTERS[registers.PC], value)


def _step(session: Session, hart: int) -> Answer:
    return _unless_over(session, Move(lambda target: target.step(hart=hart), hart))


def _unless_over(session: Session, move: Move) -> Answer:
    """The move; at the end of the run, where the debugger has been told of it, the end of the session."""
    target = session.target
    if target.ended is None or target.in_past or not session.over:
        return move
    return Goodbye(farewell(target.ended), Leave.ENDED)


def actions(_session: Session, _rest: bytes) -> bytes:
    """vCont?: what vCont can do."""
    return ACTIONS


def resume_some(session: Session, rest: bytes) -> Answer:
    """vCont;ACTION[:THREAD]…: a step or a range of them if a hart is to make one, else all run."""
    wanted = [_action(session, part) for part in rest.removeprefix(b";").split(b";")]
    for action in wanted:
        hart = session.hart if action.hart is None else action.hart
        if action.letter in "sS":
            return _step(session, hart)
        if action.letter == "r":
            return _unless_over(session, Move(_within(action, hart), hart))
    return resume(session, b"")


def _action(session: Session, text: bytes) -> _Action:
    what, colon, thread = text.partition(b":")
    letter = what[:1].decode("ascii", "replace")
    hart = session.some_hart(thread) if colon else None
    start = end = 0
    if letter == "r":
        start, end = numbers(what[1:], "start", "end")
    elif letter in ("C", "S"):
        number(what[1:], "signal")
    elif what not in (b"c", b"s"):
        raise PacketError(Code.MALFORMED, f"vCont {shown(text)}: expected {ACTIONS.decode()}")
    return _Action(letter, hart, start, end)


def _within(action: _Action, hart: int) -> Callable[[Target], Stop]:
    """Steps of a hart while it is in a range of addresses; at least one."""

    def journey(target: Target) -> Stop:
        while True:
            stop = target.step(hart=hart)
            if not isinstance(stop, Stepped) or not action.start <= target.machine.harts[hart].pc < action.end:
                return stop
            if target.wanted_still():
                return Interrupted()

    return journey


def backwards(session: Session, rest: bytes) -> Answer:
    """bc and bs: the same as c and s, backwards."""
    if rest == b"c":
        return Move(lambda target: target.reverse_resume(), backwards=True)
    if rest == b"s":
        hart = session.hart if session.moving is None else session.moving
        return Move(lambda target: target.reverse_step(hart=hart), hart, backwards=True)
    raise PacketError(Code.MALFORMED, f"b{shown(rest)}: expected bc or bs")


def insert(session: Session, rest: bytes) -> bytes:
    """Z KIND,ADDRESS,SIZE: a breakpoint or watchpoint."""
    session.wishes.insert(_wish(rest), session.looked_at)
    return b"OK"


def remove(session: Session, rest: bytes) -> bytes:
    """z KIND,ADDRESS,SIZE: the same, no more."""
    session.wishes.remove(_wish(rest))
    return b"OK"


def _wish(rest: bytes) -> Wish:
    kind, address, size = numbers(rest.partition(b";")[0], "type", "address", "kind")
    if kind not in tuple(Kind):
        raise PacketError(Code.MALFORMED, f"there are no breakpoints of type {kind}: expected 0 to 4")
    return Wish(Kind(kind), address, size if Kind(kind).watches else 0)


def detach(session: Session, _rest: bytes) -> Answer:
    """D: the debugger goes, the machine runs on."""
    return Goodbye(b"OK", Leave.DETACHED)


def kill(_session: Session, _rest: bytes) -> Answer:
    """k: the end of the machine; there is no answer."""
    return Goodbye(None, Leave.KILLED)


def kill_process(_session: Session, _rest: bytes) -> Answer:
    """vKill;PID: the same, with one."""
    return Goodbye(b"OK", Leave.KILLED)


def restart(session: Session, _rest: bytes) -> Answer:
    """vRun, R: back to the beginning of the history: the run is the same every time."""
    first = session.target.history.first.position
    session.over = False
    return Move(lambda target: target.seek(first))


HANDLERS: dict[bytes, Handler] = {
    b"c": resume, b"C": with_signal(resume), b"s": step, b"S": with_signal(step),
    b"vCont": resume_some, b"vCont?": actions, b"b": backwards, b"Z": insert, b"z": remove,
    b"D": detach, b"k": kill, b"vKill": kill_process, b"R": restart, b"vRun": restart,
}
