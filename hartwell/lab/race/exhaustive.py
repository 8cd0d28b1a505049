"""The exhaustive search: every execution with a bounded number of preemptions, depth first.

A *preemption* is a switch away from a thread that could have gone on; switches at a thread's end, or when it
waits, are free. Few bugs need more than two or three, and their number bounds the search: of n accesses,
some n^p executions have p preemptions. Those with none come first, then those with one, and so on
(M. Musuvathi and S. Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs",
PLDI 2007), so the first race that is found has as few as can be.

Two reductions, which lose no state that executions within the bound end in:

    partialorder    an execution ends where it has come, with no fewer preemptions, to a trace that another came to
    sharing         nobody is preempted before an access to a word that nobody else accesses

Where threads branch, the state is saved, and restored for the next branch: no step is made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .partialorder import PartialOrder
from .sharing import Sharing
from .system import System

LONGEST = 100_000
"""Steps after which an execution is given up."""
OFTEN = 256
"""Executions between two reports of progress."""


@dataclass(frozen=True)
class Execution:
    """One execution, at whose end the system stands: who made each step, and how many preemptions that took."""

    schedule: tuple[int, ...]
    preemptions: int


@dataclass
class Tally:
    """What a search has done so far."""

    executions: int = 0
    """Executions that went to their end (exhaustive: with fewer preemptions than `bound` counted once only),"""
    cut: int = 0
    """and those that ended where another had been."""
    steps: int = 0
    """Accesses made, those that were made again to go back included."""
    bound: int = 0
    """Preemptions of the executions that are tried now (exhaustive search only)."""
    tell: Callable[[Tally], None] | None = None
    """Called now and then."""
    most: int | None = None
    """The search ends when so many executions have gone to their end or were cut,"""
    most_steps: int | None = None
    """or so many accesses were made."""

    @property
    def spent(self) -> bool:
        """Whether the search is to end."""
        return (self.most is not None and self.executions + self.cut >= self.most
                or self.most_steps is not None and self.steps >= self.most_steps)

    def note(self) -> None:
        """An execution is over."""
        if self.tell is not None and (self.executions + self.cut) % OFTEN == 0:
            self.tell(self)


@dataclass(slots=True)
class _Branch:
    """A place in an execution from which several threads could go on, and those still to be tried."""

    saved: object
    others: list[int]
    last: int
    could: bool
    """Whether the thread that ran last could have gone on."""
    spent: int
    depth: int
    order: PartialOrder | None


class _BeginAgain(Exception):  # noqa: N818 - nothing is wrong
    """A word is shared that was thought not to be."""


def exhaustive(system: System, preemptions: int = 2, *, reduce: bool = True, tally: Tally | None = None,
               longest: int = LONGEST) -> Iterator[Execution]:
    """The executions of `system` with at most `preemptions` preemptions, fewest first; ValueError if negative.

    The system stands at the end of the one that is given, until the next is asked for. With `reduce`, executions
    are left out that end in the same state as another; some may be given twice, then.
    """
    if preemptions < 0:
        raise ValueError(f"{preemptions} preemptions: expected 0 or more")
    tally = tally or Tally()
    sharing = Sharing() if reduce else None
    for bound in range(preemptions + 1):
        tally.bound = bound
        while True:
            try:
                yield from _Round(system, bound, sharing, tally, longest).executions()
                break
            except _BeginAgain:
                if tally.spent:
                    return
        if tally.spent:
            return


class _Round:
    """The search among executions with up to `bound` preemptions, of which those with exactly so many are given."""

    def __init__(self, system: System, bound: int, sharing: Sharing | None, tally: Tally, longest: int) -> None:
        self._system, self._bound, self._sharing, self._tally, self._longest = system, bound, sharing, tally, longest
        self._been: dict[int, int] = {}
        """Traces, with who ran last, that were come to, and the fewest preemptions with which."""
        self._branches: list[_Branch] = []
        self._schedule: list[int] = []
        self._order = None if sharing is None else PartialOrder(system.threads)
        self._last, self._could, self._spent = -1, False, 0
        self._again = False
        """Whether a word has turned out to be shared, so that this round is worth nothing."""

    def executions(self) -> Iterator[Execution]:
        """All of them. _BeginAgain."""
        system, tally = self._system, self._tally
        system.start()
        chosen = self._choose()
        while True:
            while chosen >= 0:
                self._step(chosen)
                chosen = self._choose()
            if self._again:
                raise _BeginAgain
            if not system.ready() and self._spent == self._bound:
                tally.executions += 1
                tally.note()
                yield Execution(tuple(self._schedule), self._spent)
            if not self._branches or tally.spent:
                return
            chosen = self._next_branch()

    def _step(self, thread: int) -> None:
        if self._could and thread != self._last:
            self._spent += 1
        access = self._system.step(thread)
        self._tally.steps += 1
        self._schedule.append(thread)
        self._last = thread
        if self._order is not None and self._sharing is not None:
            self._order.add(access)
            if self._sharing.add(access):
                self._again = True
        if len(self._schedule) >= self._longest:
            self._system.give_up(len(self._schedule))

    def _choose(self) -> int:
        """Who goes on first from here; those who shall later are noted. -1 if this execution is over."""
        system, last = self._system, self._last
        ready = system.ready()
        if not ready:
            return -1
        self._could = could = last in ready
        if could and self._sharing is not None and not self._sharing.matters(system.next(last)):
            return last
        if self._order is not None and not self._again and self._known(self._order.key()):
            self._tally.cut += 1
            self._tally.note()
            return -1
        chosen = last if could else ready[0]
        if len(ready) > 1 and not self._again and (not could or self._spent < self._bound):
            others = [thread for thread in ready if thread != chosen]
            self._branches.append(_Branch(system.save(), others, last, could, self._spent, len(self._schedule),
                                          None if self._order is None else self._order.copy()))
        return chosen

    def _next_branch(self) -> int:
        """Go back to the last place where there is somebody to be tried; who."""
        branch = self._branches[-1]
        chosen = branch.others.pop(0)
        self._system.load(branch.saved)
        if self._system.remakes:
            self._tally.steps += branch.depth
        del self._schedule[branch.depth:]
        self._last, self._could, self._spent, self._order = branch.last, branch.could, branch.spent, branch.order
        if not branch.others:
            self._branches.pop()
        elif self._order is not None:
            self._order = self._order.copy()
        return chosen

    def _known(self, trace: int) -> bool:
        """Whether all that may follow here has been tried, or is about to be; notes that it is, now.

        Who ran last decides what costs a preemption (-1: nothing does). From the same trace with another last
        thread, whatever follows costs at most one more.
        """
        been, spent = self._been, self._spent
        last = self._last if self._could else -1
        for other in range(-1, self._system.threads):
            before = been.get(hash((trace, other)))
            if before is not None and before + (other not in (last, -1)) <= spent:
                return True
        been[hash((trace, last))] = spent
        return False
