"""Translation of a user address as a hart does it for user code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.mm.page_table.pte import ACCESSED, DIRTY, PPN_MASK, READ, SHIFT, SIZE, USER, VALID, WRITE, is_table
from kernel.mm.paging import ENTRIES

if TYPE_CHECKING:
    from kernel.mm.context import Mm


def translate(mm: Mm, root: int, vaddr: int, write: bool) -> int | None:
    """The physical address of the byte at user address `vaddr`; None where a load or store by user code faults.

    A is set, and D for a store, by compare-and-swap, as a hart with Svadu does (privileged specification,
    4.3.2); an entry that changes meanwhile is looked at again.
    """
    if not 0 <= vaddr < mm.paging.max_user_vaddr:
        return None
    port = mm.port
    needed = ACCESSED | (DIRTY if write else 0)
    while True:
        table, level = root, mm.paging.levels
        while True:
            at = table + (vaddr >> SHIFT[level] & ENTRIES - 1) * 8
            pte = port.load(at)
            if not pte & VALID or pte & (READ | WRITE) == WRITE:
                return None
            paddr = (pte & PPN_MASK) << 2
            if not is_table(pte, level):
                break
            table = paddr
            level -= 1
        if not pte & USER or not pte & (WRITE if write else READ) or paddr & SIZE[level] - 1:
            return None
        if pte & needed == needed or port.compare_exchange(at, pte, pte | needed) == pte:
            return paddr | vaddr & SIZE[level] - 1
