"""The meter: charges each of the kernel's accesses to memory to the hart that it works on behalf of.

        Python ── load, store, … ──► MemoryPort ──► observers, which may refuse ──► Meter ──► memory
                                                                                      │
                                              data TLB, data cache, clock of the hart that is `mm.cpu`

An access is made at its address in the linear mapping, which the boot page table has, too. It costs a cycle
for every word, INSTRUCTIONS cycles for the instructions around it, and what TLB and cache take more. Nothing
is charged for Python's arithmetic, nor on a machine without a timing model, or with a flat profile: there,
time goes on only when a hart executes something.

A CPU that has not started has no hart; what is done as such a CPU is charged to CPU 0's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from emulator.timing.events import Event
from emulator.timing.timing import HostAccess
from kernel.errors import BootError
from kernel.mm.port import Access

from .cost import Cost

if TYPE_CHECKING:
    from emulator import Hart, Machine
    from kernel.cpu.service import Service
    from kernel.mm.context import Mm

INSTRUCTIONS: Final = 7
"""Instructions that an access stands for, besides one for each word: what a compiler makes of the code around it.

Six operations of the default allocators, written in C with the same words, checks and locks, and compiled
with GCC 12.2 -O2 for RV64GC, take 1042 instructions; their 130 accesses to 172 words make 1082 this way.
"""
WORD: Final = 8


class Meter:
    """The meter of `mm`'s port on `machine`; `service` knows the CPUs' harts. It works from now on."""

    def __init__(self, machine: Machine, mm: Mm, service: Service) -> None:
        self._machine, self._mm, self._service = machine, mm, service
        timing = machine.timing
        self._timing = timing if timing is not None and timing.modelled else None
        self._profile = timing.profile.name if timing is not None else "off"
        self._accuracy = timing.profile.accuracy if timing is not None else "one cycle per instruction"
        self._linear = mm.paging.linear_base
        self._harts: dict[int, int] = {}
        self._measuring = 0
        self._loads = self._stores = self._atomics = self._instructions = self._cycles = 0
        self._charged = [0] * len(machine.harts)
        if self._timing is not None:
            mm.port.meter = self

    def access(self, kind: Access, address: int, size: int, stride: int) -> None:
        """Count an access, and charge it if there is a timing model."""
        words = (size - 1) // stride + 1 if stride > WORD else (address + size - 1) // WORD - address // WORD + 1
        if kind is Access.LOAD:
            self._loads += words
            how = HostAccess.LOAD
        elif kind is Access.STORE:
            self._stores += words
            how = HostAccess.STORE
        else:
            self._atomics += words
            how = HostAccess.ATOMIC
        self._instructions += INSTRUCTIONS + words
        if self._timing is None:
            self._cycles += INSTRUCTIONS + words
            return
        cpu = self._mm.cpu
        hart = self._harts[cpu] if cpu in self._harts else self._find_hart(cpu)
        cycles = self._timing.charge(hart, address + self._linear, address, size, how, INSTRUCTIONS, stride)
        self._cycles += cycles
        self._charged[hart] += cycles

    def _find_hart(self, cpu: int) -> int:
        try:
            hart = self._harts[cpu] = self._service.hart(cpu).id
        except BootError:
            return self._service.hart(0).id
        return hart

    # --- measuring --------------------------------------------------------------------------------------------

    @contextmanager
    def measure(self) -> Iterator[Cost]:
        """Count what is done in a `with` block; the Cost is complete when it ends, in whichever way."""
        cost, port = Cost(self._profile, self._accuracy), self._mm.port
        hart = self._machine.harts[self._find_hart(self._mm.cpu)]
        before = self._counts(hart)
        self._measuring += 1
        port.meter = self
        try:
            yield cost
        finally:
            self._measuring -= 1
            if self._timing is None and not self._measuring:
                port.meter = None
            after = self._counts(hart)
            # A reset of the machine in between sets its own counts to 0.
            cost._settle({name: max(0, after[name] - before[name]) for name in after})

    def _counts(self, hart: Hart) -> dict[str, int]:
        """Everything that a Cost has, so far; the clock is that of `hart`."""
        timing = self._timing
        return {
            "cycles": hart.cycles + self._cycles - self._charged[hart.id],
            "instructions": hart.instructions + self._instructions,
            "loads": self._loads, "stores": self._stores, "atomics": self._atomics,
            "l1d_misses": 0 if timing is None else timing.count(Event.L1D_MISSES),
            "dtlb_misses": 0 if timing is None else timing.count(Event.DTLB_MISSES),
        }
