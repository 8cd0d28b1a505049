"""Kernel memory: the eyes (hartwell.eyes) as commands, and what changed between two points of the run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from hartwell.eyes import EYES, Eye, EyeContext, EyeError
from kernel.track import Point

from ..command import Command, Completes
from ..errors import DebugError
from ..places import ADDRESS
from .looking import select_frame

if TYPE_CHECKING:
    from emulator.debug import Position
    from kernel.picture import Picture

    from ..session import Session

STACK_FRAMES = 4096
"""Arguments of `frame` below this are frames of the backtrace: no memory is there."""


def look(eye: Eye, session: Session, text: str) -> None:
    """Let an eye look; its arguments may be expressions."""
    eye.run(eye_context(session), text.split(), session.out)


def eye_context(session: Session) -> EyeContext:
    """What eyes look at now."""
    moment = moment_of(session) if session.target.in_past else None
    return EyeContext(session.machine, session.hart_number, resolve=partial(resolve, session), tracker=session.tracker,
                      moment=moment)


def moment_of(session: Session) -> Point | None:
    """Which of the tracker's records had been made here, in the past: all but those of operations done later."""
    if session.tracker is None:
        return None
    here = session.target.position
    later = sum(frame.position > here and frame.mark is not None and frame.mark.name.endswith(":done")
                and getattr(frame.mark.detail, "address", None) is not None for frame in session.target.history)
    return Point(session.machine.instructions, len(session.tracker) - later)


def resolve(session: Session, word: str) -> int | None:
    """The value of an expression, None if it has none."""
    from emulator.errors import EmulatorError

    from ..expression import ExpressionError, evaluate

    try:
        return evaluate(word, session.scope) & ADDRESS
    except (EmulatorError, ExpressionError):
        return None


def frame(eye: Eye, session: Session, text: str) -> None:
    """A frame of memory, or with a small number one of the backtrace."""
    if not text or text.isdecimal() and int(text) < STACK_FRAMES:
        select_frame(session, int(text) if text else session.frame_number)
    else:
        look(eye, session, text)


def diff(session: Session, text: str) -> None:
    words = text.split()
    if len(words) > 2:
        raise DebugError(f"diff {text}: expected at most two places: diff [A [B]]")
    from hartwell.views.diff import lines
    from kernel.picture import difference

    first = _position(session, words[0]) if words else session.previous
    last = _position(session, words[1]) if len(words) == 2 else session.target.position
    before, after = picture_at(session, first), picture_at(session, last)
    for line in lines(difference(before, after), plain=True):
        session.out(line)


def picture_at(session: Session, position: Position | int) -> Picture:
    """The kernel's memory at a place of the history; the machine is where it was afterwards."""
    from kernel.boot.boot_record import Phase
    from kernel.picture import Picture

    target = session.target
    here, stop = target.position, target.stop
    try:
        if isinstance(position, int):
            if position > target.end_instructions:
                raise DebugError(f"{position:,} instructions are more than the {target.end_instructions:,} that were "
                                 "retired so far")
            target.goto(position)
        elif position != here:
            target.seek(position)
        return Picture.of(EyeContext(session.machine, session.hart_number).memory(Phase.PAGE_TABLE))
    finally:
        if target.position != here:
            target.seek(here)
        target.stop = stop


def _position(session: Session, word: str) -> Position | int:
    """A place that is typed: a name that mark or the history has, or a number of instructions."""
    known = {"begin": session.target.history.first.position, "end": session.target.end, **session.places}
    if word in known:
        return known[word]
    try:
        return int(word.replace(",", "").replace("_", ""), 0)
    except ValueError:
        raise DebugError(f"diff {word}: expected a number of instructions, or one of {', '.join(sorted(known))}"
                         ) from None


_SPECIAL: dict[str, Callable[[Eye, Session, str], None]] = {"frame": frame}
_ALSO = {"frame": "\nWith a small number, or none, it selects a frame of the backtrace, as in gdb."}

COMMANDS = (
    *(Command(eye.name, eye.usage, eye.help, eye.more + _ALSO.get(eye.name, ""),
              partial(_SPECIAL.get(eye.name, look), eye), (), Completes.EXPRESSION, remote=True)
      for eye in EYES if eye.name != "diff"),
    Command("diff", "diff [A [B]]", "what changed in the kernel's memory since the last stop, or between places", """\
A and B are numbers of instructions, or names that mark has given; without B it is from A to here. Frames, address
spaces and their mappings, the heap, KVirtAreas and free memory are compared, by what is in emulated memory.""",
            diff, (), Completes.EXPRESSION, remote=True),
)

__all__ = ["COMMANDS", "EyeError", "eye_context", "picture_at"]
