"""`hartwell buddyinfo`: free memory by order, as /proc/buddyinfo shows it."""

from __future__ import annotations

from typing import Annotated

import typer

from .kernels import STATE, AsJson, RamFile, opened
from .options import Harts, Memory, Mmu
from .status import CommandError


def buddyinfo(
    indices: Annotated[bool, typer.Option(
        "--indices", rich_help_panel=STATE, help="Also, how fragmented the free memory is, for each order.")] = False,
    ram: RamFile = None,
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    as_json: AsJson = False,
) -> None:
    """Show how many free chunks of each order every pool has; a chunk of order n is 2^n frames.

    \b
    [b]Examples[/b]
      hartwell buddyinfo                 pools and caches of a kernel that has just booted
      hartwell buddyinfo --smp 4         … with four CPUs
      hartwell buddyinfo --indices       with Linux's fragmentation indices (extfrag in debugfs)
      hartwell buddyinfo --ram after.ram

    Freed memory is in the caches first (up to four frames), then in the CPU's pool, then in the global one.
    Indices are for the global pool: unusable is the share of its memory that is in chunks too small; extfrag
    says why an allocation fails, 0 for lack of memory, 1 for fragmentation, -1 that it does not.
    """
    from hartwell.views.buddyinfo import as_dict, lines
    from hartwell.views.table import print_json, print_lines
    from kernel.picture import read_buddy

    with opened(ram, memory, smp, mmu) as kernel:
        picture = read_buddy(kernel.mm)
    if not picture.pools:
        raise CommandError(f"the frames are {picture.name}'s, whose books this command does not know")
    if as_json:
        print_json(as_dict(picture))
    else:
        print_lines(lines(picture, indices=indices))
