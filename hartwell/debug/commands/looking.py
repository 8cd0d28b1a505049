"""Commands that look at registers, memory and code, and change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.errors import BusError

from .. import context as views
from ..arguments import count, nothing, numbers, split_format
from ..backtrace import Call, backtrace
from ..command import Again, Command, Completes
from ..disassembly import disassemble
from ..errors import DebugError
from ..expression import evaluate
from ..instructions import lines as instruction_lines
from ..instructions import named
from ..places import ADDRESS, address
from ..session import Display
from ..showing import display_lines, examine_lines, value_text
from . import info

if TYPE_CHECKING:
    from ..session import Session

LISTED = 10
"""Source lines that list shows."""
LONGEST = 1 << 20
"""Bytes of code that are disassembled at once."""


def x(session: Session, text: str) -> None:
    for line in examine_lines(session, *split_format(text)):
        session.out(line)


def xp(session: Session, text: str) -> None:
    for line in examine_lines(session, *split_format(text), physical=True):
        session.out(line)


def print_(session: Session, text: str) -> None:
    format, expression = split_format(text)
    if not expression:
        if not session.values.history:
            raise DebugError("print what? Expected an expression, such as $a0 + 4 or {u64}main")
        expression = f"${len(session.values.history)}"
    value = evaluate(expression, session.scope)
    shown = value_text(session, value, format)
    session.values.history.append(value)
    session.out(f"${len(session.values.history)} = {shown}")


def display(session: Session, text: str) -> None:
    if not text:
        for each in session.displays:
            for line in display_lines(session, each.number, each.format, each.text):
                session.out(line)
        return
    format, expression = split_format(text)
    evaluate(expression, session.scope)
    made = Display(max((each.number for each in session.displays), default=0) + 1, format, expression)
    lines = display_lines(session, made.number, format, expression)
    session.displays.append(made)
    for line in lines:
        session.out(line)


def undisplay(session: Session, text: str) -> None:
    chosen = set(numbers(text)) if text else {each.number for each in session.displays}
    for number in sorted(chosen - {each.number for each in session.displays}):
        raise DebugError(f"there is no display {number}: display lists them")
    session.displays = [each for each in session.displays if each.number not in chosen]


def context(session: Session, text: str) -> None:
    nothing(text, "context")
    for line in views.context(session):
        session.out(line)


def disas(session: Session, text: str) -> None:
    first, size, what = _code(session, text)
    try:
        shown = disassemble(session.read, session.programs, first, max(size // 2, 1))
    except BusError as why:
        raise DebugError(str(why)) from None
    kept = [each for each in shown if each.address < first + size]
    session.out(f"{what}:")
    for line in instruction_lines(session, kept):
        session.out(line)


def _code(session: Session, text: str) -> tuple[int, int, str]:
    """First address, bytes, and what they are: a function, or what the argument says."""
    start, comma, end = (part.strip() for part in text.partition(","))
    first = address(session, start) if start else session.scope.register("pc")
    if comma:
        last = first + address(session, end[1:]) if end.startswith("+") else address(session, end)
        if not first < last <= first + LONGEST:
            raise DebugError(f"disas {text}: {last:#x} is not behind {first:#x}, or more than {LONGEST:,} bytes")
        return first, last - first, f"{first:#x} to {last:#x}"
    function = session.programs.function(first)
    if function is None or function.high <= function.low:
        raise DebugError(f"no function is known at {first:#x}: disas {first:#x},+32 shows 32 bytes of code")
    shift = first - session.programs.linked(first)  # before a higher-half kernel has turned translation on
    return function.low + shift, min(function.high - function.low, LONGEST), function.name


def backtrace_(session: Session, text: str) -> None:
    calls = backtrace(session.hart, session.programs, count(session, text, 64))
    for number, call in enumerate(calls):
        session.out(frame_line(session, number, call))


def frame_line(session: Session, number: int, call: Call) -> str:
    """A line of a backtrace: `#1 0x80200124 in main (hello.c:12)`."""
    here = "*" if number == session.frame_number else " "
    where = f" ({call.line.file}:{call.line.line})" if call.line is not None else ""
    how = " [trapped here]" if call.how.value == "trap frame" else ""
    return f"{here}#{number:<2} {call.pc:#018x} in {call.symbol}{where}{how}"


def up(session: Session, text: str) -> None:
    select_frame(session, session.frame_number + count(session, text))


def down(session: Session, text: str) -> None:
    select_frame(session, session.frame_number - count(session, text))


def select_frame(session: Session, number: int) -> None:
    """Look at a frame of the backtrace; DebugError if there is no such."""
    calls = backtrace(session.hart, session.programs)
    if not 0 <= number < len(calls):
        raise DebugError(f"there is no frame {number}: the backtrace has 0 to {len(calls) - 1}")
    session.frame_number = number
    session.listing = None
    session.out(frame_line(session, number, calls[number]))
    line = calls[number].line
    if line is not None and line.text is not None:
        session.out(f"{line.line:5}  {line.text}")


def list_(session: Session, text: str) -> None:
    file, first = _listing(session, text)
    found = session.programs.source(file, first, first + LISTED - 1)
    if not found:
        raise DebugError(f"{file} has no line {first}, or is not found here: directory DIR says where sources are")
    here = session.programs.line(session.scope.register("pc"))
    for each in found:
        mark = "=>" if here is not None and (each.file, each.line) == (here.file, here.line) else "  "
        session.out(f" {mark} {each.line:5}  {each.text or ''}".rstrip())
    session.listing = file, found[-1].line + 1


def _listing(session: Session, text: str) -> tuple[str, int]:
    """The file and first line that list is to show."""
    if not text and session.listing is not None:
        return session.listing
    file, colon, number = text.rpartition(":")
    if colon and number.isdecimal() or text.isdecimal():
        line = session.programs.line(session.scope.register("pc")) if not colon else None
        if not colon and line is None:
            raise DebugError(f"line {text} of which file? There is no source line at pc")
        return file if colon else line.file if line is not None else "", max(1, int(number if colon else text) - 5)
    at = address(session, text) if text else _pc_of_line(session)
    line = session.programs.line(at)
    if line is None:
        raise DebugError(f"there is no source line at {named(session, at)}: disas shows the instructions")
    return line.file, max(1, line.line - 5)


def _pc_of_line(session: Session) -> int:
    """pc of the selected frame; of a caller, an address in its call."""
    pc = session.scope.register("pc")
    return pc if session.frame_number == 0 else (pc - 1) & ADDRESS


_FORMATS = """\
FMT is a count, a format and a size, in any order, as in gdb: formats x hexadecimal, d signed, u unsigned, o octal,
t binary, a address with symbol, c character, s string, i instruction; sizes b 1 byte, h 2, w 4, g 8.
x/8xg $sp shows 8 words of 8 bytes, x/4i $pc 4 instructions. Without ADDR it goes on behind the last bytes shown."""

COMMANDS = (
    Command("x", "x[/FMT] [ADDR]", "examine memory at a virtual address of the hart", _FORMATS,
            x, (), Completes.EXPRESSION, Again.ONWARDS, remote=True),
    Command("xp", "xp[/FMT] [ADDR]", "examine memory at a physical address", """\
As x. Devices' registers are not memory, and not read by it: reading them may change them.""",
            xp, (), Completes.EXPRESSION, Again.ONWARDS, remote=True),
    Command("print", "print[/F] [EXPR]", "show the value of an expression", """\
Expressions are C's, over $registers, symbols (which are addresses), numbers and memory: {u64}ADDR is the 8 bytes at
ADDR. F is x, z, d, u, o, t, a or c, as x has them. What was shown is $1, $2 and so on in later ones.""",
            print_, ("p", "inspect"), Completes.EXPRESSION, remote=True),
    Command("display", "display[/FMT] [EXPR]", "show a value, or memory, at every stop from now on", """\
FMT is one of print's, or one of x's with a count or size: display/4i $pc. Without EXPR all are shown now.""",
            display, (), Completes.EXPRESSION),
    Command("undisplay", "undisplay [N ...]", "show it no more; none, without a number", "", undisplay),
    Command("info", "info SUBJECT", "what there is: registers, breakpoints, harts, history, symbols …", info.HELP,
            info.info, ("i",), Completes.SUBJECT, remote=True),
    Command("context", "context", "registers, code, stack, source and harts, on one screen", """\
Registers that changed since the last stop have a star. set context on shows it at every stop, as at a terminal.""",
            context, ("ctx",), remote=True),
    Command("backtrace", "backtrace [N]", "who called whom, innermost first", """\
At most N frames. The star is the selected frame: up, down and frame N select another.""",
            backtrace_, ("bt", "where"), remote=True),
    Command("up", "up [N]", "select the frame of the caller", """\
$pc and $sp are then the frame's, and list, finish and print use it.""", up, remote=True),
    Command("down", "down [N]", "select the frame that was called from this one", "", down, remote=True),
    Command("list", "list [FILE:LINE|LINE|ADDR]", "source lines around a place, then the ones behind them", """\
Without an argument around pc. --directory, and directory, say where sources are.""",
            list_, ("l",), Completes.PLACE, Again.ONWARDS),
    Command("disas", "disas [ADDR[,END|,+BYTES]]", "the instructions of the function around pc, or ADDR", "",
            disas, ("disassemble",), Completes.EXPRESSION, remote=True),
)
