"""What a timed run cost: cycles, events and stalls of each hart, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass

from .events import Event, Stall


@dataclass(frozen=True, slots=True)
class HartStats:
    """One hart's counts since reset."""

    hart: int
    cycles: int
    """The hart's clock, cycles in WFI included."""
    waiting: int
    """Cycles in WFI, and cycles skipped because another hart was behind."""
    instructions: int
    """Instructions retired."""
    events: dict[Event, int]
    """How often each event happened; only events that the profile models are there."""
    stalls: dict[Stall, int]
    """Cycles lost to each cause; empty for a profile without a pipeline."""
    host: int = 0
    """Cycles of instructions that the host did for the hart, and that it has not retired (`Timing.charge`)."""

    @property
    def cpi(self) -> float:
        """Cycles per instruction, the host's included, while not waiting; 0 before the first instruction."""
        done = self.instructions + self.host
        return (self.cycles - self.waiting) / done if done else 0.0


@dataclass(frozen=True, slots=True)
class Stats:
    """The counts of every hart of a machine, and what they were counted with."""

    profile: str
    """The profile's name."""
    accuracy: str
    """The profile's measured error band, as one says it beside a figure: "±1.2 %", or "uncalibrated"."""
    harts: tuple[HartStats, ...]

    @property
    def cycles(self) -> int:
        """The clock of the hart that has come furthest."""
        return max(hart.cycles for hart in self.harts)

    @property
    def instructions(self) -> int:
        """Instructions retired by all harts."""
        return sum(hart.instructions for hart in self.harts)

    @property
    def cpi(self) -> float:
        """Cycles per instruction of all harts together, while they do not wait; 0 before the first instruction."""
        running = sum(hart.cycles - hart.waiting for hart in self.harts)
        done = sum(hart.instructions + hart.host for hart in self.harts)
        return running / done if done else 0.0
