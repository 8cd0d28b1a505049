"""What a device is: a range of registers on the bus, a node in the device tree.

Adding a device is one file with a class like the ones here, and one line in `board.virt`. A device
written in Python costs about 5 µs per access. The few that guests touch all the time (CLINT, PLIC,
UART) are `NativeDevice`s: their registers are native functions over a block of 64-bit words, which
Python reads and writes through the same functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from ..devicetree import Node
    from ..machine import Machine


class Device(ABC):
    """A memory-mapped device with registers at `base` … `base` + `size`.

    `irq` is its PLIC source, 0 for none. Accesses are 1, 2 or 4 bytes wide (8-byte ones arrive as
    two) and lie within the range. `read` and `write` may raise; the machine then stops with that
    exception, at the next block.
    """

    name: ClassVar[str]

    def __init__(self, base: int, size: int, irq: int = 0) -> None:
        self.base = base
        self.size = size
        self.irq = irq
        self.machine: Machine | None = None

    def attach(self, machine: Machine) -> None:
        """Called once, when the machine is built, before anything runs."""
        self.machine = machine

    @abstractmethod
    def read(self, offset: int, size: int) -> int:
        """The value of the `size` bytes at `offset`, as the guest would load it."""

    @abstractmethod
    def write(self, offset: int, size: int, value: int) -> None:
        """A guest's store of `size` bytes at `offset`."""

    def node(self, harts: int) -> Node | None:
        """The device's node under /soc in the device tree of a machine with `harts`; None if it has none."""
        return None

    def root_nodes(self) -> list[Node]:
        """Nodes of the device that stand at the root of the device tree."""
        return []

    def reset(self) -> None:
        """Go back to the power-on state."""

    def state(self) -> dict[str, Any]:
        """Everything a snapshot must keep: numbers, text, bytes, None, numpy arrays, and lists and dicts of these.

        No host addresses, and nothing that is changed later: a copy. What the device has scheduled
        (`Machine.schedule`) and the level of its interrupt line are kept by others.
        """
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave, in this machine or another. SnapshotError if it cannot be this device's.

        Interrupt lines stay alone: the PLIC and the harts have their own.
        """


class NativeDevice(Device):
    """A device whose registers are native functions over `words`.

    Word 0 holds the machine block. Subclasses set `native_read` (entry of signature
    ``i64(i64 uc, i64 offset, i32 size, i64 words)``) and `native_write` (``void(i64 uc, i64 offset,
    i32 size, i64 value, i64 words)``).
    """

    native_read: ClassVar[Callable[..., Any]]
    native_write: ClassVar[Callable[..., Any]]

    def __init__(self, base: int, size: int, irq: int, words: int) -> None:
        super().__init__(base, size, irq)
        self.words = np.zeros(words, dtype=np.int64)

    @property
    def address(self) -> int:
        """Host address of `words`."""
        return int(self.words.ctypes.data)

    def attach(self, machine: Machine) -> None:
        super().attach(machine)
        self.words[0] = machine.engine.block

    def reset(self) -> None:
        self.words[1:] = 0

    def read(self, offset: int, size: int) -> int:
        return int(type(self).native_read(0, offset, size, self.address)) & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        type(self).native_write(0, offset, size, value, self.address)

    def state(self) -> dict[str, Any]:
        return {"words": self.words[1:].copy()}

    def restore(self, state: dict[str, Any]) -> None:
        self.words[1:] = state["words"]
