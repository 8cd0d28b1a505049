"""Page-table nodes: frames with 512 entries, of which each owns its child (OSTD `mm/page_table/node`).

An entry that points to a table holds one count on that table's frame; a leaf that is tracked holds one on
the page's. Nodes are handled by physical address: what is known about them is in their slots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from kernel.errors import LockHeld
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.paging import ENTRIES

from .config import LOCK, NR_CHILDREN, STRAY, PageTableConfig
from .pte import PPN_MASK, RWX, SHIFT, VALID, table_pte

if TYPE_CHECKING:
    from kernel.mm.context import Mm

Spin = Callable[[], None]
"""Called between two attempts to take a lock: lets others run."""


def alloc(mm: Mm, config: type[PageTableConfig], level: int, *, locked: bool = False) -> int:
    """Physical address of a new, empty node of `level`; NoMemory. The caller owns its one count."""
    meta = config(level=level, lock=mm.cpu + 1 if locked else 0)
    return FrameAllocOptions(mm).alloc_frame_with(meta).into_raw()


def alloc_levels(mm: Mm, config: type[PageTableConfig], top: int, bottom: int) -> list[int]:
    """New locked nodes of levels `top` down to `bottom`; NoMemory when there are too few frames: none is held then."""
    nodes: list[int] = []
    try:
        for level in range(top, bottom - 1, -1):
            nodes.append(alloc(mm, config, level, locked=True))
    except BaseException:
        for node in nodes:
            mm.slots.drop_holder(node)
        raise
    return nodes


def alloc_chain(mm: Mm, config: type[PageTableConfig], top: int, bottom: int, vaddr: int) -> list[int]:
    """`alloc_levels`, each node the child of the one before, on the way to `vaddr`."""
    nodes = alloc_levels(mm, config, top, bottom)
    port = mm.port
    for i in range(len(nodes) - 1):
        port.store(nodes[i] + (vaddr >> SHIFT[top - i] & ENTRIES - 1) * 8, table_pte(nodes[i + 1]))
        port.store_sized(mm.slots.base + (nodes[i] >> 6) + NR_CHILDREN, 2, 1)
    return nodes


def lock(mm: Mm, node: int, spin: Spin | None) -> None:
    """Lock the node. LockHeld if it is locked and nobody runs (`spin` is None) who could unlock it."""
    word = mm.slots.base + (node >> 6) + LOCK
    while was := mm.port.compare_exchange(word, 0, mm.cpu + 1, 1):
        if spin is None:
            raise LockHeld(f"CPU {mm.cpu} waits for the lock of the page-table node at {node:#x}, "
                           f"which a cursor of CPU {was - 1} holds")
        spin()


def unlock(mm: Mm, node: int) -> None:
    """Unlock the node."""
    mm.port.store_sized(mm.slots.base + (node >> 6) + LOCK, 1, 0)


def is_stray(mm: Mm, node: int) -> bool:
    """Whether the node is detached from its parent."""
    return mm.port.load_sized(mm.slots.base + (node >> 6) + STRAY, 1) != 0


def nr_children(mm: Mm, node: int) -> int:
    """Entries of the node that are not absent."""
    return mm.port.load_sized(mm.slots.base + (node >> 6) + NR_CHILDREN, 2)


def add_children(mm: Mm, node: int, delta: int) -> None:
    """Change the number of entries that are not absent."""
    at = mm.slots.base + (node >> 6) + NR_CHILDREN
    mm.port.store_sized(at, 2, mm.port.load_sized(at, 2) + delta)


def tables_in(mm: Mm, node: int, first: int, last: int) -> list[tuple[int, int]]:
    """(index, address) of the tables that entries `first` … `last` - 1 of a node above level 1 point to."""
    column = mm.port.load_column(node + first * 8, last - first)
    found = np.flatnonzero((column & np.uint64(VALID | RWX)) == VALID)
    return [(first + int(i), (int(column[i]) & PPN_MASK) << 2) for i in found]


def mark_stray_and_unlock(mm: Mm, node: int, level: int) -> int:
    """Mark a locked, detached subtree stray and unlock it; the number of its level-1 entries."""
    slot = mm.slots.base + (node >> 6)
    mm.port.store_sized(slot + STRAY, 1, 1)
    if level == 1:
        frames = mm.port.load_sized(slot + NR_CHILDREN, 2)
    else:
        frames = 0
        for _, child in reversed(tables_in(mm, node, 0, ENTRIES)):
            frames += mark_stray_and_unlock(mm, child, level - 1)
    mm.port.store_sized(slot + LOCK, 1, 0)
    return frames


def drop_children(mm: Mm, node: int, config: type[PageTableConfig], level: int) -> None:
    """Drop what the entries of a node hold. If dropping one fails, it and those behind it stay."""
    port, slots = mm.port, mm.slots
    indices = config.ROOT_INDICES if level == mm.paging.levels else range(ENTRIES)
    first = indices.start
    column = port.load_column(node + first * 8, len(indices))
    present = (column & np.uint64(VALID)) != 0
    holding = config.tracked_in(column)
    if level > 1:
        holding |= (column & np.uint64(VALID | RWX)) == VALID
    held = ((column & np.uint64(PPN_MASK)) << np.uint64(2))[holding].tolist()
    for i, paddr in zip(np.flatnonzero(holding).tolist(), held, strict=True):
        try:
            slots.drop_holder(paddr)
        except BaseException:
            port.store_column(node + first * 8, 0, i)
            port.store_sized(slots.base + (node >> 6) + NR_CHILDREN, 2, int(np.count_nonzero(present[i:])))
            raise
