"""Commands that go back, and to any place of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.debug import HostWrote
from emulator.stop import HistoryBegins, Stepped, Stop, Watchpoint

from .. import marks, places
from ..arguments import MOST, count, nothing
from ..backtrace import backtrace
from ..command import Again, Command, Completes
from ..errors import DebugError
from ..instructions import instruction_line, named
from ..stopping import shown
from ..walking import back_next, deeper, line_backwards, run_to
from ..watching import watch_of

if TYPE_CHECKING:
    from ..session import Session

LAST_WRITE = "write"
"""The place that last-write remembers."""


def reverse_continue(session: Session, text: str) -> None:
    times = count(session, text)

    def journey() -> Stop:
        stop: Stop = Stepped()
        for _ in range(times):
            stop = session.target.reverse_resume()
            if isinstance(stop, HistoryBegins):
                break
        return stop

    session.move(journey)


def repeated(step: str, session: Session, text: str) -> None:
    """Take steps of a kind back, as many as are asked for."""
    times = count(session, text)

    def journey() -> Stop:
        if step == "stepi":
            return session.target.reverse_step(times, hart=session.hart_number)
        stop: Stop = Stepped()
        for _ in range(times):
            stop = back_next(session) if step == "nexti" else line_backwards(session, into=step == "step")
            if not isinstance(stop, Stepped):
                break
        return stop

    session.move(journey)


def reverse_stepi(session: Session, text: str) -> None:
    repeated("stepi", session, text)


def reverse_nexti(session: Session, text: str) -> None:
    repeated("nexti", session, text)


def reverse_step(session: Session, text: str) -> None:
    repeated("step", session, text)


def reverse_next(session: Session, text: str) -> None:
    repeated("next", session, text)


def reverse_finish(session: Session, text: str) -> None:
    nothing(text, "reverse-finish")
    hart = session.hart
    function = session.programs.function(session.scope.register("pc"))
    if function is None:
        raise DebugError(f"no function is known at {hart.pc:#x}: reverse-stepi and reverse-continue go back here")
    calls = backtrace(hart, session.programs)
    sp = calls[session.frame_number + 1].sp if session.frame_number + 1 < len(calls) else hart.read("sp")
    session.out(f"back to the call of {function.name}")
    entries = [function.low, *places.elsewhere(session, function.low)]

    def journey() -> Stop:
        if hart.pc not in entries:
            stop = run_to(session, entries, lambda: not deeper(hart.read("sp"), sp), backwards=True)
            if not isinstance(stop, Stepped):
                return stop
        return session.target.reverse_step(1, hart=session.hart_number)

    session.move(journey)


def goto(session: Session, text: str) -> None:
    target = session.target
    fixed = {"begin": target.history.first.position, "end": target.end, **session.places}
    if text in fixed:
        session.move(lambda: target.seek(fixed[text]))
        return
    try:
        wanted = int(text.replace(",", "").replace("_", ""), 0)
    except ValueError:
        names = ", ".join(sorted(fixed))
        raise DebugError(f"goto {text or 'where'}: expected a number of instructions, such as 1,000,000, or one of "
                         f"{names}") from None
    if not 0 <= wanted <= MOST:
        raise DebugError(f"goto {text}: expected a number of instructions from 0 to {MOST:,}")
    session.move(lambda: target.goto(wanted))


def mark(session: Session, text: str) -> None:
    name = text.strip()
    if not name.isidentifier() or name in ("begin", "end", LAST_WRITE):
        raise DebugError(f"mark {name or 'what'}: expected a name, of letters and digits, that is not begin, end or "
                         f"{LAST_WRITE}")
    session.places[name] = session.target.position
    session.out(f"{name}: after {session.machine.instructions:,} instructions; goto {name} comes back")


def last_write(session: Session, text: str) -> None:
    watch = watch_of(session, text, "last-write", stores=True, loads=False)
    found = session.target.last_write(watch.first, watch.size, virtual=watch.virtual)
    what = f"{watch.size} byte{'s' * (watch.size > 1)} at {watch.first:#x}"
    if found is None:
        first = session.target.history.first.snapshot.instructions
        session.out(f"{what}: nothing has written there since the history began, after {first:,} instructions")
        return
    session.places[LAST_WRITE] = found.place
    if isinstance(found.stop, Watchpoint):
        by = f"hart {found.stop.hart}, by the instruction at {named(session, found.stop.pc)}"
    else:
        assert isinstance(found.stop, HostWrote)
        where = f" {marks.by(found.stop.mark)}" if found.stop.mark is not None else ""
        by = f"the kernel's Python code{where}"
    session.out(f"{what} were last written after {found.instructions:,} instructions: by {by}")
    if isinstance(found.stop, Watchpoint):
        session.out(instruction_line(session, found.stop.pc))
    session.out(f"  they held {shown(found.before)}, and hold {shown(found.after)}")
    session.out(f"goto {LAST_WRITE} goes to just before it")


COMMANDS = (
    Command("reverse-continue", "reverse-continue [N]", "go back to the last hit of a breakpoint or watchpoint", """\
A breakpoint's instruction, and an access that is watched, have then not been executed. Without one the machine
stands where the history begins. With N, that many hits back.""",
            reverse_continue, ("rc",), Completes.EXPRESSION, Again.SAME),
    Command("reverse-stepi", "reverse-stepi [N]", "take one step of this hart back, or N", """\
Everything is as it was: registers, memory, devices, time.""",
            reverse_stepi, ("rsi",), Completes.EXPRESSION, Again.SAME),
    Command("reverse-nexti", "reverse-nexti [N]", "the same, but back over calls, environment calls and interrupts",
            "", reverse_nexti, ("rni",), Completes.EXPRESSION, Again.SAME),
    Command("reverse-step", "reverse-step [N]", "go back to the beginning of a source line, into functions", """\
Where the program has no line for pc (no DWARF), it is reverse-stepi.""",
            reverse_step, ("rs",), Completes.EXPRESSION, Again.SAME),
    Command("reverse-next", "reverse-next [N]", "the same, but back over calls", """\
Where the program has no line for pc (no DWARF), it is reverse-nexti.""",
            reverse_next, ("rn",), Completes.EXPRESSION, Again.SAME),
    Command("reverse-finish", "reverse-finish", "go back to the call of the selected frame's function", "",
            reverse_finish, ("rfin",), again=Again.SAME),
    Command("goto", "goto N|NAME|begin|end", "go to where all harts together had retired N instructions", """\
NAME is a place that mark has remembered, or write, where last-write has found something; begin is where the
history begins, end is the present. In the past nothing stops it; beyond the present the run goes on to there.""",
            goto, (), Completes.EXPRESSION, remote=True),
    Command("mark", "mark NAME", "remember this place, for goto and diff", "", mark, remote=True),
    Command("last-write", "last-write ADDR [LEN]", "who has last written to memory: the instruction, and when", """\
LEN is in bytes, 8 if it is left out. {u32}ADDR, too, says how many. An instruction that stores what was there
before has written. Of Hartwell's own kernel, whose code is Python, it is the stage or operation that is told.
goto write goes to just before it.""", last_write, (), Completes.EXPRESSION, remote=True),
)
