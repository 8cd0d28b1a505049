"""A counter that every CPU adds to in a word of its own (osdk-frame-allocator `per_cpu_counter.rs`).

Memory that one CPU allocates and another frees makes the first one's word negative: only the sum means
anything. While CPUs are counting, the sum can be off by what they are just about to count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel.mm.context import Mm

SIGN = 1 << 63


class PerCpuCounter:
    """The counter `name` (1 to 16 bytes), zero when it is first asked for; found again by its name."""

    __slots__ = ("_mm", "offset")

    def __init__(self, mm: Mm, name: str) -> None:
        self._mm = mm
        self.offset = mm.statics.local_area(name, 8)

    def word(self, cpu: int) -> int:
        """Physical address of `cpu`'s word."""
        return self._mm.cpu_locals.base(cpu) + self.offset

    def add(self, cpu: int, amount: int) -> None:
        """Count `amount` more, on `cpu`."""
        self._mm.port.fetch_add(self.word(cpu), amount)

    def sub(self, cpu: int, amount: int) -> None:
        """Count `amount` less, on `cpu`."""
        self._mm.port.fetch_add(self.word(cpu), -amount)

    def get(self) -> int:
        """The sum over all CPUs; 0 if it is negative, which it can be only while others are counting."""
        load = self._mm.port.load
        total = sum(load(self.word(cpu)) for cpu in range(self._mm.cpu_locals.count)) & 2 * SIGN - 1
        return 0 if total & SIGN else total
