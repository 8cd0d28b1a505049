"""How a cursor locks its range (OSTD `mm/page_table/cursor/locking.rs`).

        root ──► … ──► guard node ──► every table below it that the range touches
        lock-free       locked first    locked in pre-order

The guard node is the lowest that covers the whole range, so cursors over ranges that overlap exclude each
other, and those in different subtrees do not. Upstream goes down while the range lies within one entry,
and then cannot map a huge page into a range that is exactly one (#3731): here the guard node is the one
whose entry that would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.errors import CorruptionError
from kernel.mm.paging import ENTRIES, MASK64

from . import node
from .config import PageTableConfig
from .pte import PPN_MASK, RWX, SHIFT, SIZE, VALID, table_pte

if TYPE_CHECKING:
    from kernel.mm.context import Mm

ATTEMPTS = 1000
"""How often a guard node may go stray before it is locked. Each time, another cursor must have detached it."""


def guard_level(mm: Mm, start: int, end: int) -> int:
    """The level of the lowest node that covers start … end, and in which a page of that very size can be mapped."""
    level = mm.paging.levels
    while level > 1 and start >> SHIFT[level] == end - 1 >> SHIFT[level]:
        if end - start == SIZE[level] and level <= mm.paging.highest_leaf_level:
            break
        level -= 1
    return level


def lock_range(mm: Mm, config: type[PageTableConfig], root: int, start: int, end: int,
               spin: node.Spin | None, make_tables: bool) -> tuple[int, int]:
    """Lock start … end of the table at `root`; the guard node's address and level.

    Tables on the way to the guard node that are not there are made if `make_tables`; otherwise the last one
    that is there becomes the guard node. LockHeld if a cursor overlaps and `spin` is None; NoMemory if a
    node on the way cannot be allocated; CorruptionError if the guard node is stray, and is still found from
    the root. Nothing is locked or changed then.
    """
    for _ in range(ATTEMPTS):
        table, level = _lock_guard_node(mm, config, root, start, end, spin, make_tables)
        if level:
            break
    else:
        raise CorruptionError(f"the page-table node at {table:#x} is marked as detached, but the root at {root:#x} "
                              "leads to it")
    if level == 1:
        return table, level
    locked = [table]
    try:
        _lock_below(mm, table, level, start, end, spin, locked)
    except BaseException:
        for taken in reversed(locked):
            node.unlock(mm, taken)
        raise
    return table, level


def _lock_guard_node(mm: Mm, config: type[PageTableConfig], root: int, start: int, end: int,
                     spin: node.Spin | None, make_tables: bool) -> tuple[int, int]:
    """Find and lock the guard node, making the tables on the way to it. Level 0: it went stray, try again."""
    port = mm.port
    table, level, target = root, mm.paging.levels, guard_level(mm, start, end)
    while level > target:
        entry = table + (start >> SHIFT[level] & ENTRIES - 1) * 8
        pte = port.load(entry)
        if pte & VALID:
            if pte & RWX:
                break  # a huge page over the whole range
            table = (pte & PPN_MASK) << 2
            level -= 1
            continue
        if not make_tables:
            break
        node.lock(mm, table, spin)
        try:
            if node.is_stray(mm, table):
                return table, 0
            if port.load(entry) & VALID:
                continue  # another cursor was faster
            chain = node.alloc_chain(mm, config, level - 1, target, start)
            for made in chain[:-1]:
                node.unlock(mm, made)
            port.store(entry, table_pte(chain[0]))
            node.add_children(mm, table, 1)
        finally:
            node.unlock(mm, table)
        return chain[-1], target
    node.lock(mm, table, spin)
    if node.is_stray(mm, table):
        node.unlock(mm, table)
        return table, 0
    return table, level


def _lock_below(mm: Mm, table: int, level: int, start: int, end: int, spin: node.Spin | None,
                locked: list[int]) -> None:
    for child, low, high in _children(mm, table, level, start, end):
        node.lock(mm, child, spin)
        locked.append(child)
        _lock_below(mm, child, level - 1, low, high, spin, locked)


def unlock_range(mm: Mm, table: int, level: int, start: int, end: int) -> None:
    """Unlock what `lock_range` locked and what was added since, in reverse order."""
    if level > 1:
        for child, low, high in reversed(_children(mm, table, level, start, end)):
            unlock_range(mm, child, level - 1, low, high)
    node.unlock(mm, table)


def _children(mm: Mm, table: int, level: int, start: int, end: int) -> list[tuple[int, int, int]]:
    """The tables that start … end touches in the node `table`, each with its part of the range."""
    if level == 1:
        return []
    shift, size = SHIFT[level], SIZE[level]
    first, base = start >> shift & ENTRIES - 1, start >> shift + 9 << shift + 9
    last = (end - 1 >> shift & ENTRIES - 1) + 1
    return [(child, max(start, base + i * size), min(end, base + (i + 1) * size, MASK64))
            for i, child in node.tables_in(mm, table, first, last)]
