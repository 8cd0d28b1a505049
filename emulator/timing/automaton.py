"""The pipeline as an automaton that is built while it runs.

What a block costs depends on the block, on the pipeline's state before it, on how fetch came to it,
and on what happened while it ran. Most of the time all four were seen before. So the result is kept:
an *edge*, found by a 64-bit hash of the four, holds the cycles, the cycles lost by cause, and the state
behind it. Only a block seen under new circumstances goes through `pipeline.run`.

        state ──(block, entry, events)──> state'      after so and so many cycles

States are packed images of the pipeline (`pipeline`), each kept once, so that equal states have equal
addresses. Edges and states are a cache of a pure function: dropping them all (`engine` does when a pool
is full) changes nothing but the speed. How often a hart took each edge is counted beside it, for `stats`.
"""

from __future__ import annotations

from typing import Final

from ..engine.clock import request_stop
from ..engine.layout import STOP_RECORDS
from ..engine.native import inline, outline
from ..engine.prims import ld64, lshr, st64
from .layout import (
    A_EDGES, A_EDGE_BUCKETS, A_EDGE_COUNT, A_EDGE_LIMIT, A_FULL, A_STATES, A_STATE_BUCKETS, A_STATE_COUNT,
    A_STATE_LIMIT, BUCKETS, D_COUNT, D_EDGE, E_BLOCK, E_CHAIN, E_CYCLES, E_FLAGS, E_KEY, E_NEXT, E_NUMBER, E_SIZE,
    E_STALLS, STALLS, S_CHAIN, S_KEY, S_SIZE, S_WORDS, T_ENTRY, T_KEY, T_POOL, T_SAVED, T_SCRATCH, T_STATE, W_STALLS,
    W_STATE,
)
from .pipeline import run

PRIME: Final = 0x9E37_79B9_7F4A_7C15 - (1 << 64)
ENTRY_FACTOR: Final = 0x2545_F491_4F6C_DD1D


@inline
def mix(key: int, value: int) -> int:
    """`key` with `value` hashed into it."""
    key = (key ^ value) * PRIME
    return key ^ lshr(key, 29)


@outline
def intern(t: int, words: int) -> int:
    """The state equal to the one packed at `words`, which is entered if it is new."""
    a = ld64(t + T_POOL)
    key = 0
    for i in range(S_WORDS):
        key = mix(key, ld64(words + 8 * i))
    bucket = ld64(a + A_STATE_BUCKETS) + 8 * (lshr(key, 20) & (BUCKETS - 1))
    s = ld64(bucket)
    while s:
        if ld64(s + S_KEY) == key:
            same = True
            for i in range(S_WORDS):
                if ld64(s + 8 * i) != ld64(words + 8 * i):
                    same = False
            if same:
                return s
        s = ld64(s + S_CHAIN)
    number = ld64(a + A_STATE_COUNT)
    s = ld64(a + A_STATES) + number * S_SIZE
    st64(a + A_STATE_COUNT, number + 1)
    if number + 1 >= ld64(a + A_STATE_LIMIT):
        st64(a + A_FULL, 1)
    for i in range(S_WORDS):
        st64(s + 8 * i, ld64(words + 8 * i))
    st64(s + S_KEY, key)
    st64(s + S_CHAIN, ld64(bucket))
    st64(bucket, s)
    return s


@inline
def state(t: int) -> int:
    """The hart's pipeline state, interned."""
    s = ld64(t + T_STATE)
    if s == 0:
        s = intern(t, t + T_SAVED)
        st64(t + T_STATE, s)
    return s


@outline
def find(t: int, m: int, d: int) -> int:
    """The edge from the hart's state through block `d` with the key in T_KEY; made if it is new."""
    key = ld64(t + T_KEY)
    a = ld64(t + T_POOL)
    bucket = ld64(a + A_EDGE_BUCKETS) + 8 * ((key ^ lshr(d, 5) ^ lshr(key, 32)) & (BUCKETS - 1))
    e = ld64(bucket)
    while e:
        if ld64(e + E_KEY) == key and ld64(e + E_BLOCK) == d:
            st64(d + D_EDGE, e)
            return e
        e = ld64(e + E_CHAIN)
    cycles, flags = run(t, d, ld64(d + D_COUNT), state(t), ld64(t + T_ENTRY))
    number = ld64(a + A_EDGE_COUNT)
    e = ld64(a + A_EDGES) + number * E_SIZE
    st64(a + A_EDGE_COUNT, number + 1)
    if number + 1 >= ld64(a + A_EDGE_LIMIT):
        st64(a + A_FULL, 1)
    w = t + T_SCRATCH
    st64(e + E_KEY, key)
    st64(e + E_BLOCK, d)
    st64(e + E_CYCLES, cycles)
    st64(e + E_NEXT, intern(t, w + W_STATE))
    st64(e + E_FLAGS, flags)
    st64(e + E_NUMBER, number)
    for i in range(STALLS):
        at = e + E_STALLS + 8 * (i >> 2)
        st64(at, ld64(at) + ((ld64(w + W_STALLS + 8 * i) & 0xFFFF) << 16 * (i & 3)))
    st64(e + E_CHAIN, ld64(bucket))
    st64(bucket, e)
    st64(d + D_EDGE, e)
    if ld64(a + A_FULL):
        request_stop(m, STOP_RECORDS, 0)
    return e


@inline
def begin_key(t: int) -> int:
    """Where a block's key begins: with the state before it, and how fetch comes to it."""
    return ld64(state(t) + S_KEY) + ld64(t + T_ENTRY) * ENTRY_FACTOR
