"""Guest code as a system to search: thread n is CPU n, which stops before each access to what threads share.

        window        memory whose accesses are watched: variables of the ELF, and what the allocator was given
        stacks        each CPU's own; nobody watches them, they are saved and restored

An access is one instruction: a load, a store, an AMO, LR or SC. Between two, a CPU runs on undisturbed, so that the
harts are *sequentially consistent*: what RISC-V's weak memory order permits beyond that is not tried. A store by one
CPU ends the reservations that others have on the word, as the architecture says (unprivileged specification, A).

What an execution changes is written down (`window`), and undone when the search goes back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from emulator import HostCall, Stop
from emulator.solo import Before, HartsState
from emulator.stop import Watch
from hartwell.lab.errors import LabError
from hartwell.lab.finding import Finding, FindingKind
from kernel.cpu.abi import Command
from kernel.text.image import to_virtual

from .code import ATOMIC_OPCODE, SC, Code
from .spinning import Quiet, State
from .stacks import Stacks
from .system import Access, AccessKind, Place, granules
from .window import Window, Windows
from .work import Failed, Touch, Work

if TYPE_CHECKING:
    from emulator import Machine
    from hartwell.lab.subject.text import Text
    from kernel import Kernel

BUDGET: Final = 200_000
"""Instructions that a call may take between two accesses."""
SMALL: Final = 4096
"""Bytes of memory that threads share, up to which the ends of executions are remembered: the same is judged once."""


class _Saved(NamedTuple):
    """A place in an execution."""

    harts: HartsState
    mark: int
    threads: tuple[_Thread, ...]
    stacks: tuple[bytes, ...]
    work: object
    failed: Finding | None


class _Thread:
    """Where a thread is."""

    __slots__ = ("before", "doing", "done", "quiet", "touch")

    def __init__(self) -> None:
        self.before: Before | None = None
        """The access that its hart is about to make,"""
        self.touch: Touch | None = None
        """or the host for it."""
        self.doing = ""
        self.done = False
        self.quiet: Quiet | None = None
        """What it has looked at lately, if anything."""

    def copy(self) -> _Thread:
        made = _Thread.__new__(_Thread)
        made.before, made.touch, made.doing, made.done = self.before, self.touch, self.doing, self.done
        made.quiet = None if self.quiet is None else self.quiet.copy()
        return made


class Harts:
    """A System (see `system`): CPUs 0 … `threads` - 1 of a booted kernel do `work`.

    Their code is in `text`, what they share in `windows`. The machine is the search's alone until `close`, and in no
    state to be used afterwards but by restoring a snapshot.
    """

    remakes = False

    def __init__(self, kernel: Kernel, text: Text, windows: Sequence[Window], work: Work, threads: int) -> None:
        self._machine: Machine = kernel.machine
        self.threads = threads
        self.kernel, self._work = kernel, work
        service = kernel.service
        self._harts = tuple(service.hart(cpu) for cpu in range(threads))
        self._stacks = Stacks(self._machine, service.header.stack_tops[:threads])
        self._returns = to_virtual(service.header.service_call)
        self._tp = kernel.mm.cpu_locals.count << 32
        for cpu in (*range(1, threads), 0):  # afterwards all are in the kernel's text, in S-mode
            if not service.ready(cpu):
                kernel.smp.summon(cpu)
            service.call(cpu, Command.NOP)
        self.windows = Windows(self._machine, windows)
        self.code = Code(kernel, text, self.windows, to_virtual(service.header.trap_call))
        self._small = self.windows.size <= SMALL
        self._known: dict[object, Finding | None] = {}
        """What was wrong, by memory and what the work knows at the end: of little memory only."""
        self._state: list[_Thread] = []
        self._failed: Finding | None = None
        self._ended: Finding | None = None
        self._judged = False
        self._first: _Saved | None = None
        self._solo = self._machine.solo([
            Watch(window.virtual, window.size, loads=True, virtual=True) for window in windows])

    def close(self) -> None:
        """Let go of the machine."""
        self._solo.close()

    # --- executions -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """See System."""
        if self._first is not None:
            self.load(self._first)
            return
        self._work.begin(self._undisturbed)
        self._state = [_Thread() for _ in range(self.threads)]
        for thread in range(self.threads):
            self._go_on(thread, None)
        self.windows.forget()
        self._first = self._save()

    def ready(self) -> list[int]:
        """See System."""
        if self._failed is not None:
            return []
        return [number for number, thread in enumerate(self._state)
                if not thread.done and (thread.quiet is None or not thread.quiet.waiting)]

    def next(self, thread: int) -> Place | None:
        """See System."""
        state = self._state[thread]
        if state.touch is not None:
            return Place(state.touch.address, 8)
        before = state.before
        return None if before is None else Place(before.address, before.size)

    def step(self, thread: int) -> Access:
        """See System."""
        self._judged = False
        state = self._state[thread]
        before, touch = state.before, state.touch
        if touch is not None:
            return self._touch(thread, touch)
        if before is None:
            raise LabError(f"CPU {thread} does not go on as it did before: the guest code has written over what is not "
                           "its own, and cannot be searched for races before that is mended (hartwell lab search)")
        address, size = before.address, before.size
        window, offset = self.windows.find(address, size)
        memory = self.windows.memory[window]
        was = bytes(memory[offset:offset + size])
        state.before = None
        hart = self._harts[thread].id
        stop = self._solo.run(hart, True, BUDGET)
        kind, changed = AccessKind.LOAD, False
        if before.store:
            now = memory[offset:offset + size]
            if now != was:
                changed = True
                self.windows.changed(window, offset, was)
            code = self.code.instruction(before.pc)
            kind = AccessKind.ATOMIC if code & 0x7F == ATOMIC_OPCODE else AccessKind.STORE
            if kind is AccessKind.STORE or code >> 27 != SC or changed or self._succeeded(hart, code):
                changed |= self._end_reservations(thread, address, size)
        elif self.code.instruction(before.pc) & 0x7F == ATOMIC_OPCODE:
            kind = AccessKind.ATOMIC
        access = Access(thread, before.pc, address, size, kind, changed)
        if changed:
            self._wake(thread, address, size)
        self._arrive(thread, stop)
        arrived = self._state[thread].before
        if not changed and arrived is not None:
            if state.quiet is None:
                state.quiet = Quiet()
            state.quiet.looked(granules(address, size), arrived.pc, lambda: self._registers(thread))
        return access

    def _touch(self, thread: int, touch: Touch) -> Access:
        """The host accesses memory as a thread."""
        window, offset = self.windows.find(touch.address, 8)
        memory = self.windows.memory[window]
        was = bytes(memory[offset:offset + 8])
        kind, changed = AccessKind.LOAD, False
        if touch.value is not None:
            kind, now = AccessKind.STORE, touch.value.to_bytes(8, "little")
            changed = now != was
            if changed:
                self.windows.changed(window, offset, was)
                memory[offset:offset + 8] = now
            changed |= self._end_reservations(thread, touch.address, 8)
            if changed:
                self._wake(thread, touch.address, 8)
        self._state[thread].touch = None
        access = Access(thread, touch.text, touch.address, 8, kind, changed)
        self._go_on(thread, int.from_bytes(memory[offset:offset + 8], "little"))
        return access

    def _go_on(self, thread: int, returned: int | None) -> None:
        """Let a thread do what its work says, up to its next access or its end."""
        state = self._state[thread]
        try:
            following = self._work.following(thread, returned)
        except Failed as why:
            self._failed = why.finding
            return
        if following is None:
            state.done, state.doing = True, ""
            return
        state.doing = following.text
        if isinstance(following, Touch):
            state.touch = following
            return
        self._prepare(thread, following.function, following.arguments)
        self._arrive(thread, self._solo.run(self._harts[thread].id, False, BUDGET))

    def _arrive(self, thread: int, stop: Before | Stop) -> None:
        """A hart has stopped: before an access, or because something is over."""
        if type(stop) is Before:
            self._state[thread].before = stop
            return
        hart = self._harts[thread]
        if type(stop) is HostCall and hart.pc == self._returns:
            self._go_on(thread, hart.read("a0"))
        else:
            self._failed = self._stopped(thread, stop)

    def _prepare(self, thread: int, function: int, arguments: Sequence[int]) -> None:
        hart = self._harts[thread]
        for name, value in (("pc", function), ("ra", self._returns), ("sp", self._stacks.tops[thread]),
                            ("tp", self._tp | thread), *((f"a{n}", value) for n, value in enumerate(arguments))):
            hart.write(name, value)

    def _undisturbed(self, function: int, *arguments: int) -> int:
        """Call a guest function on CPU 0, up to its end. Failed."""
        hart = self._harts[0]
        self._prepare(0, function, arguments)
        with self._machine.passing_points():
            stop = self._solo.run(hart.id, False, BUDGET)
        if type(stop) is HostCall and hart.pc == self._returns:
            return hart.read("a0")
        raise Failed(self._stopped(0, stop))

    def _stopped(self, thread: int, stop: Before | Stop) -> Finding:
        doing = self._state[thread].doing if self._state else ""
        return self.code.failure(thread, self._harts[thread], doing, stop, BUDGET)

    # --- who waits for whom -------------------------------------------------------------------------------------

    def _wake(self, thread: int, address: int, size: int) -> None:
        """`thread` has changed memory: it does not spin, nor does anybody who has looked there."""
        words = granules(address, size)
        for number, state in enumerate(self._state):
            if state.quiet is not None and (number == thread or state.quiet.concerns(words)):
                state.quiet = None

    def _end_reservations(self, thread: int, address: int, size: int) -> bool:
        """`thread` has stored: whether another had a reservation there, which is gone now."""
        found = False
        words = granules(address, size)
        for number, hart in enumerate(self._harts):
            if number != thread:
                reserved = self._solo.reservation(hart.id)
                if reserved is not None and reserved // 8 in words:
                    self._solo.release(hart.id)
                    found = True
        return found

    def _succeeded(self, hart: int, code: int) -> bool:
        """Whether the SC that a hart has just made did store: it gave 0, if anybody can tell."""
        target = code >> 7 & 31
        return target == 0 or self._machine.harts[hart].read(f"x{target}") == 0

    def _registers(self, thread: int) -> State:
        hart = self._harts[thread]
        return self._solo.registers(hart.id), self._stack_of(thread)

    def _stack_of(self, thread: int) -> bytes:
        return self._stacks.contents(thread, self._solo.stack_pointer(self._harts[thread].id))

    # --- going back ---------------------------------------------------------------------------------------------

    def save(self) -> object:
        """See System."""
        return self._save()

    def _save(self) -> _Saved:
        threads = tuple(thread.copy() for thread in self._state)
        stacks = tuple(self._stack_of(thread) for thread in range(self.threads))
        return _Saved(self._solo.save(), self.windows.mark, threads, stacks, self._work.save(), self._failed)

    def load(self, saved: object) -> None:
        """See System."""
        assert isinstance(saved, _Saved)
        self.windows.undo(saved.mark)
        self._solo.load(saved.harts)
        for thread, stack in enumerate(saved.stacks):
            if stack:
                self._stacks.fill(thread, stack)
        self._state = [thread.copy() for thread in saved.threads]
        self._work.load(saved.work)
        self._failed, self._judged = saved.failed, False

    # --- the end ------------------------------------------------------------------------------------------------

    def give_up(self, steps: int) -> None:
        """See System."""
        busy = ", ".join(f"CPU {number} in {thread.doing or 'nothing'}, at {self._at(number)}"
                         for number, thread in enumerate(self._state) if not thread.done)
        self._failed = Finding(FindingKind.HANG, f"no end after {steps:,} accesses: {busy}", expected="an end",
                               actual=busy)

    def finding(self) -> Finding | None:
        """See System."""
        if not self._judged:
            self._judged, self._ended = True, self._judge()
        return self._ended

    def _judge(self) -> Finding | None:
        if self._failed is not None:
            return self._failed
        stuck = [number for number, thread in enumerate(self._state) if not thread.done]
        if stuck:
            where = "; ".join(f"CPU {number} at {self._at(number)}, in {self._state[number].doing}" for number in stuck)
            waits = "all wait for each other" if len(stuck) > 1 else "nobody is left who could end its wait"
            return Finding(FindingKind.DEADLOCK, f"{waits}: {where}", expected="an end", actual=where,
                           details={"cpus": stuck})
        memory, work = self.windows.contents(), self._work.save()
        key = (memory, work) if self._small else None
        if key in self._known:
            return self._known[key]
        harts = self._solo.save()
        try:
            found = self._work.end(self._undisturbed)
        except Failed as why:
            found = why.finding
        finally:
            self._solo.load(harts)
            self._work.load(work)
            self.windows.fill(memory)
        if key is not None:
            self._known[key] = found
        return found

    def digest(self) -> str:
        """See System."""
        found = hashlib.blake2b(digest_size=16)
        for view in self.windows.memory:
            found.update(view)
        found.update(repr((self._work.results(), str(self.finding()))).encode())
        return found.hexdigest()

    # --- for people ---------------------------------------------------------------------------------------------

    def value(self, address: int, size: int) -> int:
        """See Shown."""
        return self.windows.value(address, size)

    def title(self, thread: int) -> str:
        """See Shown."""
        return f"CPU {thread}"

    def doing(self, thread: int) -> str:
        """See Shown."""
        return self._state[thread].doing

    def where(self, access: Access) -> str:
        """See Shown."""
        return access.where if isinstance(access.where, str) else self.code.place(access.where)

    def source(self, access: Access) -> str:
        """See Shown."""
        return "" if isinstance(access.where, str) else self.code.line(access.where)

    def bits(self, access: Access) -> int:
        """See Shown."""
        return 0 if isinstance(access.where, str) else self.code.instruction(access.where)

    def name(self, address: int) -> str:
        """See Shown."""
        return self.code.name(address)

    def _at(self, thread: int) -> str:
        state = self._state[thread]
        if state.touch is not None:
            return state.touch.text
        return self.code.name(state.before.pc if state.before is not None else self._harts[thread].pc)
