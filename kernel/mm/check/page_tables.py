"""Page tables: every node against its metadata, every entry against what it holds."""

from __future__ import annotations

import numpy as np

from kernel.mm.kspace.range_allocator import Block
from kernel.mm.page_table.config import KernelPtConfig, PageTableConfig, UserPtConfig
from kernel.mm.page_table.page_table import page_walk
from kernel.mm.page_table.pte import PPN_MASK, RSV1, RWX, SHIFT, SIZE, VALID
from kernel.mm.paging import ENTRIES, PAGE_SIZE, ROOT_KERNEL_FIRST
from kernel.mm.vm_space.iomem_list import IoMemList
from kernel.mm.vm_space.vm_space import activated_vm_space, cpus_of

from .census import MOST, Census, Indices, Words

_HAS = np.uint64(0xFF_00FF_FFFF)  # a node's entries, whether it is stray, its lock



def check_page_tables(census: Census, *, locked: bool) -> list[int]:
    """All nodes of all page tables; the addresses of the heap objects that they have (records of I/O memory).

    `locked` says that cursors are open, whose nodes are locked.
    """
    mm, levels = census.mm, census.mm.paging.levels
    kernel_root = mm.kspace.root_paddr
    census.refer(kernel_root, "kernel space")
    active = [activated_vm_space(mm, cpu) for cpu in range(mm.cpu_locals.count)]
    for cpu, root in enumerate(active):
        census.refer(root or kernel_root, f"CPU {cpu}'s satp")
    upper = mm.port.load_column(kernel_root + ROOT_KERNEL_FIRST * 8, ROOT_KERNEL_FIRST)
    objects: list[int] = []
    for config in (KernelPtConfig, UserPtConfig):
        frames = np.flatnonzero(census.of_type(config))
        words = census.storage[0][frames]
        worth = ((words & _HAS) != 0) | ((words >> np.uint64(24) & np.uint64(0xFF)) == levels)
        _check_empty(census, frames[~worth])
        frames = frames[worth]
        nodes = Nodes(frames, np.zeros((len(frames), ENTRIES), dtype=np.uint64), words[worth])
        for row, index in enumerate(frames.tolist()):
            paddr, level = census.paddr(index), int(nodes.levels[row])
            entries = nodes.entries[row]
            entries[:] = mm.port.load_column(paddr, ENTRIES)
            if level == levels:
                half = config.ROOT_INDICES
                if config is UserPtConfig:
                    if not np.array_equal(entries[ROOT_KERNEL_FIRST:], upper):
                        census.breach(f"the page table {paddr:#x}: its upper half is not the kernel's")
                    objects += _check_user_root(census, paddr, active)
                elif entries[:half.start].any():
                    census.breach(f"the kernel's page table {paddr:#x} maps user addresses")
                elif paddr == kernel_root and np.count_nonzero(entries[half.start:]) != len(half):
                    census.breach(f"the kernel's page table {paddr:#x} has not all of its {len(half)} shared tables")
                entries[:half.start] = entries[half.stop:] = 0
        _check_nodes(census, config, nodes, locked)
    _check_kernel_space(census)
    return objects


class Nodes:
    """Some nodes, a row each: frame numbers, entries (those that the table manages), and first metadata words."""

    def __init__(self, frames: Indices, entries: Words, words: Words) -> None:
        self.frames, self.entries, self.words = frames, entries, words
        self.children = (words & np.uint64(0xFFFF)).astype(np.int64)
        self.levels = (words >> np.uint64(24) & np.uint64(0xFF)).astype(np.int64)

    def name(self, census: Census, row: int) -> str:
        """What messages call a node."""
        return f"page-table node {census.paddr(int(self.frames[row])):#x} of level {self.levels[row]}"


def _check_empty(census: Census, frames: Indices) -> None:
    """Nodes that count no entries have none. Most of the kernel's are neighbours: they are read together."""
    if not len(frames):
        return
    levels = census.storage[0][frames] >> np.uint64(24) & np.uint64(0xFF)
    for index in frames[(levels < 1) | (levels > census.mm.paging.levels)].tolist():
        census.breach(f"page-table node {census.paddr(index):#x}: there are {census.mm.paging.levels} levels")
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    for first, end in zip([0, *breaks.tolist()], [*breaks.tolist(), len(frames)], strict=True):
        start = census.paddr(int(frames[first]))
        content = census.mm.port.load_column(start, (end - first) * ENTRIES)
        if content.any():
            paddr = start + int(content.astype(np.bool_).argmax()) // ENTRIES * PAGE_SIZE
            census.breach(f"page-table node {paddr:#x} counts no entries, and has some")


def _check_nodes(census: Census, config: type[PageTableConfig], nodes: Nodes, locked: bool) -> None:
    """The entries of all nodes with entries, in one go."""
    entries, levels = nodes.entries, nodes.levels
    present = (entries & np.uint64(VALID)) != 0
    counted = np.count_nonzero(present, axis=1)
    stray, lock = nodes.words >> np.uint64(16) & np.uint64(0xFF), nodes.words >> np.uint64(32) & np.uint64(0xFF)
    for text, wrong in (("has a level that is none", (levels < 1) | (levels > census.mm.paging.levels)),
                        ("is stray", stray != 0), ("is locked", (lock != 0) & (not locked)),
                        ("has an absent entry that is not 0", np.count_nonzero(entries, axis=1) != counted)):
        for row in np.flatnonzero(wrong).tolist():
            census.breach(f"{nodes.name(census, row)} {text}")
    for row in np.flatnonzero(counted != nodes.children).tolist():
        census.breach(f"{nodes.name(census, row)} counts {nodes.children[row]} entries, and has {counted[row]}")
    rows, columns = np.nonzero(present)
    entries, levels = entries[rows, columns], levels[rows]
    paddrs = (entries & np.uint64(PPN_MASK)) << np.uint64(2)
    leaf = (levels == 1) | ((entries & np.uint64(RWX)) != 0)
    tracked = leaf & (((entries & np.uint64(RSV1)) != 0) == (config is KernelPtConfig))
    sizes = np.array(SIZE[:census.mm.paging.levels + 1], dtype=np.uint64)[np.minimum(levels, census.mm.paging.levels)]
    for text, wrong in (("has a counted entry for a page of its level", tracked & (levels > 1)),
                        ("maps a page at an address that is no multiple of the page",
                         leaf & (paddrs & (sizes - np.uint64(1)) != 0))):
        for at in np.flatnonzero(wrong)[:MOST].tolist():
            census.breach(f"{nodes.name(census, int(rows[at]))} {text}: {int(entries[at]):#x}")
    census.refer_all(paddrs[~leaf | tracked], "a page table")
    # Entries that point to tables: of the same kind, one level below.
    children = (paddrs[~leaf] >> np.uint64(12)).astype(np.int64) - census.first
    inside = (children >= 0) & (children < census.size)
    children, above, rows = children[inside], levels[~leaf][inside], rows[~leaf][inside]
    below = (census.storage[0][children] >> np.uint64(24) & np.uint64(0xFF)).astype(np.int64)
    wrong = (census.words[children] != census.mm.types.vtable(config)) | (below != above - 1)
    for at in np.flatnonzero(wrong)[:MOST].tolist():
        paddr = census.paddr(int(children[at]))
        census.breach(f"{nodes.name(census, int(rows[at]))} points to {paddr:#x}, which is "
                      f"{census.mm.slots.state(paddr)}, of level {below[at]}")


def _check_user_root(census: Census, root: int, active: list[int]) -> list[int]:
    """What the root's slot says of the whole space; the addresses of its records of I/O memory."""
    name = f"the page table {root:#x}"
    cpus, right = cpus_of(census.mm, root).load(), sum(1 << cpu for cpu, its in enumerate(active) if its == root)
    if cpus != right:
        census.breach(f"{name} says that it is active on the CPUs {cpus:#b}; it is on {right:#b}")
    records, word, port = [], IoMemList.of_root(census.mm, root)._head, census.mm.port
    while record := port.load(word):
        word = record - census.mm.paging.linear_base + 16
        if record in records or not port.has(word, 8):
            census.breach(f"{name}: the list of I/O memory goes to {record:#x}"
                          + (", which is in it already" if record in records else ", where no memory is"))
            break
        records.append(record)
    return records


def _check_kernel_space(census: Census) -> None:
    """What the kernel cannot do without is mapped, and what is mapped in virtual areas was allocated there."""
    mm = census.mm
    paging, slots, root = mm.paging, mm.slots, mm.kspace.root_paddr
    first_slot = slots.slot(slots.first_paddr)
    for what, va, paddr in (
            ("the first frame", paging.linear_base + slots.first_paddr, slots.first_paddr),
            ("the last frame", paging.linear_base + slots.max_paddr - PAGE_SIZE, slots.max_paddr - PAGE_SIZE),
            ("the first metadata slot", slots.to_virtual(first_slot), first_slot)):
        found = page_walk(mm, root, va, KernelPtConfig)
        if found is None or found[0] != paddr:
            census.breach(f"the kernel does not have {what}, {paddr:#x}, at {va:#x}, but "
                          + ("nothing" if found is None else f"{found[0]:#x}"))


def check_areas_mapped(census: Census, blocks: list[Block]) -> None:
    """Whatever is mapped where kernel virtual areas are is in one that is taken."""
    paging = census.mm.paging
    taken = [(block.start, block.end) for block in blocks if block.taken]
    shift = SHIFT[paging.levels]
    first = paging.kvirt_base >> shift & ENTRIES - 1
    last = paging.meta_base >> shift & ENTRIES - 1
    _walk(census, census.mm.kspace.root_paddr, paging.levels, paging.kvirt_base, first, last, taken)


def _walk(census: Census, node: int, level: int, base: int, first: int, last: int,
          taken: list[tuple[int, int]]) -> None:
    column = census.mm.port.load_column(node + first * 8, last - first)
    for i in np.flatnonzero(column).tolist():
        pte, va = int(column[i]), base + i * SIZE[level]
        child = census.index((pte & PPN_MASK) << 2)
        if level > 1 and not pte & RWX:
            if child >= 0 and int(census.storage[0][child]) & 0xFFFF:
                _walk(census, (pte & PPN_MASK) << 2, level - 1, va, 0, ENTRIES, taken)
        elif not any(start <= va and va + SIZE[level] <= end for start, end in taken):
            census.breach(f"the kernel has {(pte & PPN_MASK) << 2:#x} mapped at {va:#x}, which is in no virtual area")
