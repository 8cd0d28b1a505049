"""Following operations in native code: who owns each granule of an allocator's memory. `shadow` is its face.

The structure that native code gets, words:

        owners       a u32 for each granule: handle + 1 of the block that has it, 0 for none
        start, size  the memory, in the allocator's own addresses; `shift`: the granule is 1 << shift bytes
        blocks       two words for each handle: address, bytes (0: no block)
        found, room  rows for findings, and how many there is room for; `count` of them there were
        live …       bytes allocated now, blocks, the most bytes ever; `largest`: see Shadow
"""

from __future__ import annotations

from typing import Final

from emulator.engine.native import entry, inline
from emulator.engine.prims import ld32, ld64, st32, st64

(S_OWNERS, S_START, S_SIZE, S_SHIFT, S_BLOCKS, S_FOUND, S_ROOM, S_COUNT, S_LIVE, S_LIVE_BLOCKS, S_PEAK,
 S_LARGEST) = range(0, 96, 8)
WORDS: Final = 12
"""Words of the structure that native code gets."""
ROOM: Final = 64
"""Findings that one call of `follow` tells of: the first ones."""
ROW: Final = 48
"""Bytes of a finding: operation, what, address, size, other handle + 1, offset."""
ALLOC, DEALLOC, SPLIT, CHECK = 0, 1, 3, 4
DONE = 1
OP, RES = 32, 48
"""Bytes of an operation and a result."""


OVERLAP, MISALIGNED, OUT_OF_RANGE, CONTENTS, EXHAUSTED = range(1, 6)
"""What a finding is."""


@inline
def tell(s: int, number: int, what: int, address: int, size: int, other: int, offset: int) -> None:
    """Write a finding down, if there is room."""
    count = ld64(s + S_COUNT)
    if count < ld64(s + S_ROOM):
        at = ld64(s + S_FOUND) + ROW * count
        st64(at, number)
        st64(at + 8, what)
        st64(at + 16, address)
        st64(at + 24, size)
        st64(at + 32, other)
        st64(at + 40, offset)
    st64(s + S_COUNT, count + 1)


@inline
def own(s: int, address: int, size: int, old: int, new: int) -> int:
    """Make granules of owner `old` those of `new`; the first other owner that was found (then nothing changes), or 0.

    When `new` is 0, granules of others are left alone.
    """
    shift = ld64(s + S_SHIFT)
    first = (address - ld64(s + S_START)) >> shift
    last = (address + size - 1 - ld64(s + S_START)) >> shift
    owners = ld64(s + S_OWNERS)
    if new != 0:
        for i in range(first, last + 1):
            if ld32(owners + 4 * i) != old:
                return ld32(owners + 4 * i)
    for i in range(first, last + 1):
        if ld32(owners + 4 * i) == old:
            st32(owners + 4 * i, new)
    return 0


@inline
def allocated(s: int, number: int, handle: int, size: int, align: int, address: int) -> None:
    """An allocation has given `address`."""
    block = ld64(s + S_BLOCKS) + 16 * handle
    st64(block, 0)
    st64(block + 8, 0)
    if address == 0:
        if ld64(s + S_LIVE) == 0 and size <= ld64(s + S_LARGEST) and align <= size:
            tell(s, number, EXHAUSTED, 0, size, 0, 0)
        return
    offset = address - ld64(s + S_START)
    if offset < 0 or offset > ld64(s + S_SIZE) - size or address < 0 and ld64(s + S_START) > 0:
        tell(s, number, OUT_OF_RANGE, address, size, 0, 0)
        return
    if address & (align - 1):
        tell(s, number, MISALIGNED, address, align, 0, 0)
    other = own(s, address, size, 0, handle + 1)
    if other != 0:
        tell(s, number, OVERLAP, address, size, other, 0)
        return
    st64(block, address)
    st64(block + 8, size)
    live = ld64(s + S_LIVE) + size
    st64(s + S_LIVE, live)
    st64(s + S_LIVE_BLOCKS, ld64(s + S_LIVE_BLOCKS) + 1)
    if live > ld64(s + S_PEAK):
        st64(s + S_PEAK, live)


@entry("i64(i64, i64, i64, i64)")
def follow(s: int, operations: int, results: int, count: int) -> int:
    """Judge `count` operations; how many findings there are in all."""
    st64(s + S_COUNT, 0)
    blocks = ld64(s + S_BLOCKS)
    for number in range(count):
        op = operations + OP * number
        res = results + RES * number
        if ld64(res + 40) != DONE:
            continue
        kind = ld32(op)
        handle = ld32(op + 4)
        block = blocks + 16 * handle
        if kind == ALLOC:
            allocated(s, number, handle, ld64(op + 8), ld64(op + 16), ld64(res))
            continue
        size = ld64(block + 8)
        if kind == SPLIT and size:
            rest = blocks + 16 * ld64(op + 8)
            offset = ld64(op + 24)
            if offset < size:
                st64(rest, ld64(block) + offset)
                st64(rest + 8, size - offset)
                st64(block + 8, offset)
                own(s, ld64(rest), size - offset, handle + 1, ld64(op + 8) + 1)
                st64(s + S_LIVE_BLOCKS, ld64(s + S_LIVE_BLOCKS) + 1)
            continue
        if (kind == DEALLOC or kind == CHECK) and ld64(res + 32) and size:
            tell(s, number, CONTENTS, ld64(block), size, handle + 1, ld64(res + 32) - 1)
        if kind == DEALLOC and size:
            own(s, ld64(block), size, handle + 1, 0)
            st64(block + 8, 0)
            st64(s + S_LIVE, ld64(s + S_LIVE) - size)
            st64(s + S_LIVE_BLOCKS, ld64(s + S_LIVE_BLOCKS) - 1)
    return ld64(s + S_COUNT)
