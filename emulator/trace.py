"""Traces: what the harts do, as lines of text.

        insns   0 M 0x80000000 _start                 00000297  auipc  t0, 0
        traps   0 S 0x80200040 -> S 0x80200100  load page fault (13), value 0x4000
        mmio    0 M 0x80000a10  store 1 byte at 0x10000000 (uart + 0x0): 0x48
        csr     0 M 0x80000020  mtvec: 0x0 -> 0x80000100
        xret    0 M 0x80000494  mret -> S 0x80200000 _start

The first two columns are the hart and its privilege. An instruction trace runs at some hundred
thousand instructions per second; the other kinds cost little. Lines come in the order in which
things happened.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from .csrs import NAMES
from .disassembler import disassemble
from .engine.block import SRET
from .engine.tracing import TRACE_CSR, TRACE_INSN, TRACE_MMIO, TRACE_TRAP, TRACE_XRET
from .hart import PRIVILEGE_NAMES
from .loader.symbols import SymbolTable
from .machine import Machine
from .range import Range
from .stop import CAUSES, INTERRUPTS

MASK = (1 << 64) - 1


class TraceKind(Enum):
    """What to trace."""

    INSNS = "insns"
    TRAPS = "traps"
    MMIO = "mmio"
    CSR = "csr"
    XRET = "xret"


_BITS = {TraceKind.INSNS: TRACE_INSN, TraceKind.TRAPS: TRACE_TRAP, TraceKind.MMIO: TRACE_MMIO, TraceKind.CSR: TRACE_CSR,
         TraceKind.XRET: TRACE_XRET}


class Tracer:
    """Traces `kinds` on `machine` until `close`, a call of `emit` for each line.

    `symbols` names addresses; `where` limits the trace to events whose pc lies in that range of
    virtual addresses. One tracer per machine at a time.
    """

    def __init__(self, machine: Machine, kinds: frozenset[TraceKind], emit: Callable[[str], None],
                 symbols: SymbolTable | None = None, where: Range | None = None) -> None:
        self._machine = machine
        self._emit = emit
        self._symbols = symbols or SymbolTable()
        self._where = where
        self._format: dict[int, Callable[[int, int, int, int, int], str]] = {
            TRACE_INSN: self._insn, TRACE_TRAP: self._trap, TRACE_MMIO: self._mmio, TRACE_CSR: self._csr,
            TRACE_XRET: self._xret}
        machine.engine.trace.record(sum(_BITS[kind] for kind in kinds))
        machine.tracers.append(self)

    def drain(self) -> None:
        """Emit what was recorded; the machine calls it whenever it stops for a moment."""
        for row in self._machine.engine.trace.take().tolist():
            head, pc = row[0], row[1] & MASK
            if self._where is not None and not self._where.contains(pc):
                continue
            kind, hart, priv = head & 0xFF, head >> 8 & 0xFF, head >> 16
            self._emit(f"{hart} {PRIVILEGE_NAMES.get(priv, '?')} " + self._format[kind](pc, *row[2:6]))

    def close(self) -> None:
        """Emit what is left, and end the trace."""
        self.drain()
        self._machine.engine.trace.record(0)
        self._machine.tracers.remove(self)

    def _insn(self, pc: int, bits: int, _b: int, _c: int, _d: int) -> str:
        digits = 8 if bits & 3 == 3 else 4
        name = self._symbols.format(pc)
        shown = f"{'' if name.startswith('0x') else name:<28} {bits:0{digits}x}"
        return f"{pc:#x} {shown:<37}  {disassemble(pc, bits)}"

    def _trap(self, pc: int, cause: int, value: int, target: int, priv: int) -> str:
        number = cause & (1 << 63) - 1
        names = INTERRUPTS if cause < 0 else CAUSES
        what = names.get(number, "reserved")
        return (f"{self._at(pc)} -> {PRIVILEGE_NAMES.get(priv, '?')} {self._at(target & MASK)}  {what} ({number})"
                + ("" if cause < 0 else f", value {value & MASK:#x}"))

    def _mmio(self, pc: int, address: int, size: int, value: int, store: int) -> str:
        device = self._machine.bus.device_at(address)
        place = f"{device.name} + {address - device.base:#x}" if device is not None else "nothing"
        return (f"{self._at(pc)}  {'store' if store else 'load'} {size} byte{'s' if size > 1 else ''} at "
                f"{address:#x} ({place}): {value & (1 << 8 * size) - 1:#x}")

    def _csr(self, pc: int, number: int, old: int, new: int, _d: int) -> str:
        return f"{self._at(pc)}  {NAMES.get(number, hex(number))}: {old & MASK:#x} -> {new & MASK:#x}"

    def _xret(self, pc: int, bits: int, target: int, priv: int, _d: int) -> str:
        return (f"{self._at(pc)}  {'sret' if bits == SRET else 'mret'} -> {PRIVILEGE_NAMES.get(priv, '?')} "
                f"{self._at(target & MASK)}")

    def _at(self, address: int) -> str:
        name = self._symbols.format(address)
        return f"{address:#x} {name}" if name and not name.startswith("0x") else f"{address:#x}"
