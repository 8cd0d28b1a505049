"""The tracker: listens to the memory manager's operations, and answers who did what to an address, and when.

A log of numbers, one row for each operation that was done, whatever its size: a million frames that are handed
out at once are one row. Questions look through the log in bulk. Nothing of the kernel's is held.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from kernel.mm.operations import Moment, Operation, OperationKind
from kernel.mm.paging import PAGE_SIZE

from .record import Point, Record
from .stack import Stacks

if TYPE_CHECKING:
    from emulator import Machine

KINDS: Final = tuple(OperationKind)
OF_FRAMES: Final = (OperationKind.FRAME_ALLOC, OperationKind.FRAME_DEALLOC, OperationKind.ADD_FREE_MEMORY)
OF_HEAP: Final = (OperationKind.HEAP_ALLOC, OperationKind.HEAP_DEALLOC)
OF_PAGES: Final = (OperationKind.MAP, OperationKind.UNMAP, OperationKind.PROTECT)
_Table = npt.NDArray[np.uint64]
_KIND, _ADDRESS, _SIZE, _ROOT, _CPU, _INSTRUCTION, _CYCLE, _STAGE, _STACK, _WIDTH = range(10)


class Tracker:
    """Records of what is done on `machine`; a listener for `Choices.operations` or `Mm.operations`.

    If the machine goes back in time, what was recorded of its future is forgotten with the next record. Who takes
    it back to a moment between two operations at one instruction says so with `rewind`.

    Questions take the moment as of which they are to be answered: a Point, a number of instructions (with all that
    was done at that instruction), or None for now.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._rows = array("Q")
        self._looked_at: _Table | None = None
        self._stacks = Stacks()
        self._stages: list[str] = []

    def __call__(self, operation: Operation) -> None:
        """Write an operation down if it is done, and has done something."""
        if operation.moment is Moment.CALL or operation.address is None:
            return
        machine, stage = self._machine, operation.stage
        instruction = machine.instructions
        if self._rows and instruction < self._rows[_INSTRUCTION - _WIDTH]:
            self.rewind(Point(instruction, len(self)))  # a reset, or a restored snapshot: that future is not ours
        if stage not in self._stages:
            self._stages.append(stage)
        self._rows.extend((KINDS.index(operation.kind), operation.address, operation.size, operation.root,
                           operation.cpu, instruction, machine.clock, self._stages.index(stage),
                           self._stacks.here()))
        self._looked_at = None

    def __len__(self) -> int:
        """Records."""
        return len(self._rows) // _WIDTH

    @property
    def now(self) -> Point:
        """This moment."""
        return Point(self._machine.instructions, len(self))

    def rewind(self, point: Point) -> None:
        """Forget what was recorded after a moment: the machine went back there, and may go on in another way."""
        del self._rows[self._until(point) * _WIDTH:]
        self._looked_at = None

    # --- questions --------------------------------------------------------------------------------------------

    def frame(self, paddr: int, at: Point | int | None = None) -> tuple[Record, ...]:
        """What was done with the frame at physical `paddr`, oldest first: given to the allocator, handed out, back."""
        return self._about(OF_FRAMES, paddr & -PAGE_SIZE, PAGE_SIZE, at)

    def heap(self, address: int, size: int = 1, at: Point | int | None = None) -> tuple[Record, ...]:
        """What was done with the heap objects that had any of the `size` bytes at kernel virtual `address`."""
        return self._about(OF_HEAP, address, size, at)

    def page(self, vaddr: int, root: int, at: Point | int | None = None) -> tuple[Record, ...]:
        """What was mapped, unmapped and protected at virtual `vaddr` of the page table with this root."""
        return self._about(OF_PAGES, vaddr & -PAGE_SIZE, PAGE_SIZE, at, root)

    def _about(self, kinds: Sequence[OperationKind], start: int, size: int, at: Point | int | None,
               root: int = 0) -> tuple[Record, ...]:
        rows = self._table()[:self._until(at)]
        addresses, first = rows[:, _ADDRESS], np.uint64(start)
        # Differences wrap around where the order is the other one, and are then larger than every size.
        wanted = (first - addresses < rows[:, _SIZE]) | (addresses - first < np.uint64(size))
        wanted &= np.isin(rows[:, _KIND], [KINDS.index(kind) for kind in kinds]) & (rows[:, _ROOT] == np.uint64(root))
        return tuple(self._record(int(number), rows[number].tolist()) for number in np.flatnonzero(wanted))

    def _until(self, at: Point | int | None) -> int:
        """How many records there were at a moment."""
        if at is None:
            return len(self)
        instruction, most = (at, len(self)) if isinstance(at, int) else (at.instruction, at.records)
        return min(int(np.searchsorted(self._table()[:, _INSTRUCTION], np.uint64(instruction), "right")), most)

    def _table(self) -> _Table:
        """The rows; a copy, since an array that is looked at cannot grow, and a garbage collection may free a frame."""
        table = self._looked_at
        if table is None:
            table = self._looked_at = np.array(self._rows, dtype=np.uint64).reshape(-1, _WIDTH)
        return table

    def _record(self, number: int, row: list[int]) -> Record:
        return Record(number, KINDS[row[_KIND]], row[_ADDRESS], row[_SIZE], row[_ROOT], row[_CPU], row[_INSTRUCTION],
                      row[_CYCLE], self._stages[row[_STAGE]], self._stacks.places(row[_STACK]))
