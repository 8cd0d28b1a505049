"""`hartwell pagetable VADDR`: the walk of an address, level by level; without one, all that is mapped."""

from __future__ import annotations

from typing import Annotated

import typer

from .kernels import STATE, AsJson, RamFile, opened, parse_address
from .options import Harts, Memory, Mmu
from .status import CommandError


def pagetable(
    vaddr: Annotated[str | None, typer.Argument(
        metavar="[VADDR]", show_default=False, help="A virtual address; without one, all that is mapped.")] = None,
    space: Annotated[str | None, typer.Option(
        "--space", metavar="ROOT", rich_help_panel=STATE, show_default="the kernel's",
        help="The address space whose root table is at this physical address.")] = None,
    ram: RamFile = None,
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    as_json: AsJson = False,
) -> None:
    """Walk a virtual address through the page table, level by level; or list what is mapped, as QEMU's info mem.

    \b
    [b]Examples[/b]
      hartwell pagetable 0xffffffff80200000      the kernel's entry point
      hartwell pagetable 0xffff800080000000      the linear mapping of the first byte of RAM
      hartwell pagetable                         all mappings, and all address spaces
      hartwell pagetable --mmu sv39              with three levels
      hartwell pagetable --ram after.ram --space 0x87e08000

    Rights are letters: v valid, r w x, u user, g global, a accessed, d dirty; - stands for one that is not set.
    """
    from hartwell.views.pagetable import (
        frame_lines, mapping_as_dict, mapping_lines, space_as_dict, space_lines, walk_as_dict, walk_lines,
    )
    from hartwell.views.table import print_json, print_lines
    from kernel.picture import FrameMap, read_address_spaces, read_mappings, walk

    with opened(ram, memory, smp, mmu) as kernel:
        mm = kernel.mm
        root = mm.kspace.root_paddr if space is None else parse_address(space, "physical address")
        spaces = read_address_spaces(mm, FrameMap.read(mm))
        if root not in {known.root for known in spaces}:
            raise CommandError(f"--space {root:#x} is no root of a page table; there are "
                               + ", ".join(f"{known.root:#x}" for known in spaces))
        if vaddr is not None:
            done = walk(mm, parse_address(vaddr, "virtual address"), root)
            frame = () if done.paddr is None else frame_lines(mm, done.paddr)
            if as_json:
                print_json(walk_as_dict(done))
            else:
                print_lines([*walk_lines(done, mm.paging), *frame])
            return
        mappings = list(read_mappings(mm, root))
    if as_json:
        print_json({"spaces": [space_as_dict(each) for each in spaces], "root": f"{root:#x}",
                    "mappings": [mapping_as_dict(mapping) for mapping in mappings]})
    else:
        print_lines([*space_lines(spaces), "", f"root {root:#x}", *mapping_lines(mappings)])
