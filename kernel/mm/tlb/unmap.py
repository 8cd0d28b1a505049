"""Unmapping a range so that its frames outlive all translations to them."""

from __future__ import annotations

from kernel.mm.page_table.cursor_mut import CursorMut
from kernel.mm.page_table.pte import PPN_MASK, SIZE, is_table
from kernel.mm.paging import PAGE_SIZE

from .flusher import ALL, FLUSH_ALL_PAGES_THRESHOLD, TlbFlusher


def unmap_range(cursor: CursorMut, length: int, flusher: TlbFlusher) -> int:
    """Unmap the next `length` bytes; the number of level-1 pages that were mapped, tracked or in whole tables.

    The cursor ends behind them. What was mapped there goes to `flusher`, to be flushed and then dropped.
    Errors are those of `CursorMut.take_next`; nothing is unmapped then.
    """
    cursor.split_edges(length)
    end, unmapped = cursor.virt_addr + length, 0
    is_tracked, push = cursor.config.is_tracked, flusher.push
    while (taken := cursor.take_raw(max(end - cursor.virt_addr, 0))) is not None:
        va, level, pte, frames = taken
        if is_table(pte, level):
            pages = SIZE[level] // PAGE_SIZE
            push(va, pages if pages < FLUSH_ALL_PAGES_THRESHOLD else ALL, (pte & PPN_MASK) << 2)
            unmapped += frames
        elif is_tracked(pte):
            push(va, 1, (pte & PPN_MASK) << 2)
            unmapped += 1
        else:
            push(va, 1)
    return unmapped
