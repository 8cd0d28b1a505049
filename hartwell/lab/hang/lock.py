"""Locks that are never given back: which word a loop waits for, and who has stored to it last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulator.stop import Watch, Watchpoint
from hartwell.debug.programs import Programs
from hartwell.lab.errors import SubjectFailed
from hartwell.lab.sanitizer.frames import frames_of
from hartwell.lab.sanitizer.report import Past
from kernel.cpu.errors import CpuStopped
from kernel.errors import KernelError

from .loop import Loop
from .steps import Access

if TYPE_CHECKING:
    from hartwell.lab.subject.guest import GuestSubject

MOST = 1000
"""Stores to the word that one operation may make, for its holder to be found."""


@dataclass(frozen=True)
class Script:
    """What led to the hang: `length` parts, done one by one; `run(begin, end)` does some of them. `words` says what a
    part is, `numbered` whether the parts are operations of a program."""

    length: int
    run: Callable[[int, int], object]
    words: Callable[[int], str]
    numbered: bool


def waited_for(loop: Loop) -> Access | None:
    """The word that a loop does nothing but look at, as it is looked at; None if it does something else."""
    if not loop.unchanging:
        return None
    accesses = loop.accesses
    places = {access.address for access in accesses}
    if len(places) != 1 or not any(access.load for access in accesses):
        return None
    return accesses[0]


def holder(subject: GuestSubject, script: Script, cpu: int, lock: Access, programs: Programs) -> Past | None:
    """Who has stored to the word at `lock` last, that was not 0; None if nobody did, or too often."""
    machine = subject.machine
    paddr = machine.harts[cpu].translate(lock.address)
    if paddr is None:
        return None

    def held(parts: int) -> bool:
        subject.reset()
        if parts:
            script.run(0, parts)
        return any(machine.bus.read(paddr, lock.size))

    low, high = 0, script.length - 1  # held before part `high`, if it is at all
    if high > 0 and held(high):
        while low < high - 1:
            middle = (low + high) // 2
            low, high = (low, middle) if held(middle) else (middle, high)
        part = high - 1
    else:
        part = high
    held(part)
    return _last_store(subject, script, part, cpu, Watch(paddr, lock.size), programs)


def _last_store(subject: GuestSubject, script: Script, part: int, cpu: int, watch: Watch,
                programs: Programs) -> Past | None:
    """The last store in this part that left the word other than 0."""
    machine, service = subject.machine, subject.kernel.service
    found: Past | None = None
    machine.set_watchpoints([watch])
    try:
        stopped = _stopped(lambda: script.run(part, part + 1))
        for _ in range(MOST):
            if not stopped:
                break
            stop = stopped.stop
            if not isinstance(stop, Watchpoint):
                break
            if any(machine.bus.read(watch.first, watch.size)):
                number = part if script.numbered else None
                found = Past("taken", 0, stop.hart, frames_of(machine.harts[stop.hart], programs), number,
                             script.words(part))
            stopped = _stopped(lambda: service.wait(cpu))
    finally:
        machine.set_watchpoints(())
    return found


def _stopped(deed: Callable[[], object]) -> CpuStopped | None:
    """How a deed was stopped; None if it came to an end."""
    try:
        deed()
    except CpuStopped as why:
        return why
    except SubjectFailed as why:
        cause = why.__context__
        return cause if isinstance(cause, CpuStopped) else None
    except KernelError:
        return None
    return None
