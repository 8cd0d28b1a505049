"""A machine as the kernel finds it: memory, statics in the kernel's image, a device tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator import Board, Machine
from emulator.booting import describe
from emulator.devicetree import compile_tree
from kernel.boot.device_tree import BootInformation, read_device_tree
from kernel.mm.frame.early import EarlyFrameAllocator
from kernel.mm.port import MemoryPort
from kernel.mm.statics import Statics

MIB, GIB = 1 << 20, 1 << 30
RAM = 0x8000_0000
KERNEL = (0x8020_0000, 0x8040_0000)
STATICS = 0x8030_0000
TREE = 0x80a0_0000


@dataclass
class Bare:
    """A machine, the port to its memory, and the statics."""

    machine: Machine
    port: MemoryPort
    statics: Statics

    def tree(self, data: bytes | None = None, at: int = TREE, **options: Any) -> int:
        """Put a device tree into memory, the board's own if no `data` is given; its address."""
        if data is None:
            data = compile_tree(describe(self.machine.board, self.machine.devices, **options))
        self.port.write(at, data)
        return at

    def read(self, data: bytes | None = None, at: int = TREE, **options: Any) -> BootInformation:
        """What the kernel reads in that tree."""
        return read_device_tree(self.port, self.tree(data, at, **options), KERNEL)

    def early(self) -> tuple[BootInformation, EarlyFrameAllocator]:
        """The same for the board's own tree, and the early allocator on it."""
        boot = self.read()
        return boot, EarlyFrameAllocator.create(self.statics, boot.regions)


def bare(**board: Any) -> Bare:
    """A machine with such a board."""
    machine = Machine(Board(**board))
    port = MemoryPort(machine.bus)
    return Bare(machine, port, Statics.create(port, STATICS, KERNEL[1] - STATICS))
