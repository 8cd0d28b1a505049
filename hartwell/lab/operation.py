"""Operations and their results: the records that the lab, its driver and its oracles share.

A *program* is an array of operations, done one after the other; each gives a result. Both are numpy arrays whose
layout is that of `struct operation` and `struct result` in allocators/driver/driver.h, so that a program is copied
into emulated memory as it is.

    program = Program()
    block = program.alloc(4096)
    program.dealloc(block)
    subject.run(program.operations)

Blocks are named by *handles*, numbers from 0 on that the program chooses: the address is only known when the
program runs. An operation on a handle whose allocation found no memory does nothing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

Operations = npt.NDArray[np.void]
"""Records of type OPERATION."""
Results = npt.NDArray[np.void]
"""Records of type RESULT, one for each operation."""


class Kind(IntEnum):
    """What an operation does; frames and heap are told apart by the subject, not by the operation."""

    ALLOC = 0
    """`size` bytes at a multiple of `align` become the block of `handle`; the value is its address, 0 for none."""
    DEALLOC = 1
    """The block of `handle` is given back; the value is its address."""
    ADD = 2
    """The allocator takes over `size` bytes at `offset` of the memory that the subject keeps for it."""
    SPLIT = 3
    """The block of `handle` is cut at `offset`: what is behind it is the block of handle `size`. No call."""
    CHECK = 4
    """The contents of the block of `handle` are looked at. No call."""


OPERATION: Final = np.dtype([("kind", "<u4"), ("handle", "<u4"), ("size", "<u8"), ("align", "<u8"), ("offset", "<u8")])
RESULT: Final = np.dtype([("value", "<u8"), ("cycles", "<u8"), ("instructions", "<u8"), ("misses", "<u8"),
                          ("found", "<u8"), ("state", "<u8")])
"""What an operation gave: `value` by its kind; what the call cost its hart in `cycles`, `instructions` and data cache
`misses` (0 without a timing model); `found` is 0, or 1 + the offset of the first byte of the block that is not what it
was filled with; `state` is a State."""


class State(IntEnum):
    """How far an operation came."""

    NOT_DONE = 0
    DONE = 1
    SKIPPED = 2
    """Its handle has no block."""
    CALLED = 3
    """The allocator was called and has not returned."""


class Program:
    """Builds an array of operations; handles are given out in order."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int, int, int]] = []
        self.handles = 0
        """How many handles there are."""

    def __len__(self) -> int:
        return len(self._rows)

    def alloc(self, size: int, align: int = 8) -> int:
        """Allocate `size` bytes at a multiple of `align`, a power of two; the block's handle."""
        self._rows.append((Kind.ALLOC, self.handles, size, align, 0))
        self.handles += 1
        return self.handles - 1

    def add(self, size: int, offset: int = 0) -> None:
        """Give the allocator memory: whole pages of what the subject keeps for it."""
        self._rows.append((Kind.ADD, 0, size, 0, offset))

    def dealloc(self, handle: int) -> None:
        """Give the block back."""
        self._rows.append((Kind.DEALLOC, handle, 0, 0, 0))

    def split(self, handle: int, offset: int) -> int:
        """Cut the block at `offset`; the handle of what is behind it. Frames are cut at multiples of 4096."""
        self._rows.append((Kind.SPLIT, handle, self.handles, 0, offset))
        self.handles += 1
        return self.handles - 1

    def check(self, handle: int) -> None:
        """Look whether the block still has what it was filled with."""
        self._rows.append((Kind.CHECK, handle, 0, 0, 0))

    @property
    def operations(self) -> Operations:
        """The program."""
        return np.array(self._rows, dtype=OPERATION)


def handles_of(operations: Operations) -> int:
    """How many handles a program uses: one more than its greatest."""
    if not len(operations):
        return 0
    greatest = int(operations["handle"].max())
    splits = operations[operations["kind"] == Kind.SPLIT]
    return 1 + max(greatest, int(splits["size"].max()) if len(splits) else 0)


def describe(operation: np.void) -> str:
    """An operation in words: `alloc 8192 bytes (align 4096) -> #17`."""
    kind, handle = Kind(int(operation["kind"])), int(operation["handle"])
    size, align, offset = (int(operation[name]) for name in ("size", "align", "offset"))
    if kind is Kind.ALLOC:
        return f"alloc {size:,} bytes (align {align:,}) -> #{handle}"
    if kind is Kind.ADD:
        return f"add {size:,} bytes at offset {offset:#x}"
    if kind is Kind.SPLIT:
        return f"split #{handle} at {offset:,} -> #{size}"
    return f"{kind.name.lower()} #{handle}"
