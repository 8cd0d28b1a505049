"""Address spaces: their tables, and what they map.

        AddressSpace   a root, the CPUs that translate by it, its tables and pages by level
        Mapping        a piece of it in which everything is alike: addresses run on, and the rights are the same

The kernel's space is what its root's upper half maps, a user's its lower half; the upper halves of users'
roots are the kernel's tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kernel.errors import CorruptionError
from kernel.mm.frame.meta import VTABLE
from kernel.mm.page_table.config import LEVEL, PageTableConfig, UserPtConfig
from kernel.mm.page_table.pte import (
    ACCESSED,
    DIRTY,
    EXECUTE,
    GLOBAL,
    PBMT_IO,
    PPN_MASK,
    PROPERTY_MASK,
    READ,
    RWX,
    USER,
    VALID,
    WRITE,
)
from kernel.mm.paging import ENTRIES, PAGE_SIZE
from kernel.mm.port import looks
from kernel.mm.vm_space.iomem_list import IoMemList
from kernel.mm.vm_space.vm_space import activated_vm_space

from .frame_map import FrameMap
from .reading import has_local_area, reading

if TYPE_CHECKING:
    from kernel.mm.context import Mm

_LETTERS = ((READ, "r"), (WRITE, "w"), (EXECUTE, "x"), (USER, "u"), (GLOBAL, "g"), (ACCESSED, "a"), (DIRTY, "d"))
TableVisitor = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Mapping:
    """Virtual `start` to `end`, mapped at physical `paddr` and on; `pages` of each level, from level 1 on.

    `bits` are the entries' property bits; `tracked` says that the entries hold counts on the frames.
    """

    start: int
    end: int
    paddr: int
    bits: int
    tracked: bool
    pages: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start

    @property
    def rights(self) -> str:
        """The bits as letters, `-` for each that is not set: see `letters`."""
        return letters(self.bits)


@dataclass(frozen=True)
class AddressSpace:
    """The space whose root is at physical `root`; `cpus` are those that translate by it.

    `nodes` counts its own tables and `pages` what they map, from level 1 on; `iomems` is the I/O memory that
    was ever mapped in it: (paddr, size).
    """

    root: int
    kind: str
    cpus: tuple[int, ...]
    nodes: tuple[int, ...]
    pages: tuple[int, ...]
    iomems: tuple[tuple[int, int], ...]

    @property
    def mapped(self) -> int:
        """Bytes that are mapped."""
        return sum(count * PAGE_SIZE << 9 * level for level, count in enumerate(self.pages))


@dataclass(frozen=True)
class Leaf:
    """Neighbouring entries of one table that map pages alike: as a Mapping, with all pages of one `level`."""

    start: int
    paddr: int
    count: int
    level: int
    bits: int
    tracked: bool


def letters(bits: int) -> str:
    """An entry's rights, one letter each: r w x, u user, g global, a accessed, d dirty; then io if uncacheable."""
    return "".join(letter if bits & bit else "-" for bit, letter in _LETTERS) + (" io" if bits & PBMT_IO else "")


@looks
def read_address_spaces(mm: Mm, frames: FrameMap) -> tuple[AddressSpace, ...]:
    """All spaces of a kernel, its own first; CorruptionError names the table and entry that cannot be."""
    kernel = mm.kspace.root_paddr
    with reading("address spaces"):
        known = has_local_area(mm.statics, "vm_space")  # it is made when the first space is activated
        active = [known and activated_vm_space(mm, cpu) or kernel for cpu in range(mm.cpu_locals.count)]
    return tuple(_space(mm, root, active) for root in (kernel, *user_roots(mm, frames)))


@dataclass(frozen=True)
class Place:
    """Where a frame is in the space with the root at physical `root`: at virtual `vaddr`, in the way of `level`.

    `kind` is page, for a frame that a leaf of that level maps, or table, for a table of that level.
    """

    root: int
    vaddr: int
    level: int
    kind: str


@looks
def places_of(mm: Mm, frames: FrameMap, paddr: int) -> tuple[Place, ...]:
    """Every place of the frame at `paddr` in all address spaces: looks through all tables."""
    found: list[Place] = []
    for root in (mm.kspace.root_paddr, *user_roots(mm, frames)):
        def visit(table: int, level: int, vaddr: int, root: int = root) -> None:
            if table == paddr:
                found.append(Place(root, vaddr, level, "table"))

        for leaf in leaves(mm, root, on_table=visit):
            size = PAGE_SIZE << 9 * (leaf.level - 1)
            if 0 <= paddr - leaf.paddr < leaf.count * size:
                found.append(Place(root, leaf.start + paddr - leaf.paddr, leaf.level, "page"))
    return tuple(found)


def user_roots(mm: Mm, frames: FrameMap) -> list[int]:
    """Physical addresses of the roots of all user page tables."""
    level = mm.paging.levels
    return [paddr for paddr in frames.of_type(mm, UserPtConfig)
            if mm.port.load_sized(mm.slots.slot(paddr) + LEVEL, 1) == level]


def read_mappings(mm: Mm, root: int, start: int | None = None, end: int | None = None) -> Iterator[Mapping]:
    """What the space with this root maps between two virtual addresses, ascending, in the largest pieces.

    The kernel's root has all of the upper half, a user's only its own lower one; None is where that begins or ends.
    """
    levels = mm.paging.levels
    run: list[int] | None = None
    bits, tracked, pages = 0, False, [0] * levels
    for leaf in leaves(mm, root, start, end):
        size = PAGE_SIZE << 9 * (leaf.level - 1)
        high = leaf.start + leaf.count * size
        if (run is not None and run[1] == leaf.start and run[2] + run[1] - run[0] == leaf.paddr
                and bits == leaf.bits and tracked is leaf.tracked):
            run[1] = high
        else:
            if run is not None:
                yield Mapping(run[0], run[1], run[2], bits, tracked, tuple(pages))
            run, bits, tracked, pages = [leaf.start, high, leaf.paddr], leaf.bits, leaf.tracked, [0] * levels
        pages[leaf.level - 1] += leaf.count
    if run is not None:
        yield Mapping(run[0], run[1], run[2], bits, tracked, tuple(pages))


def leaves(mm: Mm, root: int, start: int | None = None, end: int | None = None,
           on_table: TableVisitor | None = None) -> Iterator[Leaf]:
    """The leaves of the space with this root that begin between two addresses, ascending.

    `on_table(table, level, vaddr)` is called for every table on the way: its physical address, its level, and the
    first address that it translates. CorruptionError for a table that is none.
    """
    config = _config(mm, root)
    if config is None:
        raise CorruptionError(f"page table {root:#x}: the frame is {_state(mm, root)}, no page table's")
    paging = mm.paging
    mask = (1 << paging.width) - 1
    top = paging.page_size(paging.levels)
    half = config.ROOT_INDICES
    low = half.start * top if start is None else max(start & mask, half.start * top)
    high = half.stop * top if end is None else min((end - 1 & mask) + 1, half.stop * top)
    if low < high:
        yield from _leaves(mm, config, root, paging.levels, 0, low, high, on_table)


def _leaves(mm: Mm, config: type[PageTableConfig], table: int, level: int, base: int, low: int, high: int,
            on_table: TableVisitor | None) -> Iterator[Leaf]:
    """The leaves that a table's entries for `low` … `high` lead to; addresses without their upper bits.

    `base` is the address of the table's first entry.
    """
    if on_table is not None:
        on_table(table, level, _canonical(mm, base))
    size = PAGE_SIZE << 9 * (level - 1)
    first, last = max(low - base, 0) // size, min(-(-(high - base) // size), ENTRIES)
    with reading(f"page table of level {level} at {table:#x}"):
        entries = mm.port.load_column(table + first * 8, last - first)
    present = (entries & np.uint64(VALID)) != 0
    if not present.any():
        return
    kinds = entries & np.uint64(PROPERTY_MASK | VALID)
    paddrs = (entries & np.uint64(PPN_MASK)) << np.uint64(2)
    points = present & ((entries & np.uint64(RWX)) == 0) if level > 1 else np.zeros(len(entries), dtype=np.bool_)
    # A new run begins where the entry is not the one before, one page further.
    new = np.ones(len(entries), dtype=np.bool_)
    new[1:] = points[1:] | points[:-1] | (kinds[1:] != kinds[:-1]) | (paddrs[1:] != paddrs[:-1] + np.uint64(size))
    ends = np.flatnonzero(np.append(new, True)).tolist()
    for index, following in zip(ends, ends[1:], strict=False):
        if not present[index]:
            continue
        at, entry, paddr = base + (first + index) * size, int(entries[index]), int(paddrs[index])
        if points[index]:
            _require_table(mm, config, table, level, first + index, paddr)
            yield from _leaves(mm, config, paddr, level - 1, at, low, high, on_table)
        else:
            bits, tracked = entry & PROPERTY_MASK, config.is_tracked(entry)
            yield Leaf(_canonical(mm, at), paddr, following - index, level, bits, tracked)


def _require_table(mm: Mm, config: type[PageTableConfig], table: int, level: int, index: int, child: int) -> None:
    """CorruptionError unless the frame that entry `index` of a table points to is a table of the level below."""
    below = mm.port.load_sized(mm.slots.slot(child) + LEVEL, 1) if _config(mm, child) is config else 0
    if below != level - 1:
        of_level = f", of level {below}" if below else ""
        raise CorruptionError(f"page table of level {level} at {table:#x}: entry {index} points to {child:#x}, "
                              f"which is {_state(mm, child)}{of_level}; expected a table of level {level - 1}")


def _canonical(mm: Mm, vaddr: int) -> int:
    """The address with its upper bits as the highest one that is translated."""
    width = mm.paging.width
    return vaddr | (1 << 64) - (1 << width) if vaddr >> width - 1 else vaddr


def _state(mm: Mm, paddr: int) -> str:
    return str(mm.slots.state(paddr)) if _has_slot(mm, paddr) else "no frame of memory"


def _space(mm: Mm, root: int, active: list[int]) -> AddressSpace:
    levels = mm.paging.levels
    nodes, pages = [0] * levels, [0] * levels

    def count(_table: int, level: int, _vaddr: int) -> None:
        nodes[level - 1] += 1

    for leaf in leaves(mm, root, on_table=count):
        pages[leaf.level - 1] += leaf.count
    cpus = tuple(cpu for cpu, its_root in enumerate(active) if its_root == root)
    iomems: list[tuple[int, int]] = []
    kind = "kernel"
    if _config(mm, root) is UserPtConfig:
        kind = "user"
        with reading(f"address space {root:#x}"):
            said = tuple(cpu for cpu in range(64) if mm.port.load(_cpus_word(mm, root)) >> cpu & 1)
            if said != cpus:
                raise CorruptionError(f"its root names the CPUs {said}, the CPUs that name it are {cpus}")
            for io_mem in IoMemList.of_root(mm, root):
                iomems.append((io_mem.paddr, io_mem.size))
    return AddressSpace(root, kind, cpus, tuple(nodes), tuple(pages), tuple(iomems))


def _cpus_word(mm: Mm, root: int) -> int:
    return mm.slots.slot(root) + UserPtConfig.cpus.offset


def _has_slot(mm: Mm, paddr: int) -> bool:
    return not paddr % PAGE_SIZE and mm.slots.first_paddr <= paddr < mm.slots.max_paddr


def _config(mm: Mm, paddr: int) -> type[PageTableConfig] | None:
    """The kind of page table that the frame at `paddr` is a node of; None if it is none."""
    if not _has_slot(mm, paddr):
        return None
    try:
        kind = mm.types.kind(mm.port.load(mm.slots.slot(paddr) + VTABLE))
    except CorruptionError:
        return None
    return kind if issubclass(kind, PageTableConfig) else None


