"""Calls to the firmware: the SBI functions that the kernel uses (SBI specification 2.0)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum

from kernel.mm.port import MemoryPort
from kernel.text.image import KernelHeader

from .abi import Command
from .errors import GuestExited, GuestReset, SbiError
from .service import Cpus


class Extension(IntEnum):
    """Extension ids."""

    LEGACY_PUTCHAR = 0x01
    BASE = 0x10
    TIME = 0x54494D45
    IPI = 0x735049
    RFENCE = 0x52464E43
    HSM = 0x48534D
    SRST = 0x53525354
    DBCN = 0x4442434E


class HartState(IntEnum):
    """What hart_get_status says of a hart (chapter 9)."""

    STARTED = 0
    STOPPED = 1
    START_PENDING = 2
    STOP_PENDING = 3
    SUSPENDED = 4
    SUSPEND_PENDING = 5
    RESUME_PENDING = 6


class Sbi:
    """The firmware, as the CPU that `cpu()` names calls it.

    Bytes to print go through the kernel text's console buffer at `header.console`. Every method raises
    SbiError for what the firmware refuses, CpuError if the machine stops.
    """

    def __init__(self, cpus: Cpus, port: MemoryPort, header: KernelHeader, cpu: Callable[[], int] = int) -> None:
        self._cpus, self._port, self._header, self._cpu = cpus, port, header, cpu
        self._debug_console: bool | None = None

    def call(self, extension: int, function: int, *args: int) -> int:
        """Any SBI call with up to six arguments; its value."""
        if len(args) > 6:
            raise ValueError(f"{len(args)} arguments of an SBI call: expected at most 6")
        padded = args + (0,) * (6 - len(args))
        error, value = self._cpus.call(self._cpu(), Command.ECALL, *padded, function, extension)
        if error:
            name = next((known.name for known in Extension if known == extension), hex(extension))
            raise SbiError(f"{name} function {function}", error - (1 << 64) if error >> 63 else error)
        return value

    def probe_extension(self, extension: int) -> bool:
        """Whether the firmware has an extension."""
        return self.call(Extension.BASE, 3, extension) != 0

    def console_write(self, data: bytes) -> None:
        """Print `data` on the debug console; on firmware older than SBI 2.0 byte by byte, by the legacy extension."""
        if not self._has_debug_console():
            for byte in data:
                self.call(Extension.LEGACY_PUTCHAR, 0, byte)
            return
        room, buffer = self._header.console_size, self._header.console
        done = 0
        while done < len(data):
            part = data[done:done + room]
            self._port.write(buffer, part)
            written = self.call(Extension.DBCN, 0, len(part), buffer, 0)
            if not 0 < written <= len(part):
                raise SbiError(f"console_write printed {written} of {len(part)} bytes", -1)
            done += written

    def _has_debug_console(self) -> bool:
        if self._debug_console is None:
            self._debug_console = self.probe_extension(Extension.DBCN)
        return self._debug_console

    def set_timer(self, time: int) -> None:
        """A timer interrupt for this CPU when `time` (ticks of the timebase) is reached; withdraws a pending one."""
        self.call(Extension.TIME, 0, time)

    def send_ipi(self, harts: Iterable[int]) -> None:
        """A software interrupt for each of `harts` (hart ids, 0 … 63)."""
        self.call(Extension.IPI, 0, hart_mask(harts), 0)

    def remote_sfence_vma(self, harts: Iterable[int], vaddr: int = 0, size: int = 0) -> None:
        """sfence.vma on each of `harts` for `size` bytes at `vaddr`, everything if both are 0; returns when done."""
        self.call(Extension.RFENCE, 1, hart_mask(harts), 0, vaddr, size)

    def hart_start(self, hart: int, address: int, opaque: int) -> None:
        """Have a stopped hart enter S-mode at physical `address` with a1 = `opaque`."""
        self.call(Extension.HSM, 0, hart, address, opaque)

    def hart_status(self, hart: int) -> HartState:
        """What state a hart is in."""
        return HartState(self.call(Extension.HSM, 2, hart))

    def shutdown(self, *, failed: bool = False) -> None:
        """Switch the machine off, with exit code 1 if the system `failed`; returns when it is off."""
        try:
            self.call(Extension.SRST, 0, 0, int(failed))
        except GuestExited:
            return

    def reboot(self) -> None:
        """Have the machine reset (`Machine.reset` and a new Service are the caller's); returns when it is asked to."""
        try:
            self.call(Extension.SRST, 0, 1, 0)
        except GuestReset:
            return


def hart_mask(harts: Iterable[int]) -> int:
    """The hart mask of an SBI call, with base 0."""
    mask = 0
    for hart in harts:
        if not 0 <= hart < 64:
            raise ValueError(f"hart {hart} does not fit a hart mask that begins with hart 0")
        mask |= 1 << hart
    return mask
