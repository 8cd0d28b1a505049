"""What operations change, in native code: `history` and `fragmentation` are its faces.

The structure of `changes`, words:

        operations, results     as everywhere in the lab
        blocks                  two words for each handle: address, bytes (0: none)
        start                   of the memory, in the allocator's own addresses
        address, size, number   what each operation did, an i64 each: where, in bytes from `start` on; bytes more or
                                fewer allocated; blocks more or fewer

`occupy` adds such changes to the bytes that are allocated of each page (u32); what is not inside of the pages is left
out.
"""

from __future__ import annotations

from typing import Final

from emulator.engine.native import entry
from emulator.engine.prims import ld32, ld64, st8, st32, st64

W_OPERATIONS, W_RESULTS, W_BLOCKS, W_START, W_ADDRESS, W_SIZE, W_NUMBER = range(0, 56, 8)
WORDS: Final = 7
ALLOC, DEALLOC, SPLIT = 0, 1, 3
DONE: Final = 1
OP, RES = 32, 48
"""Bytes of an operation and a result."""
SHIFT: Final = 12
PAGE: Final = 4096


@entry("i64(i64, i64)")
def changes(w: int, count: int) -> int:
    """Fill the last three arrays for `count` operations; the bytes that are allocated at the end."""
    blocks = ld64(w + W_BLOCKS)
    start = ld64(w + W_START)
    total = 0
    for n in range(count):
        op = ld64(w + W_OPERATIONS) + OP * n
        res = ld64(w + W_RESULTS) + RES * n
        where = 0
        size = 0
        number = 0
        if ld64(res + 40) == DONE:
            kind = ld32(op)
            block = blocks + 16 * ld32(op + 4)
            if kind == ALLOC:
                st64(block + 8, 0)
                if ld64(res):
                    st64(block, ld64(res))
                    size = ld64(op + 8)
                    st64(block + 8, size)
                    where = ld64(res) - start
                    number = 1
            elif kind == DEALLOC and ld64(block + 8):
                where = ld64(block) - start
                size = -ld64(block + 8)
                st64(block + 8, 0)
                number = -1
            elif kind == SPLIT and ld64(op + 24) < ld64(block + 8):
                rest = blocks + 16 * ld64(op + 8)
                st64(rest, ld64(block) + ld64(op + 24))
                st64(rest + 8, ld64(block + 8) - ld64(op + 24))
                st64(block + 8, ld64(op + 24))
                number = 1
        st64(ld64(w + W_ADDRESS) + 8 * n, where)
        st64(ld64(w + W_SIZE) + 8 * n, size)
        st64(ld64(w + W_NUMBER) + 8 * n, number)
        total += size
    return total


@entry("i64(i64, i64, i64, i64, i64, i64)")
def occupy(pages: int, touched: int, length: int, address: int, size: int, count: int) -> int:
    """Do `count` changes to `length` pages; those that had anything are `touched` (u8). How many were left out."""
    left_out = 0
    for n in range(count):
        change = ld64(size + 8 * n)
        where = ld64(address + 8 * n)
        number = change if change >= 0 else -change
        sign = 1 if change >= 0 else -1
        end = where + number
        if where < 0 or end > length << SHIFT:
            left_out += 1
            continue
        while where < end:
            page = pages + 4 * (where >> SHIFT)
            part = PAGE - (where & PAGE - 1)
            if part > end - where:
                part = end - where
            st32(page, ld32(page) + sign * part)
            st8(touched + (where >> SHIFT), 1)
            where += part
    return left_out
