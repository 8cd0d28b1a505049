"""Waiting: what a system call that cannot go on says.

A system call that must wait is a generator that yields a Wait; it goes on when one of the queues was woken or
the deadline is there, and looks again. So a wake-up may come for nothing, and none is lost: nothing runs
between the look and the wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernel.fs.wait import WaitQueue

__all__ = ["Wait", "WaitQueue"]


@dataclass(frozen=True, slots=True)
class Wait:
    """What a system call waits for: any of `queues`, or until the clock is `deadline` (ticks of the timebase).

    A signal ends it: the call's result is `done` then, what it has done already, or it begins anew or gives
    EINTR if that is 0. If it is `killable`, only SIGKILL does.
    """

    queues: tuple[WaitQueue, ...] = ()
    deadline: int | None = None
    done: int = 0
    killable: bool = False
