"""The bus as the host sees it: physical memory and device registers by address.

Guest accesses do not come through here (the engine serves RAM from the host buffer and devices
through hooks); loaders, the kernel layer, debuggers and tests do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .errors import BusError
from .ram import Ram

if TYPE_CHECKING:
    from .devices.device import Device
    from .engine.engine import Engine


class Bus:
    """Reads and writes of physical addresses; BusError where nothing answers."""

    def __init__(self, ram: Ram, devices: Sequence[Device], engine: Engine) -> None:
        self.ram = ram
        self.devices = tuple(devices)
        self._code = engine.memory

    def memory(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        """`size` bytes of RAM or ROM at `address`, as a writable view of guest memory.

        Whoever writes instructions through the view must call `discard_code` afterwards.
        """
        view = self.ram.view(address, size)
        if view is None:
            raise BusError(f"no memory at {address:#x}-{address + size:#x}; the machine has "
                           + ", ".join(str(bank) for bank in self.ram.banks))
        return view

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes of memory at `address`."""
        return self.memory(address, size).tobytes()

    def write(self, address: int, data: bytes) -> None:
        """Store `data` in memory at `address`; code translated from there is discarded."""
        self.memory(address, len(data))[:] = np.frombuffer(data, dtype=np.uint8)
        self.discard_code(address, len(data))

    def discard_code(self, address: int, size: int) -> None:
        """Make the harts see instructions that the host changed in `size` bytes at `address`."""
        offset = self.ram.offset(address, size)
        if offset is not None and size:
            self._code.discard_code(offset, size)

    def written(self, address: int, size: int) -> None:
        """The same, for whoever writes all kinds of bytes often: it costs little where no instructions were."""
        offset = self.ram.offset(address, size)
        if offset is not None and size:
            self._code.discard_written(offset, size)

    def load(self, address: int, size: int) -> int:
        """An access of 1, 2, 4 or 8 bytes as a hart would make it, unsigned; devices see it too."""
        device = self.device_at(address)
        if device is not None and address + size <= device.base + device.size:
            if size == 8:  # as the engine does it
                return self.load(address, 4) | self.load(address + 4, 4) << 32
            return device.read(address - device.base, size)
        return int.from_bytes(self.read(address, size), "little")

    def store(self, address: int, size: int, value: int) -> None:
        """A store of 1, 2, 4 or 8 bytes as a hart would make it; devices see it too."""
        device = self.device_at(address)
        if device is not None and address + size <= device.base + device.size:
            if size == 8:
                self.store(address, 4, value)
                self.store(address + 4, 4, value >> 32)
            else:
                device.write(address - device.base, size, value & ((1 << 8 * size) - 1))
        else:
            self.write(address, (value & ((1 << 8 * size) - 1)).to_bytes(size, "little"))

    def device_at(self, address: int) -> Device | None:
        """The device whose registers `address` lies in."""
        for device in self.devices:
            if device.base <= address < device.base + device.size:
                return device
        return None
