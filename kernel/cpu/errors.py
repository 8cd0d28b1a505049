"""What goes wrong between Python and a CPU.

    KernelError
    ├── CpuError                a CPU did not do what it was told; hart and pc are named
    │   ├── CpuNotReady         … it is not waiting for a command
    │   ├── CpuHung             … within its budget of instructions
    │   ├── CpuTrapLoop         … its trap handler traps
    │   ├── CpuDeadlock         … every hart waits for an interrupt, none will come
    │   ├── GuestExited         … the machine was switched off
    │   ├── GuestReset          … the machine was told to reset
    │   └── CpuStopped          … the machine stopped for another reason, such as a breakpoint
    ├── SbiError                the firmware refused a call
    └── KernelPanic             a trap in the kernel that nobody handles: UnhandledTrap
"""

from __future__ import annotations

from emulator import Stop
from kernel.errors import KernelError, KernelPanic


class CpuError(KernelError):
    """Hart `hart`, at `pc`, did not do what it was told; `stop` is why the machine stopped, if it did."""

    def __init__(self, message: str, hart: int, pc: int, stop: Stop | None = None) -> None:
        super().__init__(f"hart {hart} at {pc:#x}: {message}")
        self.hart, self.pc, self.stop = hart, pc, stop


class CpuNotReady(CpuError):
    """The hart does not wait for a command: it is somewhere else, or was never started."""


class CpuHung(CpuError):
    """The hart did not end its command within the budget of instructions."""


class CpuTrapLoop(CpuError):
    """The hart's trap handler traps, forever: as a rule the kernel's text is not mapped."""


class CpuDeadlock(CpuError):
    """All harts wait for interrupts, and there is nothing left that could raise one."""


class GuestExited(CpuError):
    """The machine was switched off while the hart had something to do."""


class GuestReset(CpuError):
    """A reset of the machine was asked for while the hart had something to do."""


class CpuStopped(CpuError):
    """The machine stopped for another reason; `Service.wait` goes on."""


class UnhandledTrap(KernelPanic):
    """A trap that no handler wants, by `cpu`: `scause`, `sepc` and `stval` as the hart gave them."""

    def __init__(self, message: str, cpu: int, scause: int, sepc: int, stval: int) -> None:
        super().__init__(message)
        self.cpu, self.scause, self.sepc, self.stval = cpu, scause, sepc, stval


class SbiError(KernelError):
    """The firmware answered an SBI call with error `code` (-1 …)."""

    def __init__(self, call: str, code: int) -> None:
        super().__init__(f"SBI {call}: error {code} ({SBI_ERRORS.get(code, 'not in the specification')})")
        self.code = code


SBI_ERRORS = {
    -1: "failed", -2: "not supported", -3: "invalid parameter", -4: "denied", -5: "invalid address",
    -6: "already available", -7: "already started", -8: "already stopped", -9: "no shared memory",
}
"""Standard error codes (SBI specification 2.0, chapter 3)."""
