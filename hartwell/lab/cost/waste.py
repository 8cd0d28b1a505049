"""Waste: what an allocator has taken from its memory beyond what was asked for, measured by asking for the rest.

Nobody but the allocator knows what it rounds sizes up to, and what it keeps for itself. But everybody can see what is
still to be had: a pristine allocator gives its *yield* (`oracle.conservation`), and one that is stopped at the peak of
a workload gives what is left. What is neither left nor allocated is waste, in three parts that cannot be told apart
from outside: rounding, books that grow with the blocks, and free memory that is too scattered to be given out (none of
a frame allocator, whose smallest block is a page; pieces below 64 bytes of a heap).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hartwell.lab.errors import SubjectFailed
from hartwell.lab.operation import Operations
from hartwell.lab.oracle.conservation import MOST, Conservation, Yield, drain
from hartwell.lab.subject.subject import Subject


@dataclass(frozen=True)
class Waste:
    """At the peak, behind operation `operation`: bytes `requested` and allocated, bytes that could still be had
    (`left`), and what there was for a pristine allocator to give (`whole`).

    `largest` is the largest block of the rest. `complete` is False when the rest was of so many pieces that counting
    ended: then `taken` and `waste` are upper bounds.
    """

    operation: int
    requested: int
    left: int
    whole: int
    largest: int
    complete: bool

    @property
    def taken(self) -> int:
        """Bytes that are no longer to be had."""
        return self.whole - self.left

    @property
    def waste(self) -> int:
        """Of them, bytes that nobody asked for. Negative for an allocator that gives more than it has (a bug)."""
        return self.taken - self.requested

    @property
    def share(self) -> int:
        """Waste in thousandths of what was taken."""
        return self.waste * 1000 // self.taken if self.taken > 0 else 0

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"operation": self.operation, "requested": self.requested, "taken": self.taken, "waste": self.waste,
                "share": self.share, "left": self.left, "largest_left": self.largest, "whole": self.whole,
                "complete": self.complete}


def measure_waste(subject: Subject, conservation: Conservation, operations: Operations, peak: int,
                  requested: int) -> Waste | None:
    """The waste behind operation number `peak`, at which `requested` bytes are allocated; None if that point is not
    reached. `subject` is pristine before and afterwards."""
    try:
        subject.run(operations[:peak + 1], contents=False)
        rest = drain(subject, 0)
    except SubjectFailed:
        return None
    finally:
        subject.reset()
    return Waste(peak, requested, rest.size, conservation.pristine.size, rest.largest, pieces(rest) < MOST)


def pieces(found: Yield) -> int:
    """Blocks in all."""
    return sum(count for _, count in found.blocks)
