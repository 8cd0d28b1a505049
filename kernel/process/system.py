"""The system: all processes of a kernel, from the first to the last.

    system = System(kernel)
    status = system.run("/bin/busybox", [b"busybox", b"ls"], [])

        trap of a task ── system call ──> kernel.syscall
                       ── page fault ──> AddressSpace.fault, or SIGSEGV
                       ── anything else ──> its signal
        before U-mode ──> signals that wait are delivered
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from kernel.cpu.errors import CpuDeadlock
from kernel.errno import Errno, SysError
from kernel.errors import NoMemory
from kernel.fs.ramfs.ramfs import RamFs
from kernel.mm.page_table.pte import PageFlags
from kernel.mm.vm_space.vm_space import deactivate

from . import delivery
from .address_space import AddressSpace
from .execute import execute
from .files import Files
from .futexes import Futexes
from .scheduler import Scheduler
from .signals import SA_NOCLDWAIT, SIG_IGN, Default, Info, Signal
from .task import FS_MASK, Process, State, Task
from .wait import Wait

if TYPE_CHECKING:
    from kernel.fs.vfs import Vfs
    from kernel.kernel import Kernel
    from kernel.syscall.table import SystemCalls

ILLEGAL_INSTRUCTION, ECALL_U = 2, 8
PAGE_FAULTS: Final = {12: PageFlags.X, 13: PageFlags.R, 15: PageFlags.W}
SIGNALS: Final = {0: Signal.BUS, 1: Signal.BUS, 2: Signal.ILL, 3: Signal.TRAP, 4: Signal.BUS, 5: Signal.BUS,
                  6: Signal.BUS, 7: Signal.BUS}
"""The signals of exceptions other than page faults, by scause."""
SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR = 1, 2, 2
KILLED_BY_OOM = "out of memory"


class System:
    """The processes of `kernel`, whose files are in the tree `files`; `calls` answers system calls.

    `on_death` is told of every process that a signal kills, and why, in words.
    """

    def __init__(self, kernel: Kernel, files: Vfs, calls: SystemCalls,
                 on_death: Callable[[Process, str], None] | None = None) -> None:
        self.kernel, self.mm, self.files = kernel, kernel.mm, files
        self.scheduler = Scheduler(kernel, self._answer, self._deliver)
        root = files.root.fs
        assert isinstance(root, RamFs)
        self.root_fs = root
        self.processes: dict[int, Process] = {}
        self.init: Process | None = None
        self.current: Task | None = None
        """The task whose trap is answered, or was last."""
        self.killed_by_oom = 0
        self.chance = random.Random(0)
        """What getrandom gives."""
        self.futexes = Futexes()
        self._calls = calls
        self._on_death = on_death or (lambda process, why: None)
        self._last_id = 0
        self._faults = 0

    @property
    def faults(self) -> int:
        """Page faults that were answered."""
        return self._faults + sum(process.space.faults for process in self.processes.values())

    def close(self) -> None:
        """Give the memory of all files back, when no process is left."""
        self.root_fs.drop()

    def wall_clock(self) -> int:
        """The time in ns since the epoch, which is when the machine started."""
        return self.scheduler.now() * 10**9 // self.kernel.machine.board.timebase_hz

    # --- processes ----------------------------------------------------------------------------------------------

    def next_id(self) -> int:
        """A number for a process or task that nobody else has."""
        self._last_id += 1
        return self._last_id

    def run(self, path: str, arguments: Sequence[bytes], environment: Sequence[bytes], files: Files) -> int:
        """Run a program as process 1 until it is over; its status as wait4 would give it. `files` are closed then.

        SysError or NoMemory if it cannot be started; CpuDeadlock if everybody waits for ever: all are ended then.
        """
        with ExitStack() as undo:
            undo.callback(files.close_all)
            space = AddressSpace(self.mm)
            undo.callback(space.drop)
            process = Process(self.next_id(), space, files, None)
            task = Task.create(self.mm, process.pid, process)
            undo.pop_all()
        self.processes[process.pid] = self.init = process
        try:
            execute(self, task, path, arguments, environment)
        except BaseException:
            self.finish(task, 0)
            self.reap(process)
            raise
        self.scheduler.add(task)
        try:
            self.scheduler.run(lambda: process.is_zombie)
        except CpuDeadlock:  # no CPU runs anything
            self.finish_process(process, Signal.KILL)
            self.processes.clear()
            raise
        status = process.exit_status
        assert status is not None
        self.processes.clear()
        return status

    def finish(self, task: Task, status: int, *, alone: bool = True) -> None:
        """A task is over; with the last one of a process, that is, too, with this status.

        If it goes `alone`, not with its process, others may wait for it, and are told.
        """
        process = task.process
        if self.scheduler.runs_elsewhere(task):
            self.scheduler.evict(task)
        told = not (alone and task.clear_child_tid and len(process.tasks) > 1) or self._calls.thread_ended(self, task)
        task.state = State.DEAD
        self.scheduler.forget(task)  # it is in no queue any more when its call is closed, which may tidy up
        if task.call is not None:
            task.call.close()
            task.call = None
        del process.tasks[task.tid]
        if task.cpu is not None:  # it is this CPU's: that must not trap on a stack that is given back
            self.kernel.service.leave_stack(task.cpu)
        task.stack.drop()
        if not process.tasks:
            self._finish_process(process, status)
        elif not told:
            self.kill_by_oom(process)

    def finish_process(self, process: Process, status: int) -> None:
        """All tasks of a process are over."""
        for task in sorted(process.tasks.values(), key=lambda task: task.tid):
            if task.state is not State.DEAD:
                self.finish(task, status, alone=False)

    def _finish_process(self, process: Process, status: int) -> None:
        process.files.close_all()
        self.drop_space(process.space)
        for child in process.children.values():
            child.parent = self.init
            if self.init is not None and self.init is not process:
                self.init.children[child.pid] = child
                if child.is_zombie:
                    self.init.changed.wake()
        process.children = {}
        process.exit_status = status
        process.let_go.wake()
        parent = process.parent
        if parent is not None and not parent.is_zombie:
            self._tell(parent, process, status)
        if process is self.init:  # so are all others, as when a container ends
            for other in sorted(self.processes.values(), key=lambda other: other.pid):
                self.finish_process(other, Signal.KILL)

    def _tell(self, parent: Process, child: Process, status: int) -> None:
        """A parent hears of a child's end; one that has said that it will not ask does not have to."""
        action = parent.actions[Signal.CHLD]
        if action.handler != SIG_IGN:
            self.signal(parent, Info(Signal.CHLD, 1, child.pid, status=status))
        if action.handler == SIG_IGN or action.flags & SA_NOCLDWAIT:
            self.reap(child)
        parent.changed.wake()

    def drop_space(self, space: AddressSpace) -> None:
        """Give an address space back, which CPUs that run nothing may still translate by."""
        self._faults += space.faults
        space.faults = 0
        self.scheduler.give_up(space.space.root_paddr)
        space.drop()

    def reap(self, process: Process) -> None:
        """Forget a process that is over."""
        del self.processes[process.pid]
        if process.parent is not None:
            process.parent.children.pop(process.pid, None)

    # --- signals ------------------------------------------------------------------------------------------------

    def signal(self, process: Process, info: Info) -> None:
        """Send a signal to a process; a task that waits, and does not block it, looks at it."""
        if process.is_zombie or self._ignored(process, info):
            return
        process.pending.add(info)
        for task in process.tasks.values():
            if task.has_signal():
                self._interrupt(task)
                return

    def signal_task(self, task: Task, info: Info) -> None:
        """Send a signal to one task."""
        if self._ignored(task.process, info):
            return
        task.pending.add(info)
        if task.has_signal():
            self._interrupt(task)

    def _ignored(self, process: Process, info: Info) -> bool:
        """Whether a signal does nothing, so that nobody need be interrupted."""
        return (process.actions.default(info.signal) is Default.IGNORE
                and not any(task.blocked >> info.signal - 1 & 1 for task in process.tasks.values()))

    def _interrupt(self, task: Task) -> None:
        if task.state is State.BLOCKED:
            self.scheduler.wake(task)
        elif self.scheduler.runs_elsewhere(task):
            self.scheduler.kick(task)

    def stop(self, process: Process, signal: int) -> None:
        """Job control is not there: a signal that would stop a process does nothing."""

    def leave_space(self) -> None:
        """Have this CPU translate by the kernel's page table alone."""
        deactivate(self.mm)

    def kill(self, process: Process, signal: int, why: str) -> None:
        """A signal ends a process."""
        self._on_death(process, why)
        self.finish_process(process, signal)

    def kill_by_oom(self, process: Process) -> None:
        """There is no memory for what a process has touched."""
        self.killed_by_oom += 1
        self.kill(process, Signal.KILL, KILLED_BY_OOM)

    # --- traps --------------------------------------------------------------------------------------------------

    @property
    def made(self) -> int:
        """Processes and tasks that there have been."""
        return self._last_id

    def _answer(self, task: Task) -> None:
        """Do what a task's trap asks for, or go on with the system call that it waits in."""
        self.current = task
        if task.call is not None:
            self._go_on(task)
        else:
            self._trap(task)

    def _deliver(self, task: Task) -> None:
        """Before a task goes on in U-mode."""
        self.current = task
        delivery.deliver(self, task)

    def _trap(self, task: Task) -> None:
        frame = task.frame
        cause = frame.scause
        if cause == ECALL_U:
            registers = frame.arguments()
            task.number = registers[7]
            frame.sepc += 4
            self._step(task, self._calls.begin, self, task, registers)
            return
        access = PAGE_FAULTS.get(cause)
        if cause == ILLEGAL_INSTRUCTION and not frame.sstatus & FS_MASK:  # if it is another one, it traps again
            self.scheduler.begin_fp(task)
            return
        if access is None:
            self.fault(task, Info(SIGNALS.get(cause, Signal.ILL), 1, address=frame.sepc))
            return
        address = frame.stval
        try:
            if task.process.space.fault(address, access):
                return
        except NoMemory:
            self.kill_by_oom(task.process)
            return
        except SysError:  # of the file that is mapped there
            self.fault(task, Info(Signal.BUS, BUS_ADRERR, address=address))
            return
        code = SEGV_MAPERR if task.process.space.areas.find(address) is None else SEGV_ACCERR
        self.fault(task, Info(Signal.SEGV, code, address=address))

    def fault(self, task: Task, info: Info) -> None:
        """The task's own doing: a signal that it cannot put off."""
        if task.blocked >> info.signal - 1 & 1 or task.process.actions[info.signal].handler == 1:
            self.kill(task.process, info.signal, delivery.describe(task, info))
            return
        task.pending.add(info)

    def _go_on(self, task: Task) -> None:
        call = task.call
        assert call is not None
        self._step(task, next, call)

    def _step(self, task: Task, step: Callable[..., object], *arguments: object) -> None:
        """Go on with a system call by `step(*arguments)` until it is done, or waits."""
        result: object
        try:
            outcome = step(*arguments)
            if type(outcome) is not int and hasattr(outcome, "send"):
                task.call = outcome  # type: ignore[assignment]
                outcome = next(outcome)  # type: ignore[call-overload]
            if isinstance(outcome, Wait):
                if not task.has_signal(outcome.killable):
                    self.scheduler.block(task, outcome)
                    return
                task.call.close()  # type: ignore[union-attr]
                if not outcome.done:  # the call begins anew, or ends with EINTR, as the handler's action says
                    self._calls.ended(task, -Errno.EINTR)
                    task.call, task.interrupted = None, True
                    return
                outcome = outcome.done
            result = outcome
        except StopIteration as done:
            result = done.value
        except SysError as error:
            result = -error.errno
        except NoMemory:
            result = -Errno.ENOMEM
        task.call = None
        self._calls.ended(task, result)
        if task.state is not State.DEAD and isinstance(result, int):
            task.frame.a0 = result & (1 << 64) - 1
