"""A set of CPUs in emulated memory: one word, a bit for each (OSTD `AtomicCpuSet`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.mm.page_table.config import UserPtConfig
from kernel.mm.port import MemoryPort

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class AtomicCpuSet:
    """The set whose word is at physical `address`."""

    __slots__ = ("_address", "_port")

    def __init__(self, port: MemoryPort, address: int) -> None:
        self._port, self._address = port, address

    @classmethod
    def of_root(cls, mm: Mm, root: int) -> AtomicCpuSet:
        """The CPUs that the address space whose root is at physical `root` is active on."""
        return cls(mm.port, mm.slots.base + (root >> 6) + UserPtConfig.cpus.offset)

    def load(self) -> int:
        """The set as a bit mask."""
        return self._port.load(self._address)

    def add(self, cpu: int) -> None:
        """Add a CPU."""
        self._change(1 << cpu, 1 << cpu)

    def remove(self, cpu: int) -> None:
        """Remove a CPU."""
        self._change(1 << cpu, 0)

    def _change(self, mask: int, value: int) -> None:
        was = self._port.load(self._address)
        while (seen := self._port.compare_exchange(self._address, was, was & ~mask | value)) != was:
            was = seen
