"""What a piece of the kernel's work cost."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

ESTIMATE: Final = "±16 %"
"""How far the meter's cycles are from those of compiled code with warm caches: the mean of six operations.

The comparison is in docs/kernel.md, "What it costs". It comes on top of the profile's own error.
"""


@dataclass(frozen=True, slots=True, repr=False)
class Cost:
    """What was done in a block of `Kernel.measure`, and what it was counted with; zeros until the block ends.

    `instructions` is an estimate for the kernel's accesses (`Meter`), plus what the hart of the CPU that
    measured has retired: of commands that it got, a TLB flush for instance. `cycles` passed on that hart,
    or were charged to others. Loads, stores and atomics are the kernel's, in words of up to 8 bytes.
    """

    profile: str
    """The timing profile's name, "off" for a machine without one."""
    accuracy: str
    """The profile's error band for code that a hart executes, as one says it beside a figure."""
    cycles: int = 0
    instructions: int = 0
    loads: int = 0
    stores: int = 0
    atomics: int = 0
    l1d_misses: int = 0
    """Data cache misses of all harts, those of page walks included; 0 without a pipeline model, as the next."""
    dtlb_misses: int = 0
    """Data TLB misses of all harts."""

    @property
    def accesses(self) -> int:
        """Words accessed."""
        return self.loads + self.stores + self.atomics

    def _settle(self, counts: dict[str, int]) -> None:
        """Fill in what was counted, by field; for the block that measures, when it ends."""
        for field in fields(self):
            if field.name in counts:
                object.__setattr__(self, field.name, counts[field.name])

    def __str__(self) -> str:
        text = (f"{self.cycles:,} cycles: {self.instructions:,} instructions, {self.loads:,} loads, "
                f"{self.stores:,} stores, {self.atomics:,} atomics")
        if self.l1d_misses or self.dtlb_misses:
            text += f", {self.l1d_misses:,} L1D misses, {self.dtlb_misses:,} DTLB misses"
        return f"{text} ({self.profile}: {self.accuracy}; estimate: {ESTIMATE})"

    def __repr__(self) -> str:
        return f"<Cost {self}>"
