"""Who spins: a thread that looks at the same words again and again, and would for ever if nobody changed them.

A thread that has come back to a place with the same registers and stack, and has changed nothing meanwhile, and
nobody else has changed what it looked at, will do just that once more. It *waits*, as far as a search is concerned:

        load lock (1) ──> … ──> load lock (1) ──> … ──> load lock (1)       waits for: lock
                                registers noted         … are the same

until another thread changes one of the words. So a spin lock makes no search endless, and threads that wait for
each other are a deadlock. A loop that counts how often it has tried is not one: its registers differ each time.
"""

from __future__ import annotations

from collections.abc import Callable

State = tuple[bytes, bytes]
"""Registers and stack of a thread."""


class Quiet:
    """What a thread has looked at since it last changed memory, or somebody changed what it had looked at."""

    __slots__ = ("_looked", "_states", "_times", "waiting")

    def __init__(self) -> None:
        self._times: dict[int, int] = {}
        self._states: dict[int, list[State]] | None = None
        self._looked: set[int] = set()
        self.waiting = False
        """Whether it waits for somebody to change what it has looked at."""

    def copy(self) -> Quiet:
        """Another one that goes on from here."""
        made = Quiet.__new__(Quiet)
        made._times, made._looked, made.waiting = self._times.copy(), self._looked.copy(), self.waiting
        states = self._states
        made._states = None if states is None else {pc: known.copy() for pc, known in states.items()}
        return made

    def looked(self, words: range, pc: int, state: Callable[[], State]) -> None:
        """It has looked at `words`, changed nothing, and is at `pc` now."""
        self._looked.update(words)
        times = self._times[pc] = self._times.get(pc, 0) + 1
        if times < 2:  # most code never comes back
            return
        if self._states is None:
            self._states = {}
        states = self._states.setdefault(pc, [])
        now = state()
        self.waiting = now in states
        states.append(now)

    def concerns(self, words: range) -> bool:
        """Whether it has looked at one of `words`, which have changed now."""
        return not self._looked.isdisjoint(words)
