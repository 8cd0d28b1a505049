"""An allocator that is guest code: an ELF with the lab's C ABI, run in S-mode on the kernel's harts.

    with GuestSubject(data, "buddy.elf", Setting(harts=2)) as subject:
        results = subject.run(operations)

        host                               hart, S-mode, interrupts off
        run() ── a batch ───────────────>  driver_run ──> hartwell_frame_alloc, … ──> result
              <── SERVICE ───────────────
              <── trap, host call, budget  the allocator did not come back: SubjectFailed

The harts do what they do on any machine of the kind: the same operations give the same addresses, cycles and
misses, always.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np

from emulator import Guarded, Machine
from emulator.timing.events import Event
from hartwell.lab.errors import ProgramError, SpecError, SubjectFailed
from hartwell.lab.finding import Finding, FindingKind, printable
from hartwell.lab.operation import RESULT, Operations, Program, Results, State, describe, handles_of
from kernel import Kernel
from kernel.cpu.abi import Command
from kernel.cpu.errors import CpuError, CpuHung, CpuStopped, UnhandledTrap
from kernel.cpu.trap import cause_name
from kernel.errors import KernelError, NoMemory
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.paging import PAGE_SIZE

from . import driver, text
from .driver import Workspace
from .setting import Setting
from .subject import Memory, Subject, SubjectKind, require_program

PANIC: Final = 16 << 25 | 0x0B
"""The instruction of hartwell_panic: host call 16, a0 = the text."""
LONGEST_PANIC: Final = 256
NO_TEXT: Final = "(no text)"
MISSES: Final = 3
"""The number of the counter that the driver reads for misses of the data cache: hpmcounter3."""
MEAN_CALL: Final = 20_000
"""Instructions that a call takes on average, at most, where only the sum of many is limited."""
PREFIXES: Final = {SubjectKind.FRAME: "hartwell_frame_", SubjectKind.HEAP: "hartwell_heap_"}
RECLAIM: Final = "hartwell_reclaim"
FUNCTIONS: Final = ("alloc", "dealloc", "add_free_memory")
PROMISES: Final = ("refuses-misuse", "bounded-time")


class Watcher(Protocol):
    """Somebody who looks on, and is told what happens."""

    def will(self, again: Callable[[], object], operations: Operations | None) -> None:
        """The subject is about to do `operations`, or a single call; `again` would do it once more."""

    def forget(self) -> None:
        """The subject is pristine again."""

    def finding(self, stop: Guarded, cpu: int, words: str, number: int | None) -> Finding:
        """What a stop of the machine's guard is, during the operation `words`, this `number` of a program, of a CPU."""


class GuestSubject(Subject):
    """The allocator in the ELF `data`. SpecError if it is none, or does not export what docs/lab-abi.md says.

    `machine` is one on the board of `setting` that has the kernel loaded and has not run yet: by default a new one.
    """

    def __init__(self, data: bytes, name: str, setting: Setting | None = None, spec: str = "",
                 machine: Machine | None = None) -> None:
        setting = setting or Setting()
        self.setting, self.name, self.spec = setting, name, spec or name
        self._data = data
        self.watcher: Watcher | None = None
        """Who judges what the guest code does, if anybody (`hartwell.lab.sanitizer`)."""
        self.clients: list[text.Text] = []
        """Other guest code that has been mapped, and uses the allocator."""
        image = text.read_text(data, name, text.ALLOCATOR_TEXT)
        self.kind = _kind_of(image.symbols.find, name)
        self.kernel = Kernel.boot(setting.machine()) if machine is None else Kernel.start(machine)
        try:
            self.driver = text.map_text(self.kernel, text.read_text(text.driver_elf(), "driver.elf", text.DRIVER_TEXT))
            self.text = text.map_text(self.kernel, image)
            self.memory = _give(self.kernel, setting.share, self.kind)
            self.workspace = Workspace(self.kernel, self.cpus)
            self._prepare()
        except BaseException as why:
            if isinstance(why, SubjectFailed):
                why.kind = self.kind.value
            self.kernel.close()
            raise
        self.keep()

    def keep(self) -> None:
        """The machine is as it shall be with a pristine allocator: `reset` comes back to here."""
        self.pristine = self.machine.snapshot()
        """The machine as it is with a pristine allocator."""
        self._service_state = self.kernel.service.state()

    def _prepare(self) -> None:
        """Everything up to the pristine allocator: its own start, and the memory that it is given."""
        symbols, prefix = self.text.symbols, PREFIXES[self.kind]
        self._functions = tuple(self.text.address(prefix + name) for name in FUNCTIONS)
        self._run = self.driver.address("driver_run")
        init = symbols.find("hartwell_init")
        if self._modelled:
            self._count_misses()
        self.kernel.service.budget = self.setting.budget
        self._tell(0, contents=False)
        if init is not None:
            try:
                self.call(0, init.address)
            except KernelError as why:
                raise SubjectFailed(self.failure(why, 0, "hartwell_init")) from None
        program = Program()
        for offset, size in self.setting.pieces or ((0, self.memory.size),):
            program.add(size, offset)
        self.run(program.operations, contents=False)

    def _count_misses(self) -> None:
        """Have the counter count: firmware leaves all of them stopped, with no event."""
        for hart in self.machine.harts:
            hart.write_csr(f"mhpmevent{MISSES}", Event.L1D_MISSES)
            hart.write_csr("mcountinhibit", hart.read_csr("mcountinhibit") & ~(1 << MISSES))

    def _tell(self, cpu: int, *, contents: bool) -> None:
        """Write down for the driver what the allocator is."""
        run = self.workspace.run(cpu)
        run.alloc, run.dealloc, run.add = self._functions
        run.given, run.given_size = self.memory.start, self.memory.size
        run.linear = self.kernel.mm.paging.linear_base if self.kind is SubjectKind.FRAME else 0
        run.flags = ((driver.SIZED if self.kind is SubjectKind.HEAP else 0) | (driver.CONTENTS if contents else 0)
                     | (driver.MISSES if self._modelled else 0))
        run.tp = self.cpus << 32 | cpu

    @property
    def _modelled(self) -> bool:
        """Whether there are caches that something can miss."""
        return self.machine.timing is not None and self.machine.timing.modelled

    # --- running ------------------------------------------------------------------------------------------

    def run(self, operations: Operations, cpu: int = 0, *, contents: bool = True) -> Results:
        """See Subject."""
        require_program(operations, self.kind, self.memory)
        if self.watcher is not None:
            self.watcher.will(lambda: self.run(operations, cpu, contents=contents), operations)
        if (used := handles_of(operations)) > driver.HANDLES:
            raise ProgramError(f"a program with {used:,} handles; expected at most {driver.HANDLES:,} (give freed ones "
                               "out again)")
        results = np.zeros(len(operations), dtype=RESULT)
        for begin in range(0, len(operations), driver.BATCH):
            part = results[begin:begin + driver.BATCH]
            try:
                self._batch(operations[begin:begin + driver.BATCH], cpu, contents, part)
            except KernelError as why:
                at = begin + _done(part)
                what = describe(operations[at]) if at < len(operations) else "nothing"
                raise SubjectFailed(self.failure(why, cpu, what, at), results) from None
            if part["state"][-1] == State.NOT_DONE:  # the driver gave up: it was given what cannot be memory
                break
        return results

    def run_together(self, programs: Sequence[Operations], *, contents: bool = True) -> list[Results]:
        """Do several programs at once, as CPU 1, 2, …, each up to BATCH operations on handles of its own.

        The machine's scheduler says who is interrupted where, always in the same way. SubjectFailed when the allocator
        does not come back on one of them, or does not within the budget of so many calls. ProgramError.
        """
        calls, results = {}, list[Results]()
        for cpu, operations in enumerate(programs, start=1):
            require_program(operations, self.kind, self.memory)
            if len(operations) > driver.BATCH or cpu >= self.cpus or handles_of(operations) > driver.HANDLES:
                raise ProgramError(f"{len(operations):,} operations for CPU {cpu} of {self.cpus}, at once: expected at "
                                   f"most {driver.BATCH:,}, and CPUs that there are")
            self._tell(cpu, contents=contents)
            self.workspace.run(cpu).count = len(operations)
            results.append(self.workspace.results[cpu][:len(operations)])
            self.workspace.operations[cpu][:len(operations)] = operations
            results[-1][:] = 0
            calls[cpu] = self._run, self.workspace.address(cpu)
        service = self.kernel.service
        budget, service.budget = service.budget, sum(map(len, programs)) * MEAN_CALL
        try:
            self.kernel.smp.together(calls)
        except KernelError as why:
            cpu = why.cpu if isinstance(why, UnhandledTrap) else self._busy(results)
            at = _done(results[cpu - 1])
            what = describe(programs[cpu - 1][at]) if at < len(programs[cpu - 1]) else "nothing"
            failure = self.failure(why, cpu, f"on CPU {cpu} while others run: {what}", at)
            raise SubjectFailed(failure, results[cpu - 1].copy()) from None
        finally:
            service.budget = budget
        return [each.copy() for each in results]

    @staticmethod
    def _busy(results: Sequence[Results]) -> int:
        """The first CPU that is in a call."""
        return next((cpu for cpu, part in enumerate(results, start=1) if (part["state"] == State.CALLED).any()), 1)

    def _batch(self, operations: Operations, cpu: int, contents: bool, into: Results) -> None:
        """Do at most BATCH operations; their results, as far as there are any, go `into` an array."""
        count = len(operations)
        self._tell(cpu, contents=contents)
        self.kernel.service.budget = self.setting.allowed(int(operations["size"].max() + operations["align"].max()))
        self.workspace.run(cpu).count = count
        results = self.workspace.results[cpu][:count]
        self.workspace.operations[cpu][:count] = operations
        results[:] = 0
        try:
            self._call_driver(cpu, results)
        finally:
            into[:] = results

    def _call_driver(self, cpu: int, results: Results) -> None:
        """Run the driver; CpuHung when one and the same operation is at work for a whole budget."""
        kernel, service = self.kernel, self.kernel.service
        if not service.ready(cpu):
            kernel.smp.summon(cpu)
        before = -1
        try:
            service.call(cpu, Command.CALL, self._run, self.workspace.address(cpu))
            return
        except CpuHung:
            before = _done(results)
        while True:
            try:
                service.wait(cpu)
                return
            except CpuHung:
                now = _done(results)
                if now == before:
                    raise
                before = now

    def call(self, cpu: int, function: int, *arguments: int) -> int:
        """Call guest code at address `function` on a CPU, with tp as hartwell_cpu() wants it; what it returns (a0).

        KernelError (as a rule CpuError or UnhandledTrap) when it does not come back: see `failure`.
        """
        if self.watcher is not None:
            self.watcher.will(lambda: self.call(cpu, function, *arguments), None)
        service = self.kernel.service
        if not service.ready(cpu):
            self.kernel.smp.summon(cpu)
        service.hart(cpu).write("tp", self.cpus << 32 | cpu)
        return service.call(cpu, Command.CALL, function, *arguments)[0]

    def reset(self) -> None:
        """See Subject."""
        self.machine.revisit(self.pristine)
        self.kernel.service.restore(self._service_state)
        if self.watcher is not None:
            self.watcher.forget()

    def reclaim(self, cpu: int = 0) -> None:
        """See Subject: a call of `hartwell_reclaim`, if the ELF exports that."""
        symbol = self.text.symbols.find(RECLAIM)
        if symbol is None:
            return
        try:
            self.call(cpu, symbol.address)
        except KernelError as why:
            raise SubjectFailed(self.failure(why, cpu, RECLAIM)) from None

    def moment(self) -> Callable[[], None]:
        """See Subject."""
        snapshot, state = self.machine.snapshot(), self.kernel.service.state()

        def again() -> None:
            self.machine.revisit(snapshot)
            self.kernel.service.restore(state)

        return again

    def another(self, setting: Setting, machine: Machine | None = None) -> GuestSubject:
        """See Subject."""
        return GuestSubject(self._data, self.name, setting, self.spec, machine)

    @property
    def given(self) -> int:
        """See Subject: all, or the setting's pieces."""
        return sum(size for _, size in self.setting.pieces) or self.memory.size

    @property
    def digest(self) -> str:
        """See Subject."""
        return hashlib.sha256(self._data).hexdigest()

    @property
    def promises(self) -> frozenset[str]:
        """What the ELF says by exporting a symbol: HARTWELL_PROMISE of hartwell/lab.h."""
        return frozenset(promise for promise in PROMISES
                         if self.text.symbols.find("hartwell_" + promise.replace("-", "_")))

    # --- what went wrong -------------------------------------------------------------------------------------

    def failure(self, why: KernelError, cpu: int, operation: str, number: int | None = None) -> Finding:
        """Why `operation` (in words, of this `number` in a program), a call on `cpu`, did not come back.

        That is a CpuError or UnhandledTrap as a rule; another KernelError if the kernel itself was damaged.
        """
        if isinstance(why, CpuStopped) and isinstance(why.stop, Guarded) and self.watcher is not None:
            return self.watcher.finding(why.stop, cpu, operation, number)
        if isinstance(why, CpuHung):
            where = self.where(why.pc)
            budget = self.kernel.service.budget
            return Finding(FindingKind.HANG, f"{operation}: no return within {budget:,} instructions; it "
                           f"was at {where}", number, why.pc, expected=f"a return within {budget:,} "
                           "instructions", actual=f"still at {where}", details={"cpu": cpu, "pc": why.pc})
        if isinstance(why, UnhandledTrap):
            where = self.where(why.sepc)
            if why.scause == 2 and why.stval == PANIC:
                said = self._panic(why.cpu)
                return Finding(FindingKind.CRASH, f"{operation}: the allocator panicked at {where}: {said}", number,
                               why.sepc, expected="a return", actual=f"panic: {said}",
                               details={"cpu": why.cpu, "panic": said, "pc": why.sepc})
            cause = cause_name(why.scause)
            return Finding(FindingKind.CRASH, f"{operation}: {cause} at {where}, value {why.stval:#x}", number,
                           why.sepc, expected="a return", actual=cause,
                           details={"cpu": why.cpu, "cause": cause, "pc": why.sepc, "value": why.stval})
        if not isinstance(why, CpuError):
            return Finding(FindingKind.CRASH, f"{operation}: the kernel's own memory was damaged: {why}", number,
                           expected="a return", actual=str(why), details={"cpu": cpu})
        return Finding(FindingKind.CRASH, f"{operation}: {why}", number, why.pc, expected="a return", actual=str(why),
                       details={"cpu": cpu, "pc": why.pc})

    def where(self, pc: int) -> str:
        """An address in words, by the allocator's and the driver's symbols."""
        programs = (self.driver, *self.clients)
        return next((each for each in programs if pc in each.addresses), self.text).symbols.format(pc)

    def _panic(self, cpu: int) -> str:
        """The text that the allocator panicked with; it is where a0 of the trap frame says."""
        try:
            hart = self.kernel.service.hart(cpu)
            frame = self.kernel.service.frame(cpu, hart.read("a0"))
        except KernelError:  # it has overwritten what says where that is
            return NO_TEXT
        said = bytearray()
        for at in range(frame.a0, frame.a0 + LONGEST_PANIC):
            physical = hart.translate(at)
            if physical is None or not self.kernel.mm.port.has(physical):
                break
            byte = self.machine.bus.read(physical, 1)
            if byte == b"\0":
                break
            said += byte
        return printable(said.decode("utf-8", "backslashreplace")) or NO_TEXT


def _kind_of(find: Callable[[str], object], name: str) -> SubjectKind:
    for kind, prefix in PREFIXES.items():
        missing = [prefix + function for function in FUNCTIONS if find(prefix + function) is None]
        if not missing:
            return kind
        if len(missing) < len(FUNCTIONS):
            raise SpecError(f"{name}: exports no {', '.join(missing)}; expected all of "
                            f"{', '.join(prefix + function for function in FUNCTIONS)}")
    raise SpecError(f"{name}: is no allocator: expected it to export hartwell_frame_alloc, hartwell_frame_dealloc and "
                    "hartwell_frame_add_free_memory, or the same with heap (docs/lab-abi.md)")


def _give(kernel: Kernel, size: int, kind: SubjectKind) -> Memory:
    """Take memory from the kernel for the allocator under test; it begins at a multiple of its size, if it can."""
    try:
        start = FrameAllocOptions(kernel.mm).zeroed(False).alloc_segment(size // PAGE_SIZE).into_raw().start
    except NoMemory:
        raise SpecError(f"{size >> 10} KiB for the allocator are not to be had in one piece; "
                        "give the machine more memory (-m)") from None
    return Memory(start if kind is SubjectKind.FRAME else kernel.mm.paddr_to_vaddr(start), size, start)


def _done(results: Results) -> int:
    """How many operations have been done, of those that are done in order."""
    return int(((results["state"] == State.DONE) | (results["state"] == State.SKIPPED)).sum())
