"""The walk of one address through a page table, level by level, as a hart does it (privileged specification, 4.3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.errors import CorruptionError
from kernel.mm.page_table.pte import NAPOT, PBMT_IO, PBMT_NC, PPN_MASK, PROPERTY_MASK, RSV1, RSV2, VALID, is_table
from kernel.mm.paging import PAGE_SIZE, PagingMode
from kernel.mm.port import MemoryPort, looks

from .page_tables import letters

if TYPE_CHECKING:
    from kernel.mm.context import Mm

_SOFTWARE = ((RSV1, "AVAIL1"), (RSV2, "AVAIL2"), (PBMT_NC, "NC"), (PBMT_IO, "IO"), (NAPOT, "NAPOT"))


@dataclass(frozen=True)
class WalkStep:
    """An entry on the way: number `index` of the table of `level` at physical `table`; `pte` is the word in it.

    `kind` is absent, table or leaf.
    """

    level: int
    table: int
    index: int
    pte: int
    kind: str

    @property
    def entry(self) -> int:
        """Physical address of the entry."""
        return self.table + self.index * 8

    @property
    def target(self) -> int:
        """The physical address in the entry."""
        return (self.pte & PPN_MASK) << 2

    @property
    def rights(self) -> str:
        """The entry's bits in letters (`letters`), then those that software or Svpbmt gives a meaning."""
        names = [name for bit, name in _SOFTWARE if self.pte & bit]
        return " ".join([("v" if self.pte & VALID else "-") + letters(self.pte & PROPERTY_MASK & ~PBMT_IO), *names])


@dataclass(frozen=True)
class Walk:
    """The walk of `vaddr` from the root at physical `root`: the `steps`, and where they led.

    `paddr` is None, and `why` says why, if the address translates to nothing; `lost` if that is because a table
    is not in memory.
    """

    vaddr: int
    root: int
    steps: tuple[WalkStep, ...]
    paddr: int | None
    page_size: int
    why: str = ""
    lost: bool = False

    @property
    def page(self) -> int:
        """Physical address of the page; 0 if there is none."""
        return 0 if self.paddr is None else self.paddr & -self.page_size


@looks
def walk(mm: Mm, vaddr: int, root: int | None = None) -> Walk:
    """Translate `vaddr` by the table with this root, the kernel's if it is None.

    CorruptionError if an entry points to where no memory is.
    """
    done = walk_table(mm.port, mm.paging, vaddr, mm.kspace.root_paddr if root is None else root)
    if done.lost:
        raise CorruptionError(f"walk of {vaddr:#x}: {done.why}")
    return done


def walk_table(port: MemoryPort, paging: PagingMode, vaddr: int, start: int) -> Walk:
    """Translate `vaddr` by the table with the root at physical `start`, anybody's; never an error."""
    top = vaddr >> paging.width - 1
    if top not in (0, (1 << 65 - paging.width) - 1):
        return Walk(vaddr, start, (), None, 0, f"not canonical: bits 63 to {paging.width - 1} of an "
                    f"{paging.name} address are alike")
    steps: list[WalkStep] = []
    table = start
    for level in range(paging.levels, 0, -1):
        index = paging.index(vaddr, level)
        if not port.has(table + index * 8, 8):
            return Walk(vaddr, start, tuple(steps), None, 0, f"the table of level {level} at {table:#x} is not in "
                        "memory", lost=True)
        pte = port.load(table + index * 8)
        if not pte & VALID:
            steps.append(WalkStep(level, table, index, pte, "absent"))
            return Walk(vaddr, start, tuple(steps), None, 0, f"nothing is mapped: the entry of level {level} is absent")
        if is_table(pte, level):
            steps.append(WalkStep(level, table, index, pte, "table"))
            table = (pte & PPN_MASK) << 2
            continue
        steps.append(WalkStep(level, table, index, pte, "leaf"))
        size = paging.page_size(level)
        page = (pte & PPN_MASK) << 2
        if page & size - 1:
            return Walk(vaddr, start, tuple(steps), None, size, f"a page of {size} bytes at {page:#x}, which is no "
                        "multiple of that: a page fault")
        return Walk(vaddr, start, tuple(steps), page | vaddr & size - 1, size)
    return Walk(vaddr, start, tuple(steps), None, PAGE_SIZE, "the lowest table's entry points to a table")
