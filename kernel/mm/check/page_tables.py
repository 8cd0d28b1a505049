"""Page tables: every node against its metadata, every entry against what it holds."""

from __future__ import annotations

import numpy as np

from kernel.mm.frame.meta import VTABLE
from kernel.mm.page_table.config import KernelPtConfig, PageTableConfig, UserPtConfig
from kernel.mm.page_table.pte import PPN_MASK, RSV1, RWX, VALID
from kernel.mm.paging import ENTRIES, PAGE_SIZE, ROOT_KERNEL_FIRST
from kernel.mm.vm_space.vm_space import activated_vm_space

from .census import Census, Words

_EMPTY = bytes(PAGE_SIZE)


def check_page_tables(census: Census, *, locked: bool) -> None:
    """All nodes of all page tables; `locked` says that cursors are open, whose nodes are locked."""
    mm, levels = census.mm, census.mm.paging.levels
    kernel_root = mm.kspace.root_paddr
    census.refer(kernel_root, "kernel space")
    for cpu in range(mm.cpu_locals.count):
        census.refer(activated_vm_space(mm, cpu) or kernel_root, f"CPU {cpu}'s satp")
    upper = mm.port.load_column(kernel_root + ROOT_KERNEL_FIRST * 8, ROOT_KERNEL_FIRST)
    nodes = 0
    for config in (KernelPtConfig, UserPtConfig):
        for index in np.flatnonzero(census.of_type(config)).tolist():
            nodes += 1
            paddr, word = census.paddr(index), int(census.storage[index])
            children, stray, level, lock = word & 0xFFFF, word >> 16 & 0xFF, word >> 24 & 0xFF, word >> 32 & 0xFF
            name = f"page-table node {paddr:#x} of level {level}"
            if not 1 <= level <= levels:
                census.breach(f"{name}: there are {levels} levels")
                continue
            if lock and not locked:
                census.breach(f"{name} is locked by CPU {lock - 1}")
            if stray:
                census.breach(f"{name} is stray")
            if not children and level < levels:
                if mm.port.read(paddr, PAGE_SIZE) != _EMPTY:
                    census.breach(f"{name} counts no entries, and has some")
                continue
            entries = mm.port.load_column(paddr, ENTRIES)
            if level == levels:
                if config is UserPtConfig and not np.array_equal(entries[ROOT_KERNEL_FIRST:], upper):
                    census.breach(f"{name}: its upper half is not the kernel's")
                half = config.ROOT_INDICES
                entries = entries[half.start:half.stop]
            _check_entries(census, config, entries, level, children, name)


def _check_entries(census: Census, config: type[PageTableConfig], entries: Words, level: int, children: int,
                   name: str) -> None:
    mm = census.mm
    present = (entries & np.uint64(VALID)) != 0
    count = int(np.count_nonzero(present))
    if count != children:
        census.breach(f"{name} counts {children} entries, and has {count}")
    if (entries[~present] != 0).any():
        census.breach(f"{name} has an absent entry that is not 0")
    table = present & ((entries & np.uint64(RWX)) == 0) if level > 1 else np.zeros(len(entries), dtype=np.bool_)
    vtable, port = mm.types.vtable(config), mm.port
    for entry in entries[table].tolist():
        child = (entry & PPN_MASK) << 2
        census.refer(child, name)
        if census.index(child) >= 0:
            slot = mm.slots.slot(child)
            below = port.load_sized(slot + 3, 1)
            if port.load(slot + VTABLE) != vtable or below != level - 1:
                census.breach(f"{name} points to {child:#x}, which is {mm.slots.state(child)}, of level {below}")
    tracked = present & ~table
    if config is KernelPtConfig:
        tracked &= (entries & np.uint64(RSV1)) != 0
    else:
        tracked &= (entries & np.uint64(RSV1)) == 0
    frames = ((entries[tracked] & np.uint64(PPN_MASK)) >> np.uint64(10)).astype(np.int64) - census.first
    wrong = (frames < 0) | (frames >= census.size)
    if wrong.any():
        census.breach(f"{name} has a counted entry for {int(frames[wrong][0]) + census.first << 12:#x}, "
                      "which has no metadata")
    np.add.at(census.references, frames[~wrong], 1)
