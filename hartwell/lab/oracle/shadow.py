"""The shadow: who owns each piece of the allocator's memory, kept beside it from its answers alone.

    shadow = Shadow(memory, kind)
    findings = shadow.follow(operations, results)

Each block that an allocation gives must lie in the allocator's memory, at a multiple of its alignment, and share no
granule (a frame, or 8 bytes of heap) with one that is still allocated. What was found in blocks that changed is told
here, too: that is the shadow's knowledge of whose they are. All of it is native code, a few nanoseconds for a small
block; the rules are those of docs/lab.md.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from emulator.engine.native import Code, load
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import OPERATION, RESULT, Operations, Results, describe
from hartwell.lab.subject.subject import Memory, SubjectKind

from . import follow as native
from .follow import ROOM, ROW, WORDS

_FOLLOW = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 4)


@cache
def _code() -> Code:
    return load([native])


@dataclass(frozen=True)
class Live:
    """What is allocated: blocks and bytes now, and the most bytes that ever were."""

    blocks: int
    size: int
    peak: int


class Shadow:
    """The shadow of an allocator of `kind` that was given `memory`, for programs with up to `handles` handles.

    `largest` is the greatest block that a pristine allocator can give (0: not known): with nothing allocated it must
    be to be had.
    """

    def __init__(self, memory: Memory, kind: SubjectKind, handles: int, largest: int = 0) -> None:
        shift = kind.granule.bit_length() - 1
        self._owners = np.zeros((memory.size >> shift) + 1, dtype=np.uint32)
        self._blocks = np.zeros((handles, 2), dtype=np.uint64)
        self._found = np.zeros((ROOM, ROW // 8), dtype=np.uint64)
        self._words = np.zeros(WORDS, dtype=np.uint64)
        self._memory = memory
        given = {
            native.S_OWNERS: self._owners.ctypes.data, native.S_START: memory.start, native.S_SIZE: memory.size,
            native.S_SHIFT: shift, native.S_BLOCKS: self._blocks.ctypes.data, native.S_FOUND: self._found.ctypes.data,
            native.S_ROOM: ROOM, native.S_LARGEST: largest,
        }
        for offset, value in given.items():
            self._words[offset >> 3] = value
        self._follow = _FOLLOW(_code().address(native.follow))

    def follow(self, operations: Operations, results: Results) -> list[Finding]:
        """What is wrong with these results, the first 64 things; operations are counted from the first of the call.

        ValueError for arrays of other types, or handles beyond those that the shadow was made for.
        """
        if operations.dtype != OPERATION or results.dtype != RESULT or len(operations) != len(results):
            raise ValueError("expected operations and as many results")
        operations, results = np.ascontiguousarray(operations), np.ascontiguousarray(results)
        if len(operations) and int(operations["handle"].max()) >= len(self._blocks):
            raise ValueError(f"a handle beyond {len(self._blocks)}")
        count = self._follow(self._words.ctypes.data, operations.ctypes.data, results.ctypes.data, len(operations))
        return [self._finding(row, operations) for row in self._found[:min(count, ROOM)]]

    @property
    def live(self) -> Live:
        """What is allocated now."""
        blocks, size, peak = (int(self._words[at >> 3]) for at in (native.S_LIVE_BLOCKS, native.S_LIVE, native.S_PEAK))
        return Live(blocks, size, peak)

    def blocks(self) -> list[tuple[int, int, int]]:
        """All allocated blocks: handle, address, bytes; ascending addresses."""
        handles = np.flatnonzero(self._blocks[:, 1])
        order = np.argsort(self._blocks[handles, 0], kind="stable")
        return [(int(handle), int(self._blocks[handle, 0]), int(self._blocks[handle, 1])) for handle in handles[order]]

    def clear(self) -> None:
        """Nothing is allocated any more."""
        self._owners[:] = 0
        self._blocks[:] = 0
        for offset in (native.S_LIVE, native.S_LIVE_BLOCKS, native.S_PEAK):
            self._words[offset >> 3] = 0

    def _finding(self, row: npt.NDArray[np.uint64], operations: Operations) -> Finding:
        number, what, address, size, other, offset = (int(word) for word in row)
        said = describe(operations[number])
        end = address + size
        if what == native.OVERLAP:
            handle = other - 1
            start, length = int(self._blocks[handle, 0]), int(self._blocks[handle, 1])
            its = f"{start:#x}-{start + length:#x}" if length else "since freed"
            return Finding(FindingKind.OVERLAP, f"{said}: {address:#x}-{end:#x} overlaps #{handle} ({its}), which "
                           "is allocated", number, address, size, "memory that nobody has", f"part of #{handle}",
                           {"other": handle})
        if what == native.MISALIGNED:
            expected = f"a multiple of {size:,}"
            return Finding(FindingKind.MISALIGNED, f"{said}: {address:#x} is not {expected}", number, address, 0,
                           expected, f"{address:#x}")
        if what == native.OUT_OF_RANGE:
            expected = f"inside of {self._memory.start:#x}-{self._memory.end:#x}"
            return Finding(FindingKind.OUT_OF_RANGE, f"{said}: {address:#x}-{end:#x} is not {expected}, the memory "
                           "that was given", number, address, size, expected, f"{address:#x}-{end:#x}")
        if what == native.EXHAUSTED:
            return Finding(FindingKind.EXHAUSTED, f"{said}: no memory, though nothing is allocated", number, 0, size,
                           "a block", "0")
        return Finding(FindingKind.CONTENTS, f"{said}: byte {offset} of the {size:,} at {address:#x} has changed while "
                       "it was allocated", number, address + offset, 1, "what its owner wrote", "something else",
                       {"handle": other - 1, "offset": offset})
