"""How the firmware enters the kernel: from reset to the ENTRY call of the kernel's text.

The text's first instructions change neither a0 nor a1: the firmware's arguments are still there. The answer to ENTRY is
the mode for satp that the text shall switch on; `paging_of` tells which one it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emulator import Hart, HostCall, Machine
from kernel.errors import BootError
from kernel.mm.paging import MODES, PagingMode
from kernel.text.image import KernelHeader

from .abi import HostCallNumber

START_BUDGET: Final = 500_000_000
"""Instructions that the firmware may take to get to the kernel; OpenSBI needs some 30 million."""
ENTRY: Final = HostCallNumber.ENTRY.instruction


@dataclass(frozen=True)
class Entry:
    """How the firmware entered the kernel: on which hart, with which device tree (physical address).

    `paging` is the mode that the text has then switched on.
    """

    hart: int
    device_tree: int
    paging: PagingMode


def reach(machine: Machine, header: KernelHeader, budget: int) -> tuple[Hart, int, int]:
    """Run from reset to the ENTRY call: the hart that stands at it, and the firmware's arguments (a0, a1).

    BootError if the firmware does not get there within `budget` instructions, or not in S-mode.
    """
    stop = machine.run(max_insns=budget)
    if not isinstance(stop, HostCall) or stop.instruction != ENTRY:
        raise BootError(f"the kernel was not entered: {stop}")
    hart = machine.harts[stop.hart]
    if hart.pc != header.entry_call or hart.priv != 1:
        raise BootError(f"the kernel was entered at {hart.pc:#x} with privilege {hart.priv}, "
                        f"expected {header.entry_call:#x} in S-mode")
    return hart, hart.read("a0"), hart.read("a1")


def paging_of(satp: int) -> PagingMode:
    """The mode that satp selects; BootError if it is none of the kernel's."""
    for paging in MODES.values():
        if satp >> 60 == paging.satp_mode:
            return paging
    raise BootError(f"the kernel's text has set satp to {satp:#x}, a mode that the kernel does not know")
