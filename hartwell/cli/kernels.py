"""Where a view's kernel comes from: a fresh boot, or a file with the memory of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from .options import make_board
from .status import CommandError, say

if TYPE_CHECKING:
    from emulator.timing.profile import Profile
    from kernel import Kernel
    from kernel.mm import Mm

STATE = "What to look at"

RamFile = Annotated[str | None, typer.Option(
    "--ram", metavar="FILE", rich_help_panel=STATE, show_default="a fresh boot",
    help="Memory that hartwell boot --dump-ram FILE has written.")]
AsJson = Annotated[bool, typer.Option(
    "--json", rich_help_panel=STATE, help="One JSON object instead of tables; addresses are strings: \"0x1000\".")]


@contextmanager
def opened(ram: str | None, memory: str | None, smp: int | None, mmu: str | None,
           timing: Profile | None = None, track: bool = False) -> Iterator[Kernel]:
    """The kernel that the options name, for the length of a `with` block; a fresh boot has `timing`.

    With `track` that is recorded by a Tracker, `mm.operations`.

    CommandError for a file that has no kernel in its memory, or a damaged one, and for contradictory options.
    """
    from emulator.machine import Machine
    from kernel.errors import KernelError

    if ram is None:
        from kernel import Choices, Kernel
        from kernel.track import Tracker

        machine = Machine(make_board(smp, memory, mmu), timing, notice=say)
        try:
            yield Kernel.boot(machine, Choices(operations=Tracker(machine) if track else None))
        finally:
            machine.close()
        return
    for option, value in (("-m", memory), ("--smp", smp), ("--mmu", mmu)):
        if value is not None:
            raise CommandError(f"both --ram and {option}: {ram} tells what the machine was like")
    from emulator import ramdump
    from kernel import Kernel

    machine = ramdump.load(ram)
    try:
        yield Kernel.attach(machine)
    except KernelError as why:
        raise CommandError(f"{ram}: {why}") from why
    finally:
        machine.close()


@contextmanager
def saved_memory(path: str) -> Iterator[Mm]:
    """The memory manager in a file with RAM or a snapshot, for the length of a `with` block; nothing can run in it.

    InputFileError or CommandError for a file that is neither, has no kernel in it, or a damaged one.
    """
    from emulator import ramdump
    from emulator.errors import SnapshotError
    from emulator.snapshot import Snapshot
    from emulator.snapshotfile import FORMAT
    from kernel.attaching import find_memory
    from kernel.errors import KernelError

    try:
        with open(path, "rb") as file:
            snapshot = file.read(len(FORMAT.magic)) == FORMAT.magic
    except OSError:
        snapshot = False  # the other's error says what is wrong
    try:
        machine = Snapshot.load(path).machine(notice=say) if snapshot else ramdump.load(path)
    except SnapshotError as why:
        raise CommandError(str(why) if path in str(why) else f"{path}: {why}") from why
    try:
        yield find_memory(machine.bus)
    except KernelError as why:
        raise CommandError(f"{path}: {why}") from why
    finally:
        machine.close()


def parse_address(text: str, what: str) -> int:
    """An address as typed: 0x80200000, 0x8020_0000 or 2149580800."""
    try:
        value = int(text.replace("_", ""), 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise CommandError(f"{text!r} is no {what}: expected a number such as 0x80200000")
    return value
