"""What the timing model counts: events (how often) and stalls (how long), for each hart.

An `Event` is counted when it happens, in the hart's block (`layout.H_EVENTS`, a word each), so that a
counter can be pointed at it (`engine.counters`). A `Stall` names why a cycle passed in which no
instruction was issued; instructions and stalls together are the cycles of a hart that does not wait:

        cycles = instructions issued + stalls + cycles in WFI

The numbers are part of snapshots and of the mhpmevent selectors: new ones go at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final


class Event(IntEnum):
    """Events that a hart's counters count. The value is the index of its word, and its mhpmevent selector."""

    NONE = 0
    CYCLES = 1
    INSTRUCTIONS = 2
    TRAPS = 3
    LOADS = 4
    STORES = 5
    AMOS = 6
    BRANCHES = 7
    JUMPS = 8
    BRANCH_MISPREDICTS = 9
    TARGET_MISPREDICTS = 10
    FETCH_REDIRECTS = 11
    L1I_ACCESSES = 12
    L1I_MISSES = 13
    L1D_ACCESSES = 14
    L1D_MISSES = 15
    L1D_WRITEBACKS = 16
    ITLB_MISSES = 17
    DTLB_MISSES = 18
    MMIO_ACCESSES = 19
    REPLAYS = 20

    @property
    def text(self) -> str:
        """What is counted, in a few words."""
        return _EVENT_TEXTS[self]


COUNTABLE_EVENTS: Final = tuple(event for event in Event if event is not Event.NONE)
"""What a selector can stand for; what of them a machine counts depends on its timing model."""
UNTIMED_EVENTS: Final = (Event.CYCLES, Event.INSTRUCTIONS, Event.TRAPS)
"""What a machine counts without a timing model."""


def event_mask(events: Iterable[Event]) -> int:
    """`events` as a set of bits, bit n for the event of value n: what `layout.M_EVENTS_SUPPORTED` holds."""
    mask = 0
    for event in events:
        mask |= 1 << event
    return mask


class Stall(IntEnum):
    """Why no instruction was issued in a cycle. The value is its index in a hart's row of stalls."""

    BRANCH = 0
    FETCH = 1
    L1I = 2
    L1D = 3
    TLB = 4
    LOAD_USE = 5
    MUL_DIV = 6
    FP = 7
    STORE = 8
    ATOMIC = 9
    FENCE = 10
    CSR = 11
    TRAP = 12
    MMIO = 13

    @property
    def text(self) -> str:
        """The reason, in a few words."""
        return _STALL_TEXTS[self]


_EVENT_TEXTS = {
    Event.NONE: "nothing",
    Event.CYCLES: "cycles",
    Event.INSTRUCTIONS: "instructions retired",
    Event.TRAPS: "traps taken, interrupts included",
    Event.LOADS: "loads, LR included",
    Event.STORES: "stores, SC included",
    Event.AMOS: "atomic memory operations",
    Event.BRANCHES: "conditional branches",
    Event.JUMPS: "jumps, calls and returns",
    Event.BRANCH_MISPREDICTS: "conditional branches that went the other way than predicted",
    Event.TARGET_MISPREDICTS: "jumps and returns that went elsewhere than predicted",
    Event.FETCH_REDIRECTS: "taken branches and jumps that the BTB did not know, found at fetch",
    Event.L1I_ACCESSES: "lines of code looked up in the instruction cache",
    Event.L1I_MISSES: "instruction cache misses",
    Event.L1D_ACCESSES: "data cache accesses",
    Event.L1D_MISSES: "data cache misses",
    Event.L1D_WRITEBACKS: "dirty lines written back to make room",
    Event.ITLB_MISSES: "instruction TLB misses",
    Event.DTLB_MISSES: "data TLB misses",
    Event.MMIO_ACCESSES: "accesses to device registers",
    Event.REPLAYS: "instructions that were started again (store buffer, write port)",
}

_STALL_TEXTS = {
    Stall.BRANCH: "mispredicted branches, jumps and returns",
    Stall.FETCH: "the fetch unit: targets found late, straddling targets",
    Stall.L1I: "instruction cache misses",
    Stall.L1D: "data cache misses",
    Stall.TLB: "TLB misses and page walks",
    Stall.LOAD_USE: "waiting for a load's result",
    Stall.MUL_DIV: "waiting for the multiplier or divider",
    Stall.FP: "waiting for the floating-point unit",
    Stall.STORE: "loads that wait for an older store",
    Stall.ATOMIC: "atomic operations",
    Stall.FENCE: "fences",
    Stall.CSR: "CSR accesses, and the refetch after a write",
    Stall.TRAP: "entering and leaving traps",
    Stall.MMIO: "device registers",
}
