"""The scheduler: which task each CPU runs, preemptively, in turn (round robin).

        runnable ── assign ──> a CPU: space, floating point, timer, U-mode ── trap ──> answered ──> U-mode again
           ^                                                                  │
           └── woken ── blocked <── waits ────────────────────────────────────┴── slice over ──> runnable

A timer is set only if somebody else wants the CPU, or will at a deadline. When nobody can run, all CPUs sleep,
CPU 0 until the next deadline. A CPU that leaves a task leaves its kernel stack, too, so that no CPU ever traps on the
stack of a task that another one runs, or of one that is dead; the task's address space may stay active, until somebody
gives that up. Everything is in the order of the machine's time and of task numbers: a run is always the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from kernel.cpu.abi import SEI, SSI, STI, Command
from kernel.cpu.errors import CpuDeadlock
from kernel.mm.vm_space.vm_space import activated_vm_space, deactivate

from .task import FP_SIZE, FS_CLEAN, FS_DIRTY, FS_MASK, State, Task
from .wait import Wait

if TYPE_CHECKING:
    from kernel.kernel import Kernel

SLICE_HZ = 1000
"""Slices that a second has: how long a task runs when others want to."""
BUDGET = 10**12
"""Instructions that user code may run without a trap."""
NEVER = (1 << 64) - 1
"""A time that does not come: the timer is off."""
SOFTWARE, TIMER = 1, 5
"""Numbers of interrupts."""


class Scheduler:
    """Runs the tasks of one kernel; `answer(task)` does what a task's trap asks for, `deliver(task)` its signals."""

    def __init__(self, kernel: Kernel, answer: Callable[[Task], None], deliver: Callable[[Task], None]) -> None:
        self._kernel, self._answer, self._deliver = kernel, answer, deliver
        self._service, self._mm = kernel.service, kernel.mm
        self._runnable: deque[Task] = deque()
        self._running: dict[int, Task] = {}
        self._free = list(kernel.service.online)
        self._sleeping: dict[Task, int] = {}
        self._fp_owner: dict[int, Task] = {}
        self._slice = kernel.machine.board.timebase_hz // SLICE_HZ
        self._slice_ends: dict[int, int] = {}
        self._timers: dict[int, int] = {}  # what each CPU's timer is set to
        self.idle: Callable[[int | None], bool] = lambda ticks: False
        """Asked when nobody can run, told for how many ticks (None: for ever): whether something has changed."""
        self.attend: Callable[[], None] = lambda: None
        """Called whenever tasks have trapped: for whoever watches the world outside."""
        self.limit = BUDGET
        """Instructions of the machine's beyond which no task runs: CpuHung then."""
        self._enabled = False

    # --- time -------------------------------------------------------------------------------------------------

    def now(self, cpu: int | None = None) -> int:
        """The time, in ticks of the timebase."""
        return self._service.hart(self._mm.cpu if cpu is None else cpu).read_csr("time")

    # --- states -------------------------------------------------------------------------------------------------

    def add(self, task: Task) -> None:
        """A task that is new, or was woken, wants to run."""
        self._runnable.append(task)

    def block(self, task: Task, wait: Wait) -> None:
        """The task stands still until `wait` is over."""
        task.state, task.wait = State.BLOCKED, wait
        wake = task.wake = lambda: self.wake(task)  # type: ignore[attr-defined]
        for queue in wait.queues:
            queue.add(wake)
        if wait.deadline is not None:
            self._sleeping[task] = wait.deadline

    def wake(self, task: Task) -> None:
        """A blocked task goes on, to look whether what it waits for is there."""
        if task.state is not State.BLOCKED:
            return
        assert task.wait is not None
        for queue in task.wait.queues:
            queue.remove(task.wake)  # type: ignore[attr-defined]
        self._sleeping.pop(task, None)
        task.state, task.wait = State.RUNNABLE, None
        self._runnable.append(task)

    def forget(self, task: Task) -> None:
        """The task is dead: it runs nowhere, and nobody keeps its registers."""
        if task.wait is not None:
            for queue in task.wait.queues:
                queue.remove(task.wake)  # type: ignore[attr-defined]
        self._sleeping.pop(task, None)
        if task in self._runnable:
            self._runnable.remove(task)
        self._forget_fp(task)

    def runs_elsewhere(self, task: Task) -> bool:
        """Whether another CPU than this one runs the task."""
        return task.cpu is not None and task.cpu != self._mm.cpu

    def kick(self, task: Task) -> None:
        """Have a task that another CPU runs trap soon."""
        assert task.cpu is not None
        self._kernel.sbi.send_ipi([self._service.hart(task.cpu).id])

    def evict(self, task: Task) -> None:
        """Take a task off the other CPU that runs it, and wait until it is. That CPU is free then."""
        cpu = task.cpu
        assert cpu is not None
        self.kick(task)
        self._service.wait_user(cpu, budget=BUDGET)
        before = self._mm.switch_cpu(cpu)
        try:
            self._acknowledge(cpu)
            self._leave(cpu, task)
        finally:
            self._mm.switch_cpu(before)

    def give_up(self, root: int) -> None:
        """Have no CPU that runs no task translate by the address space with this root any more."""
        for cpu in self._free:
            if activated_vm_space(self._mm, cpu) == root:
                before = self._mm.switch_cpu(cpu)
                try:
                    deactivate(self._mm)
                finally:
                    self._mm.switch_cpu(before)

    # --- running ------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool]) -> None:
        """Run tasks until `until()`. CpuDeadlock if nobody can run, and nothing will change that."""
        if not self._enabled:
            for cpu in self._free:
                self._kernel.smp.summon(cpu)
                self._service.call(cpu, Command.ENABLE_INTERRUPTS, SSI | STI | SEI)
            self._enabled = True
        while not until():
            self.attend()
            if self._sleeping:
                self._wake_sleepers(0)
            while self._free and self._runnable:
                self._start(self._free.pop(0), self._runnable.popleft())
            if not self._running:
                if not until():
                    self._sleep()
                continue
            if self._sleeping and self._free:
                self._watch_deadline()
            cpu, _, _ = self._service.wait_user(*self._running, until=self.limit)
            self._trapped(cpu)

    def _start(self, cpu: int, task: Task) -> None:
        """Have a CPU run a task."""
        before = self._mm.switch_cpu(cpu)
        try:
            task.cpu = cpu
            self._running[cpu] = task
            task.process.space.space.activate()  # a system call goes on in it, a signal's frame goes to it
            if task.call is not None:
                self._answer(task)
            self._enter_or_leave(cpu, task)
        finally:
            self._mm.switch_cpu(before)

    def _trapped(self, cpu: int) -> None:
        """A CPU's task has trapped: answer, and go on with it, or with another."""
        task = self._running[cpu]
        before = self._mm.switch_cpu(cpu)
        try:
            if self._sleeping:
                self._wake_sleepers(cpu)
            if task.frame.scause >> 63:
                self._interrupted(cpu, task)
            else:
                self._answer(task)
            self._enter_or_leave(cpu, task)
        finally:
            self._mm.switch_cpu(before)

    def _enter_or_leave(self, cpu: int, task: Task) -> None:
        """Go on with a task, after its signals, unless it waits, is dead, or it is somebody else's turn."""
        running = self._running
        if task.state is State.RUNNABLE and running.get(cpu) is task:
            self._deliver(task)
        if task.state is State.RUNNABLE and running.get(cpu) is task:
            self._enter(cpu, task)
        else:
            self._leave(cpu, task)

    def _enter(self, cpu: int, task: Task) -> None:
        """Into U-mode."""
        task.process.space.space.activate()
        if task.fp_used:
            self._give_fp(cpu, task)
        if self._runnable and cpu not in self._slice_ends:
            self._slice_ends[cpu] = self.now(cpu) + self._slice
        if self._slice_ends or self._sleeping:
            wanted = min(self._slice_ends.get(cpu, NEVER), *self._sleeping.values(), NEVER)
            if wanted < self._timers.get(cpu, NEVER):  # one that is set to an earlier time is set anew when it has come
                self._set_timer(cpu, wanted)
        self._service.begin_user(cpu, task.frame_vaddr)

    def _leave(self, cpu: int, task: Task) -> None:
        """The task does not go on on this CPU; that is free."""
        if self._running.get(cpu) is task:
            del self._running[cpu]
        if task.state is not State.DEAD:
            self.save_fp(task)
        task.cpu = None
        self._free.append(cpu)
        self._free.sort()
        self._slice_ends.pop(cpu, None)
        if task.state is State.DEAD:
            deactivate(self._mm)
        self._service.leave_stack(cpu)

    def _interrupted(self, cpu: int, task: Task) -> None:
        """A timer or another interrupt: somebody else's turn, if somebody is there."""
        self._acknowledge(cpu)
        ends = self._slice_ends.get(cpu)
        if ends is not None and self.now(cpu) >= ends:
            self._slice_ends.pop(cpu, None)
            if self._runnable:
                del self._running[cpu]
                self._runnable.append(task)

    def _acknowledge(self, cpu: int) -> None:
        """Take back what interrupts this CPU, whatever it was: it may come any time, also for a task that is gone."""
        hart = self._service.hart(cpu)
        pending = hart.read_csr("sip")
        if pending & SSI:
            hart.write_csr("sip", pending & ~SSI)
        if pending & STI:
            self._set_timer(cpu, NEVER)

    def _set_timer(self, cpu: int, when: int) -> None:
        """Set this CPU's timer, unless it is set to that."""
        when = min(when, NEVER)
        if self._timers.get(cpu) != when:
            self._timers[cpu] = when
            self._kernel.sbi.set_timer(when)

    def _give_fp(self, cpu: int, task: Task) -> None:
        """Put the task's floating-point registers into the CPU, unless they are there."""
        if self._fp_owner.get(cpu) is not task:
            self._forget_fp(task)
            self._service.call(cpu, Command.FP_RESTORE, self._mm.paddr_to_vaddr(task.fp_paddr))
            self._fp_owner[cpu] = task

    def begin_fp(self, task: Task) -> None:
        """The task's first floating-point instruction has trapped: it gets registers of its own, all 0."""
        self._mm.port.fill(task.fp_paddr, FP_SIZE, 0)
        self._forget_fp(task)
        task.fp_used = True
        task.frame.sstatus = task.frame.sstatus & ~FS_MASK | FS_CLEAN

    def load_fp(self, task: Task, registers: bytes) -> None:
        """Have the task go on with other floating-point registers: f0 … f31, fcsr."""
        self._mm.port.write(task.fp_paddr, registers)
        self._forget_fp(task)
        task.fp_used = True
        task.frame.sstatus = task.frame.sstatus & ~FS_MASK | FS_CLEAN

    def save_fp(self, task: Task) -> None:
        """Have the task's floating-point registers in memory: it leaves its CPU, or forks."""
        cpu, frame = task.cpu, task.frame
        if cpu is None or frame.sstatus & FS_MASK != FS_DIRTY:
            return
        self._service.call(cpu, Command.FP_SAVE, self._mm.paddr_to_vaddr(task.fp_paddr))
        self._forget_fp(task)
        self._fp_owner[cpu] = task
        frame.sstatus = frame.sstatus & ~FS_MASK | FS_CLEAN
        task.fp_used = True

    def _forget_fp(self, task: Task) -> None:
        """No CPU has the task's floating-point registers."""
        self._fp_owner = {cpu: owner for cpu, owner in self._fp_owner.items() if owner is not task}

    def _wake_sleepers(self, cpu: int) -> None:
        now = self.now(cpu)
        for task in sorted((task for task, when in self._sleeping.items() if when <= now),
                           key=lambda task: (self._sleeping[task], task.tid)):
            self.wake(task)

    def _watch_deadline(self) -> None:
        """Have a CPU that runs a task notice the next deadline, if the one that would have is free now."""
        first = min(self._sleeping.values())
        if all(self._timers.get(cpu, NEVER) > first for cpu in self._running):
            before = self._mm.switch_cpu(self._free[0])
            try:
                self.kick(self._running[min(self._running)])  # it traps, and sets its timer when it goes on
            finally:
                self._mm.switch_cpu(before)

    def _rest(self, cpu: int) -> None:
        """Have a CPU sleep: nothing that was meant for a task may keep it awake."""
        before = self._mm.switch_cpu(cpu)
        try:
            self._acknowledge(cpu)
            self._set_timer(cpu, NEVER)
        finally:
            self._mm.switch_cpu(before)
        self._service.rest(cpu)

    def interrupt(self) -> None:
        """Have every task that runs trap soon; may be called while the machine runs, by its `glance`."""
        for cpu in self._running:
            hart = self._service.hart(cpu)
            hart.write_csr("sip", hart.read_csr("sip") | SSI)

    def _sleep(self) -> None:
        """Nobody can run: wait for the next deadline, or for the world outside."""
        deadline = min(self._sleeping.values(), default=None)
        if self.idle(None if deadline is None else max(deadline - self.now(0), 0)):
            return
        if not self._sleeping:
            hart = self._service.hart(0)
            raise CpuDeadlock("every task waits for something that cannot come", hart.id, hart.pc)
        self._set_timer(0, min(self._sleeping.values()))
        others = [cpu for cpu in self._free if cpu]
        for cpu in others:
            self._rest(cpu)
        self._service.call(0, Command.IDLE, 0)
        for cpu in others:
            self._kernel.smp.summon(cpu)
