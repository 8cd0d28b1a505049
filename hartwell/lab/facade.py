"""An allocator under test as tests use it: one call at a time, each judged.

    allocator = Allocator(subject)
    block = allocator.alloc(4096)           # a Block, or None if there is no memory
    allocator.dealloc(block)
    allocator.finish()                      # gives back what is left: all memory must be to be had again

Guest code and Python classes are the same here. What an oracle says against a call is raised as an AllocatorFailure, an
AssertionError, whose text has the finding and the operations before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from .errors import LabError, SubjectFailed
from .finding import Finding
from .operation import OPERATION, RESULT, Kind, Operations, describe
from .oracle.conservation import Conservation
from .oracle.shadow import Shadow
from .subject.subject import Memory, Subject, SubjectKind

if TYPE_CHECKING:
    from emulator import Machine

HANDLES: Final = 1 << 14
"""Blocks that a test can hold at a time."""
HISTORY: Final = 8
"""Operations before the failure that its text has."""


@dataclass(frozen=True)
class Cost:
    """What a call has cost its hart: `instructions`, and with a timing model `cycles` and data cache `misses` (without
    one, cycles are instructions, about).
    """

    instructions: int
    cycles: int
    misses: int


class Block:
    """A block that was handed out: `size` bytes at `address` (physical of frames, virtual of heap blocks)."""

    def __init__(self, handle: int, address: int, size: int, align: int) -> None:
        self.handle, self.address, self.size, self.align = handle, address, size, align
        self.live = True
        """Whether it is still allocated."""

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + self.size

    def overlaps(self, other: Block) -> bool:
        """Whether the two have a byte in common."""
        return self.address < other.end and other.address < self.end

    def __repr__(self) -> str:
        return f"<Block #{self.handle} {self.address:#x}-{self.end:#x}{'' if self.live else ', freed'}>"


class AllocatorFailure(AssertionError):
    """The allocator did something wrong: `finding` says what."""

    def __init__(self, finding: Finding, text: str) -> None:
        super().__init__(text)
        self.finding = finding


class Allocator:
    """The allocator `subject` for one test; it is made pristine.

    `conservation` is what the pristine subject can give, None to measure it (some milliseconds in guest code, some
    tenths of a second in Python). `name` is what people call the subject.
    """

    def __init__(self, subject: Subject, conservation: Conservation | None = None, name: str = "") -> None:
        self.subject, self.name = subject, name or subject.spec
        self.failure: AllocatorFailure | None = None
        """What went wrong, if anything did."""
        self.last_cost = Cost(0, 0, 0)
        """What the last call has cost."""
        self._conservation = conservation
        self._rows: list[tuple[int, int, int, int, int]] = []
        self._cpus: list[int] = []
        self._free: list[int] = []
        self._used = 0
        self._blocks: dict[int, Block] = {}
        try:
            if conservation is None:
                self._conservation = Conservation.measure(subject)
            else:
                subject.reset()
        except SubjectFailed as why:
            self._fail(why.finding)
        assert self._conservation is not None
        self._shadow = Shadow(subject.memory, subject.kind, HANDLES, self._conservation.largest)

    # --- what it is -----------------------------------------------------------------------------------------

    @property
    def kind(self) -> SubjectKind:
        """Frames, or a heap."""
        return self.subject.kind

    @property
    def machine(self) -> Machine:
        """The machine that it runs in."""
        return self.subject.machine

    @property
    def memory(self) -> Memory:
        """The memory that it was given."""
        return self.subject.memory

    @property
    def live(self) -> list[Block]:
        """All blocks that are allocated, in the order of their addresses."""
        return sorted(self._blocks.values(), key=lambda block: block.address)

    @property
    def operations(self) -> Operations:
        """All that was done so far."""
        return np.array(self._rows, dtype=OPERATION)

    @property
    def cpu(self) -> int | None:
        """The CPU that has done all of it, None if several have."""
        return self._cpus[0] if len(set(self._cpus)) == 1 else None

    def __repr__(self) -> str:
        return f"<Allocator {self.name}, {self.kind.value}, {len(self._blocks)} blocks>"

    # --- using it -------------------------------------------------------------------------------------------

    def alloc(self, size: int, align: int | None = None, *, cpu: int = 0) -> Block | None:
        """`size` bytes at a multiple of `align` (a page, or 8 bytes, by default), called on `cpu`; None: no memory.

        ProgramError for what no allocator can be asked: frames that are not whole, an alignment that is no power of 2.
        """
        __tracebackhide__ = True
        handle = self._free.pop() if self._free else self._used
        if handle >= HANDLES:
            raise LabError(f"{HANDLES:,} blocks are held: expected fewer at a time in one test")
        self._used = max(self._used, handle + 1)
        align = self.kind.granule if align is None else align
        try:
            address = self._do((Kind.ALLOC, handle, size, align, 0), cpu)
        except BaseException:
            self._free.append(handle)
            raise
        if not address:
            self._free.append(handle)
            return None
        block = self._blocks[handle] = Block(handle, address, size, align)
        return block

    def dealloc(self, block: Block, *, cpu: int = 0) -> None:
        """Give a block back; its contents are looked at before."""
        __tracebackhide__ = True
        self._require(block)
        self._do((Kind.DEALLOC, block.handle, 0, 0, 0), cpu)
        block.live = False
        del self._blocks[block.handle]
        self._free.append(block.handle)

    def split(self, block: Block, offset: int) -> tuple[Block, Block]:
        """Cut a block of frames at `offset`: both parts, to be given back apart. The block itself is gone."""
        self._require(block)
        if self.kind is not SubjectKind.FRAME or not 0 < offset < block.size:
            raise LabError(f"{block} cannot be cut at {offset:#x}: expected frames, and an offset inside of them")
        rest = self._free.pop() if self._free else self._used
        self._used = max(self._used, rest + 1)
        self._do((Kind.SPLIT, block.handle, rest, 0, offset), 0)
        block.live = False
        parts = (Block(block.handle, block.address, offset, block.align),
                 Block(rest, block.address + offset, block.size - offset, block.align))
        for part in parts:
            self._blocks[part.handle] = part
        return parts

    def check(self, block: Block) -> None:
        """Look whether the block still has what it was filled with when it was allocated."""
        __tracebackhide__ = True
        self._require(block)
        self._do((Kind.CHECK, block.handle, 0, 0, 0), 0)

    def finish(self) -> None:
        """Give back all that is left, and see that all memory can be had again. The allocator is empty afterwards."""
        if self.failure is not None:
            return
        for block in self.live:
            self.dealloc(block)
        assert self._conservation is not None
        for finding in self._conservation.check(self.subject):
            self._fail(finding)

    # --- judging --------------------------------------------------------------------------------------------

    def _require(self, block: Block) -> None:
        if self._blocks.get(block.handle) is not block:
            raise LabError(f"{block} is not a block of {self}: it was given back, or is another allocator's")

    def _do(self, row: tuple[int, int, int, int, int], cpu: int) -> int:
        """Do one operation; its value. AllocatorFailure says what is wrong with it."""
        __tracebackhide__ = True
        if self.failure is not None:
            raise self.failure
        operations = np.array([row], dtype=OPERATION)
        results, failed = np.zeros(1, dtype=RESULT), None
        self._rows.append(row)
        self._cpus.append(cpu)
        try:
            results = self.subject.run(operations, cpu)
        except SubjectFailed as why:
            failed = why.finding
            if why.partial is not None:
                results[:] = why.partial[:1]
        except BaseException:
            self._rows.pop()
            self._cpus.pop()
            raise
        findings = self._shadow.follow(operations, results)
        findings += [failed] if failed is not None else []
        result = results[0]
        self.last_cost = Cost(int(result["instructions"]), int(result["cycles"]), int(result["misses"]))
        if findings:
            self._fail(findings[0])
        return int(result["value"])

    def _fail(self, finding: Finding) -> None:
        __tracebackhide__ = True
        lines = [f"{self.name}: {finding.kind.value}: {finding.what}"]
        if finding.expected and finding.actual:
            lines += [f"  expected  {finding.expected}", f"  got       {finding.actual}"]
        if finding.report:
            lines += ["", *finding.report.splitlines(), ""]
        if self._rows:
            first = max(len(self._rows) - HISTORY, 0)
            last = np.array(self._rows[first:], dtype=OPERATION)
            lines += ["  what was done:", *(f"    {first + n}: {describe(each)}" for n, each in enumerate(last))]
        self.failure = AllocatorFailure(finding, "\n".join(lines))
        raise self.failure
