"""`hartwell diff BEFORE AFTER`: what changed in a kernel's memory between two saved points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .kernels import AsJson, saved_memory
from .status import CommandError

if TYPE_CHECKING:
    from kernel.picture import Picture


def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", show_default=False,
                                          help="A file of hartwell boot --dump-ram or --save.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", show_default=False,
                                         help="Another one, of the same kernel at another moment.")],
    as_json: AsJson = False,
) -> None:
    """Show what changed in the kernel's memory between two saved points: frames, mappings, heap, free memory.

    \b
    [b]Examples[/b]
      hartwell diff before.ram after.ram           files of hartwell boot --dump-ram, or emulator.ramdump.save
      hartwell diff before.snap after.snap         files of hartwell boot --save, or Snapshot.save
      hartwell diff before.ram after.ram --json    every change, for programs

    Frames that changed alike are one line. What was freed and allocated again in between, and is as it was,
    has not changed.
    """
    from hartwell.views.diff import as_dict, lines
    from hartwell.views.table import print_json, print_lines
    from kernel.errors import InvalidArgs
    from kernel.picture import difference

    try:
        found = difference(_picture(before), _picture(after))
    except InvalidArgs as why:
        raise CommandError(f"{before} and {after}: {why}") from None
    if as_json:
        print_json(as_dict(found))
    else:
        print_lines(lines(found))


def _picture(path: str) -> Picture:
    from kernel.picture import Picture

    with saved_memory(path) as mm:
        return Picture.of(mm)
