"""Backtraces: who called whom.

A caller is found by call frame information where the compiler left some, else by following the code of the function
up to where it is (`prologue`), else, where nothing is known of the code, by the chain of frame pointers. Trap
vectors are followed into what they interrupted, in whatever privilege it ran.

A backtrace ends where no caller is known: at reset code, at a return address that no call left, where memory cannot
be read, or where the frames go in circles. Devices are never read, whatever a stack pointer points to.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from emulator.errors import BusError
from emulator.hart import Hart

from .callframe import FrameRules, Rule, Where
from .flow import Kind, flow
from .programs import Function, Programs, SourceLine
from .prologue import FP, RA, SP, STATUS, analyse

MASK: Final = (1 << 64) - 1
LONGEST_VECTOR: Final = 1024
"""Bytes of assembly from a trap vector on that are taken to be of it."""
_PRESERVED = (SP, 3, 4, FP, 9, *range(18, 28))
_MACHINE, _SUPERVISOR = 3, 1
_MPP_SHIFT, _SPP_SHIFT = 11, 8


class How(Enum):
    """How a frame was found."""

    REGISTERS = "registers"
    """It is the innermost."""
    CFI = "call frame information"
    FRAME_POINTER = "frame pointer"
    PROLOGUE = "prologue"
    TRAP = "trap frame"


@dataclass(frozen=True)
class Call:
    """A frame of a backtrace.

    `pc` is where it is: for all but the innermost frame, and those that a trap interrupted, where its callee will
    return to, and then `function` and `line` are those of the call before it. `sp` is its stack pointer, `privilege`
    what it runs in (0 U, 1 S, 3 M), `symbol` is `pc` by name.
    """

    pc: int
    sp: int
    symbol: str
    function: Function | None
    line: SourceLine | None
    how: How
    privilege: int


@dataclass(frozen=True)
class _Frame:
    """A frame as far as it is known; `exact` says that `pc` is the next instruction, not one behind a call."""

    pc: int
    registers: dict[int, int]
    privilege: int
    how: How
    exact: bool

    @property
    def place(self) -> int:
        """An address within the instruction that it is at."""
        return self.pc if self.exact else self.pc - 1 & MASK


def backtrace(hart: Hart, programs: Programs, limit: int = 64) -> list[Call]:
    """The frames of what `hart` is doing, innermost first: at least one, at most `limit`. Never raises."""
    frame: _Frame | None = _Frame(hart.pc, {number: hart.read(f"x{number}") for number in range(1, 32)}, hart.priv,
                                  How.REGISTERS, True)
    calls: list[Call] = []
    seen: set[tuple[int, int]] = set()
    while frame is not None and len(calls) < max(limit, 1):
        sp = frame.registers.get(SP, 0)
        if (frame.pc, sp) in seen:
            break
        seen.add((frame.pc, sp))
        calls.append(_call(programs, frame))
        frame = _caller(hart, programs, frame)
    return calls


def return_address(hart: Hart, programs: Programs) -> int | None:
    """Where the function that `hart` is in will return to, for `finish`; None if that cannot be known."""
    calls = backtrace(hart, programs, 2)
    return calls[1].pc if len(calls) > 1 else None


def _call(programs: Programs, frame: _Frame) -> Call:
    function = programs.function(frame.place)
    if function is None:
        symbol = programs.format(frame.pc)
    else:
        distance = programs.linked(frame.place) + frame.pc - frame.place - function.low
        symbol = f"{function.name}+{distance:#x}" if distance else function.name
    return Call(frame.pc, frame.registers.get(SP, 0), symbol, function, programs.line(frame.place), frame.how,
                frame.privilege)


def _caller(hart: Hart, programs: Programs, frame: _Frame) -> _Frame | None:
    """The frame around `frame`, None where there is none, or none that can be believed."""
    how, rules, vector = How.CFI, None, _vector(hart, programs, frame)
    if vector is None:
        rules = programs.frame_rules(frame.place)
    if rules is None:
        how, rules = _follow_code(hart, programs, frame, vector)
    if rules is None:
        return None
    try:
        caller = _apply(hart, frame, rules, how)
    except (BusError, KeyError):  # memory that cannot be read, a register that is not known
        return None
    if caller.how is How.TRAP:
        return caller
    if caller.registers[SP] < frame.registers[SP] or not frame.exact and caller.registers[SP] == frame.registers[SP]:
        return None
    if how is not How.CFI and not _behind_call(hart, caller):
        return None
    return caller


def _vector(hart: Hart, programs: Programs, frame: _Frame) -> int | None:
    """Where the trap vector begins that the frame is in; None if it is in none."""
    vector = hart.read_csr({_MACHINE: "mtvec", _SUPERVISOR: "stvec"}[frame.privilege]) & ~3 if frame.privilege else 0
    distance = programs.linked(frame.place) - programs.linked(vector)
    if not vector or not 0 <= distance < LONGEST_VECTOR:
        return None
    found = programs.symbols.nearest(programs.linked(frame.place))
    beyond = found is not None and found[0].size and found[1] < distance  # in a function behind the vector
    return None if beyond else frame.place - distance & MASK


def _follow_code(hart: Hart, programs: Programs, frame: _Frame, vector: int | None) -> tuple[How, FrameRules | None]:
    """The rules that the code gives, or, where no code is known, the frame pointer."""
    start = vector
    if start is None:
        function = programs.function(frame.place)
        if function is None:
            saved = {RA: Rule(Where.SAVED, -8), FP: Rule(Where.SAVED, -16)}
            return How.FRAME_POINTER, FrameRules(FP, 0, saved, RA, False)
        start = frame.place - (programs.linked(frame.place) - function.low) & MASK
    try:
        code = hart.read_memory(start, frame.pc - start, frame.privilege)
    except BusError:
        return How.PROLOGUE, None
    rules = analyse(code, start, frame.pc, vector is not None)
    if rules is None or vector is not None and not rules.signal:
        return How.PROLOGUE, None
    return How.TRAP if rules.signal else How.FRAME_POINTER if rules.register == FP else How.PROLOGUE, rules


def _apply(hart: Hart, frame: _Frame, rules: FrameRules, how: How) -> _Frame:
    """The caller by `rules`; BusError or KeyError where they lead nowhere."""
    anchor = frame.registers[rules.register] + rules.offset & MASK
    registers = {number: value for number, value in frame.registers.items()
                 if rules.signal or number in _PRESERVED or number == RA and frame.exact}
    registers[SP] = anchor
    for number, rule in rules.rules.items():
        if rule.where is Where.SAVED:
            registers[number] = _word(hart, anchor + rule.value & MASK, frame.privilege)
        elif rule.where is Where.SUM:
            registers[number] = anchor + rule.value & MASK
        elif rule.where is Where.REGISTER:
            registers[number] = frame.registers[rule.value]
        elif rule.where is Where.LOST:
            registers.pop(number, None)
    pc, privilege = registers.pop(rules.ra), frame.privilege
    status = registers.pop(STATUS, None)
    if how is How.TRAP:
        if status is None:
            status = hart.read_csr("mstatus")
        privilege = status >> _MPP_SHIFT & 3 if frame.privilege == _MACHINE else status >> _SPP_SHIFT & 1
    if pc == 0 or pc & 1 or registers[SP] & 7:
        raise BusError(f"no instruction at {pc:#x}, or no stack at {registers[SP]:#x}")
    hart.read_memory(pc, 2, privilege)
    return _Frame(pc, registers, privilege, how, rules.signal)


def _word(hart: Hart, address: int, privilege: int) -> int:
    if address & 7:
        raise BusError(f"{address:#x} is not aligned")
    return int.from_bytes(hart.read_memory(address, 8, privilege), "little")


def _behind_call(hart: Hart, frame: _Frame) -> bool:
    """Whether a call is right before the frame's pc."""
    for size in (4, 2):
        try:
            bits = int.from_bytes(hart.read_memory(frame.pc - size & MASK, size, frame.privilege), "little")
        except BusError:
            continue
        if flow(bits).kind is Kind.CALL and (bits & 3 == 3) == (size == 4):
            return True
    return False
