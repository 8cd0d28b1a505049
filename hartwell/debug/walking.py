"""Ways through a program that are more than one step: over calls, to a place, by source lines, out of functions.

They are made of the target's steps and of breakpoints that nobody sees; each returns why it ended: Stepped if it
came to where it was to go, another Stop if a point of the user's, an end or Ctrl-C was first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from emulator.debug import BreakAt
from emulator.errors import BusError
from emulator.stop import Breakpoint, Stepped, Stop

from .backtrace import backtrace
from .disassembly import Instruction, disassemble
from .flow import Kind
from .programs import Function, SourceLine

if TYPE_CHECKING:
    from .session import Session

ECALL = 0x73
STACK_MOST = 1 << 20
"""Bytes of a stack; what is further apart is on another."""
MOST_EXITS = 200
"""Breakpoints that a loop is left by: the machine has 256."""
INTERRUPT = 1 << 63
"""The bit of xcause that tells interrupts from exceptions (privileged specification, 3.1.15)."""


def run_to(session: Session, addresses: Iterable[int], arrived: Callable[[], bool], *, backwards: bool = False) -> Stop:
    """Run until the selected hart is at one of `addresses`, and `arrived` says so."""
    target, hart = session.target, session.hart_number

    def reached(stop: Stop) -> bool:
        return isinstance(stop, Breakpoint) and stop.hart == hart and arrived()

    mine = [target.points.add(BreakAt(address), reached) for address in dict.fromkeys(addresses)]
    try:
        stop = target.reverse_resume() if backwards else target.resume()
        hit = target.points.at(stop)
    finally:
        for point in mine:
            target.points.remove(point)
    return Stepped() if hit and all(point in mine for point in hit) else stop


def deeper(sp: int, than: int) -> bool:
    """Whether a stack pointer is in a frame that was called from one with another; on another stack, nobody knows."""
    return 0 < than - sp < STACK_MOST


def instruction_at(session: Session, address: int) -> Instruction | None:
    """The instruction at an address; None where there is no memory."""
    try:
        return disassemble(session.read, session.programs, address, 1)[0]
    except (BusError, IndexError):
        return None


# --- forwards -----------------------------------------------------------------------------------------------------


def step_instruction(session: Session) -> Stop:
    """One step of the selected hart."""
    return session.target.step(1, hart=session.hart_number)


def next_instruction(session: Session) -> Stop:
    """The same, but over calls, environment calls and interrupts: until they have returned."""
    hart = session.hart
    pc, sp, privilege, traps = hart.pc, hart.read("sp"), hart.priv, hart.traps
    instruction = instruction_at(session, pc)
    behind = pc + (instruction.size if instruction is not None else 4)

    def returned() -> bool:
        return hart.priv == privilege and not deeper(hart.read("sp"), sp)

    stop = step_instruction(session)
    if not isinstance(stop, Stepped):
        return stop
    if hart.traps != traps:
        if hart.read("mcause" if hart.priv == 3 else "scause") & INTERRUPT:
            stop = run_to(session, [pc], returned)
            return next_instruction(session) if isinstance(stop, Stepped) else stop
        if instruction is not None and instruction.bits == ECALL and hart.priv != privilege:
            return run_to(session, [behind], returned)
    elif instruction is not None and instruction.kind is Kind.CALL and hart.pc != behind:
        return run_to(session, [behind], returned)
    return stop


def line_forwards(session: Session, *, into: bool) -> Stop:
    """To the beginning of another source line: into functions that have lines, or over all calls.

    Without a line at pc it is one instruction.
    """
    start = _line(session)
    if start is None:
        return step_instruction(session) if into else next_instruction(session)
    while True:
        stop = _step_into_lines(session) if into else next_instruction(session)
        now = _line(session)
        if not isinstance(stop, Stepped) or now is None:
            return stop
        if now == start:
            continue
        if not _inside_line(session, now):
            return stop
        start = now  # back in the middle of the caller's line


def out_of_loop(session: Session) -> Stop:
    """To the next source line, but if that jumps back in this function, on until it is left forwards.

    Whoever comes from before pc to behind it does so on one of few ways: he falls through, jumps, or returns.
    """
    hart = session.hart
    pc, sp = hart.pc, hart.read("sp")
    function = session.programs.function(pc)
    stop = line_forwards(session, into=False)
    if not isinstance(stop, Stepped) or function is None or not function.low <= hart.pc <= pc < function.high:
        return stop
    code = _code(session, function)
    exits = {each.target for each in code if each.target is not None and pc < each.target < function.high}
    exits |= {each.address + each.size for each in code if each.address == pc}
    calls = backtrace(hart, session.programs)
    if len(calls) > 1:
        exits.add(calls[1].pc)
    return run_to(session, sorted(exits)[:MOST_EXITS], lambda: not deeper(hart.read("sp"), sp))


def _code(session: Session, function: Function) -> list[Instruction]:
    found = disassemble(session.read, session.programs, function.low, (function.high - function.low) // 2)
    return [each for each in found if each.address < function.high]


def _step_into_lines(session: Session) -> Stop:
    """A step; over a call if what is called has no source lines."""
    hart = session.hart
    instruction = instruction_at(session, hart.pc)
    if instruction is not None and (instruction.kind is Kind.CALL or instruction.bits == ECALL):
        to = instruction.destination(hart.read)
        if to is None or session.programs.line(to) is None:
            return next_instruction(session)
    return step_instruction(session)


def _line(session: Session, address: int | None = None) -> SourceLine | None:
    return session.programs.line(session.hart.pc if address is None else address)


def _inside_line(session: Session, line: SourceLine) -> bool:
    """Whether pc is behind the first instruction of its line."""
    return _line(session, session.hart.pc - 1) == line


# --- backwards ----------------------------------------------------------------------------------------------------


def back_instruction(session: Session) -> Stop:
    """One step of the selected hart back."""
    return session.target.reverse_step(1, hart=session.hart_number)


def back_next(session: Session) -> Stop:
    """The same, but back over calls, environment calls and interrupts as a whole."""
    hart = session.hart
    pc, sp, privilege = hart.pc, hart.read("sp"), hart.priv
    stop = back_instruction(session)
    if not isinstance(stop, Stepped):
        return stop
    instruction = instruction_at(session, hart.pc)
    if instruction is None:
        return stop

    def before() -> bool:
        return hart.priv == privilege and not deeper(hart.read("sp"), sp)

    if instruction.kind is Kind.RETURN and instruction.destination(hart.read) == pc and hart.pc not in (pc - 4, pc - 2):
        return run_to(session, [pc - 4, pc - 2], before, backwards=True)
    if instruction.kind is Kind.TRAP_RETURN and hart.priv != privilege:
        stop = run_to(session, [pc - 4, pc], before, backwards=True)
        return back_next(session) if isinstance(stop, Stepped) and hart.pc == pc else stop
    return stop


def line_backwards(session: Session, *, into: bool) -> Stop:
    """To the beginning of the source line before; without a line at pc it is one instruction."""
    back = back_instruction if into else back_next
    start = _line(session)
    if start is None:
        return back(session)
    at_start = not _inside_line(session, start)
    while True:
        stop = back(session)
        now = _line(session)
        if not isinstance(stop, Stepped) or now is None:
            return stop
        if now == start and not at_start:
            if not _inside_line(session, now):
                return stop
            continue
        if now != start or at_start:
            if not _inside_line(session, now):
                return stop
            start, at_start = now, False
