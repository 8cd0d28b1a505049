"""Findings: what an oracle says against an allocator, or against the code that uses one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class FindingKind(Enum):
    """What is wrong, in the words of the table of oracles (docs/lab.md)."""

    OVERLAP = "overlap"
    """A block overlaps one that is still allocated."""
    MISALIGNED = "misaligned"
    """A block is not at a multiple of what was asked for."""
    OUT_OF_RANGE = "out of range"
    """A block is not inside of the memory that the allocator was given."""
    CONTENTS = "contents"
    """Bytes of an allocated block changed that nobody but the allocator can have changed."""
    EXHAUSTED = "exhausted"
    """No memory was found although there must be enough."""
    LOST = "lost"
    """With everything given back, not all memory can be had again (conservation)."""
    SPLINTERED = "splintered"
    """… or not as the largest blocks: what was split is not merged."""
    HANG = "hang"
    """A call did not end within its budget."""
    CRASH = "crash"
    """A call trapped, panicked, or did not come back."""
    REFUSED = "refused"
    """A legal request was refused with an error."""
    ACCEPTED = "accepted"
    """An illegal request was not refused (of allocators that promise to)."""
    WRITE_TO_LIVE = "write to live block"
    """The allocator stores into a block that is allocated."""
    USE_AFTER_FREE = "use after free"
    OUT_OF_BOUNDS = "out of bounds"
    DOUBLE_FREE = "double free"
    INVALID_FREE = "invalid free"
    NOT_ZEROED = "not zeroed"
    """Memory that was to be zeroed is not."""
    RACE = "race"
    """Some interleaving of harts ends in another of these."""
    CHECK = "check"
    """What the program under test checks by itself does not hold."""
    DEADLOCK = "deadlock"
    COST = "cost"
    """An operation costs more than it may, or its cost grows with what it must not depend on."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: `what` in a line, the number of the `operation` it was seen at (None: none).

    `address` and `size` say where (0: nowhere); `expected` and `actual` are for tables; `details` are values that JSON
    has; `report` is a longer text for people, if there is one.
    """

    kind: FindingKind
    what: str
    operation: int | None = None
    address: int = 0
    size: int = 0
    expected: str = ""
    actual: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    report: str = ""

    def __str__(self) -> str:
        at = "" if self.operation is None else f" (operation {self.operation})"
        return f"{self.kind.value}: {self.what}{at}"

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON has it."""
        return {"kind": self.kind.value, "what": self.what, "operation": self.operation, "address": self.address,
                "size": self.size, "expected": self.expected, "actual": self.actual, "details": self.details,
                "report": self.report}


def printable(text: str) -> str:
    """`text` in one line, as a terminal takes it: `\\n` for a line's end, and so on for all that is not printable."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
