"""The service: how Python makes a hart execute something in the kernel, and hears of its traps.

        Python                              kernel's text on the hart
        start()    ── runs ──────────────>  _start
                   <── ENTRY ─────────────
                   ── satp mode ─────────>  MMU on, high half
                   <── SERVICE ───────────  the hart is ready
        call()     ── command ───────────>  does it
                   <── TRAP ──────────────  … is interrupted: a handler runs, and may itself call()
                   ── RETURN ────────────>  … goes on
                   <── SERVICE: results ──  ready again

The machine stands still while Python runs; every hart is then somewhere in its program, and those that
are at a host call are *ready*. All harts run while one of them is waited for. One that makes a host call
meanwhile is given what is queued for it; if there is nothing, it is kept as it is by HOLD, in which it
spins, or if it was parked, parked again by IDLE, in which it sleeps until somebody has work for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from emulator import Hart, HostCall, Machine, Stop, Watchdog
from kernel.errors import BootError, CorruptionError
from kernel.mm.port import MemoryPort
from kernel.text.image import KERNEL_CODE_BASE, KernelHeader, to_virtual

from .abi import SSTATUS_SPP, Command, HostCallNumber, TrapFrame
from .astray import failure, refuse
from .entry import START_BUDGET, Entry, paging_of, reach
from .errors import CpuNotReady, CpuStopped
from .trap import TrapHandlers

BUDGET: Final = 10_000_000
"""Instructions, of all harts, that a command may take."""
ARGUMENTS: Final = ("a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7")
SERVICE: Final = HostCallNumber.SERVICE.instruction
TRAP: Final = HostCallNumber.TRAP.instruction


class Cpus(Protocol):
    """Something that has CPUs do commands: a Service, or an Smp."""

    def call(self, cpu: int, command: Command, *args: int) -> tuple[int, int]:
        """The results of `command` on `cpu`."""


class Job:
    """A command for a parked CPU; `waker` is the hart to be woken when it is done.

    With `keep` the CPU is then ready, instead of parked again.
    """

    __slots__ = ("args", "begun", "command", "keep", "results", "waker")

    def __init__(self, command: Command, args: tuple[int, ...], waker: int, keep: bool = False) -> None:
        self.command, self.args, self.waker, self.keep = command, args, waker, keep
        self.begun = False
        self.results: tuple[int, int] | None = None


@dataclass(frozen=True)
class ServiceState:
    """What a Service knows of its CPUs (`Service.state`)."""

    users: frozenset[int]
    asleep: frozenset[int]
    held: dict[int, tuple[int, int]]
    trapping: dict[int, int]


class Service:
    """The service of the kernel that was loaded into `machine` (`Machine.boot`), or that runs in it.

    `traps` are its trap handlers, `budget` the instructions that a command may take. Raises BootError
    if there is no kernel in memory, CorruptionError if its header cannot be right.

    CPU numbers count from 0, the CPU that booted, in the order of starting. Every method that runs the
    machine raises a CpuError when a hart goes astray; the hart is then left where it was.
    """

    def __init__(self, machine: Machine, traps: TrapHandlers | None = None, budget: int = BUDGET) -> None:
        self.machine = machine
        self.port = MemoryPort(machine.bus)
        """A port of our own: what the text keeps for itself is not the kernel's memory traffic."""
        self.header = KernelHeader.read(self.port)
        self.traps = traps or TrapHandlers()
        self.budget = budget
        self.cpu = 0
        """The CPU that Python code runs as, if `switch` is not replaced: 0, or the one whose trap is handled."""
        self.switch: Callable[[int], int] = self._switch
        """Called to have Python code run as a CPU while its trap is handled; gives the CPU that it ran as."""
        self.linear_base: int | None = None
        """Where the linear mapping is, once every CPU translates by the kernel's page table."""
        self.jobs: dict[int, Job] = {}
        """What is queued for parked CPUs, by CPU."""
        self._users: set[int] = set()  # CPUs that run user code, whose trap nobody has got yet
        self._asleep: set[int] = set()  # CPUs that are parked
        self._held: dict[int, tuple[int, int]] = {}  # CPUs in HOLD, and the results that they brought
        self._trapping: dict[int, int] = {}  # CPUs whose trap is being handled, or was got -> the frame's address
        self._service_pc, self._trap_pc = to_virtual(self.header.service_call), to_virtual(self.header.trap_call)
        self._asleep.update(cpu for cpu in self.online if not self.ready(cpu))
        machine.answer_host_calls(True)
        machine.reboot = False

    def state(self) -> ServiceState:
        """What Python knows of the CPUs now: belongs to a snapshot of the machine. For times when no call is made."""
        return ServiceState(frozenset(self._users), frozenset(self._asleep), dict(self._held), dict(self._trapping))

    def restore(self, state: ServiceState) -> None:
        """The machine is again what it was when `state` was taken."""
        self.jobs.clear()
        self._users, self._asleep = set(state.users), set(state.asleep)
        self._held, self._trapping = dict(state.held), dict(state.trapping)

    # --- CPUs -------------------------------------------------------------------------------------------

    def hart(self, cpu: int) -> Hart:
        """The hart that is CPU `cpu`; BootError if that CPU has not started, CorruptionError if no hart can be it."""
        number = self.port.load(self.header.cpus + 8 * cpu) - 1 if 0 <= cpu < self.header.max_cpus else -1
        if number < 0:
            raise BootError(f"CPU {cpu} has not started")
        if number >= len(self.machine.harts):
            raise CorruptionError(f"the kernel's text has hart {number:#x} as CPU {cpu}: expected one of the machine's "
                                  f"{len(self.machine.harts)}")
        return self.machine.harts[number]

    def cpu_of(self, hart: int) -> int:
        """The CPU number of a hart; BootError if it has none."""
        for cpu in range(self.header.max_cpus):
            if self.port.load(self.header.cpus + 8 * cpu) == hart + 1:
                return cpu
        raise BootError(f"hart {hart} is no CPU of the kernel")

    @property
    def online(self) -> list[int]:
        """The CPUs that have started."""
        return [cpu for cpu in range(self.header.max_cpus) if self.port.load(self.header.cpus + 8 * cpu)]

    def ready(self, cpu: int) -> bool:
        """Whether the CPU waits for a command."""
        hart = self.hart(cpu)
        return cpu not in self._users and (cpu in self._held or hart.pc in (self._service_pc, self._trap_pc))

    # --- starting ---------------------------------------------------------------------------------------

    def start(self, mode: int | None = None, budget: int = START_BUDGET) -> Entry:
        """Run the machine from reset until the kernel's text is ready in the high half.

        `mode` is the MODE for satp, 9 for Sv48, 8 for Sv39, None for the first of them that the hart has;
        `budget` the instructions that the firmware may take.
        Raises BootError if the firmware does not get to the kernel, or not in S-mode.
        """
        for about_the_last_start in (self.jobs, self._users, self._asleep, self._held, self._trapping):
            about_the_last_start.clear()
        hart, number, device_tree = reach(self.machine, self.header, budget)
        hart.answer({"a0": mode or 0})
        self.wait(0)
        return Entry(number, device_tree, paging_of(hart.read_csr("satp")))

    # --- commands ----------------------------------------------------------------------------------------

    def call(self, cpu: int, command: Command, *args: int) -> tuple[int, int]:
        """Have a ready CPU do `command`; its results (a0, a1). CpuNotReady if it is not ready."""
        hart = self._take(cpu)
        self._give(hart, command, args)
        return self.wait(cpu)

    def wait(self, cpu: int) -> tuple[int, int]:
        """Run until the CPU is ready again; its results. To go on after CpuStopped."""
        hart = self.hart(cpu)
        stop = self.machine.run(max_insns=self.budget)
        if (type(stop) is not HostCall or stop.hart != hart.id or stop.instruction != SERVICE
                or hart.pc != self._service_pc):
            return self._go_on(cpu, stop)
        return hart.read("a0"), hart.read("a1")

    def park(self, cpu: int, wake: int) -> None:
        """Have a ready CPU sleep, and wait for CPU `wake`, which is woken from its sleep by that."""
        self._sleep(cpu, self._take(cpu), 1 << self.hart(wake).id)
        self.wait(wake)

    def enter_user(self, cpu: int, frame: int, budget: int | None = None) -> tuple[int, TrapFrame]:
        """Have a ready CPU go on as the frame at virtual address `frame` says, until it traps from U-mode.

        Returns the address of the frame that the trap has made, and that frame; the CPU is then ready.
        CpuHung if there is no trap within `budget` instructions: `wait_user` goes on.
        """
        self.begin_user(cpu, frame)
        return self.wait_user(cpu, budget=budget)[1:]

    def begin_user(self, cpu: int, frame: int) -> None:
        """The first half of `enter_user`: the CPU enters the frame when the machine next runs.

        A `kernel_sp` of 0 is first set to the CPU's present stack pointer. The CPU's traps from U-mode
        are for `wait_user` from now on, those of the kernel for `traps`.
        """
        hart = self._take(cpu)
        at = self._frame_paddr(cpu, frame) + TrapFrame.kernel_sp.offset
        if not self.port.load(at):
            self.port.store(at, hart.read("sp"))
        self._trapping.pop(cpu, None)
        self._resume(hart, frame)
        self._users.add(cpu)

    def wait_user(self, *cpus: int, budget: int | None = None, until: int | None = None) -> tuple[int, int, TrapFrame]:
        """Run until one of `cpus` has trapped from its user code: which, the frame's address, the frame.

        CpuNotReady if one of them runs no user code; CpuHung if none traps within `budget` instructions, or, if that
        is given, before the machine has retired `until`.
        """
        began = self.machine.instructions
        now = left = budget or self.budget if until is None else max(until - began, 1)
        for cpu in cpus:
            if cpu not in self._users:
                hart = self.hart(cpu)
                raise CpuNotReady(f"CPU {cpu} runs no user code", hart.id, hart.pc)
        while True:
            for cpu in cpus:
                if cpu in self._held:  # it trapped while somebody else was waited for
                    where = self._held[cpu][0]
                    return self._got(cpu, where, self.frame(cpu, where))
            stop = self.machine.run(max_insns=now) if now > 0 else Watchdog("instructions", left, self.hart(cpus[0]).pc)
            if not isinstance(stop, HostCall):
                raise self._failed(stop, self.hart(cpus[0]), left)
            caller, where, frame = self._arrived(stop)
            if frame is not None and caller in self._users and caller in cpus:
                return self._got(caller, where, frame)
            if caller in cpus:
                hart = self.hart(caller)
                raise CpuStopped("a frame of the kernel, not of user code, was entered", hart.id, hart.pc, stop)
            self._set_aside(caller)
            now = left - (self.machine.instructions - began)

    def _got(self, cpu: int, where: int, frame: TrapFrame) -> tuple[int, int, TrapFrame]:
        """Somebody gets a trap from U-mode: while the CPU stands there and others run, it is no news any more."""
        self._users.remove(cpu)
        self._trapping[cpu] = where
        return cpu, where, frame

    def rest(self, cpu: int) -> None:
        """Have a ready CPU sleep from when the machine next runs, until somebody (Smp) has work for it."""
        self._sleep(cpu, self._take(cpu))

    def leave_stack(self, cpu: int) -> None:
        """Have a ready CPU use its own stack again, and not that of a task that it ran."""
        self._take(cpu).write("sp", to_virtual(self.header.stack_tops[cpu]))  # in HOLD it may be in the firmware yet

    def frame(self, cpu: int, vaddr: int) -> TrapFrame:
        """The trap frame at virtual address `vaddr` of a CPU; CorruptionError if it is not mapped in one piece."""
        return TrapFrame.at(self.port, self._frame_paddr(cpu, vaddr))

    def _frame_paddr(self, cpu: int, vaddr: int) -> int:
        last = TrapFrame.SIZE - 8
        if self.linear_base is not None and vaddr >= self.linear_base:
            paddr = vaddr - self.linear_base
            if not vaddr & 7 and self.port.has(paddr, TrapFrame.SIZE):
                return paddr
        paddr = vaddr - KERNEL_CODE_BASE
        if not self.header.kernel_start <= paddr <= self.header.kernel_end - TrapFrame.SIZE:
            hart = self.hart(cpu)
            found = hart.translate(vaddr)
            if found is None or hart.translate(vaddr + last) != found + last or not self.port.has(found, last + 8):
                raise CorruptionError(f"CPU {cpu} has its trap frame at {vaddr:#x}, where no memory is mapped for it")
            paddr = found
        return paddr

    # --- running -----------------------------------------------------------------------------------------

    def _take(self, cpu: int) -> Hart:
        """The CPU's hart, standing at a host call."""
        hart = self.hart(cpu)
        pc = hart.pc
        if cpu in self._users:
            raise CpuNotReady(f"CPU {cpu} runs user code, or its trap has not been waited for", hart.id, pc)
        if cpu in self._held:
            del self._held[cpu]
            self.port.store(self.header.holds + 8 * cpu, 1)
            self.wait(cpu)
        elif pc != self._service_pc and pc != self._trap_pc:
            raise CpuNotReady(f"CPU {cpu} does not wait for a command", hart.id, pc)
        return hart

    def _give(self, hart: Hart, command: Command, args: tuple[int, ...]) -> None:
        """Answer the host call that the hart stands at."""
        registers = {"t0": int(command)}
        if command is Command.CALL:
            registers["t1"] = args[0]
            args = args[1:]
        registers.update(zip(ARGUMENTS, args, strict=False))
        hart.answer(registers)

    def _go_on(self, cpu: int, stop: Stop) -> tuple[int, int]:
        """What `wait` does about a `stop` other than the one that it waits for."""
        hart, budget = self.hart(cpu), self.budget
        began = self.machine.instructions
        while True:
            if not isinstance(stop, HostCall):
                raise self._failed(stop, hart, budget)
            caller, _, _ = self._arrived(stop)
            if caller == cpu and cpu not in self._users:
                return hart.read("a0"), hart.read("a1")
            self._set_aside(caller)
            if cpu in self._held:  # it arrived while a handler waited for somebody else
                return self._held[cpu]
            left = budget - (self.machine.instructions - began)
            stop = self.machine.run(max_insns=left) if left > 0 else Watchdog("instructions", budget, hart.pc)

    def _resume(self, hart: Hart, frame: int) -> None:
        """Answer the host call that the hart stands at: go on as the frame at virtual address `frame` says."""
        hart.answer({"t0": Command.RETURN, "a0": frame})

    def _arrived(self, stop: HostCall) -> tuple[int, int, TrapFrame | None]:
        """The CPU that made a host call with news for whoever waits for it; -1 if the call has been dealt with.

        With the address and the frame of a trap of user code; (0, None) for others.
        """
        hart = self.machine.harts[stop.hart]
        pc, instruction = hart.pc, stop.instruction
        if not (pc == self._service_pc and instruction == SERVICE or pc == self._trap_pc and instruction == TRAP):
            refuse(hart, instruction)
            return -1, 0, None
        cpu = self.cpu_of(hart.id)
        if pc == self._trap_pc:
            where = hart.read("a0")
            if self._trapping.get(cpu) == where:  # its handler runs, and waits for somebody else
                self._hold(cpu, hart)
                return -1, 0, None
            paddr = self._frame_paddr(cpu, where)
            frame = TrapFrame.at(self.port, paddr)
            if cpu in self._users and not self.port.load(paddr + TrapFrame.sstatus.offset) & SSTATUS_SPP:
                return cpu, where, frame
            self._handle(cpu, where, frame)
            self._resume(self._take(cpu), where)
            return -1, 0, None
        return cpu, 0, None

    def _handle(self, cpu: int, where: int, frame: TrapFrame) -> None:
        """Have a trap handled whose frame is at `where`."""
        outer, before = self._trapping.get(cpu, 0), self.switch(cpu)
        self._trapping[cpu] = where
        try:
            self.traps.dispatch(cpu, frame)
        finally:
            self._trapping[cpu] = outer
            self.switch(before)

    def _switch(self, cpu: int) -> int:
        before, self.cpu = self.cpu, cpu
        return before

    def _hold(self, cpu: int, hart: Hart, wake: int = 0) -> None:
        """Keep a CPU busy whose results are of interest later; first it wakes the harts in the mask `wake`."""
        self._held[cpu] = hart.read("a0"), hart.read("a1")
        hold = self.header.holds + 8 * cpu
        self.port.store(hold, 0)
        self._give(hart, Command.HOLD, (to_virtual(hold), wake))

    def _set_aside(self, cpu: int) -> None:
        """Have a CPU that made a host call, and is not waited for at this level, do something else."""
        if cpu < 0:
            return
        hart, job = self.hart(cpu), self.jobs.get(cpu)
        if job is not None and not job.begun:
            job.begun = True
            self._asleep.discard(cpu)
            self._give(hart, job.command, job.args)
        elif job is not None:
            del self.jobs[cpu]
            job.results = hart.read("a0"), hart.read("a1")
            if job.keep:
                self._hold(cpu, hart, 1 << job.waker)
            else:
                self._sleep(cpu, hart, 1 << job.waker)
        elif cpu in self._asleep:  # woken by somebody who had nothing for it
            self._sleep(cpu, hart)
        else:
            self._hold(cpu, hart)

    def _sleep(self, cpu: int, hart: Hart, wake: int = 0) -> None:
        """Park a CPU; first it wakes the harts in the mask `wake`."""
        self._asleep.add(cpu)
        self._give(hart, Command.IDLE, (wake,))

    def _failed(self, stop: Stop, hart: Hart, budget: int) -> BaseException:
        """What the machine's stop means to whoever waits for `hart`."""
        busy = [self.hart(cpu) for cpu, job in self.jobs.items() if job.begun] if isinstance(stop, Watchdog) else []
        return failure(self.machine, stop, hart, busy, budget)
