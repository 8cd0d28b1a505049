"""The board: what is soldered where. The machine and its device tree are built from this, and only this.

        0x0000_1000  boot ROM                0x0c00_0000  PLIC
        0x0010_0000  test finisher           0x1000_0000  UART 16550, source 10
        0x0010_1000  real-time clock, 11     0x1000_1000  eight virtio-mmio slots, sources 1 to 8
        0x0200_0000  CLINT                   0x8000_0000  RAM

The map is that of QEMU's virt board, so that software built for it runs here unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from .bootrom import ROM
from .devices.clint import Clint
from .devices.device import Device
from .devices.disk import Disk
from .devices.finisher import Finisher
from .devices.goldfish_rtc import GoldfishRtc
from .devices.plic import Plic
from .devices.uart16550 import Uart16550
from .devices.virtio_blk import VirtioBlk
from .devices.virtio_mmio import VirtioMmio
from .engine.layout import MAX_BANKS, MAX_HARTS, MAX_PAGES
from .engine.riscv import SATP_MODES
from .errors import BoardError
from .ram import PAGE
from .range import Range

RAM_BASE = 0x8000_0000
MIN_MEMORY = 1 << 20
MAX_MEMORY = 64 << 30
DEFAULT_MEMORY = 128 << 20
ISA = "rv64imafdc"

DeviceMaker = Callable[[], Device]
VIRTIO_SLOTS = 8


def virt_devices(disks: Sequence[Disk] = ()) -> tuple[DeviceMaker, ...]:
    """The devices of the virt board, in the order in which they are built; `disks` fill the virtio slots from 0.

    Raises BoardError for more than eight disks.
    """
    if len(disks) > VIRTIO_SLOTS:
        raise BoardError(f"{len(disks)} disks: the board has {VIRTIO_SLOTS} virtio slots")
    backends = [VirtioBlk(disk) for disk in disks] + [None] * (VIRTIO_SLOTS - len(disks))
    slots = (partial(VirtioMmio, number, backend) for number, backend in enumerate(backends))
    return (Clint, Plic, Uart16550, Finisher, GoldfishRtc, *slots)


@dataclass(frozen=True)
class Board:
    """A machine's hardware.

    `harts` 1 … 8; `memory` bytes of RAM at 0x8000_0000 (1 MiB … 64 GiB), or else `banks`, several
    page-aligned ranges in ascending order; `reserved` ranges that the device tree tells the guest to
    leave alone; `clock_hz` cycles and `timebase_hz` ticks per second; `mmu` the widest scheme that
    the harts have, "sv39", "sv48" or "sv57": satp takes no wider one; `quantum` how many cycles one
    hart may run ahead of another. Raises BoardError for a board that cannot be.
    """

    harts: int = 1
    memory: int = DEFAULT_MEMORY
    banks: tuple[Range, ...] = ()
    reserved: tuple[Range, ...] = ()
    clock_hz: int = 1_000_000_000
    timebase_hz: int = 10_000_000
    mmu: str = "sv57"
    quantum: int = 20_000
    devices: tuple[DeviceMaker, ...] = field(default=virt_devices())

    def __post_init__(self) -> None:
        for name in ("harts", "memory", "clock_hz", "timebase_hz", "quantum"):
            if not isinstance(getattr(self, name), int):
                raise BoardError(f"{name} {getattr(self, name)!r}: expected a whole number")
        if len(self.devices) > MAX_PAGES:
            raise BoardError(f"{len(self.devices)} devices: expected at most {MAX_PAGES}")
        if not 1 <= self.harts <= MAX_HARTS:
            raise BoardError(f"{self.harts} harts: expected 1 to {MAX_HARTS}")
        if not self.banks:
            object.__setattr__(self, "banks", (Range(RAM_BASE, self.memory),))
        self._check_banks()
        if self.mmu not in SATP_MODES:
            raise BoardError(f"mmu {self.mmu!r}: expected sv39, sv48 or sv57")
        if self.timebase_hz < 1 or self.clock_hz < 1 or self.clock_hz % self.timebase_hz:
            raise BoardError(f"a clock of {self.clock_hz} Hz is not a multiple of the timebase, {self.timebase_hz} Hz")
        if self.quantum < 1:
            raise BoardError(f"a quantum of {self.quantum} cycles: expected at least 1")

    def _check_banks(self) -> None:
        if len(self.banks) > MAX_BANKS - 2:
            raise BoardError(f"{len(self.banks)} memory banks: expected at most {MAX_BANKS - 2}")
        total = sum(bank.size for bank in self.banks)
        if not MIN_MEMORY <= total <= MAX_MEMORY:
            raise BoardError(f"{total} bytes of memory: expected {MIN_MEMORY} (1 MiB) to {MAX_MEMORY} (64 GiB)")
        end = RAM_BASE
        for bank in self.banks:
            if bank.base % PAGE or bank.size % PAGE or bank.size <= 0:
                raise BoardError(f"memory bank {bank}: base and size must be multiples of {PAGE}")
            if bank.base < end:
                raise BoardError(f"memory bank {bank}: banks must ascend from {RAM_BASE:#x} without overlap")
            end = bank.end
        if end > 1 << 50:
            raise BoardError(f"memory bank {self.banks[-1]} ends above 2**50")

    @property
    def rom(self) -> Range:
        """The boot ROM."""
        return ROM
