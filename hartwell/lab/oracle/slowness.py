"""Slowness: what a call takes must not grow with the number of blocks.

    growth = slowness.measure(subject)          # what calls take with few blocks, and with many
    findings = growth.findings()

Blocks of one size are allocated, every second one is given back (that makes many free ones, no two of which touch),
blocks of twice the size are asked for, and all is given back: with few blocks, and with many. What is compared are the
medians of each of these phases, so that a refill now and then is no alarm, and no answer of the host's clock is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Kind, Program, State

if TYPE_CHECKING:
    from hartwell.lab.subject.subject import Subject

FEW: Final = 64
MANY: Final = 2048
"""Blocks; if the memory is too small, no more than fill half of it."""
FACTOR: Final = 2
"""With MANY blocks, a call may take so many times what it takes with FEW: more than a search tree's steps grow from 64
blocks to 2048 (11 / 6), much less than a list's (32)."""
BLOCK: Final = 64
"""Bytes of a heap's blocks; frames are single ones."""
PHASES: Final = ("allocating", "giving back every second block", "allocating blocks of twice the size",
                 "giving back everything")


@dataclass(frozen=True)
class Growth:
    """What a call takes in each phase, in instructions (the median): with `few` blocks, and with `many`."""

    few: int
    many: int
    with_few: tuple[float, ...]
    with_many: tuple[float, ...]

    def findings(self) -> list[Finding]:
        """The phase that grows most, if it grows too much."""
        factors = [many / max(few, 1.0) for few, many in zip(self.with_few, self.with_many, strict=True)]
        worst = int(np.argmax(factors))
        if self.many <= self.few * FACTOR or factors[worst] <= FACTOR:
            return []
        few, many = self.with_few[worst], self.with_many[worst]
        return [Finding(FindingKind.COST, f"{PHASES[worst]}: a call takes {many:,.0f} instructions with {self.many:,} "
                        f"blocks, {few:,.0f} with {self.few:,}: {factors[worst]:.1f} times as many",
                        expected=f"at most {FACTOR} times", actual=f"{factors[worst]:.1f} times",
                        details={"phase": PHASES[worst], "few": self.few, "many": self.many, "with_few": few,
                                 "with_many": many})]


def measure(subject: Subject, cpu: int = 0) -> Growth:
    """Measure a subject; it is pristine afterwards. SubjectFailed."""
    size = max(subject.kind.granule, BLOCK)
    many = min(MANY, subject.given // size // 2)
    few = min(FEW, many)
    growth = Growth(few, many, _medians(subject, cpu, few, size), _medians(subject, cpu, many, size))
    subject.reset()
    return growth


def operations(subject: Subject) -> int:
    """How many operations `measure` does, about."""
    return (FEW + min(MANY, subject.given // max(subject.kind.granule, BLOCK) // 2)) * 5 // 2


def _medians(subject: Subject, cpu: int, count: int, size: int) -> tuple[float, ...]:
    subject.reset()
    program = Program()
    ends = []
    blocks = [program.alloc(size, subject.kind.granule) for _ in range(count)]
    ends.append(len(program))
    for block in blocks[::2]:
        program.dealloc(block)
    ends.append(len(program))
    large = [program.alloc(2 * size, subject.kind.granule) for _ in range(count // 4)]
    ends.append(len(program))
    for block in blocks[1::2] + large:
        program.dealloc(block)
    results = subject.run(program.operations, cpu, contents=False)
    called = (results["state"] == State.DONE) & np.isin(program.operations["kind"], (Kind.ALLOC, Kind.DEALLOC))
    return tuple(float(np.median(part[done])) if done.any() else 0.0
                 for part, done in zip(np.split(results["instructions"], ends), np.split(called, ends), strict=True))
