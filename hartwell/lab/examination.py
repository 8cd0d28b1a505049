"""An examination: everything that is tried on one allocator, one after the other, up to the first thing that is wrong.

    examined = examine(subject)
    if examined.findings:
        print(examined.step, examined.operations, examined.findings[0])

        all workloads ──> edges: huge sizes, all memory ──> promises ──> memory in pieces

It is what a planted bug has to be found by, and what a sound allocator has to pass. An examination is deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from .errors import SubjectFailed
from .finding import Finding
from .operation import Operations, Program
from .oracle import promises, slowness
from .subject.guest import GuestSubject
from .subject.subject import Subject, SubjectKind
from .trial import Failed, Trial
from .workload.catalogue import made

OPERATIONS: Final = 1_000
"""Operations of each workload."""
ORDER: Final = ("random", "aligned", "fragmentation", "parts")
"""Workloads that come first: they find most."""
FILLED: Final = 4096
"""Blocks that all memory is filled with, at most."""


@dataclass(frozen=True)
class Examined:
    """What came of an examination: `findings` of the `step` that found something ("" if none did), and how many
    `operations` were done in all; `failed` is the trial that failed, if it was one."""

    findings: tuple[Finding, ...]
    step: str
    operations: int
    failed: Failed | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def examine(subject: Subject, count: int = OPERATIONS, seed: int = 1) -> Examined:
    """Examine a subject with `count` operations of each workload. It is pristine afterwards. SpecError."""
    done = 0
    for step, run in _steps(subject, count, seed):
        try:
            found = run()
        except SubjectFailed as why:
            found = _Found([why.finding], 0)
        done += found.operations
        if found.findings:
            subject.reset()
            return Examined(tuple(found.findings), step, done, found.failed)
    subject.reset()
    return Examined((), "", done)


@dataclass(frozen=True)
class _Found:
    """What a step found, in how many operations; the trial that it was."""

    findings: Sequence[Finding]
    operations: int
    failed: Failed | None = None


Step = Callable[[], _Found]


def _steps(subject: Subject, count: int, seed: int) -> Iterator[tuple[str, Step]]:
    trial = Trial(subject)
    workloads = [each for each in made() if subject.kind in each.kinds]
    workloads.sort(key=lambda each: ORDER.index(each.name) if each.name in ORDER else len(ORDER))
    for each in workloads:
        yield each.name, _trial(trial, each.operations(subject.kind, subject.memory.size, count, seed))
    yield "huge sizes", _trial(trial, huge(subject))
    yield "all memory", _trial(trial, everything(subject))
    yield "misuse", lambda: _Found(promises.misuse(subject), 5)
    yield "zeroed", lambda: _Found(promises.zeroed(subject), 7 * len(promises.PIECES))
    if "bounded-time" in subject.promises:
        yield "slowness", lambda: _Found(slowness.measure(subject).findings(), slowness.operations(subject))
    if isinstance(subject, GuestSubject):  # a Python class gets its memory from the kernel's boot
        yield "memory in pieces", lambda: _in_pieces(subject, count, seed)


def huge(subject: Subject) -> Operations:
    """Sizes and alignments that no memory has, up to 256 TiB, beside a block that there is."""
    program, granule = Program(), subject.kind.granule
    program.alloc(granule, granule)
    for shift in range(subject.memory.size.bit_length(), 48):
        for size in ((1 << shift), (1 << shift) + granule):
            program.dealloc(program.alloc(size, granule))
    for shift in range(subject.memory.size.bit_length() + 1, 48, 3):
        program.dealloc(program.alloc(granule, 1 << shift))
    return program.operations


def everything(subject: Subject) -> Operations:
    """Blocks of one size until there is no memory, and some more; every second one back, those again; all back."""
    size = subject.kind.granule if subject.kind is SubjectKind.FRAME else 72
    while subject.given // size > FILLED:
        size *= 2
    count = subject.given // size + 16
    program = Program()
    aside = program.alloc(5 * size, subject.kind.granule)  # what is left is no multiple of a power of two
    blocks = [program.alloc(size, subject.kind.granule) for _ in range(count)]
    for block in blocks[::2]:
        program.dealloc(block)
    blocks[::2] = [program.alloc(size, subject.kind.granule) for _ in blocks[::2]]
    for block in blocks[::-3] + [block for at, block in enumerate(blocks[::-1]) if at % 3]:
        program.dealloc(block)
    program.dealloc(aside)
    return program.operations


def pieces(size: int) -> tuple[tuple[int, int], ...]:
    """Memory in three ranges with gaps between them, none a power of two: offsets and bytes."""
    page = 4096
    pages = size // page
    first, second, third = 3 * pages // 16 | 1, pages // 4 - 1, pages // 4 + 5
    return ((page, first * page), (pages // 4 * page + 4 * page, second * page), (5 * pages // 8 * page, third * page))


def _trial(trial: Trial, operations: Operations) -> Step:
    def run() -> _Found:
        outcome = trial.run(operations)
        return _Found(outcome.findings, outcome.done, Failed(operations, 0, trial.subject.setting))

    return run


def _in_pieces(subject: Subject, count: int, seed: int) -> _Found:
    random = next(each for each in made() if each.name == "random")
    with subject.another(replace(subject.setting, pieces=pieces(subject.memory.size))) as another:
        return _trial(Trial(another), random.operations(subject.kind, another.given // 2, count, seed))()
