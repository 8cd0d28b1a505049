"""Stop replies: why the machine stands still, in a debugger's words.

        T05 thread:1; swbreak:;             a breakpoint         T05 thread:1; watch:ADDRESS;    a watchpoint
        T05 thread:1;                       a step, a mark       T05 thread:1; replaylog:begin;  the history begins
        T02 thread:1;                       0x03 was sent        W03                             the guest has ended

What has no word of its own is told as text before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..debug import HostWrote, ProgramEnded
from ..stop import (
    Breakpoint, Exited, HistoryBegins, Interrupted, Marked, Stepped, Stop, TrapLoop, Watch, Watchpoint,
)
from . import registers
from .points import Kind
from .wire import little

if TYPE_CHECKING:
    from ..debug import Target
    from .points import Wishes

TRAP, INT, ABORT = 5, 2, 6
"""Signals, as GDB numbers them."""
_WATCH_WORDS = {Kind.STORES: "watch", Kind.LOADS: "rwatch", Kind.BOTH: "awatch"}
_BREAK_WORDS = {Kind.SOFTWARE: "swbreak", Kind.HARDWARE: "hwbreak"}


def hart_of(target: Target, stop: Stop, stepping: int | None = None) -> int:
    """The hart that a stop is about: the one that was `stepping` for a step."""
    if isinstance(stop, Breakpoint | Watchpoint | TrapLoop):
        return stop.hart
    if isinstance(stop, Stepped) and stepping is not None:
        return stepping
    return target.machine.engine.current_hart


def reply(target: Target, wishes: Wishes, stop: Stop, hart: int) -> bytes:
    """The T packet for a stop."""
    machine = target.machine
    signal = INT if isinstance(stop, Interrupted) else TRAP
    expedited = b"".join(b"%x:%s;" % (number, little(machine.harts[hart].read(registers.REGISTERS[number].name)))
                         for number in (registers.SP, registers.FP, registers.PC))
    return b"T%02x%sthread:%x;core:%x;%s" % (signal, expedited, hart + 1, hart, _reason(wishes, stop).encode())


def _reason(wishes: Wishes, stop: Stop) -> str:
    if isinstance(stop, Breakpoint):
        kind = wishes.breakpoint_kind(stop.pc)
        return "" if kind is None else f"{_BREAK_WORDS[kind]}:;"
    if isinstance(stop, Watchpoint):
        return _watch(wishes, stop.watch, stop.address)
    if isinstance(stop, HostWrote):
        return _watch(wishes, stop.watch, stop.watch.first)
    return "replaylog:begin;" if isinstance(stop, HistoryBegins) else ""


def _watch(wishes: Wishes, watch: Watch, address: int) -> str:
    """The bytes that were accessed, as the debugger knows them: of those it watches, the first."""
    wish = wishes.watching(watch)
    if wish is None:
        return ""
    offset = min(max(address - watch.first, 0), watch.size - 1)
    return f"{_WATCH_WORDS[wish.kind]}:{wish.address + offset:x};"


def message(target: Target, stop: Stop) -> str:
    """What is to be said of a stop besides; nothing of most."""
    if stop is target.ended:
        return (f"The run is over: {stop}. One can still go backwards (reverse-stepi, reverse-continue); "
                "continue ends the session.\n")
    if isinstance(stop, Marked | HostWrote):
        return f"{str(stop)[0].upper()}{str(stop)[1:]}.\n"
    return ""


def farewell(stop: Stop) -> bytes:
    """The packet that ends a session: the guest's exit code, or a signal for an end that was no exit."""
    if isinstance(stop, Exited):
        return b"W%02x" % (stop.code & 0xFF)
    if isinstance(stop, ProgramEnded):
        return b"W%02x" % (not stop.ok)
    return b"X%02x" % ABORT
