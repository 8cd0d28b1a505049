"""What of an engine is the machine's state, and what belongs to the process it lives in.

        machine block   by the tables below
        hart blocks     all of each, but HART_KEPT; the hart in the engine brings its engine state from there
        state arrays    all of each (`Engine.state_arrays`): the timing model's, for instance

Cached translations of addresses are no state: they are dropped when the state is saved, too, so that a
guest that changed a page table, and has not flushed yet, goes on alike in both. Translated blocks are
none, either: what changed under them is discarded.

Every word of the machine block is in one table. Its M_ names are those of `layout`; a test fails for a
word that is in none.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import SnapshotError
from . import abi, block, layout
from .riscv import PRV_M, PRV_S, PRV_U

if TYPE_CHECKING:
    from .engine import Engine

MACHINE_STATE: Final = (
    "M_SLICE_END", "M_NEXT_EVENT", "M_TIME_OFFSET", "M_EVENT", "M_YIELD", "M_HOSTCALLS", "M_NATURAL", "M_PART",
    "M_BLOCK_CLOCK", "M_STOP_ASKED", "M_LIMIT", "M_TRAPS", "M_LOOP_PC", "M_LOOP_INSNS", "M_LOOP_EPC", "M_LOOP_COUNT",
    "M_MPRV_MODE",
)
"""State: saved and put back. M_HART is, too, as a number (`EngineState.hart`)."""

MACHINE_SETTLED: Final = (
    "M_BUDGET", "M_HOLD", "M_ARMED", "M_SLICE", "M_STOP", "M_STOP_ARG", "M_LEFT", "M_HOST_ACCESS", "M_WATCH_PASS",
    "M_FP_FIXES", "M_FP_SAVED", "M_FP_BOX", "M_FP_RD", "M_FP_FLAGS", "M_FP_PC", "M_REBUILD", "M_REBUILD_SIZE",
    "M_INSNS_END", "M_XRET", "M_XRET_BITS", "M_XRET_PRIV",
    "M_CURRENT",  # a block runs before anyone asks for it, or the fetch of one fails
)
"""Of no meaning between two runs, when state is saved: set to 0 when it is put back."""

MACHINE_KEPT: Final = (
    "M_MAGIC", "M_UC", "M_CS", "M_ENV", "M_FUNCTIONS", "M_CONSIDER", "M_HART", "M_HARTS",
    "M_BLOCK_HOOK", "M_CODE_HOOK", "M_CODE_BLOCK", "M_ON_CODE", "M_RECORDS", "M_RECORD_NEXT", "M_RECORD_END",
    "M_HAS_CODE", "M_RAM_HOST", "M_CLINT", "M_PLIC", "M_TIMING", "M_TIMING_STOP_SHORT", "M_TIMING_REDIRECT",
    "M_TIMING_PENDING", "M_TIMING_WATCHED",  # host addresses
    "M_HART_COUNT", "M_QUANTUM", "M_CYCLES_PER_TICK", "M_BANKS", "M_BANK_COUNT", "M_DEVICES", "M_DEVICE_COUNT",
    "M_FAST_STORES", "M_SINK", "M_ROM_BASE", "M_ROM_SIZE", "M_WIDEST",
    "M_EVENTS_SUPPORTED",  # the board's and the timing profile's, which are the same
    "M_RUN_LIMIT", "M_PACED", "M_STEP", "M_STEP_LEFT", "M_STEP_HART", "M_WATCHES", "M_WATCH_COUNT",
    "M_WATCH_HIT", "M_WATCH_KIND", "M_WATCH_ADDRESS", "M_WATCH_SIZE", "M_WATCH_HART", "M_WATCH_PC",
    "M_WATCH_RESULT", "M_WATCH_CUTS", "M_GUARD",
    "M_BREAKS", "M_BREAK_COUNT", "M_BREAK_SKIP", "M_POINTS", "M_LAST_HIT", "M_ALONE", "M_ALIKE",
    "M_TRACE", "M_TRACE_RING",
    "M_TRACE_COUNT", "M_TRACE_PAUSES", "M_TRACE_LOWEST",
    "M_CODE_FIRST", "M_CODE_LAST",  # how the machine is run and looked at
)
"""Left as they are in the engine into which state is put."""

HART_KEPT: Final = ("H_TIMING",)
"""Words of a hart block that hold host addresses, likewise."""

MAX_BLOCK: Final = 1 << 15
"""No block has as many instructions."""
WORD: Final = 8
ENV: Final = slice(layout.H_ENV // WORD, (layout.H_ENV + abi.ENV_SIZE) // WORD)
"""The engine state in a hart block."""

Words = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class EngineState:
    """The state of an engine between two runs."""

    hart: int
    """Number of the hart in the engine."""
    machine: Words
    """The words of MACHINE_STATE."""
    harts: Words
    """A row for each hart: its block."""
    arrays: Mapping[str, Array]
    """The state arrays by name."""

    def word(self, name: str) -> int:
        """The first word of the field `name`, one of MACHINE_STATE."""
        return int(self.machine[_indices(MACHINE_STATE).index(fields("M_", layout.M_SIZE)[name][0])])


def save(engine: Engine) -> EngineState:
    """The state between two runs. Drops cached address translations. SnapshotError during a run."""
    _require_still(engine)
    if engine.timing is not None:
        engine.timing.save()
    engine.flush_tlb()
    hart = engine.current_hart
    harts = _harts(engine).copy()
    harts[:, _kept_in_harts()] = 0
    harts[hart, ENV] = np.frombuffer(ctypes.string_at(engine.state_address(hart), abi.ENV_SIZE), dtype=np.int64)
    return EngineState(hart, _machine(engine)[_indices(MACHINE_STATE)], harts,
                       {name: array.copy() for name, array in engine.state_arrays.items()})


def load(engine: Engine, state: EngineState) -> None:
    """Put the state back, after `check`. Translations of RAM that changed are the caller's business."""
    machine, harts, kept = _machine(engine), _harts(engine), _kept_in_harts()
    rows = state.harts.copy()
    rows[:, kept] = harts[:, kept]
    harts[:] = rows
    machine[_indices(MACHINE_SETTLED)] = 0
    machine[_indices(MACHINE_STATE)] = state.machine
    engine.set_word(layout.M_HART, engine.hart_block[state.hart])
    ctypes.memmove(engine.env, engine.hart_block[state.hart] + layout.H_ENV, abi.ENV_SIZE)
    for name, array in engine.state_arrays.items():
        array[...] = state.arrays[name]
    hook = engine.word(layout.M_CODE_HOOK)  # no block waits for it any more: one that needs it will say so again
    for field, offset in ((layout.M_CODE_FIRST, abi.HOOK_BEGIN), (layout.M_CODE_LAST, abi.HOOK_END)):
        ctypes.c_uint64.from_address(hook + offset).value = engine.word(field)
    engine.set_word(layout.M_CODE_BLOCK, block.NOWHERE)
    engine.set_word(layout.M_TIMING, engine.hart_word(state.hart, layout.H_TIMING))
    if engine.timing is not None:
        engine.timing.load()
    engine.flush_tlb()


def check(engine: Engine, state: EngineState) -> None:
    """SnapshotError unless `state` can be this engine's, and can be put back now."""
    _require_still(engine)
    for name, found, expected in (
        ("the machine block", state.machine.shape, (len(_indices(MACHINE_STATE)),)),
        ("the hart blocks", state.harts.shape, (engine.harts, layout.H_SIZE // WORD)),
        ("the state arrays", sorted(state.arrays), sorted(engine.state_arrays)),
    ):
        if found != expected:
            raise SnapshotError(f"{name} of the snapshot: found {found}, expected {expected}")
    for name, array in engine.state_arrays.items():
        saved = state.arrays[name]
        if saved.shape != array.shape or saved.dtype != array.dtype:
            raise SnapshotError(f"state array {name} of the snapshot: found {saved.dtype}{saved.shape}, expected "
                                f"{array.dtype}{array.shape}")
    words = dict(zip(_indices(MACHINE_STATE), state.machine.tolist(), strict=True))
    _require("hart in the engine", state.hart, range(engine.harts))
    for name in ("M_NATURAL", "M_LIMIT"):  # native code relies on these, as on the harts' below
        _require(name, words[getattr(layout, name) // WORD], range(MAX_BLOCK))
    for number, row in enumerate(state.harts.tolist()):
        _require(f"hart {number}'s id", row[layout.H_ID // WORD], (number,))
        _require(f"hart {number}'s privilege", row[(layout.H_ENV + abi.ENV_PRIV) // WORD], (PRV_U, PRV_S, PRV_M))
        _require(f"hart {number}'s PMP entries", row[layout.H_PMP_ACTIVE // WORD], range(17))
        for event in row[layout.H_COUNTER_EVENT // WORD:layout.H_COUNTER_BASE // WORD]:
            _require(f"event of a counter of hart {number}'s", event, range(layout.EVENTS))


@functools.cache
def fields(prefix: str, size: int) -> dict[str, range]:
    """The words of every field of the block with this prefix ("M_", "H_") and of `size` bytes, by name."""
    starts: dict[int, str] = {}
    for name, value in vars(layout).items():
        if name.startswith(prefix) and name != prefix + "SIZE":
            starts.setdefault(value, name)
    ends = sorted([*starts, size])[1:]
    return {starts[start]: range(start // WORD, end // WORD) for start, end in zip(sorted(starts), ends, strict=True)}


def describe() -> dict[str, list[list[Any]]]:
    """The fields that saved state has, and their numbers of words: for a file that another version may read."""
    machine, harts = fields("M_", layout.M_SIZE), fields("H_", layout.H_SIZE)
    return {"machine": [[name, len(machine[name])] for name in MACHINE_STATE],
            "hart": [[name, len(words)] for name, words in harts.items()]}


def _machine(engine: Engine) -> Words:
    """The machine block as an array."""
    return np.ctypeslib.as_array((ctypes.c_int64 * (layout.M_SIZE // WORD)).from_address(engine.block))


def _harts(engine: Engine) -> Words:
    """The hart blocks as an array, a row for each."""
    row = ctypes.c_int64 * (layout.H_SIZE // WORD)
    return np.ctypeslib.as_array((row * engine.harts).from_address(engine.hart_block[0]))


def _indices(names: tuple[str, ...]) -> list[int]:
    """The words of these fields in the machine block, in the table's order."""
    known = fields("M_", layout.M_SIZE)
    return [word for name in names for word in known[name]]


def _kept_in_harts() -> list[int]:
    known = fields("H_", layout.H_SIZE)
    return [word for name in HART_KEPT for word in known[name]]


def _require_still(engine: Engine) -> None:
    engine.state_address(0)  # EngineError if it is closed
    if engine.word(layout.M_SLICE):
        raise SnapshotError("the machine is running: expected it to stand still, between two runs")


def _require(what: str, found: int, allowed: range | tuple[int, ...]) -> None:
    if found not in allowed:
        expected = f"{allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else " or ".join(map(str, allowed))
        raise SnapshotError(f"{what} in the snapshot: found {found}, expected {expected}")
