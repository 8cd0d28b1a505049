"""The pipeline's state between two blocks, packed: sixteen words, times in cycles from the last issue.

Equal pipelines have equal images, so that the automaton can tell them apart by their bytes. For that,
what is over is written as 0, and what can make no difference any more as the same number, however long
ago it was.
"""

from __future__ import annotations

from typing import Final

from ..engine.native import inline, outline
from ..engine.prims import ld64, st64
from .layout import W_CAUSE, W_READY, W_STATE

EMPTY: Final = -(1 << 40)
"""A time that is long past."""
SETTLED: Final = 16
"""Cycles that fetch is ahead at most: after them it makes no difference any more when a packet was fetched or taken."""
FAR: Final = 250
"""More than any latency."""

# Bytes of a packed state. A time is in cycles from the last issue; 0 is "over".
S_READY: Final = 0  # 64 registers
S_CAUSE: Final = 64  # 64 registers, 4 bits each
S_MULDIV: Final = 96  # when the multiplier is done
S_MULDIV_RD: Final = 97
S_FDIV: Final = 98
S_STORE_OLD: Final = 99  # when a store may go to the cache, + 8
S_STORE_NEW: Final = 100
S_TAG_WRITE: Final = 101
S_LAST_MEMORY: Final = 102  # cycles since the last memory access, up to 15
S_FLAGS: Final = 103
S_FETCHED: Final = 104  # when the last packet entered fetch, + 128
S_FETCH_CAUSE: Final = 105
S_SLOTS: Final = 106
S_UNITS: Final = 107
S_FP_WRITES: Final = 108  # bit i: a result is written in i cycles (two bytes)
S_DEVICE: Final = 120  # when the last device access is over
S_QUEUE: Final = 112  # cycles since the last packets left the queue, up to SETTLED
SF_FENCE: Final = 1
SF_LOAD: Final = 2
SF_FRESH: Final = 4  # fetch starts over
SF_HALF: Final = 8  # the last instruction stood alone in the decoder's buffer
SF_QUEUE_EMPTY: Final = 16  # fewer than two packets waited when the last one was fetched
SF_QUEUE_FULL: Final = 32  # the last packet had to wait for room in the queue
SF_BLOCKED: Final = 64  # a miss has just been waited for
SF_BLOCKED_TWICE: Final = 128  # with a line written back


@inline
def field(s: int, number: int) -> int:
    """Byte `number` of a packed state at `s`."""
    return ld64(s + (number & ~7)) >> 8 * (number & 7) & 255


@outline
def unpack_registers(w: int, s: int) -> None:
    """Set up when each register is ready."""
    for i in range(8):
        eight = ld64(s + 8 * i)
        at = w + W_READY + 64 * i
        if eight == 0:
            for j in range(8):
                st64(at + 8 * j, 0)
        else:
            for j in range(8):
                st64(at + 8 * j, eight >> 8 * j & 255)
    for i in range(4):
        sixteen = ld64(s + S_CAUSE + 8 * i)
        at = w + W_CAUSE + 128 * i
        for j in range(16):
            st64(at + 8 * j, sixteen >> 4 * j & 15)


@outline
def pack_registers(w: int, now: int, least: int) -> None:
    """Write down when each register will be ready, from cycle `now`; what is ready by `least` is."""
    for i in range(8):
        eight = 0
        causes = 0
        for j in range(8):
            at = 64 * i + 8 * j
            left = ld64(w + W_READY + at) - now
            if left > least:
                eight |= (left if left < FAR else FAR) << 8 * j
                causes |= ld64(w + W_CAUSE + at) << 4 * j
        st64(w + W_STATE + 8 * i, eight)
        half = w + W_STATE + S_CAUSE + 8 * (i >> 1)
        if i & 1:
            st64(half, ld64(half) | causes << 32)
        else:
            st64(half, causes)


@inline
def stored_time(packed: int) -> int:
    """The inverse of `pending_store`, from cycle 0."""
    return packed - 8 if packed else EMPTY


@inline
def pending_store(when: int, now: int) -> int:
    """When a store may go to the cache, for the packed state; 0 for none."""
    if when <= EMPTY // 2:
        return 0
    left = when - now
    return (left if left > -7 else -7) + 8
