"""The counters: mcycle, minstret, mhpmcounter3 to 18, and who may read them.

A counter counts one event: 0 (mcycle) cycles, 2 (minstret) instructions, the others what mhpmeventN
selects. A selector is the value of an `Event`; 0 is no event, and what the machine cannot count
(M_EVENTS_SUPPORTED) reads back as 0. Counts are never stored in counters: each event has one count for
each hart, which only grows, and a counter is a distance from it, which a write moves:

        counting     value = H_COUNTER_BASE + event_count        stop:   base += event_count
        stopped      value = H_COUNTER_BASE                      start:  base -= event_count

mcountinhibit stops and starts counters so, and so does a new selector: the value stays.

An instruction that reads a counter is not in what it reads. One that writes a counter, mcountinhibit
or mhpmeventN is counted before the write takes effect: the next instruction reads the value written
(3.1.10). Overflow interrupts and filters by privilege mode (Sscofpmf) do not exist.

Source: privileged specification 3.1.10 to 3.1.12 and 4.1.5.
"""

from __future__ import annotations

from ..timing.events import Event
from .abi import ENV_MCOUNTEREN, ENV_PRIV, ENV_SCOUNTEREN
from .clock import now_at_end, retired
from .layout import (
    EVENTS, H_COUNTER_BASE, H_COUNTER_EVENT, H_COUNTINHIBIT, H_EVENTS, H_TRAPS, M_EVENTS_SUPPORTED, M_HOST_ACCESS,
)
from .native import inline
from .prims import ld64, st64, ult
from .riscv import COUNTERS, PRV_M, PRV_U

CYCLES, INSTRUCTIONS, TRAPS = int(Event.CYCLES), int(Event.INSTRUCTIONS), int(Event.TRAPS)
MCYCLE, MINSTRET = 0, 2
"""Numbers of the counters whose event is fixed; 1 is time, no counter."""
NUMBERS = 32
"""Counter numbers that the registers have room for."""


@inline
def counter_allowed(env: int, index: int) -> bool:
    """Whether mcounteren and scounteren let the current mode read counter `index` (3.1.11, 4.1.5)."""
    priv = ld64(env + ENV_PRIV)
    if priv < PRV_M and not (ld64(env + ENV_MCOUNTEREN) >> index) & 1:
        return False
    return priv != PRV_U or (ld64(env + ENV_SCOUNTEREN) >> index) & 1 != 0


@inline
def event_count(m: int, h: int, event: int) -> int:
    """How often `event` has happened on the running hart `h`, all of the current block included."""
    if event == CYCLES:
        return now_at_end(m)
    if event == INSTRUCTIONS:
        return retired(m)
    if event == TRAPS:
        return ld64(h + H_TRAPS)
    return ld64(h + H_EVENTS + 8 * event)


@inline
def own_count(m: int, event: int) -> int:
    """What the instruction that reads a counter of `event` has added to the count itself; the host adds nothing."""
    return 1 if (event == CYCLES or event == INSTRUCTIONS) and not ld64(m + M_HOST_ACCESS) else 0


@inline
def read_event(h: int, index: int) -> int:
    """The event that counter `index` counts: mhpmevent `index`, if it is programmable."""
    if index == MCYCLE:
        return CYCLES
    if index == MINSTRET:
        return INSTRUCTIONS
    return ld64(h + H_COUNTER_EVENT + 8 * index)


@inline
def counting(h: int, index: int) -> bool:
    """Whether counter `index` counts, rather than being stopped by mcountinhibit."""
    return (ld64(h + H_COUNTINHIBIT) >> index) & 1 == 0


@inline
def move_base(h: int, index: int, distance: int) -> None:
    """Add `distance` to the base of counter `index`."""
    st64(h + H_COUNTER_BASE + 8 * index, ld64(h + H_COUNTER_BASE + 8 * index) + distance)


@inline
def read_counter(m: int, h: int, index: int) -> int:
    """mcycle (0), minstret (2) or mhpmcounter `index`: the value before this instruction retires."""
    base = ld64(h + H_COUNTER_BASE + 8 * index)
    if not counting(h, index):
        return base
    event = read_event(h, index)
    return base + event_count(m, h, event) - own_count(m, event)


@inline
def write_counter(m: int, h: int, index: int, value: int) -> None:
    """Set a counter: the next instruction reads `value` (3.1.10)."""
    st64(h + H_COUNTER_BASE + 8 * index, value)
    if counting(h, index):
        move_base(h, index, -event_count(m, h, read_event(h, index)))


@inline
def write_event(m: int, h: int, index: int, value: int) -> None:
    """mhpmevent `index` (3.1.10, WARL): select an event, none if the machine cannot count it."""
    if not ult(value, EVENTS) or not (ld64(m + M_EVENTS_SUPPORTED) >> value) & 1:
        value = 0
    if counting(h, index):
        old = ld64(h + H_COUNTER_EVENT + 8 * index)
        move_base(h, index, event_count(m, h, old) - event_count(m, h, value))
    st64(h + H_COUNTER_EVENT + 8 * index, value)


@inline
def write_inhibit(m: int, h: int, value: int) -> None:
    """mcountinhibit (3.1.12): stop and start counters, which keep their values."""
    new = value & COUNTERS & ~2
    changed = new ^ ld64(h + H_COUNTINHIBIT)
    for index in range(NUMBERS):
        if (changed >> index) & 1:
            count = event_count(m, h, read_event(h, index))
            move_base(h, index, count if (new >> index) & 1 else -count)
    st64(h + H_COUNTINHIBIT, new)
