"""Backtraces of guest code in the lab: from where a hart is to where the lab called it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator.errors import BusError
from emulator.hart import Hart
from hartwell.debug.backtrace import backtrace
from hartwell.debug.disassembly import disassemble
from hartwell.debug.programs import Programs


@dataclass(frozen=True)
class Frame:
    """A frame of a backtrace: `pc`, behind the call but for the innermost one, `symbol`; `file` and `line`, "" and 0 if
    they are not known."""

    pc: int
    symbol: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """`free_slot+0x1c (allocators/slab/slab.c:117)`."""
        return f"{self.symbol} ({self.file}:{self.line})" if self.file else self.symbol

    def to_json(self) -> dict[str, Any]:
        """The frame as JSON has it."""
        return {"pc": f"{self.pc:#x}", "symbol": self.symbol, "file": self.file, "line": self.line}


def frames_of(hart: Hart, programs: Programs) -> tuple[Frame, ...]:
    """What `hart` is doing, innermost frame first: at least one. Frames of code that `programs` do not know end it."""
    found: list[Frame] = []
    for call in backtrace(hart, programs):
        if found and programs.image_at(call.pc) is None:
            break
        file, line = ("", 0) if call.line is None else (call.line.file, call.line.line)
        found.append(Frame(call.pc, call.symbol, file, line))
    return tuple(found)


def instruction_of(hart: Hart, programs: Programs, pc: int) -> str:
    """The instruction at `pc`, disassembled; empty where there is none."""
    try:
        return disassemble(hart.read_memory, programs, pc, 1)[0].text
    except (BusError, IndexError):
        return ""


def frame_lines(frames: tuple[Frame, ...]) -> list[str]:
    """The frames, a line each, as the debugger shows them."""
    return [f" #{number:<2} {frame.pc:#018x} in {frame.place}" for number, frame in enumerate(frames)]
