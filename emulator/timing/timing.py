"""The timing of a machine: which core it is, and what the cycles so far went to.

    machine = Machine(board, timing=load_profile("rocket"))
    machine.run()
    machine.timing.stats().harts[0].cpi
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

from .events import Event
from .stats import HartStats, Stats

if TYPE_CHECKING:
    from ..hart import Hart
    from ..machine import Machine
    from .model import Model
    from .profile import Profile


class HostAccess(IntEnum):
    """What an access that the host makes for a hart does (`Timing.charge`); the values are native code's."""

    LOAD = 0
    STORE = 1
    ATOMIC = 2


class Timing:
    """The timing of `machine` by `profile`; `Machine` makes it.

    A flat profile needs no model: its cycles are the machine's own. `notice` is as for `Machine`.
    """

    def __init__(self, machine: Machine, profile: Profile, notice: Callable[[str], None] | None = None) -> None:
        self.profile = profile
        self._machine = machine
        self._model: Model | None = None
        if not profile.flat:
            from .model import Model

            self._model = Model(machine.engine, profile, notice)

    @property
    def modelled(self) -> bool:
        """Whether there are a pipeline and caches: False for a flat profile."""
        return self._model is not None

    def charge(self, hart: int, vaddr: int, paddr: int, size: int, kind: HostAccess, instructions: int,
               stride: int = 8) -> int:
        """Charge an access that the host made for `hart`, whose clock goes on; the cycles that it took.

        `size` bytes, of which a word in every `stride` is accessed, at physical `paddr`, which the hart has at
        `vaddr` (the same: not translated), go through its data TLB and data cache. Every word is an instruction;
        the access as a whole is `instructions` more. With a flat profile nothing is charged: 0. Not while the
        machine runs.
        """
        if self._model is None:
            return 0
        return self._model.charge(hart, vaddr, paddr, size, kind, instructions, stride)

    def count(self, event: Event) -> int:
        """How often `event` happened to all harts together since reset, for events that only a model counts; or 0."""
        return 0 if self._model is None else self._model.count(event)

    def empty_caches(self) -> None:
        """Have every hart's caches and TLBs empty, in no time: what is cold then can be measured."""
        if self._model is not None:
            self._model.empty_caches()

    def stats(self) -> Stats:
        """The counts of every hart since reset."""
        return Stats(self.profile.name, self.profile.accuracy, tuple(map(self._hart, self._machine.harts)))

    def _hart(self, hart: Hart) -> HartStats:
        cycles, instructions = hart.cycles, hart.instructions
        known = {Event.CYCLES: cycles, Event.INSTRUCTIONS: instructions, Event.TRAPS: hart.traps}
        if self._model is None:
            return HartStats(hart.id, cycles, cycles - instructions, instructions, known, {})
        stalls, host = self._model.stalls(hart.id), self._model.host_cycles(hart.id)
        # With two issue slots cycles in which something issued are fewer than instructions: then it is the least.
        waiting = max(0, cycles - instructions - host - sum(stalls.values()))
        return HartStats(hart.id, cycles, waiting, instructions, {**self._model.events(hart.id), **known}, stalls, host)
