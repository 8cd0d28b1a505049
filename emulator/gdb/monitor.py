"""Monitor commands: what GDB has no command for. A table of our own, and whatever the server was given besides.

A command answers with text, or raises MonitorError or EmulatorError, whose text is shown. One that moves the machine
cannot tell GDB so: it says how to make GDB look again.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..debug import MarkAt, Point
from ..errors import EmulatorError
from ..stop import HistoryBegins, Stop
from .stopreply import hart_of

if TYPE_CHECKING:
    from .session import Session

Further = Callable[[str, int], str]
"""Obeys a line for a hart; its text is shown."""
LOOK_AGAIN = "GDB does not know that the machine has moved; type:  maintenance flush register-cache\n"


class MonitorError(Exception):
    """A monitor command that cannot be obeyed; the text says what was expected."""


@dataclass(frozen=True)
class Command:
    """A monitor command: its arguments as shown, a line of help, how it is obeyed."""

    arguments: str
    help: str
    obey: Callable[[Session, Sequence[str]], str]
    least: int = 0
    most: int = 0


class Monitor:
    """Our commands, and behind them `further`, which is given every other line, and `help`, with the hart looked at."""

    def __init__(self, further: Further | None = None) -> None:
        self._further = further

    def obey(self, session: Session, line: str) -> str:
        """What a line says, ending with a line feed, unless it is empty."""
        try:
            answer = self._obey(session, line)
        except (MonitorError, EmulatorError) as why:
            answer = f"{why}\n"
        return answer if not answer or answer.endswith("\n") else answer + "\n"

    def _obey(self, session: Session, line: str) -> str:
        try:
            words = shlex.split(line)
        except ValueError as why:
            raise MonitorError(f"{line}: {why}") from None
        name = words[0] if words else "help"
        command = COMMANDS.get(name)
        if command is None:
            if self._further is not None:
                return self._further(line, session.hart)
            raise MonitorError(f"there is no monitor command {name!r}; monitor help lists them")
        if not command.least <= len(words) - 1 <= command.most:
            raise MonitorError(f"{line}: expected {name} {command.arguments}".rstrip())
        answer = command.obey(session, words[1:])
        return answer + self._further(line, session.hart) if name == "help" and self._further is not None else answer


def _help(_session: Session, _arguments: Sequence[str]) -> str:
    width = max(len(f"{name} {command.arguments}") for name, command in COMMANDS.items())
    return "".join(f"{f'{name} {command.arguments}':{width}}  {command.help}\n" for name, command in COMMANDS.items())


def _phys(session: Session, arguments: Sequence[str]) -> str:
    if arguments:
        if arguments[0] not in ("on", "off"):
            raise MonitorError(f"phys {arguments[0]}: expected on or off")
        session.memory.physical = arguments[0] == "on"
    return f"addresses of memory are {'physical' if session.memory.physical else 'virtual'}\n"


def _position(session: Session, _arguments: Sequence[str]) -> str:
    target = session.target
    where = f"{target.position} of {target.end}" if target.in_past else f"{target.position}, the present"
    return f"instruction {session.machine.instructions:,}; {where}\n"


def _history(session: Session, _arguments: Sequence[str]) -> str:
    history, end = session.target.history, session.target.end
    first = history.first
    return (f"from instruction {first.snapshot.instructions:,} ({first.position}) to {end}: {len(history)} keyframes, "
            f"{sum(frame.needed for frame in history)} of them behind turns of the host\n")


def _goto(session: Session, arguments: Sequence[str]) -> str:
    instruction = _number(arguments[0], "instruction")
    session.wishes.arm()
    stop = session.target.goto(instruction)
    return _moved(session, stop)


def _begin(session: Session, _arguments: Sequence[str]) -> str:
    session.target.seek(session.target.history.first.position)
    return _moved(session, HistoryBegins())


def _present(session: Session, _arguments: Sequence[str]) -> str:
    return _moved(session, session.target.seek(session.target.end))


def _moved(session: Session, stop: Stop) -> str:
    session.hart = hart_of(session.target, stop)
    why = "" if type(stop) is Stop else f"{stop}; "
    hart = session.looked_at
    return f"{why}{_position(session, ())}hart {hart.id} is at {hart.pc:#x}\n{LOOK_AGAIN}"


def _last_write(session: Session, arguments: Sequence[str]) -> str:
    address = _number(arguments[0], "address")
    size = _number(arguments[1], "length") if len(arguments) > 1 else 8
    if not 1 <= size <= 4096:
        raise MonitorError(f"last-write of {size} bytes: expected 1 to 4096")
    physical = session.memory.physical_of(session.looked_at, address, size)
    if physical is None:
        raise MonitorError(f"there is no memory, in one piece, at {address:#x}")
    found = session.target.last_write(physical, size)
    if found is None:
        return f"nothing wrote to {address:#x} since the history began\n"
    before, after = (_value(value) for value in (found.before, found.after))
    return (f"{found.stop}\nbefore {before}, after {after}\n"
            f"to go there: monitor goto {found.instructions}\n")


def _value(data: bytes) -> str:
    """Bytes as a number, if they are few."""
    return f"{int.from_bytes(data, 'little'):#x}" if len(data) <= 8 else data.hex(" ", 8)


def _stop_at(session: Session, arguments: Sequence[str]) -> str:
    if arguments:
        session.marks.append(session.target.points.add(MarkAt(arguments[0])))
    return "".join(f"stops at {_pattern(point)}\n" for point in session.marks) or (
        "stops at no marks; try: monitor stop-at stage:*\n")


def _pass_by(session: Session, arguments: Sequence[str]) -> str:
    for point in [point for point in session.marks if not arguments or _pattern(point) == arguments[0]]:
        session.marks.remove(point)
        session.target.points.remove(point)
    return _stop_at(session, ())


def _pattern(point: Point) -> str:
    assert isinstance(point.place, MarkAt)
    return point.place.pattern


def _retranslate(session: Session, _arguments: Sequence[str]) -> str:
    session.wishes.forget_places()
    return "the addresses of watchpoints are translated anew when the machine moves next\n"


def _number(text: str, what: str) -> int:
    try:
        value = int(text.replace(",", ""), 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise MonitorError(f"{text} is no {what}: expected a number such as 0x80200000")
    return value


COMMANDS = {
    "help": Command("", "this list", _help, most=1),
    "position": Command("", "where in the run the machine is", _position),
    "history": Command("", "how far back one can go", _history),
    "goto": Command("N", "go to where all harts together have retired N instructions, back or forth", _goto, 1, 1),
    "begin": Command("", "go to where the history begins", _begin),
    "present": Command("", "go to where the run has come to", _present),
    "last-write": Command("ADDRESS [LENGTH]", "what last wrote to memory, and when", _last_write, 1, 2),
    "stop-at": Command("[PATTERN]", "stop at marks of software on the host, such as stage:heap or stage:*", _stop_at,
                       most=1),
    "pass-by": Command("[PATTERN]", "stop there no more; without a pattern, at no marks", _pass_by, most=1),
    "phys": Command("[on|off]", "whether addresses of memory are physical", _phys, most=1),
    "retranslate": Command("", "look anew where watched virtual addresses are in memory", _retranslate),
}
