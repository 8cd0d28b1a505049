"""Threads that allocate and free, and the oracles that look at what they are given.

What a thread does with a block is an access, too: it stores a word into each that it gets, and looks whether it is
still there before it gives the block back. So who was given the same memory is seen to write there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.oracle.conservation import SMALLEST_HEAP, Conservation, Yield
from hartwell.lab.subject.subject import Memory, SubjectKind

from .scenario import Alloc, Free, Scenario
from .work import Call, Failed, Touch, Undisturbed

WORD: Final = 8
_SEED: Final = 0x5EED_0000_0000_0001


@dataclass(frozen=True)
class Functions:
    """Where the allocator's functions are, and how frames are accessed: `linear` is added to their addresses."""

    alloc: int
    dealloc: int
    linear: int
    reclaim: int | None = None
    """Gives up what caches hold, if there is such a function."""


@dataclass(frozen=True)
class _Block:
    address: int
    size: int
    align: int


@dataclass(frozen=True)
class _Known:
    """What is known at a place in an execution."""

    at: tuple[int, ...]
    """Of each thread: the number of its step,"""
    phase: tuple[int, ...]
    """and how far it is in that: 0 not begun, 1 the allocator is called, 2 the block is touched."""
    blocks: tuple[tuple[int, _Block], ...] = ()
    """What is allocated, by handle."""
    given: tuple[tuple[int, int], ...] = ()
    """What each allocation gave, by handle."""


class Allocating:
    """A Work: `scenario` on an allocator of `kind` that was given `memory`.

    `measure` is what it gives when pristine; None: not known.
    """

    def __init__(self, scenario: Scenario, kind: SubjectKind, memory: Memory, functions: Functions,
                 measure: Conservation | None) -> None:
        self._scenario, self._kind, self._memory, self._functions = scenario, kind, memory, functions
        self._measure = measure
        count = len(scenario.threads)
        self._known = _Known((0,) * count, (0,) * count)
        self.value: Callable[[int, int], int] = lambda address, size: 0
        """What is in memory, by virtual address and size,"""
        self.store: Callable[[int, int], None] = lambda address, value: None
        """and what puts a word there."""

    def begin(self, call: Undisturbed) -> None:
        """See Work. The steps of before are done without an oracle but these here."""
        for step in self._scenario.before:
            if isinstance(step, Alloc):
                block = self._allocated(step, call(self._functions.alloc, step.size, step.align), "before")
                if block is not None and _touched(block):
                    self.store(self._pointer(block), _SEED + step.handle)
            elif (block := dict(self._known.blocks).get(step.handle)) is not None:
                self._forget(step.handle)
                call(self._functions.dealloc, *self._give_back(block))

    def following(self, thread: int, returned: int | None) -> Call | Touch | None:
        """See Work."""
        known = self._known
        steps, at, phase = self._scenario.threads[thread], known.at[thread], known.phase[thread]
        if at == len(steps):
            return None
        step = steps[at]
        if isinstance(step, Alloc):
            if phase == 0:
                self._move(thread, at, 1)
                return Call(self._functions.alloc, (step.size, step.align), f"alloc {step.size} -> #{step.handle}")
            if phase == 1:
                assert returned is not None
                block = self._allocated(step, returned, f"CPU {thread}")
                if block is not None and _touched(block):
                    self._move(thread, at, 2)
                    return Touch(self._pointer(block), _SEED + step.handle, f"writes to #{step.handle}")
        else:
            block = dict(known.blocks).get(step.handle)
            if phase == 0 and block is not None and _touched(block):
                self._move(thread, at, 1)
                return Touch(self._pointer(block), None, f"looks at #{step.handle}")
            if phase <= 1 and block is not None:
                if phase == 1 and returned != _SEED + step.handle:
                    raise Failed(self._changed(step, block, returned or 0, f"CPU {thread}"))
                self._move(thread, at, 2)
                self._forget(step.handle)
                return Call(self._functions.dealloc, self._give_back(block), f"free #{step.handle}")
        self._move(thread, at + 1, 0)
        return self.following(thread, None)

    def save(self) -> object:
        """See Work."""
        return self._known

    def load(self, saved: object) -> None:
        """See Work."""
        assert isinstance(saved, _Known)
        self._known = saved

    def results(self) -> object:
        """See Work."""
        return self._known.given

    # --- what is allocated --------------------------------------------------------------------------------------

    def _move(self, thread: int, at: int, phase: int) -> None:
        known = self._known
        self._known = replace(known, at=(*known.at[:thread], at, *known.at[thread + 1:]),
                              phase=(*known.phase[:thread], phase, *known.phase[thread + 1:]))

    def _allocated(self, step: Alloc, address: int, who: str) -> _Block | None:
        """A block that was given, after a look at it. Failed."""
        known = self._known
        known = self._known = replace(known, given=(*known.given, (step.handle, address)))
        if not address:
            return None
        memory, said = self._memory, f"{who}, alloc {step.size} -> #{step.handle}"
        end = address + step.size
        if address % step.align:
            raise Failed(Finding(FindingKind.MISALIGNED, f"{said}: {address:#x} is not a multiple of {step.align:,}",
                                 None, address, step.size, f"a multiple of {step.align:,}", f"{address:#x}"))
        if address < memory.start or end > memory.end:
            raise Failed(Finding(FindingKind.OUT_OF_RANGE, f"{said}: {address:#x}-{end:#x} is not inside of the memory "
                                 "that was given", None, address, step.size,
                                 f"inside of {memory.start:#x}-{memory.end:#x}", f"{address:#x}-{end:#x}"))
        for handle, other in known.blocks:
            if address < other.address + other.size and other.address < end:
                raise Failed(Finding(FindingKind.OVERLAP, f"{said}: {address:#x}-{end:#x} overlaps #{handle} "
                                     f"({other.address:#x}-{other.address + other.size:#x}), which is allocated", None,
                                     address, step.size, "memory that nobody has", f"part of #{handle}",
                                     {"other": handle}))
        block = _Block(address, step.size, step.align)
        self._known = replace(known, blocks=(*known.blocks, (step.handle, block)))
        return block

    def _forget(self, handle: int) -> None:
        known = self._known
        self._known = replace(known, blocks=tuple(each for each in known.blocks if each[0] != handle))

    def _pointer(self, block: _Block) -> int:
        return block.address + self._functions.linear

    def _give_back(self, block: _Block) -> tuple[int, ...]:
        if self._kind is SubjectKind.FRAME:
            return block.address, block.size
        return block.address, block.size, block.align

    def _changed(self, step: Alloc | Free, block: _Block, found: int, who: str) -> Finding:
        expected = _SEED + step.handle
        return Finding(FindingKind.CONTENTS, f"{who}: the first word of #{step.handle}, at {block.address:#x}, has "
                       f"changed while it was allocated: {found:#x}", None, block.address, WORD, f"{expected:#x}",
                       f"{found:#x}", {"handle": step.handle})

    # --- the end ------------------------------------------------------------------------------------------------

    def end(self, call: Undisturbed) -> Finding | None:
        """See Work: blocks have what was written; given back, all memory can be had again."""
        for handle, block in self._known.blocks:
            if _touched(block):
                found = self.value(self._pointer(block), WORD)
                if found != _SEED + handle:
                    return self._changed(Free(handle), block, found, "at the end")
        for _, block in self._known.blocks:
            call(self._functions.dealloc, *self._give_back(block))
        if self._measure is None:
            return None
        return next(iter(self._measure.judge(self._drain(call, self._measure.pristine))), None)

    def _drain(self, call: Undisturbed, pristine: Yield) -> Yield:
        """What the allocator gives now, up to a little more than it gave when pristine."""
        if self._functions.reclaim is not None:
            call(self._functions.reclaim)
        least = max(self._kind.granule, SMALLEST_HEAP)
        size, left = 1 << self._memory.size.bit_length() - 1, pristine.size
        found: list[tuple[int, int]] = []
        while size >= least and left >= 0:
            count = 0
            while left >= 0 and call(self._functions.alloc, size, self._kind.granule):
                count += 1
                left -= size
            if count:
                found.append((size, count))
            size >>= 1
        return Yield(tuple(found))


def _touched(block: _Block) -> bool:
    """Whether a block has room for a word of its owner's."""
    return block.size >= WORD and block.align >= WORD
