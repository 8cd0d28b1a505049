"""The code of a search over guest code: instructions; for people, names, source lines, strings, and how it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator import Hart, HostCall, Stop, Watchdog
from emulator.solo import Before
from hartwell.debug.programs import Programs
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.subject.guest import PANIC
from kernel.cpu.trap import cause_name

if TYPE_CHECKING:
    from hartwell.lab.subject.text import Text
    from kernel import Kernel

    from .window import Windows

LONGEST_STRING: Final = 200
ATOMIC_OPCODE: Final = 0x2F
SC: Final = 3
"""funct5 of it (unprivileged specification, table 37)."""


class Code:
    """What `text`, mapped in `kernel`, is at addresses; `windows` are the memory that it shares.

    `traps` is where the kernel's text stands when code has trapped.
    """

    def __init__(self, kernel: Kernel, text: Text, windows: Windows, traps: int) -> None:
        self._bus, self._port, self._hart = kernel.machine.bus, kernel.mm.port, kernel.service.hart(0)
        self._symbols, self._windows, self._traps = text.symbols, windows, traps
        self._programs = Programs([text.image])
        self._instructions: dict[int, int] = {}

    def name(self, address: int) -> str:
        """What is at a virtual address: a symbol and how far behind it, or where in shared memory."""
        return (self._symbols.format(address) if self._symbols.nearest(address) is not None
                else self._windows.name(address))

    def place(self, pc: int) -> str:
        """The function that `pc` is in, and how far."""
        return self._symbols.format(pc)

    def line(self, pc: int) -> str:
        """file:line, empty if nobody knows."""
        line = self._programs.line(pc)
        return "" if line is None else f"{line.file.rpartition('/')[2]}:{line.line}"

    def instruction(self, pc: int) -> int:
        """The instruction at a pc of the text: 16 or 32 bits."""
        code = self._instructions.get(pc)
        if code is None:
            hart = self._hart
            low = int.from_bytes(hart.read_memory(pc, 2, 1), "little")
            code = low if low & 3 != 3 else low | int.from_bytes(hart.read_memory(pc + 2, 2, 1), "little") << 16
            self._instructions[pc] = code
        return code

    def string(self, hart: Hart, address: int) -> str:
        """The C string at a virtual address of a hart, at most 200 bytes of it."""
        said = bytearray()
        for at in range(address, address + LONGEST_STRING):
            physical = hart.translate(at)
            if physical is None or not self._port.has(physical):
                break
            byte = self._bus.read(physical, 1)
            if byte == b"\0":
                break
            said += byte
        return said.decode("utf-8", "backslashreplace") or "(no text)"

    def failure(self, thread: int, hart: Hart, doing: str, stop: Before | Stop, budget: int) -> Finding:
        """What it means that CPU `thread` has stopped within its code, other than before an access.

        `doing` is the call that it makes, if any; `budget` the instructions that it had.
        """
        said = f"CPU {thread}{', ' if doing else ''}{doing}"
        pc = hart.pc
        if isinstance(stop, HostCall) and stop.instruction == PANIC:
            text = self.string(hart, hart.read("a0"))
            return Finding(FindingKind.CRASH, f"{said}: panicked at {self.name(pc)}: {text}", None, pc,
                           expected="a return", actual=f"panic: {text}", details={"cpu": thread, "panic": text})
        if isinstance(stop, HostCall) and pc == self._traps:
            cause, value, where = (hart.read_csr(name) for name in ("scause", "stval", "sepc"))
            return Finding(FindingKind.CRASH, f"{said}: {cause_name(cause)} at {self.name(where)}, value {value:#x}",
                           None, where, expected="a return", actual=cause_name(cause),
                           details={"cpu": thread, "cause": cause_name(cause), "pc": where, "value": value})
        if isinstance(stop, Watchdog):
            return Finding(FindingKind.HANG, f"{said}: no access to what is shared, and no return, within {budget:,} "
                           f"instructions; it was at {self.name(pc)}", None, pc, expected="a return",
                           actual=f"still at {self.name(pc)}", details={"cpu": thread, "pc": pc})
        return Finding(FindingKind.CRASH, f"{said}: {stop}", None, pc, expected="a return", actual=str(stop),
                       details={"cpu": thread, "pc": pc})
