"""`hartwell frames PADDR`: everything that is known about one frame."""

from __future__ import annotations

from typing import Annotated

import typer

from .kernels import STATE, AsJson, RamFile, opened, parse_address
from .options import Harts, Memory, Mmu
from .status import CommandError


def frames(
    paddr: Annotated[str, typer.Argument(
        metavar="PADDR", show_default=False,
        help="The physical address of any byte in the frame; or its address in the linear mapping.")],
    track: Annotated[bool, typer.Option(
        "--track", rich_help_panel=STATE,
        help="Also, who gave the frame to the allocator, got it, and gave it back, and when.")] = False,
    ram: RamFile = None,
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    as_json: AsJson = False,
) -> None:
    """Show a frame's metadata slot, decoded by the type table in memory, with a dump, owner, and neighbours.

    \b
    [b]Examples[/b]
      hartwell frames 0x80200000         the kernel image's first frame
      hartwell frames 0x80100000         a free one: which chunk it is in
      hartwell frames 0x87e08000         a page table's: its level, and what it translates
      hartwell frames 0x80200000 --json
      hartwell frames 0x81105000 --track   with its history: which code allocated it, at which instruction
    """
    from hartwell.views import records
    from hartwell.views.frame import as_dict, lines, look
    from hartwell.views.table import print_json, print_lines
    from kernel.errors import OutOfBound
    from kernel.track import Tracker

    if track and ram is not None:
        raise CommandError(f"both --track and --ram: {ram} has no history; leave --ram away to have a boot recorded")
    with opened(ram, memory, smp, mmu, track=track) as kernel:
        try:
            found = look(kernel.mm, parse_address(paddr, "physical address"))
        except OutOfBound as why:
            raise CommandError(f"{why}; hartwell memmap shows what is where") from None
        tracker = kernel.mm.operations
    history = tracker.frame(found.detail.paddr) if isinstance(tracker, Tracker) else None
    if as_json:
        print_json(as_dict(found) | ({} if history is None else {"history": records.as_dicts(history)}))
    else:
        print_lines([*lines(found), *([] if history is None else ["", *records.lines(history)])])
