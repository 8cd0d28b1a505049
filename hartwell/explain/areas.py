"""The address space, phase by phase: rows of addresses, and how much of each is mapped.

Our own kernel names the parts of its address space. Of others only the addresses are known: what lies close
together is one area.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from emulator.mapped import MappedRange

from .story import Phase, Story

GIB: Final = 1 << 30
MOST_AREAS: Final = 10
"""Areas that are shown; with more, gaps that are wider are bridged."""


@dataclass(frozen=True)
class Area:
    """Virtual `start` to `end`; for each phase `mapped` bytes, those in a table that is not used yet in `built`.

    `changed` tells for each phase whether its ranges there differ from those of the phase before.
    """

    name: str
    start: int
    end: int
    mapped: tuple[int, ...]
    built: tuple[int, ...]
    changed: tuple[bool, ...]


def read_areas(story: Story) -> tuple[Area, ...]:
    """The areas in which something was ever mapped, the highest first."""
    every = [part for phase in story.phases for table in phase.tables for part in table.mapped.ranges]
    named = story.areas or tuple((f"{start:#x}", start, end) for start, end in _clusters(every))
    found = []
    for name, start, end in sorted(named, key=lambda area: -area[1]):
        before: list[MappedRange] = []
        mapped, built, changed = [], [], []
        for phase in story.phases:
            here, there = _clip(phase.ranges, start, end), _clip(_built(phase), start, end)
            mapped.append(sum(part.size for part in here))
            built.append(sum(part.size for part in there))
            changed.append(here != before)
            before = here
        if any(mapped) or any(built):
            found.append(Area(name, start, end, tuple(mapped), tuple(built), tuple(changed)))
    return tuple(found)


def _built(phase: Phase) -> tuple[MappedRange, ...]:
    """What the table maps that is not used yet."""
    return next((table.mapped.ranges for table in phase.tables if not table.active), ())


def _clip(ranges: Sequence[MappedRange], start: int, end: int) -> list[MappedRange]:
    """The parts of the ranges between two addresses."""
    return [MappedRange(max(part.start, start), min(part.end, end), part.paddr + max(part.start, start) - part.start,
                        part.bits) for part in ranges if part.start < end and start < part.end]


def _clusters(ranges: Iterable[MappedRange]) -> list[tuple[int, int]]:
    """Ranges that have less than a GiB between them, or as much more as it takes, together."""
    gap = GIB
    while True:
        found: list[tuple[int, int]] = []
        for part in sorted(ranges, key=lambda part: part.start):
            if found and part.start - found[-1][1] < gap and part.start >> 63 == found[-1][0] >> 63:
                found[-1] = found[-1][0], max(found[-1][1], part.end)
            else:
                found.append((part.start, part.end))
        if len(found) <= MOST_AREAS:
            return found
        gap *= 8
