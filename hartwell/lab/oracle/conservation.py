"""Conservation: with everything given back, the whole memory can be had again, in blocks as large as at first.

The *yield* of an allocator is measured by taking all that it gives: as many blocks of the largest size as there are,
then of half that size, and so on down to a granule. One that keeps freed memory in caches, and can be told to give it
up (`Subject.reclaim`), is told so first. A pristine allocator's yield is the measure; later ones must not be smaller
(LOST), nor of smaller blocks (SPLINTERED).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from hartwell.lab.errors import SubjectFailed
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import OPERATION, Kind, Operations
from hartwell.lab.subject.subject import SubjectKind

if TYPE_CHECKING:
    from hartwell.lab.subject.subject import Subject

SMALLEST_HEAP: Final = 64
"""Bytes of the smallest blocks that a heap is emptied with: below, what is left says more of headers than of losses."""
LEAST: Final = 0.75
"""The share of what was given that a pristine allocator must give, at least: the rest is for headers and tables."""
SPLIT: Final = 64
"""A heap's large blocks may become fewer by one part in so many of its memory: what it asks its own supply for, and
when, moves a boundary now and then."""
MOST: Final = 60_000
"""Blocks that are taken, at most."""


@dataclass(frozen=True)
class Yield:
    """What an allocator gives until it has nothing left: `blocks[size]` of each size, descending."""

    blocks: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(size * count for size, count in self.blocks)

    @property
    def largest(self) -> int:
        """Bytes of the largest block; 0 if there is none."""
        return self.blocks[0][0] if self.blocks else 0

    def in_blocks_of(self, least: int) -> int:
        """Bytes in blocks of `least` bytes or more."""
        return sum(size * count for size, count in self.blocks if size >= least)

    def __str__(self) -> str:
        return ", ".join(f"{count} x {_bytes(size)}" for size, count in self.blocks) or "nothing"


@dataclass(frozen=True)
class Conservation:
    """The measure of one subject: what it gives when pristine."""

    pristine: Yield
    given: int
    """Bytes that it was given."""
    kind: SubjectKind
    taken: int = 0
    """Bytes of those, at most, that somebody else has: the kernel that lives on it."""

    @property
    def largest(self) -> int:
        """The largest block that it gives then."""
        return self.pristine.largest

    @classmethod
    def measure(cls, subject: Subject) -> Conservation:
        """Empty a pristine `subject`; it is pristine afterwards. SubjectFailed."""
        subject.reset()
        found = drain(subject, 0)
        subject.reset()
        return cls(found, subject.given, subject.kind, subject.taken)

    def complaint(self) -> Finding | None:
        """What is wrong with the measure itself."""
        size, given, actual = self.pristine.size, self.given, str(self.pristine)
        if size > given:
            return Finding(FindingKind.OUT_OF_RANGE, f"pristine, {_bytes(size - given)} more can be had than were "
                           "given", size=size - given, expected=f"at most {_bytes(given)}", actual=actual)
        if size < (given - self.taken) * LEAST:
            return Finding(FindingKind.LOST, f"pristine, {_bytes(given - size)} of the {_bytes(given)} that were given "
                           "cannot be had", size=given - size, expected=f"at least {LEAST:.0%}", actual=actual)
        return None

    def check(self, subject: Subject, cpu: int = 0) -> list[Finding]:
        """What is wrong with a subject that has everything back. It is empty afterwards."""
        try:
            now = drain(subject, cpu)
        except SubjectFailed as why:  # its operation is one of ours, and none of the program's
            return [replace(why.finding, operation=None, what=f"when all memory is taken: {why.finding.what}")]
        return self.judge(now)

    def judge(self, now: Yield) -> list[Finding]:
        """What is wrong with a subject that has everything back, and gives `now`."""
        then = self.pristine
        slack = SMALLEST_HEAP if self.kind is SubjectKind.HEAP else 0  # a rest of 120 bytes, or two of 60, with headers
        if now.size < then.size - slack:
            lost = then.size - now.size
            return [Finding(FindingKind.LOST, f"with everything given back, {_bytes(lost)} cannot be had again",
                            size=lost, expected=str(then), actual=str(now))]
        if now.size > self.given:
            more = now.size - self.given
            return [Finding(FindingKind.OUT_OF_RANGE, f"with everything given back, {_bytes(more)} more than there are "
                            "can be had", size=more, expected=str(then), actual=str(now))]
        if self._fewer_large(now):
            return [Finding(FindingKind.SPLINTERED, f"with everything given back, the largest block is "
                            f"{_bytes(now.largest)}, and was {_bytes(then.largest)}" if now.largest < then.largest else
                            "with everything given back, there are fewer large blocks than at first", None,
                            expected=str(then), actual=str(now))]
        return []

    def _fewer_large(self, now: Yield) -> bool:
        """Whether there is less in blocks of some size and larger ones than at first."""
        slack = self.given // SPLIT if self.kind is SubjectKind.HEAP else 0
        return now.largest < self.largest or any(now.in_blocks_of(size) < self.pristine.in_blocks_of(size) - slack
                                                 for size, _ in self.pristine.blocks)


def drain(subject: Subject, cpu: int) -> Yield:
    """Take all that a subject gives, largest blocks first. SubjectFailed."""
    subject.reclaim(cpu)
    least = max(subject.kind.granule, SMALLEST_HEAP)
    size = 1 << subject.memory.size.bit_length() - 1
    found: list[tuple[int, int]] = []
    handle = 0
    while size >= least and handle < MOST:
        count = 0
        wanted = 1
        while handle < MOST:
            wanted = min(wanted, MOST - handle)
            results = subject.run(_allocations(handle, wanted, size, subject.kind.granule), cpu, contents=False)
            got = int((results["value"] != 0).sum())
            count += got
            handle += got
            if got < wanted:
                break
            wanted = min(2 * wanted, 4096)
        if count:
            found.append((size, count))
        size >>= 1
    return Yield(tuple(found))


def _allocations(handle: int, count: int, size: int, align: int) -> Operations:
    """`count` allocations; those that fail leave their handles free."""
    operations = np.zeros(count, dtype=OPERATION)
    operations["kind"], operations["size"], operations["align"] = Kind.ALLOC, size, align
    operations["handle"] = np.arange(handle, handle + count)
    return operations


def _bytes(size: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit:,} {name}"
    return f"{size:,} bytes"
