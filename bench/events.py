"""What leaves translated code: traps, and accesses to devices native and in Python."""

from __future__ import annotations

from functools import partial

from .compute import seconds
from .measure import Figure, interleaved

EVENTS = (
    ("traps", "trap round trip, ecall to M-mode and mret", 1_000_000, 0.5),
    ("access-uart", "UART access", 1_000_000, 0.5),
    ("access-clint", "CLINT access", 1_000_000, 0.5),
    ("access-rtc", "access to a device in Python", 50_000, 8.0),
)
"""Program, what it repeats, how often, and the microseconds that one may take."""


def figures() -> list[Figure]:
    """Microseconds of each, the loop around it included."""
    median = interleaved(5, **{program: partial(seconds, program) for program, *_ in EVENTS})
    return [Figure(what, median[program] / count * 1e6, "us", needed) for program, what, count, needed in EVENTS]
