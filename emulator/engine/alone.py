"""One hart of an engine at a time: who runs is the host's choice, not the scheduler's.

        run(0)   hart 0, up to a reason to stop        the others stand still, whatever they wait for
        run(1)   hart 1, …
        save(), load()                                 all harts as they were: microseconds, and no memory

`emulator.solo` is its face. Whole states of a machine, between runs of any kind, are `state`'s.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

from . import abi, layout, watch

if TYPE_CHECKING:
    from .engine import Engine

HartsState = tuple[int, bytes, bytes]
"""The block of the hart in the engine, all hart blocks, and that hart's engine state."""

_MASK: Final = (1 << 64) - 1
_HART, _ALONE, _SLICE_END = layout.M_HART >> 3, layout.M_ALONE >> 3, layout.M_SLICE_END >> 3
_NATURAL, _PART, _LIMIT, _BLOCK_CLOCK = (
    layout.M_NATURAL >> 3, layout.M_PART >> 3, layout.M_LIMIT >> 3, layout.M_BLOCK_CLOCK >> 3)
_BREAK_COUNT, _BREAK_SKIP = layout.M_BREAK_COUNT >> 3, layout.M_BREAK_SKIP >> 3
_WATCH_CUTS, _WATCH_PASS, _WATCH_HIT = layout.M_WATCH_CUTS >> 3, layout.M_WATCH_PASS >> 3, layout.M_WATCH_HIT >> 3
_WATCH_PC, _WATCH_ADDRESS = layout.M_WATCH_PC >> 3, layout.M_WATCH_ADDRESS >> 3
_WATCH_SIZE, _WATCH_KIND = layout.M_WATCH_SIZE >> 3, layout.M_WATCH_KIND >> 3
_INSNS, _CLOCK = layout.H_INSNS >> 3, layout.H_CLOCK >> 3


class Alone:
    """Runs harts of `engine` one by one. It keeps nothing: all is in the engine's blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._words, self._hart_words = engine, engine.words, engine.hart_words

    def run(self, hart: int, limit: int, passing: bool) -> int:
        """`Engine.run` with `hart` only, whatever the others wait for; `passing`: its first instruction hits no
        watchpoint.

        No hart is in the middle of a block afterwards. A reservation (LR) outlives the turns of other harts:
        the caller ends it when another stores there.
        """
        engine, words = self._engine, self._words
        self._leave_block()
        words[_ALONE] = engine.hart_block[hart]
        words[_WATCH_CUTS] = 0
        words[_BREAK_SKIP] = _signed(engine.read_state(hart, abi.ENV_PC)) if words[_BREAK_COUNT] else -1
        if passing:  # a split block of one instruction: whoever is in the engine, the run loop puts the hart into it
            words[_NATURAL] = words[_PART] = words[_LIMIT] = 1
            words[_WATCH_PASS] = watch.PASS_WANTED
            self._count(hart, 1)
        reason = engine.run(limit)
        words[_ALONE] = words[_SLICE_END] = 0
        self._leave_block()
        return reason

    @property
    def watch_hit(self) -> tuple[int, int, int, int]:
        """The access that hit a watchpoint (STOP_WATCH): pc, address, size, kind (unsigned). It is forgotten."""
        words = self._words
        words[_WATCH_HIT] = 0
        return words[_WATCH_PC] & _MASK, words[_WATCH_ADDRESS] & _MASK, words[_WATCH_SIZE], words[_WATCH_KIND]

    def _leave_block(self) -> None:
        """Let the block that the hart in the engine is in the middle of, if it is, end here."""
        words = self._words
        left = words[_NATURAL]
        if left:
            self._count(self._engine.current_hart, -left)
            words[_NATURAL] = 0
        words[_PART] = words[_LIMIT] = words[_WATCH_PASS] = 0
        words[_BLOCK_CLOCK] = -1

    def _count(self, hart: int, instructions: int) -> None:
        """Count instructions of a split block, as `clock.spend` does."""
        at = hart * layout.H_SIZE >> 3
        self._hart_words[at + _INSNS] += instructions
        if not self._engine.timed:
            self._hart_words[at + _CLOCK] += instructions

    def save(self) -> HartsState:
        """What the harts are, between two `run`s: all of it that is not in memory, devices or a timing model."""
        return self._words[_HART], bytes(self._hart_words), ctypes.string_at(self._engine.env, abi.ENV_SIZE)

    def load(self, state: HartsState) -> None:
        """Make the harts what `save` has found in this engine. Page tables must be as they were then."""
        self._words[_HART], words, loaded = state
        ctypes.memmove(self._engine.hart_block[0], words, len(words))
        ctypes.memmove(self._engine.env, loaded, len(loaded))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
