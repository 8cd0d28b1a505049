"""A record: one operation that was done, when, and by which code."""

from __future__ import annotations

from dataclasses import dataclass

from kernel.mm.operations import OperationKind


@dataclass(frozen=True, order=True)
class Point:
    """A moment: `instruction` harts had retired in all, and `records` had been made.

    Python code runs between two instructions, and may do many operations there: the records tell them apart.
    """

    instruction: int
    records: int


@dataclass(frozen=True)
class Place:
    """A line of Python code: `file` is relative to the package that it belongs to."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


@dataclass(frozen=True)
class Record:
    """An operation on `size` bytes at `address` by CPU `cpu`, at `instruction` and `cycle`, as number `number`.

    Addresses are those of `kernel.mm.operations.Operation`. `cycle` is the clock of the hart whose turn it was.
    `stage` is the boot stage that was being run, "" when none was. `stack` is where the code was, innermost first,
    without the allocators' fronts.
    """

    number: int
    kind: OperationKind
    address: int
    size: int
    root: int
    cpu: int
    instruction: int
    cycle: int
    stage: str
    stack: tuple[Place, ...]
