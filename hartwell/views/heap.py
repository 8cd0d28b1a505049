"""What is at a heap address: the slot, its slab, the state of both, and the slots around it.

        0xffff800081109048 is 8 bytes into slot 1 of 64 bytes at 0xffff800081109040: active
        slab 0x81109000, 10 of 64 slots allocated, partial
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.boot.figures import amount

from .table import table_lines

if TYPE_CHECKING:
    from kernel.mm import Mm
    from kernel.picture import HeapObject, SlabSlots

NEAR = 3
"""Slots that are shown before and after."""
SHOWN = 2
"""Words of each that are shown."""


def large_lines(found: HeapObject) -> list[str]:
    """A large allocation, in words."""
    return [f"{found.vaddr:#x} is {found.vaddr - found.slot_vaddr} bytes into a large allocation of "
            f"{amount(found.slot_size)} at {found.slot_vaddr:#x}: {found.state}",
            f"frames {found.paddr:#x}-{found.paddr + found.slot_size - 1:#x}"]


def slot_lines(mm: Mm, vaddr: int, slots: SlabSlots, *, plain: bool = False) -> list[str]:
    """A slot of a slab, with its neighbours and their first bytes; what is wrong with a list comes last."""
    slab = slots.slab
    here = (vaddr - slots.first) // slab.slot_size
    into = vaddr - slots.address(here)
    shown = [f"{vaddr:#x} is {into} bytes into slot {here} of {slab.slot_size} bytes at {slots.address(here):#x}: "
             f"{_state(slots, here)}",
             f"slab {slab.paddr:#x}, {slab.allocated} of {slab.capacity} slots allocated, {slab.fullness}", ""]
    rows = []
    for index in range(max(here - NEAR, 0), min(here + NEAR + 1, slab.capacity)):
        with mm.port.looking():
            words = [mm.port.load(slab.paddr + index * slab.slot_size + 8 * n)
                     for n in range(min(SHOWN, slab.slot_size // 8))]
        rows.append((("> " if index == here else "  ") + str(index), f"{slots.address(index):#x}",
                     _state(slots, index), " ".join(f"{word:#018x}" for word in words)))
    shown += table_lines(("slot", "address", "state", "begins with"), rows, left=4, plain=plain)
    return [*shown, *([""] if slots.problems else []), *slots.problems]


def _state(slots: SlabSlots, index: int) -> str:
    cpu = slots.cpus.get(index)
    return slots.states[index].value + (f" by CPU {cpu}" if cpu is not None else "")
