"""Values as `print` and `display` show them, and memory as `x` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.errors import BusError, EmulatorError

from .errors import DebugError
from .examine import examine
from .examineformat import FormatError, parse_format
from .expression import ExpressionError, evaluate
from .places import ADDRESS

if TYPE_CHECKING:
    from .session import Session

FORMATS = "xduotacz"


def value_text(session: Session, value: int, format: str) -> str:
    """A value in one of print's formats; "" for decimal, and what else is worth knowing of it."""
    unsigned = value & ADDRESS
    symbol = session.programs.format(unsigned)
    name = "" if symbol.startswith("0x") else f" <{symbol}>"
    signed = unsigned - (unsigned >> 63 << 64)
    match format:
        case "x":
            return f"{unsigned:#x}"
        case "z":
            return f"{unsigned:#018x}"
        case "d":
            return str(signed)
        case "u":
            return str(unsigned)
        case "o":
            return f"0{unsigned:o}" if unsigned else "0"
        case "t":
            return f"{unsigned:b}"
        case "a":
            return f"{unsigned:#x}{name}"
        case "c":
            byte = unsigned & 0xFF
            return f"{byte} {chr(byte)!r}"
        case "":
            return str(value) if 0 <= value < 10 else f"{value} = {unsigned:#x}{name}"
    raise DebugError(f"print has no format {format!r}: expected one of {', '.join(FORMATS)}; x/{format} shows memory")


def examine_lines(session: Session, format: str, text: str, *, physical: bool = False) -> list[str]:
    """What `x/FORMAT TEXT` shows; without a text it goes on where the last one ended."""
    address, last = session.examining
    try:
        wanted = parse_format(format, last)
    except FormatError as why:
        raise DebugError(str(why)) from None
    if text:
        address = evaluate(text, session.scope) & ADDRESS
    end, refused = -1, None

    def read(start: int, size: int) -> bytes:
        nonlocal end, refused
        try:
            data = session.read_physical(start, size) if physical else session.read(start, size)
        except BusError as why:
            refused = why
            raise
        end = max(end, start + size)
        return data

    lines = examine(read, address, wanted.count, wanted.format, wanted.size, session.programs)
    if end < 0 and refused is not None:
        raise DebugError(str(refused))
    session.examining = (end & ADDRESS if wanted.count > 0 and end > 0 else address), wanted
    return lines


def show_displays(session: Session) -> None:
    """All displays; one that has no value now says why."""
    for display in session.displays:
        for line in display_lines(session, display.number, display.format, display.text):
            session.out(line)


def display_lines(session: Session, number: int, format: str, text: str) -> list[str]:
    """The lines of one display: as `x` has them for a format with a count or a size, or of text or instructions."""
    head = f"{number}: {'/' + format + ' ' if format else ''}{text}"
    try:
        if format and (format not in FORMATS or len(format) > 1):
            return [head, *examine_lines(session, format, text)]
        return [f"{head} = {value_text(session, evaluate(text, session.scope), format)}"]
    except (EmulatorError, ExpressionError, DebugError) as why:
        return [f"{head}: {why}"]

