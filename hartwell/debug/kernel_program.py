"""Hartwell's own kernel as the program that drives a machine under the debugger.

Its boot stages are marks by themselves; its memory manager's operations become marks here: `op:NAME` before anything
is done, `op:NAME:done` when all is done, with the address that an allocation has found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.machine import Machine
    from kernel import Kernel
    from kernel.mm.operations import Operation
    from kernel.track import Tracker


def boot_kernel(tracker: Tracker | None) -> Callable[[Machine], Kernel]:
    """The program: a boot, whose operations `tracker` writes down, too, if there is one."""
    def boot(machine: Machine) -> Kernel:
        from kernel import Kernel
        from kernel.boot.booting import Choices
        from kernel.mm.operations import Moment, told_to

        def tell(operation: Operation) -> None:
            done = ":done" if operation.moment is Moment.RETURN else ""
            machine.mark(f"op:{operation.kind.value}{done}", operation)

        listeners = [tell] if tracker is None else [tracker, tell]
        return Kernel.start(machine, Choices(operations=told_to(*listeners)))

    return boot
