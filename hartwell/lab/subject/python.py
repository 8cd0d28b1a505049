"""An allocator that is a Python class: injected into a kernel that is booted with it, behind the kernel's dispatch.

    class MyAllocator:
        def __init__(self, mm): ...
        def alloc(self, layout): ...            # kernel.mm.frame.allocator.GlobalFrameAllocator, or
        def dealloc(self, paddr, size): ...     # kernel.mm.heap.dispatch.GlobalHeapAllocator
        def add_free_memory(self, paddr, size): ...

The whole kernel lives on it: it is given all usable memory by the boot, and the kernel's own tables come from it. So an
operation that adds memory is refused, and what an allocator *has* is what it has when the boot is over.
"""

from __future__ import annotations

import hashlib
import inspect
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emulator import Machine
from emulator.errors import EmulatorError
from hartwell.lab.errors import ProgramError, SpecError, SubjectFailed
from hartwell.lab.finding import Finding, FindingKind, printable
from hartwell.lab.operation import RESULT, Kind, Operations, Results, State, describe
from kernel import Choices, Kernel
from kernel.errors import AllocatorFault, AllocatorHung, KernelError, NoMemory
from kernel.mm.layout import Layout
from kernel.mm.watchdog import Watchdog

from .catalogue import OWN
from .setting import Setting
from .subject import Memory, Subject, SubjectKind, require_program

if TYPE_CHECKING:
    from kernel.mm.context import Mm

KERNEL: Final = 4 << 20
"""Bytes that the kernel itself takes of an allocator's memory, at most: its page tables, stacks and heap."""
EDGE: Final = 64
"""Bytes at each end of a block that are filled."""
Factory = Callable[["Mm"], Any]


@dataclass
class _Block:
    address: int
    size: int
    align: int
    seed: int
    filled: tuple[tuple[int, int], ...] = ()
    """Addresses and bytes of what was filled when it was allocated: more than the block, once it has been split."""

    def part(self, offset: int, size: int) -> _Block:
        """A part of it."""
        return _Block(self.address + offset, size, self.align, self.seed, self.filled)


class PythonSubject(Subject):
    """The allocator that `factory`, called with a kernel's Mm, makes. SpecError if it is no allocator.

    `machine` is one on the board of `setting` that has the kernel loaded and has not run yet: by default a new one.
    """

    def __init__(self, factory: Factory, kind: SubjectKind, name: str, setting: Setting | None = None,
                 spec: str = "", machine: Machine | None = None) -> None:
        self.setting, self.name, self.spec, self.kind = setting or Setting(), name, spec or name, kind
        self.factory = factory
        self._boot(machine)

    def _boot(self, machine: Machine | None) -> None:
        setting = self.setting
        frame = self.kind is SubjectKind.FRAME
        choices = Choices(frame_allocator=self._made if frame else None,
                          heap_allocator=None if frame else self._made, watchdog_lines=setting.budget)
        try:
            self.kernel = (Kernel.boot(setting.machine(), choices) if machine is None else
                           Kernel.start(machine, choices))
        except (EmulatorError, KeyboardInterrupt):  # the setting's fault, or the user's will
            raise
        except KernelError as why:
            failed = SubjectFailed(_finding(why, None, "boot", Layout(0)))
            failed.kind = self.kind.value
            raise failed from why
        except BaseException as why:  # an allocator may even call sys.exit
            raise SpecError(f"{self.name}: the kernel does not boot on it: {type(why).__name__} at {_place(why)}: "
                            f"{said(why)}") from why
        slots = self.kernel.mm.slots
        start, size = slots.first_paddr, slots.max_paddr - slots.first_paddr
        mm = self.kernel.mm
        self.memory = Memory(start if frame else mm.paddr_to_vaddr(start), size, start)
        self._blocks: dict[int, _Block] = {}

    def _made(self, mm: Mm) -> Any:
        """The allocator: to make it has a budget, as its calls have (those the kernel watches)."""
        return Watchdog(self.setting.budget).call(self.name, "the allocator's start", self.factory, mm)

    @property
    def digest(self) -> str:
        """See Subject."""
        with suppress(TypeError, OSError):
            file = inspect.getsourcefile(inspect.unwrap(self.factory))
            return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file is not None else ""
        return ""

    @property
    def taken(self) -> int:
        """See Subject: the kernel's tables and heap."""
        return min(KERNEL, self.given)

    @property
    def promises(self) -> frozenset[str]:
        """The kernel's dispatch refuses misuse by name."""
        return frozenset({"refuses-misuse"})

    def run(self, operations: Operations, cpu: int = 0, *, contents: bool = True) -> Results:
        """See Subject. An operation that the dispatch refuses ends it: SubjectFailed."""
        require_program(operations, self.kind, self.memory)
        results = np.zeros(len(operations), dtype=RESULT)
        with self.kernel.on_cpu(cpu):
            for at, operation in enumerate(operations):
                results[at]["state"] = State.CALLED
                try:
                    results[at]["state"] = self._do(operation, results[at], contents)
                except (ProgramError, KeyboardInterrupt):
                    raise
                except KernelError as why:
                    layout = Layout(int(operation["size"]), max(int(operation["align"]), 1))
                    raise SubjectFailed(_finding(why, at, describe(operation), layout), results) from None
                except BaseException as why:  # an allocator may even call sys.exit
                    actual = f"{type(why).__name__} at {_place(why)}"
                    finding = Finding(FindingKind.CRASH, f"{describe(operation)}: {actual}: {said(why)}", at,
                                      expected="a return", actual=actual)
                    raise SubjectFailed(finding, results) from why
        return results

    def reclaim(self, cpu: int = 0) -> None:
        """See Subject: a call of the allocator's `reclaim()`, if it has that."""
        mm = self.kernel.mm
        inner = mm.frame_allocator.inner if self.kind is SubjectKind.FRAME else mm.heap.inner
        reclaim = getattr(inner, "reclaim", None)
        if reclaim is None:
            return
        try:
            with self.kernel.on_cpu(cpu):
                reclaim()
        except KeyboardInterrupt:
            raise
        except BaseException as why:
            raise SubjectFailed(_finding(why, None, "reclaim", Layout(0))) from why

    def _do(self, operation: np.void, result: np.void, contents: bool) -> State:
        kind, handle = int(operation["kind"]), int(operation["handle"])
        size, offset = int(operation["size"]), int(operation["offset"])
        if kind == Kind.ALLOC:
            layout = Layout(size, int(operation["align"]))
            self._blocks.pop(handle, None)
            address = self._measured(result, lambda: self._alloc(layout))
            if address is not None:
                result["value"] = address
                self._blocks[handle] = block = _Block(address, size, layout.align, handle + 1)
                if contents:
                    block.filled = _edges(address, size)
                    self._fill(block)
            return State.DONE
        if kind == Kind.ADD:
            raise ProgramError("a Python allocator is given its memory by the kernel's boot; expected no operation "
                               "that adds some")
        found = self._blocks.get(handle)
        if found is None:
            return State.SKIPPED
        result["value"] = found.address
        if kind == Kind.SPLIT:
            self._blocks[size] = found.part(offset, found.size - offset)
            result["value"] = found.address + offset
            self._blocks[handle] = found.part(0, offset)
            return State.DONE
        if contents:
            result["found"] = self._look(found)
        if kind == Kind.DEALLOC:
            del self._blocks[handle]
            self._measured(result, lambda: self._dealloc(found))
        return State.DONE

    def _alloc(self, layout: Layout) -> int | None:
        mm = self.kernel.mm
        if self.kind is SubjectKind.FRAME:
            return mm.frame_allocator.alloc(layout)
        try:
            return mm.heap.alloc(layout)
        except NoMemory:
            return None

    def _dealloc(self, block: _Block) -> None:
        mm = self.kernel.mm
        if self.kind is SubjectKind.FRAME:
            mm.frame_allocator.dealloc(block.address, block.size)
        else:
            mm.heap.dealloc(block.address, Layout(block.size, block.align))

    def _measured(self, result: np.void, call: Callable[[], int | None]) -> int | None:
        """Do it, and note what it cost: measured with a timing model only."""
        if self.machine.timing is None:
            return call()
        with self.kernel.measure() as cost:
            value = call()
        result["cycles"], result["instructions"], result["misses"] = cost.cycles, cost.instructions, cost.l1d_misses
        return value

    def _fill(self, block: _Block) -> None:
        with self.kernel.mm.port.looking():
            for address, size in block.filled:
                self.machine.bus.write(self._paddr(address), _pattern(block.seed, address, size))

    def _look(self, block: _Block) -> int:
        end = block.address + block.size
        with self.kernel.mm.port.looking():
            for address, size in block.filled:
                begin, stop = max(address, block.address), min(address + size, end)
                if begin >= stop:
                    continue
                has = self.machine.bus.read(self._paddr(begin), stop - begin)
                expected = _pattern(block.seed, begin, stop - begin)
                if has != expected:
                    return 1 + begin - block.address + next(i for i, byte in enumerate(has) if byte != expected[i])
        return 0

    def _paddr(self, address: int) -> int:
        """The physical address of an address that the allocator gave."""
        return address - self.memory.start + self.memory.paddr

    def moment(self) -> Callable[[], None] | None:
        """See Subject. The kernel's own allocators keep all that they know in emulated memory; others may not."""
        if self.spec not in OWN:
            return None
        snapshot, state = self.machine.snapshot(), self.kernel.service.state()
        blocks = {handle: replace(block) for handle, block in self._blocks.items()}

        def again() -> None:
            self.machine.revisit(snapshot)
            self.kernel.service.restore(state)
            self._blocks = {handle: replace(block) for handle, block in blocks.items()}

        return again

    def another(self, setting: Setting, machine: Machine | None = None) -> PythonSubject:
        """See Subject."""
        return PythonSubject(self.factory, self.kind, self.name, setting, self.spec, machine)

    def reset(self) -> None:
        """A new machine: Python objects are no part of a snapshot."""
        self.close()
        self._boot(None)


def _edges(address: int, size: int) -> tuple[tuple[int, int], ...]:
    """Address and bytes of the parts of a block that are filled."""
    if size <= 2 * EDGE:
        return ((address, size),)
    return (address, EDGE), (address + size - EDGE, EDGE)


def _pattern(seed: int, address: int, size: int) -> bytes:
    return bytes((seed * 167 + at * 89 & 0xFF) for at in range(address, address + size))


def _place(why: BaseException) -> str:
    """The line that has raised it: `allocator.py:31`."""
    *_, last = traceback.extract_tb(why.__traceback__)
    return f"{Path(last.filename).name}:{last.lineno}"


def said(why: BaseException) -> str:
    """The text of an exception of somebody else's, in one line; it may be one that cannot be made a text of."""
    try:
        return printable(str(why))
    except Exception as unsaid:
        return f"(its text cannot be had: {type(unsaid).__name__})"


def _finding(why: BaseException, at: int | None, operation: str, layout: Layout) -> Finding:
    """What an error of the kernel's dispatch says about the allocator."""
    if isinstance(why, AllocatorHung):
        return Finding(FindingKind.HANG, said(why), at, expected=f"an end within {why.budget:,} lines",
                       actual=why.where[0] if why.where else "", details={"where": list(why.where)})
    if isinstance(why, AllocatorFault):
        text = said(why)
        kind = FindingKind.OVERLAP
        if "not a multiple of" in text or why.address & max(layout.align, 1) - 1:
            kind = FindingKind.MISALIGNED
        elif "physical memory is" in text:
            kind = FindingKind.OUT_OF_RANGE
        return Finding(kind, text, at, why.address, why.size, expected="free memory", actual=text.rpartition(": ")[2])
    return Finding(FindingKind.CRASH, f"{operation}: {type(why).__name__}: {said(why)}", at, expected="a return",
                   actual=type(why).__name__)
