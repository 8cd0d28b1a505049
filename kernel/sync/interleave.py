"""Runs kernel code of several CPUs at once, switching between them at chosen memory accesses.

    explorer = Interleaver(mm)
    for run in explorer.explore(setup, preemptions=2):
        assert run.results == …

A task is a Python function that stands for what one CPU does. It runs in a thread of its own, but only
one thread ever runs: at every access to emulated memory that matters, the task stops *before* the
access, and the schedule says who goes on. The same schedule gives the same run, always.

`explore` is a depth-first search over all schedules with a bound on preemptions, that is, on switches
away from a task that could go on; switches at a task's end, or when it waits for a lock, are free.
Few bugs need more than two or three (Musuvathi and Qadeer, "Iterative Context Bounding", 2007).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kernel.errors import LockHeld
from kernel.mm.port import Access

if TYPE_CHECKING:
    from kernel.mm.context import Mm

Task = Callable[[], object]


@dataclass(frozen=True)
class Step:
    """One access: the task that made it, and what it was; `value` as the port tells it."""

    task: int
    kind: Access
    address: int
    size: int
    value: int | None

    def __str__(self) -> str:
        value = "" if self.value is None else f" <- {self.value:#x}"
        return f"CPU {self.task}: {self.kind.value} {self.address:#x}{value}"


@dataclass
class Run:
    """One interleaving: the tasks' results or exceptions in order, the steps, and the schedule that repeats it."""

    results: list[object]
    steps: list[Step]
    schedule: list[int]
    """Who was let go on, at each point where it was a question."""
    choices: list[tuple[int, ...]] = field(default_factory=list)
    """Who could have been, at each of these points; the one that costs no preemption first."""
    preempting: list[bool] = field(default_factory=list)
    """Whether any but the first would have been a preemption."""

    def __str__(self) -> str:
        return "\n".join(str(step) for step in self.steps)


class _Abandon(BaseException):
    """Ends the threads of a run that failed."""


class _Worker:
    """A task in its thread."""

    def __init__(self, number: int, task: Task, owner: _Session) -> None:
        self.number = number
        self.result: object = None
        self.go = threading.Semaphore(0)
        self.finished = False
        self.waiting = False
        """Whether it spins, and nobody has changed memory since."""
        self.next: Access | None = None
        """What it will do first when it goes on."""
        self._task, self._owner = task, owner
        self.thread = threading.Thread(target=self._main, name=f"task {number}", daemon=True)

    def _main(self) -> None:
        self.go.acquire()
        try:
            if not self._owner.abandoned:
                self.result = self._task()
        except _Abandon:
            pass
        except BaseException as error:
            self.result = error
        self.finished = True
        self._owner.back.release()


class _Session:
    """The threads of one run, and the port's observer."""

    def __init__(self, mm: Mm, tasks: Sequence[Task], matters: Callable[[Access, int], bool]) -> None:
        self.mm, self._matters = mm, matters
        self.back = threading.Semaphore(0)
        self.abandoned = False
        self.steps: list[Step] = []
        self.workers = [_Worker(number, task, self) for number, task in enumerate(tasks)]
        self._current = self.workers[0]
        for worker in self.workers:
            worker.thread.start()

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        worker = self._current
        if threading.current_thread() is worker.thread and self._matters(kind, address):
            worker.next = kind
            self._pause(worker)
            self.steps.append(Step(worker.number, kind, address, size, value))

    def wait(self) -> None:
        """The current task waits for a lock: others go first."""
        worker = self._current
        worker.waiting = True
        self._pause(worker)

    def _pause(self, worker: _Worker) -> None:
        self.back.release()
        worker.go.acquire()
        if self.abandoned:
            raise _Abandon

    def advance(self, worker: _Worker) -> None:
        """Let a task run to its next access that matters, or to its end."""
        did, worker.next, worker.waiting = worker.next, None, False
        self._current = worker
        self.mm.cpu = worker.number
        worker.go.release()
        self.back.acquire()
        # A lock may be free again if memory was changed; a failed attempt to take one is no change.
        if not worker.waiting and did not in (None, Access.LOAD):
            for other in self.workers:
                other.waiting = False

    def close(self) -> None:
        self.abandoned = True
        for worker in self.workers:
            if not worker.finished:
                self._current = worker
                worker.go.release()
                self.back.acquire()
            worker.thread.join()


class Interleaver:
    """Runs tasks on `mm`, task n as CPU n. `matters(kind, address)` chooses the accesses at which it may switch."""

    def __init__(self, mm: Mm, matters: Callable[[Access, int], bool] = lambda kind, address: True) -> None:
        self._mm, self._matters = mm, matters

    def run(self, tasks: Sequence[Task], schedule: Sequence[int] = ()) -> Run:
        """One run: follow `schedule` as far as it goes, then let every task run on as long as it can.

        ValueError when the schedule names a task that cannot run. LockHeld when all wait for locks.
        """
        mm, before = self._mm, self._mm.cpu
        session = _Session(mm, tasks, self._matters)
        run = Run([], session.steps, [])
        mm.port.attach(session)
        mm.port.waiter = session.wait
        last: _Worker | None = None
        try:
            for worker in session.workers:  # up to the first access there is nothing to choose
                session.advance(worker)
            while ready := [worker for worker in session.workers if not worker.finished]:
                able = [worker for worker in ready if not worker.waiting]
                if not able:
                    names = ", ".join(str(worker.number) for worker in ready)
                    raise LockHeld(f"tasks {names} wait for each other's locks")
                if last in able:
                    able.sort(key=lambda worker: worker is not last)
                chosen = able[0]
                if len(able) > 1:
                    at = len(run.schedule)
                    if at < len(schedule):
                        chosen = next((worker for worker in able if worker.number == schedule[at]), able[0])
                        if chosen.number != schedule[at]:
                            raise ValueError(f"schedule: task {schedule[at]} cannot run at choice {at}")
                    run.schedule.append(chosen.number)
                    run.choices.append(tuple(worker.number for worker in able))
                    run.preempting.append(last in able)
                session.advance(chosen)
                last = chosen
        finally:
            mm.port.waiter = None
            mm.port.detach(session)
            session.close()
            mm.cpu = before
        run.results = [worker.result for worker in session.workers]
        return run

    def explore(self, setup: Callable[[], Sequence[Task]], preemptions: int = 2) -> Iterator[Run]:
        """Every run with at most `preemptions` preemptions, each on what `setup` prepares anew.

        The caller checks each run before it asks for the next one, and undoes what the run left behind.
        """
        pending: list[list[int]] = [[]]
        while pending:
            prefix = pending.pop()
            run = self.run(setup(), prefix)
            yield run
            spent = sum(1 for i in range(len(prefix)) if run.preempting[i] and run.schedule[i] != run.choices[i][0])
            for at in range(len(prefix), len(run.schedule)):
                if run.preempting[at] and spent >= preemptions:
                    continue
                pending.extend(run.schedule[:at] + [other] for other in run.choices[at] if other != run.schedule[at])
