"""Options that several commands share, and the parsing of what people type as values."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .status import CommandError

if TYPE_CHECKING:
    from emulator.board import Board
    from emulator.devices.disk import Disk
    from emulator.timing.profile import Profile

WHAT, MACHINE, WHEN = "What to boot", "The machine", "When to stop"
DEFAULT_MEMORY = "128M"

ImageOrKernel = Annotated[str | None, typer.Argument(
    metavar="IMAGE", show_default=False,
    help="A test image's name (hartwell images lists them), or the path of a kernel: an ELF, a Linux Image (also .gz), "
         "or a flat binary. Without one, Hartwell's own kernel.")]
Bios = Annotated[str | None, typer.Option(
    "--bios", metavar="FILE|none", rich_help_panel=WHAT, show_default="Hartwell SBI",
    help="Firmware, ELF or flat, at 0x80000000. With none, the image starts in M-mode in its place.")]
Initrd = Annotated[str | None, typer.Option(
    "--initrd", metavar="FILE", rich_help_panel=WHAT, help="An initial RAM disk.")]
Memory = Annotated[str | None, typer.Option(
    "-m", "--memory", metavar="SIZE", rich_help_panel=MACHINE, show_default=DEFAULT_MEMORY,
    help="RAM, from 0x80000000 on: 1M to 64G. Only what the guest touches costs the host anything.")]
Harts = Annotated[int | None, typer.Option(
    "--smp", metavar="N", rich_help_panel=MACHINE, show_default="1", help="Number of harts, 1 to 8.")]
Mmu = Annotated[str | None, typer.Option(
    "--mmu", metavar="SCHEME", rich_help_panel=MACHINE, show_default="sv57",
    help="Widest paging scheme that the device tree offers: sv39, sv48 or sv57.")]
Timing = Annotated[str, typer.Option(
    "--timing", metavar="NAME|FILE", rich_help_panel=MACHINE,
    help="The core whose cycles are counted (hartwell profiles lists them), or a TOML file that describes one; with "
         "off, a cycle is an instruction.")]
MaxInsns = Annotated[str | None, typer.Option(
    "--max-insns", metavar="N", rich_help_panel=WHEN, show_default="1000G",
    help="Stop after N instructions of all harts together (5000000 or 5M), with exit code 3.")]
Timeout = Annotated[float | None, typer.Option(
    "--timeout", metavar="SECONDS", rich_help_panel=WHEN, show_default="no limit",
    help="Stop after this many seconds of the host's time, with exit code 3.")]
Append = Annotated[str, typer.Option(
    "--append", metavar="ARGS", rich_help_panel=WHAT, help="The kernel's command line (bootargs in the device tree).")]

_COUNT = re.compile(r"([0-9][0-9_,]*)\s*([kKmMgG]?)")
_POWERS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def load_timing(name: str) -> Profile | None:
    """The profile that --timing names, None for "off". ProfileError or InputFileError says what is wrong with it."""
    if name == "off":
        return None
    from emulator.timing import load_profile

    return load_profile(name)


def open_disks(paths: Sequence[str], snapshot: bool) -> list[Disk]:
    """The disks that the options name. InputFileError or CommandError says what is wrong with one."""
    if not paths:
        return []
    from emulator.devices.disk import Disk

    for number, path in enumerate(paths):
        if any(os.path.realpath(path) == os.path.realpath(earlier) for earlier in paths[:number]):
            raise CommandError(f"--disk {path}: given twice; two disks over one file would overwrite each other")
    return [Disk(path=path, snapshot=snapshot) for path in paths]


def make_board(smp: int | None, memory: str | None, mmu: str | None, quantum: int | None = None,
               disks: Sequence[Disk] = ()) -> Board:
    """The board that the options describe. BoardError or SizeError says what is wrong with them."""
    from emulator.board import Board, virt_devices
    from emulator.loader.sizes import parse_size

    board = Board(harts=1 if smp is None else smp, memory=parse_size(memory or DEFAULT_MEMORY, "-m"))
    devices = virt_devices(disks) if disks else None
    given = (("mmu", mmu), ("quantum", quantum), ("devices", devices))
    changes = {name: value for name, value in given if value is not None}
    if not changes:
        return board
    from dataclasses import replace

    return replace(board, **changes)  # type: ignore[arg-type]


def parse_count(text: str, option: str) -> int:
    """A number of instructions: 5000000, 5_000_000 or 5M (k, M and G are powers of 1000)."""
    match = _COUNT.fullmatch(text.strip())
    value = int(re.sub("[_,]", "", match[1])) * _POWERS[match[2].lower()] if match else 0
    if not 1 <= value <= 1 << 62:
        raise CommandError(f"{option} {text!r}: expected a number of instructions, such as 5000000 or 5M")
    return value


def parse_seconds(value: float | None, option: str) -> float | None:
    """A time limit: positive and finite."""
    if value is not None and not 0 < value < float("inf"):
        raise CommandError(f"{option} {value:g}: expected a number of seconds above 0")
    return value
