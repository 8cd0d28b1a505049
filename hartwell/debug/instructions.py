"""How instructions are shown: a line each, with symbols, where control goes, and which one is next.

        0x80200000 <_start>:      auipc  sp, 8
     => 0x80200004 <_start+4>:    beqz   a0, 0x80200010 <idle>      [taken, forwards]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.errors import BusError

from .disassembly import Instruction, disassemble, disassemble_before
from .palette import Role

if TYPE_CHECKING:
    from .session import Session

HERE = "=>"


def named(session: Session, address: int) -> str:
    """`0x80200000 <_start>`, or the bare address."""
    name = session.programs.format(address)
    return f"{address:#x}" if name.startswith("0x") else f"{address:#x} {session.paint(Role.SYMBOL, f'<{name}>')}"


def text_of(session: Session, instruction: Instruction) -> str:
    """Mnemonic and operands, and the name of where it leads."""
    symbol = f" {session.paint(Role.SYMBOL, f'<{instruction.symbol}>')}" if instruction.symbol else ""
    return instruction.text.replace("\t", " ") + symbol


def line_of(session: Session, instruction: Instruction, width: int = 0) -> str:
    """The line of an instruction; `width` is what its address and name are padded to."""
    here = instruction.address == session.hart.pc
    mark = session.paint(Role.HERE, HERE) if here else "  "
    name = session.programs.format(instruction.address)
    plain = f"{instruction.address:#x}" + ("" if name.startswith("0x") else f" <{name}>") + ":"
    shown = f" {mark} {named(session, instruction.address)}:{' ' * max(width - len(plain), 0)}"
    return f"{shown}  {text_of(session, instruction)}{hint(session, instruction) if here else ''}"


def hint(session: Session, instruction: Instruction) -> str:
    """Where the instruction at pc will lead, if not to the next one."""
    register = session.hart.read
    taken = instruction.taken(register)
    if taken is False:
        return session.paint(Role.FAINT, "   [not taken]")
    to = instruction.destination(register)
    if taken and to is not None:
        return session.paint(Role.HERE, f"   [taken, {'forwards' if to > instruction.address else 'backwards'}]")
    if to is not None and instruction.target is None:
        return session.paint(Role.HERE, f"   [to {session.programs.format(to)}]")
    return ""


def around(session: Session, before: int, after: int) -> list[str]:
    """Lines of the instructions around pc of the hart: up to so many before it, and it with those behind it."""
    pc = session.hart.pc
    try:
        shown = disassemble(session.read, session.programs, pc, after)
    except BusError as why:
        return [f" {HERE} {named(session, pc)}:  {why}"]
    if before:
        shown = disassemble_before(session.read, session.programs, pc, before) + shown
    return lines(session, shown)


def lines(session: Session, shown: list[Instruction]) -> list[str]:
    """Lines of instructions, aligned."""
    names = [session.programs.format(each.address) for each in shown]
    width = max((len(f"{each.address:#x}") + (0 if name.startswith("0x") else len(name) + 3) + 1
                 for each, name in zip(shown, names, strict=True)), default=0)
    return [line_of(session, each, width) for each in shown]


def instruction_line(session: Session, address: int) -> str:
    """The line of the instruction at an address."""
    try:
        return line_of(session, disassemble(session.read, session.programs, address, 1)[0])
    except BusError as why:
        return f"    {named(session, address)}:  {why}"
