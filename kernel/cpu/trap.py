"""Traps that the kernel's text reports: who handles which.

    traps.register(13, on_load_page_fault)           # by scause: exception 13
    traps.register(INTERRUPT | 5, on_timer)          # interrupt 5

A handler gets the CPU and its trap frame, which it may change: the CPU goes on with what the frame
then says. While it runs, the CPU takes commands. What no handler is registered for stops the kernel.
"""

from __future__ import annotations

from collections.abc import Callable

from emulator import CAUSES, INTERRUPTS
from kernel.text.image import kernel_image

from .abi import TrapFrame
from .errors import UnhandledTrap

INTERRUPT = 1 << 63
"""The bit of scause that marks an interrupt."""

TrapHandler = Callable[[int, TrapFrame], None]
"""Called with the CPU's number and its frame; what it raises ends the wait for the CPU's command."""


class TrapHandlers:
    """The handlers of one kernel, by scause; `default` gets what has none."""

    def __init__(self, default: TrapHandler | None = None) -> None:
        self.default: TrapHandler = default or unhandled
        self._handlers: dict[int, TrapHandler] = {}

    def register(self, scause: int, handler: TrapHandler) -> TrapHandler | None:
        """Make `handler` the one for `scause`; the one that it replaces."""
        old = self._handlers.get(scause)
        self._handlers[scause] = handler
        return old

    def unregister(self, scause: int) -> None:
        """Give `scause` back to the default handler."""
        self._handlers.pop(scause, None)

    def dispatch(self, cpu: int, frame: TrapFrame) -> None:
        """Call the handler for the trap in `frame`."""
        self._handlers.get(frame.scause, self.default)(cpu, frame)


def cause_name(scause: int) -> str:
    """The name of a trap's cause, as the privileged specification has it."""
    names = INTERRUPTS if scause & INTERRUPT else CAUSES
    code = scause & ~INTERRUPT
    return names.get(code, f"reserved {'interrupt' if scause & INTERRUPT else 'exception'} {code}")


def unhandled(cpu: int, frame: TrapFrame) -> None:
    """Raise UnhandledTrap, a KernelPanic: cause, place (by symbol in the kernel's text) and value."""
    scause, sepc, stval = frame.scause, frame.sepc, frame.stval
    where = f"{sepc:#x}"
    symbol = kernel_image().symbols.format(sepc)
    if symbol != where:
        where += f" ({symbol})"
    mode = "U" if frame.from_user else "S"
    raise UnhandledTrap(f"CPU {cpu}: unhandled trap in {mode}-mode: {cause_name(scause)} at {where}, value {stval:#x}",
                        cpu, scause, sepc, stval)
