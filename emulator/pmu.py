"""The SBI's performance events in terms of ours: the device tree's `pmu` node, by which firmware finds the counters.

The hart knows selectors (`timing.events.Event`), a supervisor the numbers of the SBI. The node is what
stands between them, for any firmware: of each SBI event that has an event of ours, the selector, and the
counters for it. Whether this machine counts it the hart says: it refuses the selectors that it does not.

Source: SBI specification 2.0, 11.1 to 11.3; OpenSBI, docs/pmu_support.md.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import Final

from .devicetree import U64, Cell, Node
from .engine.riscv import COUNTERS
from .timing.events import Event


class General(IntEnum):
    """Hardware general events (type 0) that have an event of ours."""

    CPU_CYCLES = 1
    INSTRUCTIONS = 2
    CACHE_REFERENCES = 3
    CACHE_MISSES = 4
    BRANCH_INSTRUCTIONS = 5
    BRANCH_MISSES = 6


class Cache(IntEnum):
    """Caches of hardware cache events (type 1) that have an event of ours."""

    L1D = 0
    L1I = 1
    DTLB = 3
    ITLB = 4
    BPU = 5


class Result(IntEnum):
    """What a hardware cache event counts."""

    ACCESS = 0
    MISS = 1


def cache_event(cache: Cache, result: Result) -> int:
    """The number of a cache event whose operation is reading."""
    return 1 << 16 | cache << 3 | result


SBI_EVENTS: Final[dict[int, Event]] = {
    General.CPU_CYCLES: Event.CYCLES,
    General.INSTRUCTIONS: Event.INSTRUCTIONS,
    General.CACHE_REFERENCES: Event.L1D_ACCESSES,
    General.CACHE_MISSES: Event.L1D_MISSES,
    General.BRANCH_INSTRUCTIONS: Event.BRANCHES,
    General.BRANCH_MISSES: Event.BRANCH_MISPREDICTS,
    cache_event(Cache.L1D, Result.ACCESS): Event.L1D_ACCESSES,
    cache_event(Cache.L1D, Result.MISS): Event.L1D_MISSES,
    cache_event(Cache.L1I, Result.ACCESS): Event.L1I_ACCESSES,
    cache_event(Cache.L1I, Result.MISS): Event.L1I_MISSES,
    cache_event(Cache.DTLB, Result.MISS): Event.DTLB_MISSES,
    cache_event(Cache.ITLB, Result.MISS): Event.ITLB_MISSES,
    cache_event(Cache.BPU, Result.ACCESS): Event.BRANCHES,
    cache_event(Cache.BPU, Result.MISS): Event.BRANCH_MISPREDICTS,
}
"""Event of ours by the SBI's number.

Data accesses are counted together, whatever they do: the events of reads count them all, those of
writes do not exist.
"""
PROGRAMMABLE: Final = COUNTERS & ~7
"""Counters that count any event, bit n for mhpmcounter n."""
FIXED: Final = {Event.CYCLES: 1 << 0, Event.INSTRUCTIONS: 1 << 2}
"""Counters that count one event only, by that event."""
_WHOLE: Final = U64((1 << 64) - 1)


def pmu_node(events: Collection[Event]) -> Node:
    """The `pmu` node of counters for `events`."""
    selectors: list[Cell] = []
    counters: list[Cell] = []
    for number, event in SBI_EVENTS.items():
        if event in events:
            selectors += [number, U64(event)]
            counters += [number, number, FIXED.get(event, 0) | PROGRAMMABLE]
    raw = [cell for event in sorted(events) if event is not Event.NONE for cell in (U64(event), _WHOLE, PROGRAMMABLE)]
    return Node("pmu", {
        "compatible": "riscv,pmu", "riscv,event-to-mhpmevent": selectors, "riscv,event-to-mhpmcounters": counters,
        "riscv,raw-event-to-mhpmcounters": raw,
    })
