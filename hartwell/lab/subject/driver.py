"""The driver's side of the host: where in memory the driver finds its work, and how it is started.

        workspace   run (one for each CPU)     what driver_run is to do        struct run
                    operations, results        of a batch                      struct operation, struct result
                    blocks                     by handle                       struct block

The other side of each structure is in allocators/driver/driver.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from hartwell.lab.errors import SpecError
from hartwell.lab.operation import OPERATION, RESULT
from kernel.errors import NoMemory
from kernel.mm.fields import Struct, u64
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.paging import PAGE_SIZE

if TYPE_CHECKING:
    from kernel import Kernel

BATCH: Final = 8192
"""Operations that one call of the driver does."""
HANDLES: Final = 1 << 16
"""Handles that a program may use at a time."""
BLOCK: Final = np.dtype([(name, "<u8") for name in ("address", "size", "align", "first", "last", "seed")])
SIZED, CONTENTS, MISSES = 1, 2, 4


class Run(Struct):
    """What driver_run is to do (`struct run`). Addresses are virtual; `given` is of the allocator's own kind."""

    operations = u64()
    results = u64()
    blocks = u64()
    count = u64()
    alloc = u64()
    dealloc = u64()
    add = u64()
    given = u64()
    given_size = u64()
    linear = u64()
    flags = u64()
    tp = u64()


class Workspace:
    """The driver's memory in a kernel: views of it as numpy arrays. SpecError if the machine has no room for it."""

    def __init__(self, kernel: Kernel, cpus: int) -> None:
        batch = BATCH * (OPERATION.itemsize + RESULT.itemsize)
        size = cpus * (PAGE_SIZE + batch) + HANDLES * BLOCK.itemsize
        pages = -(-size // PAGE_SIZE)
        try:
            start = FrameAllocOptions(kernel.mm).alloc_segment(pages).into_raw().start
        except NoMemory:
            raise SpecError(f"the lab's driver needs {pages * PAGE_SIZE >> 10} KiB, which the machine does not have; "
                            "give it more memory (-m)") from None
        bus, mm = kernel.machine.bus, kernel.mm
        self._mm = mm
        memory = bus.memory(start, pages * PAGE_SIZE)
        self._runs = start
        self.pages = range(start, start + pages * PAGE_SIZE, PAGE_SIZE)
        """The physical pages that it has."""
        at = cpus * PAGE_SIZE
        self.operations: list[npt.NDArray[np.void]] = []
        """Of each CPU: the operations of a batch."""
        self.results: list[npt.NDArray[np.void]] = []
        self._addresses: list[tuple[int, int]] = []
        for _ in range(cpus):
            middle, end = at + BATCH * OPERATION.itemsize, at + batch
            self.operations.append(memory[at:middle].view(OPERATION))
            self.results.append(memory[middle:end].view(RESULT))
            self._addresses.append((mm.paddr_to_vaddr(start + at), mm.paddr_to_vaddr(start + middle)))
            at = end
        self.blocks = memory[at:at + HANDLES * BLOCK.itemsize].view(BLOCK)
        """What the driver knows of each handle; `size` is 0 for those that have no block."""
        self._blocks = mm.paddr_to_vaddr(start + at)

    def run(self, cpu: int) -> Run:
        """The structure that CPU `cpu` is told its work in, with the addresses filled in."""
        run = Run.at(self._mm.port, self._runs + cpu * PAGE_SIZE)
        run.operations, run.results = self._addresses[cpu]
        run.blocks = self._blocks
        return run

    def address(self, cpu: int) -> int:
        """Where that structure is, for the driver."""
        return self._mm.paddr_to_vaddr(self._runs + cpu * PAGE_SIZE)
