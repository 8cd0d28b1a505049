"""`hartwell dts`: the device tree of a machine, as text or binary."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Append, Harts, Memory, Mmu, make_board
from .status import CommandError


def dts(
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    append: Append = "",
    dtb_out: Annotated[str | None, typer.Option(
        "--dtb-out", metavar="FILE",
        help="Write the flattened tree (DTB) to FILE instead of printing the text.")] = None,
) -> None:
    """Print the device tree that the machine hands to its firmware.

    It is made from the same description of the board that the devices are built from.

    \b
    [b]Examples[/b]
      hartwell dts                               the default machine
      hartwell dts --smp 4 -m 2G                 a larger one
      hartwell dts --dtb-out virt.dtb            the binary
      hartwell boot --dtb virt.dtb hello         and a machine that starts with it
    """
    from emulator.booting import describe
    from emulator.devicetree import compile_tree, source

    board = make_board(smp, memory, mmu)
    tree = describe(board, [make() for make in board.devices], append)
    if dtb_out is None:
        print(source(tree), end="")
        return
    try:
        with open(dtb_out, "wb") as out:
            out.write(compile_tree(tree))
    except OSError as error:
        raise CommandError(f"--dtb-out {dtb_out}: {error.strerror}") from None
