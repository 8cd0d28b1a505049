"""Commands that go forwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.stop import Breakpoint, Stepped, Stop, Watchpoint

from .. import places
from ..arguments import count, nothing
from ..backtrace import backtrace
from ..command import Again, Command, Completes
from ..errors import DebugError
from ..instructions import named
from ..walking import deeper, line_forwards, next_instruction, out_of_loop, run_to

if TYPE_CHECKING:
    from ..session import Session


def continue_(session: Session, text: str) -> None:
    times = count(session, text)
    target = session.target

    def journey() -> Stop:
        here = session.points.of(target.points.at(target.stop))
        for _ in range(times - 1):
            stop = target.resume()
            if not isinstance(stop, Breakpoint | Watchpoint) or here and not set(here) & set(
                    session.points.of(target.points.at(stop))):
                return stop
        return target.resume()

    session.move(journey)


def repeated(step: str, session: Session, text: str) -> None:
    """Make steps of a kind, as many as are asked for; a hit on the way ends them."""
    times = count(session, text)

    def journey() -> Stop:
        if step == "stepi":
            return session.target.step(times, hart=session.hart_number)
        stop: Stop = Stepped()
        for _ in range(times):
            stop = next_instruction(session) if step == "nexti" else line_forwards(session, into=step == "step")
            if not isinstance(stop, Stepped):
                break
        return stop

    session.move(journey)


def stepi(session: Session, text: str) -> None:
    repeated("stepi", session, text)


def nexti(session: Session, text: str) -> None:
    repeated("nexti", session, text)


def step(session: Session, text: str) -> None:
    repeated("step", session, text)


def next_(session: Session, text: str) -> None:
    repeated("next", session, text)


def finish(session: Session, text: str) -> None:
    nothing(text, "finish")
    calls = backtrace(session.hart, session.programs)
    if session.frame_number + 1 >= len(calls):
        raise DebugError("this is the outermost function that is known here: there is nothing that it returns to")
    caller, hart = calls[session.frame_number + 1], session.hart
    session.out(f"until {calls[session.frame_number].symbol} returns to {named(session, caller.pc)}")

    def journey() -> Stop:
        return run_to(session, [caller.pc], lambda: not deeper(hart.read("sp"), caller.sp))

    before = session.machine.instructions
    session.move(journey)
    if isinstance(session.target.stop, Breakpoint) and hart.pc == caller.pc and session.machine.instructions != before:
        value = hart.read("a0")
        session.values.history.append(value)
        session.out(f"${len(session.values.history)} = a0 = {value} = {value:#x}")


def until(session: Session, text: str) -> None:
    if text:
        run_until(session, text, leave=True)
        return
    session.move(lambda: out_of_loop(session))


def advance(session: Session, text: str) -> None:
    if not text:
        raise DebugError("advance where to? Expected a place, as break has them")
    run_until(session, text, leave=False)


def run_until(session: Session, text: str, *, leave: bool) -> None:
    """Run to a place; if asked for, no further than to the end of this function."""
    found = places.find(session, text)
    if not found.addresses:
        raise DebugError(f"{text} is a mark: tbreak {text} and continue go there")
    hart, wanted = session.hart, set(found.addresses)
    calls = backtrace(hart, session.programs) if leave else []
    out = calls[session.frame_number + 1] if leave and session.frame_number + 1 < len(calls) else None

    def arrived() -> bool:
        return hart.pc in wanted or out is not None and hart.pc == out.pc and not deeper(hart.read("sp"), out.sp)

    session.move(lambda: run_to(session, [*found.addresses, *([out.pc] if out is not None else [])], arrived))


def run(session: Session, text: str) -> None:
    nothing(text, "run")
    target = session.target

    def journey() -> Stop:
        if target.position != target.history.first.position:
            target.seek(target.history.first.position)
        return target.resume()

    session.move(journey)


COMMANDS = (
    Command("continue", "continue [N]", "go on until a breakpoint, a watchpoint, or the end", """\
With N, the Nth time that the breakpoint is hit at which the machine stands (or any, if it stands at none).
In the past this shows again what happened; at the present, what nobody has seen yet. Ctrl-C stops it.""",
            continue_, ("c", "cont"), Completes.EXPRESSION, Again.SAME),
    Command("stepi", "stepi [N]", "make one step of this hart, or N: an instruction, or a trap", """\
An instruction that traps, and an interrupt that is taken, are steps that lead to the trap handler. Other harts
run meanwhile, as the machine's scheduler has it.""", stepi, ("si",), Completes.EXPRESSION, Again.SAME),
    Command("nexti", "nexti [N]", "the same, but over calls, environment calls and interrupts", """\
Until they have returned to this function: a recursion of its does not count.""",
            nexti, ("ni",), Completes.EXPRESSION, Again.SAME),
    Command("step", "step [N]", "go to the next source line, into functions", """\
Functions without source lines are stepped over. Where the program has no line for pc (no DWARF), it is stepi.""",
            step, ("s",), Completes.EXPRESSION, Again.SAME),
    Command("next", "next [N]", "go to the next source line, over calls", """\
Where the program has no line for pc (no DWARF), it is nexti.""", next_, ("n",), Completes.EXPRESSION, Again.SAME),
    Command("finish", "finish", "run until the selected frame's function returns, and show a0", """\
Where it returns to is what backtrace shows as its caller.""", finish, ("fin",), again=Again.SAME),
    Command("until", "until [PLACE]", "next, but never backwards: out of a loop; or to PLACE in this function", """\
With PLACE, as break has them, it runs to there, or until this function returns.""",
            until, ("u",), Completes.PLACE, Again.SAME),
    Command("advance", "advance PLACE", "run to PLACE, as break has them", """\
The same as tbreak and continue, for the selected hart.""", advance, (), Completes.PLACE, Again.SAME),
    Command("run", "run", "go to where the history begins, and continue", """\
A machine is on from the start: continue is enough. Breakpoints stay.""", run, ("r",)),
)
