"""Page tables looked at from outside, entry by entry: a second opinion on what kernel.mm.check says by columns.

Takes no locks: nothing changes the table meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from kernel.errors import CorruptionError
from kernel.mm.frame.meta import Kind
from kernel.mm.paging import ENTRIES, PAGE_SIZE, ROOT_KERNEL_FIRST

from kernel.mm.page_table.config import KernelPtConfig, PageTableConfig, UserPtConfig
from kernel.mm.page_table.pte import (
    MAX_PADDR, PPN_MASK, PROPERTY_MASK, SHIFT, SIZE, VALID, PageProperty, PteScalar, property_of, to_repr,
)

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class Node(NamedTuple):
    """A table at physical `paddr`, whose entries map addresses from `va` on; `children` of them are present."""

    paddr: int
    level: int
    va: int
    children: int


class Leaf(NamedTuple):
    """A mapped page. `tracked`: the entry holds a count on the frame."""

    va: int
    paddr: int
    level: int
    prop: PageProperty
    tracked: bool


class Step(NamedTuple):
    """A step of a walk: entry number `at` of the table of `level` at physical `table`, its word and what that says."""

    level: int
    table: int
    at: int
    word: int
    entry: PteScalar


def path(mm: Mm, root: int, va: int) -> list[Step]:
    """The walk of the table at `root` for `va`, to its leaf or to where it ends."""
    steps: list[Step] = []
    table, level = root, mm.paging.levels
    while True:
        index = va >> SHIFT[level] & ENTRIES - 1
        word = mm.port.load(table + index * 8)
        entry = to_repr(word, level)
        steps.append(Step(level, table, index, word, entry))
        if level == 1 or not word & VALID or word & ~PPN_MASK & 0xe:
            return steps
        table, level = (word & PPN_MASK) << 2, level - 1


def config_of(mm: Mm, root: int) -> type[PageTableConfig]:
    """The kind of the page table whose root is at `root`; CorruptionError if it is none's."""
    kind = mm.slots.kind(root)
    if not issubclass(kind, PageTableConfig):
        raise CorruptionError(f"frame {root:#x} is {mm.slots.state(root)}, no page table")
    return kind


def walk(mm: Mm, root: int) -> Iterator[Node | Leaf]:
    """All nodes and leaves that the table at `root` manages, each node before what is in it, ascending.

    CorruptionError at a node that cannot be one: of the wrong type or level, or reached twice.
    """
    config = config_of(mm, root)
    yield from _walk(mm, config, root, mm.paging.levels, 0, set())


def _walk(mm: Mm, config: type[PageTableConfig], table: int, level: int, va: int,
          seen: set[int]) -> Iterator[Node | Leaf]:
    state = mm.slots.state(table)
    meta = config.at(mm.port, mm.slots.slot(table))
    if table in seen or state.kind is not Kind.SHARED or mm.slots.kind(table) is not config or meta.level != level:
        raise CorruptionError(f"entry for {va:#x}: frame {table:#x} is {state}, of level {meta.level}; "
                              f"expected a {config.type_name()} of level {level}, pointed to once")
    seen.add(table)
    words = mm.port.load_column(table, ENTRIES).tolist()
    indices = config.ROOT_INDICES if level == mm.paging.levels else range(ENTRIES)
    yield Node(table, level, va, sum(words[i] & VALID for i in indices))
    for i in indices:
        word = words[i]
        at = va + (i << SHIFT[level])
        if level == mm.paging.levels and i >= ROOT_KERNEL_FIRST:
            at += (1 << 64) - (1 << mm.paging.width)
        if not word & VALID:
            if word:
                raise CorruptionError(f"entry {i} of the table at {table:#x}: {word:#x} is absent and not zero")
        elif level > 1 and not word & 0xe:
            yield from _walk(mm, config, (word & PPN_MASK) << 2, level - 1, at, seen)
        else:
            yield Leaf(at, (word & PPN_MASK) << 2, level,
                       property_of(word & PROPERTY_MASK & ~config.hidden_bits()), config.is_tracked(word))


def check(mm: Mm, root: int) -> dict[int, int]:
    """CorruptionError unless the table at `root` is sound, and no cursor has a part of it.

    Counts of children, locks, stray marks, alignment of huge pages, that tracked pages are frames in use, and
    that a user root shares the kernel's upper half. The counts that it holds, by frame: its nodes below the
    root once each, a tracked frame for each mapping.
    """
    held: dict[int, int] = {}
    config = config_of(mm, root)
    for item in walk(mm, root):
        if isinstance(item, Node):
            meta = config.at(mm.port, mm.slots.slot(item.paddr))
            if (meta.nr_children, meta.stray, meta.lock) != (item.children, 0, 0):
                raise CorruptionError(f"table at {item.paddr:#x} (level {item.level}, {item.va:#x}): says "
                                      f"{meta.nr_children} children, stray {meta.stray}, lock {meta.lock}; "
                                      f"it has {item.children}")
            if item.paddr != root:
                held[item.paddr] = 1
        else:
            _check_leaf(mm, config, item)
            if item.tracked:
                held[item.paddr] = held.get(item.paddr, 0) + 1
    for frame, count in held.items():
        state = mm.slots.state(frame)
        if state.kind is not Kind.SHARED or state.count < count:
            raise CorruptionError(f"frame {frame:#x} is {state}, but the table at {root:#x} holds it {count} times")
    if issubclass(config, UserPtConfig):
        _check_shared(mm, root)
    return held


def _check_leaf(mm: Mm, config: type[PageTableConfig], leaf: Leaf) -> None:
    if leaf.paddr & SIZE[leaf.level] - 1 or leaf.paddr >= MAX_PADDR:
        raise CorruptionError(f"{leaf.va:#x}: the page of level {leaf.level} is at {leaf.paddr:#x}, "
                              "which is not aligned to its size")
    if leaf.tracked and leaf.level != 1:
        raise CorruptionError(f"{leaf.va:#x}: a tracked page of level {leaf.level}; frames have {PAGE_SIZE} bytes")
    if leaf.level > mm.paging.highest_leaf_level:
        raise CorruptionError(f"{leaf.va:#x}: a page of level {leaf.level} in a {config.type_name()}")


def _check_shared(mm: Mm, root: int) -> None:
    half = ENTRIES - ROOT_KERNEL_FIRST
    ours = mm.port.load_column(root + ROOT_KERNEL_FIRST * 8, half)
    if not ours.any():
        return  # an empty table, made without a kernel half
    theirs = mm.port.load_column(mm.kspace.root_paddr + ROOT_KERNEL_FIRST * 8, half)
    if (ours != theirs).any():
        index = ROOT_KERNEL_FIRST + int((ours != theirs).argmax())
        raise CorruptionError(f"entry {index} of the user root at {root:#x} is not that of the "
                              f"{KernelPtConfig.type_name()}")
