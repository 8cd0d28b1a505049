"""Running along with a boot: where it is cut into phases, and what is written down at each cut.

Any software's boot is cut at the machine's own landmarks:

        reset-vector   the boot ROM                      until the first instruction in RAM
        firmware       or the program itself, in M-mode  until a hart first leaves M-mode
        kernel-entry   S-mode, addresses are physical    until satp switches translation on
        paging-1 …     a page table                      until satp names another one
        user           from the first entry to U-mode on

Behind the firmware our own kernel says itself where its stages end (`Recorder.stage_ended`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.mapped import read_mapped
from emulator.stop import Breakpoint, Stop
from emulator.timeline import Landmark, SatpChange, Timeline

from .names import satp_text
from .story import Memory, Phase, Table

if TYPE_CHECKING:
    from emulator.machine import Machine
    from kernel.boot.booting import StageReport

    from .places import Places

PAUSES: Final = 64
"""Landmarks at which the machine is looked at; later ones are only counted."""
MOST_PAGING_PHASES: Final = 8
ASID: Final = 0xFFFF << 44
"""satp's address space number, which does not change what is mapped."""
ROM_LIMIT: Final = 1_000
"""Instructions, of all harts, within which the boot ROM is left."""


class Recorder:
    """Records the boot of `machine`, which has been loaded and has not run yet, until `close`.

    `entry` is where its boot ROM leads. With `ours` it is our own kernel, whose stages cut the boot behind the
    firmware. Addresses are shown by `places`.
    """

    def __init__(self, machine: Machine, entry: int, places: Places, *, ours: bool, firmware: bool) -> None:
        self._machine, self._entry, self._place = machine, entry, places.show
        self._ours, self._has_firmware = ours, firmware
        self.phases: list[Phase] = []
        self._paging = 0
        self._user = False
        self._over = False
        self.timeline = Timeline(machine, PAUSES, self._landmark)
        self._before = self.timeline.now()
        self._start = 0
        self._hart = 0
        self._open("reset-vector", "the boot ROM finds the firmware" if firmware else "the boot ROM finds the program")

    def leave_rom(self, limit: int | None = None) -> Stop | None:
        """Run the boot ROM's part; None if the machine has come to `entry`, else why it stopped before.

        `limit` is the run's, in instructions, if it has one.
        """
        self._machine.set_breakpoints([self._entry])
        stop = self._machine.run(max_insns=ROM_LIMIT if limit is None else min(limit, ROM_LIMIT))
        self._machine.set_breakpoints([])
        if not isinstance(stop, Breakpoint):
            return stop
        self._cut()
        if self._has_firmware:
            self._open("firmware", f"M-mode from {self._place(self._entry)}")
        else:
            self._open("machine-mode", f"the program, in M-mode from {self._place(self._entry)}")
        return None

    def stage_ended(self, report: StageReport) -> None:
        """A stage of our own kernel's boot has ended."""
        from kernel.boot.stages import STAGES

        from .kernel_memory import read_memory

        built = report.figures.get("root")
        active = self._machine.harts[self._hart].read_csr("satp")
        new = active >> 60 << 60 | int(built) >> 12 if isinstance(built, int) else None
        self._open(report.name, report.title)
        self._cut(report.cycles, report.lines, new, read_memory(self._machine))
        number = next(n for n, stage in enumerate(STAGES) if stage.name == report.name) + 1
        self._over = number == len(STAGES)
        if not self._over:
            self._open(STAGES[number].name, STAGES[number].title)

    def close(self) -> None:
        """The boot is over."""
        self.timeline.drain()
        if not self._over:
            self._cut()
        self.timeline.close()

    # --- cutting ---------------------------------------------------------------------------------------------

    def _open(self, name: str, title: str) -> None:
        self._name, self._title = name, title

    def _cut(self, clock: int | None = None, facts: tuple[str, ...] = (), built: int | None = None,
             memory: Memory | None = None, satp: int | None = None) -> None:
        """End the phase here and now, unless nothing has happened in it.

        `satp` is the one that it ran under, if that is not the boot hart's.
        """
        totals = self.timeline.now()
        counted = totals.since(self._before)
        end = max(self._start, clock if clock is not None else max(hart.cycles for hart in self._machine.harts))
        if end == self._start and not counted.instructions.any():
            return
        if satp is None:
            satp = self._machine.harts[self._hart].read_csr("satp")
        tables = [Table(satp, read_mapped(self._machine.ram, satp), True)] if satp >> 60 else []
        if built is not None and built != satp:
            tables.append(Table(built, read_mapped(self._machine.ram, built), False))
        self.phases.append(Phase(self._name, self._title, self._start, end, counted, facts, tuple(tables),
                                 memory))
        self._before, self._start = totals, end

    def _landmark(self, landmark: Landmark) -> None:
        """The machine stands right behind a landmark."""
        if isinstance(landmark, SatpChange):
            self._satp_changed(landmark)
        elif landmark.after == 1:
            self._hart = landmark.hart
            self._cut(landmark.clock)
            where = self._place(landmark.target)
            if self._ours:
                self._open("entry", f"S-mode from {where}")
            else:
                self._open("kernel-entry", f"S-mode from {where}, addresses are physical")
        else:
            self._user = True
            if not self._ours:
                self._cut(landmark.clock)
                self._open("user", f"U-mode for the first time, at {self._place(landmark.target)}")

    def _satp_changed(self, change: SatpChange) -> None:
        if self._ours or self._user or change.hart != self._hart or self._paging == MOST_PAGING_PHASES:
            return
        if not self._paging and not change.new >> 60 or change.old & ~ASID == change.new & ~ASID:
            return
        self._cut(change.clock, satp=change.old)
        self._paging += 1
        self._open(f"paging-{self._paging}", f"satp becomes {satp_text(change.new)}, by {self._place(change.pc)}")
