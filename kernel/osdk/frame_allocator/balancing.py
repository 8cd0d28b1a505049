"""How much a CPU's pool may keep for itself (osdk-frame-allocator `pools/balancing.rs`).

        E = global pool / CPUs / 2        0 ─── E/8 ──────── E ──────────────── 2E ───────►  a CPU's pool
                                          fetch up to E      leave it alone     give down to E

Upstream moves one chunk of the largest order that fits in the amount, or if there is none, twice the
half of it, recursively. That underflows for amounts below a page, and calls itself 2^order times when
the source has only single pages. Here: amounts below a page are left where they are, and at most
CHUNKS_PER_BALANCE chunks, largest first, are moved at a time; the next operation goes on.
"""

from __future__ import annotations

from kernel.mm.paging import PAGE_SIZE

from .buddy_set import BuddySet
from .chunk import lesser_order_of, size_of_order, split_to_order

EXPECTED_PORTION, MINIMAL_PORTION, MAXIMAL_MULTIPLIER = 2, 8, 2
CHUNKS_PER_BALANCE = 16


def amount_to_move(local_size: int, global_size: int, cpus: int) -> int:
    """Bytes that a CPU's pool of `local_size` bytes should fetch from the global pool; negative to give."""
    expected = global_size // cpus // EXPECTED_PORTION
    if expected // MINIMAL_PORTION <= local_size < expected * MAXIMAL_MULTIPLIER:
        return 0
    return expected - local_size


def move(source: BuddySet, target: BuddySet, amount: int) -> None:
    """Move chunks from `source` to `target`: together the largest power of two up to `amount` bytes, if there are.

    Nothing for less than a page. Chunks that are too large for `target` are cut to its largest order.
    """
    if amount < PAGE_SIZE:
        return
    largest = min(lesser_order_of(amount), source.orders - 1)
    left = size_of_order(largest)
    for _ in range(CHUNKS_PER_BALANCE):
        order = min(lesser_order_of(left), largest)
        paddr = source.alloc_chunk(order)
        if paddr is None:
            smaller = source.pop_largest(order)
            if smaller is None:
                return
            paddr, order = smaller
            largest = order  # nothing larger is left
        cut = min(order, target.orders - 1)
        for part in split_to_order(paddr, order, cut):
            target.insert_chunk(part, cut)
        left -= size_of_order(order)
        if left < PAGE_SIZE:
            return
