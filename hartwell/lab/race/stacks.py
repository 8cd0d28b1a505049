"""The stacks of the CPUs in a search over guest code: nobody watches them, and what is on them is saved as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kernel.text.image import to_virtual

if TYPE_CHECKING:
    from emulator import Machine

DEEPEST: Final = 1 << 16
"""Bytes below the lowest top that are kept: what a CPU has pushed beyond them is not saved."""


class Stacks:
    """The stacks below the physical addresses `tops`, by CPU, in `machine`."""

    def __init__(self, machine: Machine, tops: Sequence[int]) -> None:
        low = min(tops) - DEEPEST
        self.tops: Final = tuple(to_virtual(top) for top in tops)
        """Where each begins: virtual addresses."""
        self._ends = tuple(top - low for top in tops)
        self._memory: memoryview[int] = machine.bus.memory(low, max(tops) - low).data

    def contents(self, cpu: int, stack_pointer: int) -> bytes:
        """What is on the stack of a CPU whose sp that is; nothing, if it has another."""
        size = self.tops[cpu] - stack_pointer
        if size <= 0:
            return b""
        end = self._ends[cpu]
        return bytes(self._memory[end - min(size, end):end])

    def fill(self, cpu: int, contents: bytes) -> None:
        """Put that back."""
        end = self._ends[cpu]
        self._memory[end - len(contents):end] = contents
