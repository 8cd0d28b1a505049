"""One hart at a time: who runs, and for how long, is decided from outside, access by access.

    with machine.solo([Watch(0x8400_0000, 4096, loads=True)]) as solo:
        before = solo.save()
        access = solo.run(0)                 # Before(pc, address, size, store): hart 0 is about to do it
        other = solo.run(1)                  # hart 1 stands before its own
        access = solo.run(0, passing=True)   # hart 0 does its access, and comes to the next
        solo.load(before)                    # and both harts are where they were; memory is not

For searches over interleavings (`hartwell.lab.race`). While a Solo is open

        no hart's time passes but the running one's: clocks drift apart, and the scheduler makes up for it later
        a hart that is left ends its translation block there; it goes on with a new one
        an LR's reservation outlives the turns of other harts; `release` ends those of an address

so interrupts may come at other instructions than without it. With a timing model, cycles are not exact.
"""

from __future__ import annotations

from collections.abc import Collection
from types import TracebackType
from typing import NamedTuple, Self, TYPE_CHECKING

from .engine import abi, layout
from .engine.alone import Alone, HartsState
from .engine.watch import LOADS
from .stop import Stop, Watch, Watchdog

if TYPE_CHECKING:
    from .hart import Hart
    from .machine import Machine
    from .runloop import RunLoop

__all__ = ["Before", "HartsState", "Solo"]

MASK = (1 << 64) - 1
NO_RESERVATION = MASK
BUDGET = 10_000_000
_SP = abi.ENV_GPR + 16
_GPR, _PC = abi.ENV_GPR >> 3, abi.ENV_PC >> 3


class Before(NamedTuple):
    """A hart is about to access `size` bytes at `address`, by the instruction at `pc`.

    `address` is as the watchpoint's, physical or virtual. `store` is true for AMOs and SC, too, also for an SC that
    will fail.
    """

    pc: int
    address: int
    size: int
    store: bool


class Solo:
    """The harts of `machine`, one at a time. Close it, or use it in a `with` block.

    Its runs stop before accesses to `watches`, at most 32 (EngineError). Breakpoints and host calls stop it as ever.
    """

    def __init__(self, machine: Machine, loop: RunLoop, watches: Collection[Watch]) -> None:
        self._machine, self._loop, self._engine = machine, loop, machine.engine
        self._alone = Alone(machine.engine)
        self._before = loop.watches
        machine.set_watchpoints(watches)
        self._engine.set_word(layout.M_POINTS, layout.POINTS_BEFORE)
        self._engine.set_word(layout.M_ALIKE, len({_protection(hart) for hart in machine.harts}) == 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let all harts take their turns again, under the watchpoints that there were."""
        self._engine.set_word(layout.M_POINTS, layout.POINTS_STOP)
        self._engine.set_word(layout.M_ALIKE, 0)
        self._machine.set_watchpoints(self._before)

    def run(self, hart: int, passing: bool = False, max_insns: int = BUDGET) -> Before | Stop:
        """Run one hart until it is about to access what is watched, or something else stops it (Watchdog, HostCall, …).

        With `passing`, its first instruction may: the one before which it was stopped. A hart in WFI is a Deadlock
        if nothing of its own can wake it.
        """
        engine, left = self._engine, max_insns
        while True:
            reason = self._alone.run(hart, left, passing)
            if reason == layout.STOP_WATCH:
                pc, address, size, kind = self._alone.watch_hit
                return Before(pc, address, size, kind != LOADS)
            self._machine.drain_console()
            stop = self._loop.meaning(reason, None)
            if stop is not None:
                return stop
            passing = False
            left = engine.word(layout.M_RUN_LIMIT)
            if left <= 0:
                return Watchdog("instructions", max_insns, engine.read_state(hart, abi.ENV_PC))

    def reservation(self, hart: int) -> int | None:
        """The virtual address that the hart has reserved by LR, None for none."""
        address = self._engine.read_state(hart, abi.ENV_LOAD_RES)
        return None if address == NO_RESERVATION else address

    def registers(self, hart: int) -> bytes:
        """Its pc and x-registers, as one value to compare."""
        words = self._engine.state_words(hart)
        return bytes(words[_GPR:_GPR + 32]) + bytes(words[_PC:_PC + 1])

    def stack_pointer(self, hart: int) -> int:
        """Its sp."""
        return self._engine.read_state(hart, _SP)

    def release(self, hart: int) -> None:
        """End the hart's reservation: its next SC fails."""
        self._engine.write_state(hart, abi.ENV_LOAD_RES, NO_RESERVATION)

    def save(self) -> HartsState:
        """What all harts are now, to be put back into this machine. Microseconds; memory and devices are not in it."""
        return self._alone.save()

    def load(self, state: HartsState) -> None:
        """Make the harts what they were. What they translate by must be as it was then."""
        self._alone.load(state)


def _protection(hart: Hart) -> tuple[int, ...]:
    """What the hart's PMP is: nobody changes it while a Solo is open, but in M-mode."""
    return (hart.read_csr("pmpcfg0"), hart.read_csr("pmpcfg2"),
            *(hart.read_csr(f"pmpaddr{number}") for number in range(16)))
