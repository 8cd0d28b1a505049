"""A workload: a name for a kind of program, and what makes it.

Most are made from three things, drawn by numpy for all operations at once: how large the blocks are (`sizes`), how
many bytes are live at a time (`levels`), and who is given back first. `lives` makes operations of them, a million in
some hundredths of a second. Two are patterns of whole rounds (`rounds`), and traces are read from files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from emulator.engine.native import Code, function, load
from hartwell.lab.operation import OPERATION, Operations
from hartwell.lab.subject.subject import SubjectKind

from . import lives
from .errors import WorkloadError

HANDLES: Final = 1 << 16
"""Handles that a workload uses, at most: those that the lab's driver has."""
MOST: Final = 50_000_000
"""Operations of a program, at most: with their results they take 4 GB of the host's memory."""
LOAD: Final = 0.6
"""The share of the memory that is live at a time, at most: an allocator that rounds sizes up still has room."""

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Demand:
    """What is asked of a workload: operations for an allocator of `kind` that has `memory` bytes.

    At most `live` bytes are allocated at a time; no block is larger than `largest`. `random` is where all chance comes
    from.
    """

    kind: SubjectKind
    memory: int
    count: int
    live: int
    random: np.random.Generator

    @property
    def granule(self) -> int:
        """See SubjectKind."""
        return self.kind.granule

    @property
    def largest(self) -> int:
        """Bytes: an eighth of what may be live."""
        return max(self.live // 8 // self.granule, 1) * self.granule

    def narrowed(self, live: int) -> Demand:
        """The same with fewer live bytes: no fewer than one granule."""
        return Demand(self.kind, self.memory, self.count, max(min(live, self.live), self.granule), self.random)


Make = Callable[[Demand], Operations]


@dataclass(frozen=True)
class Workload:
    """A named workload; `about` is a line for people, `kinds` are the allocators that it is for."""

    name: str
    about: str
    make: Make
    kinds: tuple[SubjectKind, ...] = tuple(SubjectKind)

    def operations(self, kind: SubjectKind, memory: int, count: int, seed: int, *, load: float = LOAD) -> Operations:
        """`count` operations for an allocator of `kind` with `memory` bytes, the same for the same seed.

        At most the share `load` of the memory is live at a time, and at most HANDLES handles are used. WorkloadError
        for a kind that it is not for, more than MOST operations, a negative count or seed, and a memory or load that
        leaves room for no block.
        """
        if kind not in self.kinds:
            raise WorkloadError(f"the workload {self.name} is for {' and '.join(each.value for each in self.kinds)} "
                                f"allocators, not for a {kind.value}")
        if count > MOST:
            raise WorkloadError(f"{count:,} operations: expected at most {MOST:,}")
        if count < 0 or seed < 0:
            raise WorkloadError(f"{count} operations, seed {seed}: expected no negative number")
        live = int(memory * load)
        if not 0 < load <= 1 or live < kind.granule:
            raise WorkloadError(f"{memory:,} bytes of memory, of which {load:g} may be allocated: expected a share "
                                f"above 0, up to 1, that has room for {kind.granule} bytes")
        if not count:
            return np.zeros(0, dtype=OPERATION)
        return self.make(Demand(kind, memory, count, live, np.random.Generator(np.random.PCG64(seed))))


Sizes = Callable[[Demand], tuple[Words, Words]]
"""Sizes and alignments, one each for each operation."""
Levels = Callable[[Demand], Words]
"""How many bytes may be live, for each operation."""


def living(sizes: Sizes, levels: Levels, order: int, *, checks: int = 64, splits: int = 0) -> Make:
    """What makes a workload of sizes, levels and an order (`lives`).

    One operation in `checks` looks at a block, one in `splits` cuts one (0: none; frames only, a heap's blocks are
    whole). Few operations reach no high level: then what may be live is what a sixth of them can allocate.
    """
    def make(demand: Demand) -> Operations:
        count, random = demand.count, demand.random
        size, _ = sizes(demand)
        demand = demand.narrowed(int(float(size.mean()) * count / 6))
        size, align = sizes(demand)
        wish = np.zeros(count, dtype=np.uint8)
        chosen = random.integers(0, 1 << 16, count, dtype=np.uint16)
        if checks:
            wish[chosen < (1 << 16) // checks] = lives.WISH_CHECK
        if splits and demand.kind is SubjectKind.FRAME:
            wish[chosen >= (1 << 16) - (1 << 16) // splits] = lives.WISH_SPLIT
        return _live(demand, size, align, levels(demand), np.full(count, order, dtype=np.uint8), wish)

    return make


def _live(demand: Demand, size: Words, align: Words, level: Words, order: Bytes, wish: Bytes) -> Operations:
    """Have `lives` make the operations."""
    count = demand.count
    made = np.zeros(count, dtype=OPERATION)
    die = demand.random.integers(0, 1 << 64, count, dtype=np.uint64)
    line, held = np.zeros(2 * HANDLES, dtype=np.uint32), np.zeros(HANDLES, dtype=np.uint64)
    free = np.arange(HANDLES, dtype=np.uint32)[::-1].copy()
    arrays = (size, align, level, die, order, wish, made, line, free, held)
    words = np.array([*(array.ctypes.data for array in arrays), HANDLES, demand.granule], dtype=np.uint64)
    assert all(array.flags.c_contiguous for array in arrays) and len(words) == lives.WORDS
    function(_code(), lives.live)(words.ctypes.data, count)
    return made


@cache
def _code() -> Code:
    return load([lives])


