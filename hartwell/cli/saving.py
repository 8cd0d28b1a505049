"""Snapshots on the command line: going on from a file, and writing one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .status import CommandError, say

if TYPE_CHECKING:
    from emulator.devices.disk import Disk
    from emulator.machine import Machine
    from emulator.stop import Stop


def continued(path: str, given: Mapping[str, object], disks: Sequence[Disk], *, to_look: bool = False) -> Machine:
    """A machine that goes on where the snapshot in the file `path` was taken.

    `given` are the options that say what a new machine is like, and their values. CommandError if there
    is one, or if the snapshot is of a kernel that cannot go on, unless it is only `to_look` at it;
    InputFileError or SnapshotError for a bad file.
    """
    for option, value in given.items():
        if value not in (None, ""):
            raise CommandError(f"both --load and {option}: {path} has a machine with everything in it")
    from emulator.errors import SnapshotError
    from emulator.snapshot import Snapshot

    snapshot = Snapshot.load(path)
    if snapshot.host_calls and not to_look:
        raise CommandError(f"--load {path}: Hartwell's own kernel is in it, which does nothing without Python: "
                           "Machine.restore and Kernel.attach go on with it")
    try:
        return snapshot.machine(disks, notice=say)
    except SnapshotError as why:
        raise CommandError(f"--load {path}: {why}") from None


def require_savable(path: str) -> None:
    """CommandError, before anything runs, if no snapshot can be written there; what is there stays."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise CommandError(f"--save {path}: not a regular file")
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise CommandError(f"--save {path}: {error.strerror}") from None


def save(machine: Machine, path: str, stop: Stop | None) -> None:
    """Write what the machine is now to a file; `stop` is why it stopped."""
    from emulator.stop import Exited

    machine.snapshot().save(path)
    if isinstance(stop, Exited):
        say(f"saved in {path}, though the guest has ended: --max-insns or Ctrl-A x would stop it before")
