"""A run's timeline: privilege, traps, returns, satp, console output, by the harts' clocks.

    timeline = Timeline(machine, on_landmark=print)
    machine.run(max_insns=1_000_000)
    timeline.close()
    print(timeline.totals.cycles, len(timeline.steps))

The engine records events (`engine.tracing`), and the timeline takes them in bulk, as columns of numbers. A run may
have many millions of them; what is kept is bounded:

        totals     cycles and instructions by hart and level, traps by cause, environment calls: all of the run
        buckets    cycles by hart, level and time: all of the run, in 2048 slices
        steps      the first MOST_STEPS changes of privilege and waits, one by one
        satp       the first MOST_CHANGES changes of satp
        lines      the first MOST_LINES lines of the console, with the clock of their first bytes

Nothing depends on when the host took the events, so the same run has the same timeline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from .buckets import LEVELS, WAITING, Buckets
from .engine.tracing import TRACE_OUTPUT, TRACE_SATP, TRACE_TRAP, TRACE_WAIT, TRACE_XRET
from .machine import Machine

KINDS: Final = TRACE_TRAP | TRACE_XRET | TRACE_WAIT | TRACE_OUTPUT | TRACE_SATP
MOST_STEPS: Final = 10_000
MOST_CHANGES: Final = 256
MOST_LINES: Final = 5_000
LONGEST_LINE: Final = 1_000
"""Bytes of a line that are kept."""
CALLS: Final = (8, 9, 11)
"""Causes of environment calls: from U, S and M."""
CAUSES: Final = 64
"""Exception and interrupt numbers that are told apart."""
MASK: Final = (1 << 64) - 1

Words = npt.NDArray[np.int64]


@dataclass
class Totals:
    """What has been counted so far.

    `cycles` and `instructions` are by hart and level (U 0, S 1, WAITING 2, M 3), `traps` by hart, interrupt (0 or 1)
    and number. `calls` are environment calls by cause, a7, and (but from U-mode) a6. `returns` are xRETs.
    """

    cycles: Words
    instructions: Words
    traps: Words
    calls: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    returns: int = 0
    satp_changes: int = 0
    output: int = 0

    @classmethod
    def none(cls, harts: int) -> Totals:
        """Nothing yet."""
        return cls(np.zeros((harts, LEVELS), dtype=np.int64), np.zeros((harts, LEVELS), dtype=np.int64),
                   np.zeros((harts, 2, CAUSES), dtype=np.int64))

    def copy(self) -> Totals:
        """The same numbers, which do not change with these."""
        return Totals(self.cycles.copy(), self.instructions.copy(), self.traps.copy(), self.calls.copy(),
                      self.returns, self.satp_changes, self.output)

    def since(self, before: Totals) -> Totals:
        """What was added since `before`."""
        return Totals(self.cycles - before.cycles, self.instructions - before.instructions, self.traps - before.traps,
                      self.calls - before.calls, self.returns - before.returns,
                      self.satp_changes - before.satp_changes, self.output - before.output)


@dataclass(frozen=True)
class Step:
    """A hart went from level `before` at `pc` to `after` at `target`, at its `clock`, with `instructions` retired.

    `kind` is TRACE_TRAP (`what` is its cause, negative for interrupts), TRACE_XRET (`what` is the instruction) or
    TRACE_WAIT (it has waited since clock `what`). `call` is what an environment call asked for: (a7, a6).
    """

    hart: int
    clock: int
    instructions: int
    kind: int
    before: int
    after: int
    pc: int
    target: int
    what: int
    call: tuple[int, int]


@dataclass(frozen=True)
class SatpChange:
    """satp of a hart went from `old` to `new` by the instruction at `pc`."""

    hart: int
    clock: int
    instructions: int
    level: int
    pc: int
    old: int
    new: int


@dataclass(frozen=True)
class Line:
    """A line of the console, without its end, and when its first byte was sent."""

    hart: int
    clock: int
    instructions: int
    text: bytes


Landmark = Step | SatpChange
"""What the machine pauses at: a change of satp, or the first return to a privilege lower than all before."""


class Timeline:
    """The timeline of what `machine` does until `close`; one at a time, and no trace beside it.

    `on_landmark` is called at the first `pauses` landmarks, while the machine stands right behind them. The machine
    must not be reset or restored meanwhile.
    """

    def __init__(self, machine: Machine, pauses: int = 0,
                 on_landmark: Callable[[Landmark], None] | None = None) -> None:
        self._machine, self._on_landmark = machine, on_landmark
        self._pauses = pauses
        self.totals = Totals.none(len(machine.harts))
        """Of what was taken, up to each hart's last change of level; `now` has the rest."""
        self.buckets = Buckets(len(machine.harts))
        self.steps: list[Step] = []
        self.satp: list[SatpChange] = []
        self.lines: list[Line] = []
        self.lines_left_out = 0
        """Lines behind the last of `lines`."""
        self._line: list[Line] = []
        self.first_levels = tuple(hart.priv for hart in machine.harts)
        """Where each hart's privilege was when the timeline began."""
        self._levels = list(self.first_levels)
        self._clocks = [hart.cycles for hart in machine.harts]
        self._retired = [hart.instructions for hart in machine.harts]
        self._lowest = min(self._levels)
        machine.engine.trace.record(KINDS, pauses)
        machine.tracers.append(self)

    def drain(self) -> None:
        """Take what was recorded; the machine calls it whenever it stops for a moment."""
        rows = self._machine.engine.trace.take()
        if not len(rows):
            return
        kinds = rows[:, 0] & 0xFF
        moving = rows[(kinds & (TRACE_TRAP | TRACE_XRET | TRACE_WAIT)) != 0]
        if len(moving):
            self._take_steps(moving)
        self._take_output(rows[kinds == TRACE_OUTPUT])
        changes = [_satp_change(row) for row in rows[kinds == TRACE_SATP].tolist()]
        self.totals.satp_changes += len(changes)
        self.satp += changes[:max(0, MOST_CHANGES - len(self.satp))]
        landmarks: list[Landmark] = [*changes, *self._first_descents(moving)]
        for landmark in sorted(landmarks, key=lambda mark: mark.clock):
            if self._pauses > 0 and self._on_landmark is not None:
                self._pauses -= 1
                self._on_landmark(landmark)

    def now(self) -> Totals:
        """The totals up to this moment, between two runs or at a landmark."""
        found = self.totals.copy()
        for hart in self._machine.harts:
            level = self._levels[hart.id]  # one that waits has not been told yet how long: its clock stands still
            found.cycles[hart.id, level] += hart.cycles - self._clocks[hart.id]
            found.instructions[hart.id, level] += hart.instructions - self._retired[hart.id]
        return found

    def close(self) -> None:
        """End it: all is complete. Harts that wait do so until the last clock of all, as their last steps say."""
        self.drain()
        end = max(hart.cycles for hart in self._machine.harts)
        self.totals = self.now()
        for hart in self._machine.harts:
            last = end if hart.waiting else hart.cycles
            self.totals.cycles[hart.id, WAITING] += last - hart.cycles
            if last > hart.cycles and len(self.steps) < MOST_STEPS:
                level = self._levels[hart.id]
                self.steps.append(Step(hart.id, last, hart.instructions, TRACE_WAIT, level, level, hart.pc, hart.pc,
                                       hart.cycles, (0, 0)))
            self.buckets.add(hart.id, np.array([self._clocks[hart.id], hart.cycles]), last,
                             np.array([self._levels[hart.id], WAITING]))
        self._end_line()
        self._machine.engine.trace.record(0)
        self._machine.tracers.remove(self)

    # --- columns ---------------------------------------------------------------------------------------------

    def _take_steps(self, rows: Words) -> None:
        """Traps, returns and waits: everything that changes what a hart's time counts as."""
        kinds, harts, privs = rows[:, 0] & 0xFF, rows[:, 0] >> 8 & 0xFF, rows[:, 0] >> 16
        traps, returns = kinds == TRACE_TRAP, kinds == TRACE_XRET
        self.totals.returns += int(returns.sum())
        if traps.any():
            self._count_traps(rows[traps], harts[traps])
        room = MOST_STEPS - len(self.steps)
        if room > 0:
            self.steps += [_step(row) for row in rows[:room].tolist()]
        after = np.where(traps, rows[:, 5], np.where(returns, rows[:, 4], privs))
        for hart in np.unique(harts).tolist():
            mine = harts == hart
            self._move(hart, rows[mine], kinds[mine] == TRACE_WAIT, after[mine])

    def _move(self, hart: int, rows: Words, waits: npt.NDArray[np.bool_], after: Words) -> None:
        """Count the time of one hart between its changes of level; a wait is two of them."""
        times = np.where(waits, 2, 1)
        clocks, insns, levels = (np.repeat(column, times) for column in (rows[:, 9], rows[:, 8], after))
        begins = np.cumsum(times) - times
        clocks[begins[waits]] = rows[waits, 2]
        levels[begins[waits]] = WAITING
        starts = np.concatenate(([self._clocks[hart]], clocks[:-1]))
        at = np.concatenate(([self._levels[hart]], levels[:-1]))
        end = int(clocks[-1])
        self.totals.cycles[hart] += _sums(at, clocks - starts)
        self.totals.instructions[hart] += _sums(at, np.diff(insns, prepend=self._retired[hart]))
        self.buckets.add(hart, starts, end, at)
        self._clocks[hart], self._levels[hart], self._retired[hart] = end, int(levels[-1]), int(insns[-1])

    def _count_traps(self, rows: Words, harts: Words) -> None:
        causes = rows[:, 2]
        interrupts = (causes < 0).astype(np.int64)
        numbers = np.minimum(causes & (1 << 63) - 1, CAUSES - 1)
        np.add.at(self.totals.traps, (harts, interrupts, numbers), 1)
        self.buckets.count(rows[:, 9])
        asked = np.isin(causes, CALLS)
        if asked.any():
            keys = rows[asked][:, (2, 6, 7)]
            keys[keys[:, 0] == CALLS[0], 2] = 0
            found, counts = np.unique(keys, axis=0, return_counts=True)
            for (cause, number, function), count in zip(found.tolist(), counts.tolist(), strict=True):
                self.totals.calls[cause, number & MASK, function & MASK] += count

    def _take_output(self, rows: Words) -> None:
        """Console bytes become lines."""
        if not len(rows):
            return
        data = rows[:, 2].astype(np.uint8)
        self.totals.output += len(data)
        begin = 0
        for end in [*np.flatnonzero(data == 10).tolist(), len(data)]:
            if begin < end and not self._line:
                head = int(rows[begin, 0])
                self._line = [Line(head >> 8 & 0xFF, int(rows[begin, 9]), int(rows[begin, 8]), b"")]
            if begin < end and len(self.lines) < MOST_LINES:
                line = self._line[0]
                text = (line.text + data[begin:end].tobytes())[:LONGEST_LINE]
                self._line = [Line(line.hart, line.clock, line.instructions, text)]
            if end < len(data):
                if not self._line:  # an empty line
                    head = int(rows[end, 0])
                    self._line = [Line(head >> 8 & 0xFF, int(rows[end, 9]), int(rows[end, 8]), b"")]
                self._end_line()
            begin = end + 1

    def _end_line(self) -> None:
        if len(self.lines) < MOST_LINES:
            self.lines += [Line(line.hart, line.clock, line.instructions, line.text.rstrip(b"\r"))
                           for line in self._line]
        else:
            self.lines_left_out += len(self._line)
        self._line = []

    def _first_descents(self, rows: Words) -> list[Step]:
        """The returns that led to a privilege lower than all before."""
        found: list[Step] = []
        if self._lowest:
            returns = rows[(rows[:, 0] & 0xFF == TRACE_XRET) & (rows[:, 4] < self._lowest)]
            for row in returns.tolist():
                if row[4] < self._lowest:
                    self._lowest = row[4]
                    found.append(_step(row))
        return found


def satp_mode(satp: int) -> str:
    """The paging mode that a satp word says: bare, sv39, sv48 or sv57."""
    return {0: "bare", 8: "sv39", 9: "sv48", 10: "sv57"}.get(satp >> 60, f"mode {satp >> 60}")


def satp_root(satp: int) -> int:
    """The physical address of the root page table that a satp word says."""
    return (satp & (1 << 44) - 1) << 12


def _sums(levels: Words, amounts: Words) -> Words:
    """The sum of `amounts` by level."""
    return np.array([int(amounts[levels == level].sum()) for level in range(LEVELS)], dtype=np.int64)


def _step(row: list[int]) -> Step:
    kind, hart, before = row[0] & 0xFF, row[0] >> 8 & 0xFF, row[0] >> 16
    pc = row[1] & MASK
    if kind == TRACE_TRAP:
        call = (row[6] & MASK, row[7] & MASK) if row[2] in CALLS else (0, 0)
        return Step(hart, row[9], row[8], kind, before, row[5], pc, row[4] & MASK, row[2], call)
    if kind == TRACE_XRET:
        return Step(hart, row[9], row[8], kind, before, row[4], pc, row[3] & MASK, row[2], (0, 0))
    return Step(hart, row[9], row[8], kind, before, before, pc, pc, row[2], (0, 0))


def _satp_change(row: list[int]) -> SatpChange:
    return SatpChange(row[0] >> 8 & 0xFF, row[9], row[8], row[0] >> 16, row[1] & MASK, row[2] & MASK, row[3] & MASK)
