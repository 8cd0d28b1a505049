"""The timing of a machine: which core it is, and what the cycles so far went to.

    machine = Machine(board, timing=load_profile("rocket"))
    machine.run()
    machine.timing.stats().harts[0].cpi
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .events import Event
from .profile import Profile
from .stats import HartStats, Stats

if TYPE_CHECKING:
    from ..hart import Hart
    from ..machine import Machine
    from .model import Model


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

    def stats(self) -> Stats:
        """The counts of every hart since reset."""
        return Stats(self.profile.name, self.profile.accuracy, tuple(map(self._hart, self._machine.harts)))

    def _hart(self, hart: Hart) -> HartStats:
        cycles, instructions = hart.cycles, hart.instructions
        known = {Event.CYCLES: cycles, Event.INSTRUCTIONS: instructions, Event.TRAPS: hart.traps}
        if self._model is None:
            return HartStats(hart.id, cycles, cycles - instructions, instructions, known, {})
        stalls = self._model.stalls(hart.id)
        # With two issue slots cycles in which something issued are fewer than instructions: then it is the least.
        waiting = max(0, cycles - instructions - sum(stalls.values()))
        return HartStats(hart.id, cycles, waiting, instructions, {**self._model.events(hart.id), **known}, stalls)
