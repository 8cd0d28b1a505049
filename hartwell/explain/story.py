"""What there is to tell of a boot: plain values, from which every form of the explanation is made.

A boot is cut into phases, which follow one another without a gap. Times are the machine's clock in cycles since
reset; without a timing model a cycle is an instruction. Sizes are bytes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emulator.mapped import Mapped, MappedRange
from emulator.timeline import Timeline, Totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .places import Places

FROM_S: Final = 9
"""The cause of an environment call from S-mode."""
LEGACY_END: Final = 0x10
"""First extension id behind the legacy extensions, which know no function (SBI specification, chapter 5)."""
LEVEL_NAMES: Final = {0: "U", 1: "S", 2: "waiting", 3: "M"}
"""Names of a timeline's levels."""
LEVEL_ORDER: Final = (3, 1, 0, 2)
"""Levels as they are shown: from the most privileged one to waiting."""


@dataclass(frozen=True)
class Use:
    """Memory that one owner has: frames of one metadata type, or before there is metadata, a known piece."""

    type_name: str
    owner: str
    size: int


NO_MEMORY: Final = "ReservedMemoryMeta"
"""The metadata type of frames that are no memory at all, for the most part: the addresses below RAM."""


@dataclass(frozen=True)
class Memory:
    """Who has memory. With `counted` the frames' metadata says so, and `free` bytes are the frame allocator's.

    Before there is metadata, only the kernel's image and what the early allocator has handed out are known.
    """

    uses: tuple[Use, ...]
    counted: bool
    free: int

    @property
    def in_ram(self) -> tuple[Use, ...]:
        """The uses of what is memory."""
        return tuple(use for use in self.uses if use.type_name != NO_MEMORY)


@dataclass(frozen=True)
class Table:
    """A page table: the satp word for it, what it maps, and whether the boot hart translates by it."""

    satp: int
    mapped: Mapped
    active: bool


@dataclass(frozen=True)
class Phase:
    """A phase of the boot, from clock `start` to `end`; `counted` is what happened in it.

    `facts` are what was done, in words. `tables` are the page tables that there were at its end: the boot hart's, and
    one that was built and is not used yet. `memory` is our own kernel's.
    """

    name: str
    title: str
    start: int
    end: int
    counted: Totals
    facts: tuple[str, ...]
    tables: tuple[Table, ...]
    memory: Memory | None

    @property
    def cycles(self) -> int:
        """How long it took."""
        return self.end - self.start

    @property
    def instructions(self) -> int:
        """Instructions that all harts retired in it."""
        return int(self.counted.instructions.sum())

    @property
    def traps(self) -> int:
        """Traps that all harts took in it."""
        return int(self.counted.traps.sum())

    @property
    def calls(self) -> int:
        """Calls to the firmware: environment calls from S-mode."""
        return sum(number for (cause, _, _), number in self.counted.calls.items() if cause == FROM_S)

    @property
    def levels(self) -> dict[int, int]:
        """Cycles of all harts together by level."""
        sums = self.counted.cycles.sum(axis=0)
        return {level: int(sums[level]) for level in LEVEL_ORDER}

    @property
    def ranges(self) -> tuple[MappedRange, ...]:
        """What the boot hart's page table maps at its end."""
        return next((table.mapped.ranges for table in self.tables if table.active), ())


@dataclass(frozen=True)
class Story:
    """A boot that is over: what was booted on what, how it ended, its phases and its timeline.

    `areas` name the parts of the kernel's address space, (name, start, end); none for other people's software.
    """

    what: str
    command: str
    version: str
    harts: int
    memory: int
    profile: str
    accuracy: str
    reason: str
    message: str
    exit_code: int
    phases: tuple[Phase, ...]
    timeline: Timeline
    places: Places
    areas: tuple[tuple[str, int, int], ...]
    clocks: tuple[int, ...]
    instructions: int

    @property
    def cycles(self) -> int:
        """The clock of the hart that came furthest."""
        return max(self.clocks)

    @property
    def timed(self) -> bool:
        """Whether a timing model counted the cycles."""
        return bool(self.profile)

    @property
    def cycles_are(self) -> str:
        """What cycles are, in words."""
        return (f"cycles of {self.profile} ({self.accuracy})" if self.timed
                else "no timing model: a cycle is an instruction (--timing counts a core's)")


def changed(before: Sequence[MappedRange], after: Sequence[MappedRange]) -> tuple[list[MappedRange], list[MappedRange]]:
    """The ranges that are new, and those that are gone."""
    old, new = set(before), set(after)
    return [part for part in after if part not in old], [part for part in before if part not in new]


def share_of(part: int, whole: int) -> str:
    """A share in per cent: `12.5 %`."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def total_traps(counted: Totals) -> list[tuple[int, int, int, int]]:
    """Traps by cause, the most frequent first: (interrupt, number, count, of how many harts)."""
    sums = counted.traps.sum(axis=0)
    harts = (counted.traps > 0).sum(axis=0)
    found = [(int(kind), int(number), int(sums[kind, number]), int(harts[kind, number]))
             for kind, number in zip(*np.nonzero(sums), strict=True)]
    return sorted(found, key=lambda trap: (-trap[2], trap[0], trap[1]))


def firmware_calls(counted: Totals) -> list[tuple[int, int, int]]:
    """Environment calls from S-mode by SBI extension and function, the most frequent first, with their number."""
    merged: Counter[tuple[int, int]] = Counter()
    for (cause, extension, function), number in counted.calls.items():
        if cause == FROM_S:
            merged[extension, function if extension >= LEGACY_END else 0] += number
    return sorted(((extension, function, number) for (extension, function), number in merged.items()),
                  key=lambda call: (-call[2], call[:2]))
