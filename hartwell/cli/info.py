"""`hartwell info`: what is in a file, and what booting it would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hartwell import catalogue

from .options import Harts, Memory, make_board
from .software import Software, check_known, load_firmware, load_listed, load_path, placement_hint

if TYPE_CHECKING:
    from emulator.board import Board
    from emulator.loader.model import Image


def info(
    image: Annotated[str, typer.Argument(
        metavar="IMAGE", show_default=False, help="A test image's name, or the path of an ELF, Linux Image (also .gz) "
                                                  "or flat binary.")],
    bios: Annotated[str | None, typer.Option(
        "--bios", metavar="FILE|none", show_default="Hartwell SBI", help="The firmware to place it with.")] = None,
    memory: Memory = None,
    smp: Harts = None,
) -> None:
    """Show an image's format, entry, segments and symbols, and where booting it would put everything.

    \b
    [b]Examples[/b]
      hartwell info hello              a test image
      hartwell info vmlinux -m 512M    placed in more memory
      hartwell info prog.elf --bios none
    """
    listed = catalogue.find(image)
    if bios is None and listed is not None and listed.in_firmware_place:
        bios = "none"
    firmware = load_firmware(bios)
    if listed is None:
        check_known(image)
        program = load_path(image, "image", firmware)
    else:
        program = load_listed(listed)
        print(f"{listed.name}: {listed.title}\n\n{listed.shows}\n")
    board = make_board(smp or (listed.smp if listed else None), memory or (listed.memory if listed else None), None)
    _describe(program)
    _placement(Software(firmware, program, listed), board)


def _describe(program: Image) -> None:
    from emulator.loader.sizes import format_size
    from emulator.loader.symbols import SymbolTable

    symbols: SymbolTable = program.symbols
    kind = program.kind.value
    if program.linux is not None:
        version = ".".join(map(str, program.linux.version))
        kind += f" (header {version}, {'compressed, ' if program.linux.compressed else ''}" \
                f"needs {format_size(program.linux.image_size)})"
    name = symbols.format(program.linked_address(program.entry))
    print(f"format   {kind}, {format_size(len(program.file))}")
    print(f"entry    {program.entry:#x}{'' if name.startswith('0x') else '  ' + name}")
    print(f"symbols  {len(symbols):,}{'  (' + symbols.problem + ')' if symbols.problem else ''}")
    _table(("segment", "physical", "linked at", "in file", "in memory", "flags"), [
        (str(number), f"{part.address:#x}..{part.end:#x}", f"{part.virtual:#x}", format_size(len(part.data)),
         format_size(part.size), part.flags) for number, part in enumerate(program.segments)])


def _placement(software: Software, board: Board) -> None:
    """The plan of a boot, or why there is none."""
    from emulator.errors import PlacementError
    from emulator.loader.placement import place
    from emulator.loader.sizes import format_size

    try:
        plan = place(board.banks, firmware=software.firmware, kernel=software.kernel, device_tree=bytes(8 << 10))
    except PlacementError as error:
        print(f"\nIt would not boot with {format_size(board.memory)}: {error}{placement_hint(software)}")
        return
    mode = "in S-mode, behind the firmware" if software.firmware is not None else "in M-mode, in the firmware's place"
    print(f"\nBooted with {format_size(board.memory)}, it runs {mode}:\n")
    _table(("what", "from", "to"), [(part.name, f"{part.address:#x}", f"{part.end:#x}") for part in plan.placed])


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table, width=None if console.is_terminal else 200)
