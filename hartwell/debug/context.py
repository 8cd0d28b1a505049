"""The context: all that one wants to see at a stop, on one screen.

        --- hart 0, S-mode, after 4,153 instructions ---
        registers       those that changed since the last stop have a *
        translation     satp: mode, root, asid
        code            around pc, with symbols, and where the next instruction leads
        stack           words from sp on, those that are in a program named
        source          lines around the one at pc, if DWARF tells
        harts           a line each, if there are several
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.errors import BusError
from emulator.hart import PRIVILEGE_NAMES, X_NAMES

from .instructions import around, named
from .palette import Role

if TYPE_CHECKING:
    from .session import Session

COLUMNS = 4
BEFORE, AFTER = 3, 6
"""Instructions that are shown around pc."""
STACK_WORDS = 6
SOURCE_LINES = 3
"""Source lines before and behind the one at pc."""
WIDTH = 100
SATP_MODES = {0: "bare", 8: "sv39", 9: "sv48", 10: "sv57"}
"""Modes of satp (privileged specification, table 4.4)."""


def context(session: Session) -> list[str]:
    """All of it."""
    from .stopping import where

    said = [heading(session, where(session)), *registers(session), translation(session),
            heading(session, "code"), *around(session, BEFORE, AFTER), heading(session, "stack"), *stack(session)]
    line = session.programs.line(session.hart.pc)
    if line is not None:
        said += [heading(session, f"source: {line.file}:{line.line}"), *source(session, line.file, line.line)]
    if len(session.machine.harts) > 1:
        said += [heading(session, "harts"), *harts(session)]
    return said


def heading(session: Session, text: str) -> str:
    """A line that parts the screen."""
    return session.paint(Role.HEADING, f"--- {text} ".ljust(WIDTH, "-"))


def changed(session: Session, name: str, value: int) -> bool:
    """Whether a register of the hart held something else at the last stop."""
    return session.registers_before[session.hart_number].get(name, value) != value


def registers(session: Session) -> list[str]:
    """x1 to x31 and pc, four to a line; `*` and a colour for those that changed."""
    cells = []
    for name, value in session.hart.registers().items():
        is_new = changed(session, name, value)
        cell = f"{'*' if is_new else ' '}{name:4}{value:#018x}"
        cells.append(session.paint(Role.CHANGED, cell) if is_new else cell)
    rows = -(-len(cells) // COLUMNS)
    return ["  ".join(cells[row::rows]) for row in range(rows)]


def translation(session: Session) -> str:
    """satp, decoded."""
    satp = session.hart.read_csr("satp")
    mode = SATP_MODES.get(satp >> 60, f"mode {satp >> 60}")
    if not satp >> 60:
        return "satp bare: addresses are physical"
    return f"satp {mode}, root table {(satp & (1 << 44) - 1) << 12:#x}, asid {satp >> 44 & 0xFFFF}"


def stack(session: Session) -> list[str]:
    """The words that sp points to, with the names of those that are addresses in a program."""
    sp = session.hart.read("sp")
    said: list[str] = []
    for number in range(STACK_WORDS):
        address = sp + 8 * number
        try:
            value = int.from_bytes(session.read(address, 8), "little")
        except BusError:
            return said or [f"    sp is {sp:#018x}, where there is no memory"]
        label = "sp" if not number else f"+{8 * number}"
        said.append(f"    {address:#018x} {label:>4}  {value:#018x}{_name(session, value)}")
    return said


def _name(session: Session, value: int) -> str:
    name = session.programs.format(value)
    return "" if name.startswith("0x") else f"  {session.paint(Role.SYMBOL, f'<{name}>')}"


def source(session: Session, file: str, line: int, before: int = SOURCE_LINES, after: int = SOURCE_LINES) -> list[str]:
    """Lines of a source file around one, which has `=>`."""
    found = session.programs.source(file, max(1, line - before), line + after)
    if not found:
        return [f"    {file} is not found here: --directory says where sources are"]
    here = session.paint(Role.HERE, "=>")
    return [f" {here if each.line == line else '  '} {each.line:5}  {each.text or ''}".rstrip() for each in found]


def harts(session: Session) -> list[str]:
    """A line for each hart; `*` is the one that is looked at."""
    return [f" {'*' if hart.id == session.hart_number else ' '} hart {hart.id}  "
            f"{PRIVILEGE_NAMES.get(hart.priv, hart.priv)}  {'waits' if hart.waiting else 'runs '}  "
            f"{named(session, hart.pc)}" for hart in session.machine.harts]


def register_lines(session: Session, names: tuple[str, ...] = X_NAMES[1:]) -> list[str]:
    """Registers as gdb's `info registers` has them: name, hexadecimal, and a name or a number."""
    said = []
    for name in (*names, "pc") if names == X_NAMES[1:] else names:
        value = session.scope.register(name)
        symbol = session.programs.format(value)
        signed = value - (value >> 63 << 64)
        shown = f"<{symbol}>" if not symbol.startswith("0x") else str(signed)
        said.append(f"{name:14} {value:#018x}  {shown}")
    return said
