"""The Python kernel as a system to search: thread n is a task that runs as CPU n, stopped before each port access.

        task (a greenlet)   ── access ──> port ──> observer: stop     the access is not done yet
        step(n)             ── switch ──> … it is done, and the task comes to its next one

An atomic operation is one access (requirement R1.8). A task that waits for a spin lock (`MemoryPort.waiter`) waits
until somebody changes its word. Everything that is stored while a Tasks is open is written down, and undone when an
execution begins, so that all begin alike. Python cannot go back: to go on from a place, its steps are made again.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from greenlet import greenlet

from hartwell.lab.finding import Finding, FindingKind
from kernel.mm.frame.meta import REF_COUNT, VTABLE
from kernel.mm.frame.type_table import CAPACITY, DESCRIPTOR_SIZE
from kernel.mm.port import Access as PortAccess
from kernel.mm.statics import AREAS

from .system import Access, AccessKind, Place, granules
from .work import Failed

if TYPE_CHECKING:
    from kernel import Kernel

KINDS: Final = {PortAccess.LOAD: AccessKind.LOAD, PortAccess.STORE: AccessKind.STORE,
                PortAccess.ATOMIC: AccessKind.ATOMIC}
SKIPPED: Final = ("kernel/mm/port.py", "kernel/sync/spin.py", "kernel/mm/fields.py")
"""Files whose functions are not who makes an access: their callers are."""


@dataclass(frozen=True)
class Job:
    """What a task does; `text` is for people."""

    text: str
    run: Callable[[], object]


@dataclass(frozen=True)
class Prepared:
    """Tasks of one execution, on memory as they need it, and what looks at their results.

    `end` gets what each returned, or raised, and a hash of that and of the memory that was touched; it says what is
    wrong.
    """

    jobs: Sequence[Job]
    end: Callable[[Sequence[object], str], Finding | None]
    describe: Callable[[Sequence[object]], object] = repr


class _Task:
    """A task, and where it is."""

    def __init__(self, number: int, job: Job) -> None:
        self.number, self.job = number, job
        self.result: object = None
        self.done = False
        self.waits: range | None = None
        """The words that it waits for a change of."""
        self.at: tuple[PortAccess, int, int, str] | None = None
        """What it is about to do, and where in the code."""
        self.last = range(0)
        self.light: Any = None


class Tasks:
    """A System (see `system`). `prepare` makes what each execution begins with: the same every time."""

    remakes = True

    def __init__(self, kernel: Kernel, prepare: Callable[[], Prepared], threads: int) -> None:
        mm = kernel.mm
        self._mm, self._prepare, self.threads = mm, prepare, threads
        self._cpu = mm.cpu
        machine = kernel.machine
        self._banks = [(bank.base, machine.bus.memory(bank.base, bank.size).data) for bank in machine.ram.banks]
        self._last_bytes, self._memory_digest = b"", ""
        self._done: tuple[int, int] | None = None
        self._log: list[tuple[int, bytes]] = []
        self._tasks: list[_Task] = []
        self._prepared: Prepared | None = None
        self._running: _Task | None = None
        self._hub: Any = None
        self._schedule: list[int] = []
        self._failed: Finding | None = None
        self._ended: Finding | None = None
        self._judged = False
        self._closed = False
        table = mm.statics.area("meta_types", DESCRIPTOR_SIZE * CAPACITY)
        self._kept = (mm.statics.base, mm.statics.base + AREAS), (table, table + DESCRIPTOR_SIZE * CAPACITY)
        """Tables of names that only grow: Python remembers what is in them, so that they are not undone."""
        mm.port.attach(self)
        self._warm_up()

    def close(self) -> None:
        """End all tasks, undo what was done, and let go of the port."""
        if not self._closed:
            self._closed = True
            self._undo()
            self._mm.port.detach(self)

    # --- executions -------------------------------------------------------------------------------------------

    def _warm_up(self) -> None:
        """One execution, task by task, so that what is done once only is done."""
        self.start()
        while ready := self.ready():
            self.step(ready[0])
        self.finding()
        self._undo()

    def start(self) -> None:
        """See System."""
        self._undo()
        self._hub = greenlet.getcurrent()
        self._prepared = self._prepare()
        self._tasks = [_Task(number, job) for number, job in enumerate(self._prepared.jobs)]
        self._schedule, self._failed, self._judged = [], None, False
        self._mm.port.waiter = self._wait
        for task in self._tasks:
            task.light = greenlet(self._main)
            self._go_on(task)

    def ready(self) -> list[int]:
        """See System."""
        if self._failed is not None:
            return []
        return [task.number for task in self._tasks if not task.done and task.waits is None]

    def next(self, thread: int) -> Place | None:
        """See System."""
        at = self._tasks[thread].at
        return None if at is None else Place(at[1], at[2])

    def step(self, thread: int) -> Access:
        """See System."""
        task = self._tasks[thread]
        assert task.at is not None, "a step of a task that is done"
        kind, address, size, where = task.at
        task.at, self._judged = None, False
        self._schedule.append(thread)
        before = self._bytes(address, size)
        self._go_on(task)
        changed = kind is not PortAccess.LOAD and self._last_bytes != before
        if changed:
            words = granules(address, size)
            for other in self._tasks:
                if other.waits is not None and other is not task and _meet(other.waits, words):
                    other.waits = None
                    self._go_on(other)
        return Access(thread, where, address, size, KINDS[kind], changed)

    def _go_on(self, task: _Task) -> None:
        """Let a task run to its next access, to where it waits, or to its end."""
        self._running = task
        self._mm.cpu = task.number
        self._last_bytes, self._done = b"", None
        try:
            task.light.switch(task)
        except Failed as why:
            self._failed = why.finding
        finally:
            self._running = None
            self._mm.cpu = self._cpu
        self._settle()

    def _main(self, task: _Task) -> None:
        try:
            task.result = task.job.run()
        except Failed:
            raise
        except Exception as error:
            task.result = error
        task.done = True

    # --- the port's observer --------------------------------------------------------------------------------------

    def access(self, kind: PortAccess, address: int, size: int, value: int | None) -> None:
        """A port access is about to be made."""
        task = self._running
        if task is not None and greenlet.getcurrent() is task.light:
            self._settle()
            task.at = kind, address, size, _caller()
            task.last = granules(address, size)
            self._hub.switch()
            self._done = address, size
        if kind is not PortAccess.LOAD and not any(low <= address < high for low, high in self._kept):
            self._log.append((address, self._bytes(address, size)))

    def _settle(self) -> None:
        """Remember what the access that has just been made left behind."""
        if self._done is not None and not self._last_bytes:
            self._last_bytes = self._bytes(*self._done)

    def _wait(self) -> None:
        """The running task has found a lock taken."""
        task = self._running
        assert task is not None
        self._settle()
        task.waits = task.last
        self._hub.switch()

    # --- going back -------------------------------------------------------------------------------------------------

    def save(self) -> object:
        """See System."""
        return tuple(self._schedule)

    def load(self, saved: object) -> None:
        """See System: all steps up to there are made again."""
        assert isinstance(saved, tuple)
        self.start()
        for thread in saved:
            self.step(thread)

    def _undo(self) -> None:
        """End what runs, and make memory what it was before anything began."""
        port = self._mm.port
        port.waiter = None
        closed, self._mm.closed = self._mm.closed, True  # handles that are dropped now hold nothing
        try:
            for task in self._tasks:
                if task.light and not task.light.dead:
                    task.light.throw()
                task.result = None
            self._tasks = []
            self._prepared = None
        finally:
            self._mm.closed = closed
        while self._log:
            address, before = self._log.pop()
            self._memory(address, len(before))[:] = before

    def _bytes(self, address: int, size: int) -> bytes:
        return bytes(self._memory(address, size))

    def _memory(self, address: int, size: int) -> memoryview:
        for base, view in self._banks:
            offset = address - base
            if offset >= 0 and offset + size <= len(view):
                return view[offset:offset + size]
        raise AssertionError(f"{address:#x}: an access to no memory")

    # --- the end ------------------------------------------------------------------------------------------------

    def give_up(self, steps: int) -> None:
        """See System."""
        busy = ", ".join(f"CPU {task.number} in {task.job.text}" for task in self._tasks if not task.done)
        self._failed = Finding(FindingKind.HANG, f"no end after {steps:,} accesses: {busy}", expected="an end",
                               actual=busy)

    def finding(self) -> Finding | None:
        """See System."""
        if not self._judged:
            self._judged = True
            self._memory_digest = self._hash_memory()
            self._ended = self._judge()
        return self._ended

    def _judge(self) -> Finding | None:
        assert self._prepared is not None
        if self._failed is not None:
            return self._failed
        stuck = [task for task in self._tasks if not task.done]
        if stuck:
            where = "; ".join(f"CPU {task.number} in {task.job.text}" for task in stuck)
            return Finding(FindingKind.DEADLOCK, f"all wait for each other's locks: {where}", expected="an end",
                           actual=where, details={"cpus": [task.number for task in stuck]})
        try:
            return self._prepared.end([task.result for task in self._tasks], self._memory_digest)
        except Failed as why:
            return why.finding

    def _hash_memory(self) -> str:
        found = hashlib.blake2b(digest_size=16)
        for address, size in sorted({(address, len(before)) for address, before in self._log}):
            found.update(address.to_bytes(8, "little") + self._bytes(address, size))
        assert self._prepared is not None
        found.update(repr(self._prepared.describe([task.result for task in self._tasks])).encode())
        return found.hexdigest()

    def digest(self) -> str:
        """See System."""
        said = str(self.finding())
        return hashlib.blake2b(f"{self._memory_digest} {said}".encode(), digest_size=16).hexdigest()

    # --- for people ---------------------------------------------------------------------------------------------

    def value(self, address: int, size: int) -> int:
        """See Shown."""
        return int.from_bytes(self._bytes(address, min(size, 8)), "little")

    def title(self, thread: int) -> str:
        """See Shown."""
        return f"CPU {thread}"

    def doing(self, thread: int) -> str:
        """See Shown."""
        task = self._tasks[thread]
        return "" if task.done else task.job.text

    def where(self, access: Access) -> str:
        """See Shown."""
        return str(access.where).partition(" ")[0]

    def source(self, access: Access) -> str:
        """See Shown."""
        return str(access.where).partition(" ")[2]

    def bits(self, access: Access) -> int:
        """See Shown: there is no instruction."""
        return 0

    def name(self, address: int) -> str:
        """See Shown."""
        mm = self._mm
        slots = mm.slots
        if slots.base <= address < slots.base + (slots.max_paddr >> 6):
            field = {REF_COUNT: "ref_count", VTABLE: "vtable"}.get(address & 63, f"+{address & 63:#x}")
            return f"slot {slots.frame_of(address & -64):#x} {field}"
        if mm.statics.base <= address < mm.statics.base + mm.statics.size:
            return mm.statics.name_of(address)
        return f"{address:#x}"


def _meet(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop


def _caller() -> str:
    """Who makes the access: the function and its file and line."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.endswith(SKIPPED):
        frame = frame.f_back
    code = frame.f_code
    return f"{code.co_qualname.replace('.<locals>', '')} {code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
