"""Scenarios: what each CPU asks of an allocator while the others do, and what is allocated before.

    alloc 4096, alloc 4096 | free 0, alloc 4096 | free 1

        before the first bar     done by CPU 0 alone, before the search begins
        behind it                CPU 0, CPU 1, … at once
        alloc SIZE [ALIGN]       allocate
        free N                   give back the block that alloc number N, counted from 0 over the whole text, gave

A CPU can only free what it, or what was done before, has allocated; if there was no memory, nothing is freed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hartwell.lab.errors import ProgramError
from hartwell.lab.subject.subject import SubjectKind

LARGEST: Final = 1 << 40
SIZES: Final = {SubjectKind.FRAME: (4096, 8192, 16384), SubjectKind.HEAP: (64, 24, 512)}
"""What scenarios that come along allocate."""


@dataclass(frozen=True)
class Alloc:
    """Allocate: the block's number is `handle`."""

    handle: int
    size: int
    align: int
    usual: bool = True
    """Whether the alignment is that of all allocations that name none."""

    def __str__(self) -> str:
        return f"alloc {self.size}" if self.usual else f"alloc {self.size} {self.align}"


@dataclass(frozen=True)
class Free:
    """Give block number `handle` back."""

    handle: int

    def __str__(self) -> str:
        return f"free {self.handle}"


Step = Alloc | Free


@dataclass(frozen=True)
class Scenario:
    """What is done before, and by each CPU."""

    before: tuple[Step, ...]
    threads: tuple[tuple[Step, ...], ...]

    def __str__(self) -> str:
        return " | ".join(", ".join(map(str, steps)) for steps in (self.before, *self.threads)).strip()


def parse_scenario(text: str, kind: SubjectKind) -> Scenario:
    """A scenario from its text. ProgramError names the step that makes no sense, and what was expected."""
    handles = 0
    parts: list[tuple[Step, ...]] = []
    for part in text.split("|"):
        steps: list[Step] = []
        for step in filter(None, (step.strip() for step in part.split(","))):
            name, *words = step.split()
            try:
                numbers = [int(word, 0) for word in words]
            except ValueError:
                numbers = []
            if name == "alloc" and len(numbers) in (1, 2):
                align = numbers[1] if len(numbers) == 2 else kind.granule
                steps.append(Alloc(handles, _size(numbers[0], step, kind), _align(align, step, kind),
                                   align == kind.granule))
                handles += 1
            elif name == "free" and len(numbers) == 1:
                steps.append(Free(numbers[0]))
            else:
                raise ProgramError(f"scenario: {step!r}: expected alloc SIZE [ALIGN], or free NUMBER")
        parts.append(tuple(steps))
    if len(parts) < 3:
        raise ProgramError(f"scenario: {text!r}: expected BEFORE | CPU 0 | CPU 1, with two CPUs at least")
    scenario = Scenario(parts[0], tuple(parts[1:]))
    _check(scenario)
    return scenario


def _size(size: int, step: str, kind: SubjectKind) -> int:
    least = kind.granule if kind is SubjectKind.FRAME else 1
    if not 0 < size <= LARGEST or size % least:
        raise ProgramError(f"scenario: {step!r}: expected a size that is a positive multiple of {least}")
    return size


def _align(align: int, step: str, kind: SubjectKind) -> int:
    least = kind.granule if kind is SubjectKind.FRAME else 1
    if align < least or align & align - 1 or align > LARGEST:
        raise ProgramError(f"scenario: {step!r}: expected an alignment that is a power of two, {least} or more")
    return align


def _check(scenario: Scenario) -> None:
    """Each block is freed once at most, by whoever can."""
    known = {step.handle for step in scenario.before if isinstance(step, Alloc)}
    freed: set[int] = set()
    for number, steps in enumerate((scenario.before, *scenario.threads)):
        who = f"CPU {number - 1}" if number else "before"
        mine = set(known) if number else set()
        for step in steps:
            if isinstance(step, Alloc):
                mine.add(step.handle)
            elif step.handle not in mine:
                raise ProgramError(f"scenario: {who}: free {step.handle}: expected a block that it, or what was done "
                                   "before, has allocated")
            elif step.handle in freed:
                raise ProgramError(f"scenario: {who}: free {step.handle}: that block is freed twice")
            else:
                freed.add(step.handle)


def stock(kind: SubjectKind, harts: int, seed: int = 0, more: int = 4) -> list[Scenario]:
    """Scenarios for as many harts: those in which allocators most often go wrong, and `more` that are drawn."""
    size, other = SIZES[kind][:2]
    make = _Maker(kind)
    cpus = range(harts)
    found = [
        make([], [["a"] for _ in cpus], size),
        make([], [["a", "f"] for _ in cpus], size),
        make(["a"] * harts, [["f"] for _ in cpus], size),
        make(["a"] * harts, [["f", "a"] for _ in cpus], size),
        make(["a"] * harts, [["a"] if cpu % 2 else ["f"] for cpu in cpus], size),
        make(["a"] * harts, [["a", "f"] if cpu % 2 else ["f", "a"] for cpu in cpus], other),
    ]
    chance = random.Random(f"scenarios {kind.value} {harts} {seed}")
    found += [_drawn(kind, harts, chance) for _ in range(more)]
    return found


class _Maker:
    """Makes scenarios of allocations ("a") and of giving back ("f") the oldest block that the CPU has."""

    def __init__(self, kind: SubjectKind) -> None:
        self._align = kind.granule

    def __call__(self, before: Sequence[str], threads: Sequence[Sequence[str]], size: int) -> Scenario:
        count = len(before)
        first = tuple(Alloc(handle, size, self._align) for handle in range(count))
        parts: list[tuple[Step, ...]] = []
        for cpu, words in enumerate(threads):
            mine = [cpu] if cpu < len(before) else []
            steps: list[Step] = []
            for word in words:
                if word == "f":
                    steps.append(Free(mine.pop(0)))
                else:
                    steps.append(Alloc(count, size, self._align))
                    mine.append(count)
                    count += 1
            parts.append(tuple(steps))
        return Scenario(first, tuple(parts))


def _drawn(kind: SubjectKind, harts: int, chance: random.Random) -> Scenario:
    """A scenario that chance makes: some blocks before, up to three steps for each CPU."""
    align = kind.granule
    handles = 0

    def alloc() -> Alloc:
        nonlocal handles
        handles += 1
        return Alloc(handles - 1, chance.choice(SIZES[kind]), align)

    before = tuple(alloc() for _ in range(harts))
    threads: list[tuple[Step, ...]] = []
    for cpu in range(harts):
        mine, steps = [cpu], list[Step]()
        for _ in range(chance.randint(2, 3)):
            if mine and chance.random() < 0.5:
                steps.append(Free(mine.pop(chance.randrange(len(mine)))))
            else:
                made = alloc()
                steps.append(made)
                mine.append(made.handle)
        threads.append(tuple(steps))
    return Scenario(before, tuple(threads))
