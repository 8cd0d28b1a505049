"""A snapshot: all that a machine is at one moment, and that its future depends on.

    before = machine.snapshot()
    machine.run(max_insns=1_000_000)
    machine.restore(before)               # and the same million follows again
    other = before.machine()              # here, too

        engine       harts, scheduler, what the timing model keeps          `engine.state`
        ram          ROM and RAM, by the pages that changed                 `pagestore`
        devices      registers, queues, input that waits; blocks of disks   `Device.state`
        host         console text and how far `expect` has read it, what devices scheduled or asked for,
                     what `boot` loaded (a reset of the guest's loads it again)

Not in it: contents of disks that are files (`devices.disk` says what happens then), breakpoints, traces,
`on_output` and other settings of the machine's user.

Snapshots may be kept as long as one likes, also when the machine is gone, and be restored into any machine
on the same board. `save` and `load` have them in a file (`snapshotfile`). Taking and restoring drop the
harts' cached address translations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from . import boardrecord
from .engine import layout
from .engine import state as enginestate
from .errors import SnapshotError
from .eventqueue import EventQueue, Scheduled
from .loader.placement import Plan
from .pagestore import RamImage
from .stop import Stop

if TYPE_CHECKING:
    from .devices.disk import Disk
    from .machine import Machine


@dataclass(frozen=True)
class HostState:
    """What the Machine object keeps."""

    console: bytes
    searched: int
    """How many bytes of it `expect` has done with."""
    stop: Stop | None
    """What a device asked for, and `run` has not returned yet."""
    events: tuple[Scheduled, ...]
    plan: Plan | None


@dataclass(frozen=True)
class Snapshot:
    """A machine's state at one moment; made by `Machine.snapshot` or `load`, put back by `Machine.restore`."""

    board: dict[str, Any] = field(repr=False)
    """The board, as `boardrecord.describe` tells of it."""
    board_devices: list[list[Any]] = field(repr=False)
    """The board's devices, as `boardrecord.describe_devices`."""
    timing: dict[str, Any] | None = field(repr=False)
    """The timing profile, as `boardrecord.describe_timing`."""
    engine: enginestate.EngineState = field(repr=False)
    ram: RamImage = field(repr=False)
    devices: tuple[dict[str, Any], ...] = field(repr=False)
    """The state of each device, in the board's order."""
    host: HostState = field(repr=False)

    @property
    def instructions(self) -> int:
        """Instructions that all harts had retired since reset."""
        return int(self.engine.harts[:, layout.H_INSNS >> 3].sum()) - self.engine.word("M_NATURAL")

    @property
    def cycles(self) -> int:
        """The latest clock of any hart, in cycles since reset."""
        return int(self.engine.harts[:, layout.H_CLOCK >> 3].max())

    @property
    def host_calls(self) -> bool:
        """Whether host calls stop the machine (`Machine.answer_host_calls`)."""
        return self.engine.word("M_HOSTCALLS") != 0

    def __str__(self) -> str:
        return f"snapshot after {self.instructions:,} instructions, at cycle {self.cycles:,}"

    def machine(self, disks: Sequence[Disk] = (), notice: Callable[[str], None] | None = None) -> Machine:
        """A new machine that goes on from here; for one with the virt board's devices, and these disks.

        `notice` is as for `Machine`. SnapshotError if it has other devices, or other disks.
        """
        from .machine import Machine

        made = Machine(boardrecord.rebuild(self.board, disks), boardrecord.rebuild_timing(self.timing), notice=notice)
        try:
            made.restore(self)
        except SnapshotError:
            made.close()
            raise
        return made

    def digest(self) -> str:
        """A SHA-256, in hexadecimal, of all of the state: equal for equal states, however they were reached.

        The board, its timing, and what `boot` loaded are part of it. Of no meaning to other versions of Hartwell.
        """
        from .snapshotfile import digest

        found: str = digest(self)
        return found

    def save(self, path: str | Path) -> int:
        """Write the snapshot to a file, which appears, or is replaced, as a whole; its size in bytes.

        OSError if it cannot be written.
        """
        from .snapshotfile import save

        size: int = save(self, Path(path))
        return size

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The snapshot in a file. InputFileError if it cannot be read, SnapshotError if `save` has not written it."""
        from .snapshotfile import load

        return cls(*load(str(path)))


def take(machine: Machine, host: HostState) -> Snapshot:
    """A snapshot of `machine`, whose own part is `host`. SnapshotError if it runs, or the host has no room."""
    engine = enginestate.save(machine.engine)
    return Snapshot(boardrecord.describe(machine.board), boardrecord.describe_devices(machine.devices),
                    _timing(machine), engine, machine.ram.snapshot(),
                    tuple(device.state() for device in machine.devices), host)


def put_back(machine: Machine, snapshot: Snapshot, tell: Callable[[], None]) -> None:
    """Put everything but the machine's own part back; `tell` is called when nothing can fail any more.

    SnapshotError if the snapshot is not one of such a machine, or a device refuses: nothing has changed then.
    """
    other = boardrecord.difference(snapshot.board, snapshot.board_devices, machine.board, machine.devices)
    if other is not None:
        raise SnapshotError(f"the snapshot is of another board: {other}")
    other = boardrecord.timing_difference(snapshot.timing, _timing(machine))
    if other is not None:
        raise SnapshotError(f"the snapshot is of a machine with another timing: {other}")
    enginestate.check(machine.engine, snapshot.engine)
    EventQueue.check(machine.devices, snapshot.host.events)
    before = [device.state() for device in machine.devices]
    name = ""
    try:
        for device, state in zip(machine.devices, snapshot.devices, strict=True):
            name = device.name
            device.restore(state)
        changed = machine.ram.restore(snapshot.ram)
    except Exception as why:
        for device, state in zip(machine.devices, before, strict=True):
            device.restore(state)
        if isinstance(why, SnapshotError):
            raise
        raise SnapshotError(f"device {name} cannot be what it was: {type(why).__name__}: {why}") from why
    tell()
    machine.engine.memory.discard_pages(changed)
    enginestate.load(machine.engine, snapshot.engine)


def _timing(machine: Machine) -> dict[str, Any] | None:
    return boardrecord.describe_timing(None if machine.timing is None else machine.timing.profile)
