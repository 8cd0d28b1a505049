"""Who lives how long: operations made one after the other in native code, from arrays that numpy has drawn.

For each operation there are a size, an alignment, a *level* (the bytes that may be live), a die, an order (who goes
first) and a wish:

        wish PLAIN     live + size <= level, or nothing is live: allocate; else give back the one whose turn it is
        wish CHECK     look at a live block
        wish SPLIT     cut a live block of two granules or more in two; else PLAIN

Handles are given out again, the last one that came back first. The structure that native code gets, words:

        size, align, level, die     arrays of u64         order, wish     arrays of u8, one each for each operation
        out                         OPERATION records
        line                        a ring of 2 * HANDLES u32: the live handles, oldest first, from `head` to `tail`
        free                        a stack of u32: handles that are not live
        held                        u64 for each handle: its bytes
        handles, granule            how many handles there are; bytes that a block is cut at a multiple of
"""

from __future__ import annotations

from typing import Final

from emulator.engine.native import entry, inline
from emulator.engine.prims import ld8, ld32, ld64, lshr, st32, st64

W_SIZE, W_ALIGN, W_LEVEL, W_DIE, W_ORDER, W_WISH, W_OUT, W_LINE, W_FREE, W_HELD, W_HANDLES, W_GRANULE = range(0, 96, 8)
WORDS: Final = 12
NEWEST, OLDEST, ANY = range(3)
"""Orders: who is given back."""
PLAIN, WISH_CHECK, WISH_SPLIT = range(3)
"""Wishes."""
ALLOC, DEALLOC, SPLIT, CHECK = 0, 1, 3, 4
OP: Final = 32
"""Bytes of an operation."""


@inline
def put(op: int, kind: int, handle: int, size: int, align: int, offset: int) -> None:
    """Write an operation down."""
    st32(op, kind)
    st32(op + 4, handle)
    st64(op + 8, size)
    st64(op + 16, align)
    st64(op + 24, offset)


@entry("i64(i64, i64)")
def live(w: int, count: int) -> int:
    """Make `count` operations; the bytes that are live at the end."""
    line = ld64(w + W_LINE)
    free = ld64(w + W_FREE)
    held = ld64(w + W_HELD)
    handles = ld64(w + W_HANDLES)
    granule = ld64(w + W_GRANULE)
    mask = 2 * handles - 1
    head = 0
    tail = 0
    spare = handles
    bytes_live = 0
    for i in range(count):
        op = ld64(w + W_OUT) + OP * i
        size = ld64(ld64(w + W_SIZE) + 8 * i)
        die = lshr(ld64(ld64(w + W_DIE) + 8 * i), 1)
        order = ld8(ld64(w + W_ORDER) + i)
        wish = ld8(ld64(w + W_WISH) + i)
        lives = tail - head
        if wish != PLAIN and lives > 0:
            handle = ld32(line + 4 * ((head + die % lives) & mask))
            has = ld64(held + 8 * handle)
            if wish == WISH_CHECK:
                put(op, CHECK, handle, 0, 0, 0)
                continue
            pieces = (has + granule - 1) // granule
            if pieces > 1 and spare > 0:
                spare -= 1
                rest = ld32(free + 4 * spare)
                offset = granule * (1 + (die >> 17) % (pieces - 1))
                put(op, SPLIT, handle, rest, 0, offset)
                st64(held + 8 * handle, offset)
                st64(held + 8 * rest, has - offset)
                st32(line + 4 * (tail & mask), rest)
                tail += 1
                continue
        if lives == 0 or spare > 0 and bytes_live + size <= ld64(ld64(w + W_LEVEL) + 8 * i):
            spare -= 1
            handle = ld32(free + 4 * spare)
            put(op, ALLOC, handle, size, ld64(ld64(w + W_ALIGN) + 8 * i), 0)
            st64(held + 8 * handle, size)
            st32(line + 4 * (tail & mask), handle)
            tail += 1
            bytes_live += size
            continue
        if order == OLDEST:
            handle = ld32(line + 4 * (head & mask))
            head += 1
        else:
            tail -= 1
            handle = ld32(line + 4 * (tail & mask))
            if order == ANY:
                at = line + 4 * ((head + die % lives) & mask)
                chosen = ld32(at)
                st32(at, handle)
                handle = chosen
        put(op, DEALLOC, handle, 0, 0, 0)
        bytes_live -= ld64(held + 8 * handle)
        st32(free + 4 * spare, handle)
        spare += 1
    return bytes_live
