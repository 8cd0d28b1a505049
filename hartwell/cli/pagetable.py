"""`hartwell pagetable VADDR`: the walk of an address, level by level; without one, all that is mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .kernels import STATE, AsJson, RamFile, opened, parse_address
from .options import Harts, Memory, Mmu
from .status import CommandError

if TYPE_CHECKING:
    from kernel.mm import Mm
    from kernel.picture import AddressSpace, Mapping, Walk

LEVEL_SIZES = ("4K", "2M", "1G", "512G")


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
    with opened(ram, memory, smp, mmu) as kernel:
        from kernel.picture import FrameMap, read_address_spaces, read_mappings, walk

        mm = kernel.mm
        root = mm.kspace.root_paddr if space is None else parse_address(space, "physical address")
        spaces = read_address_spaces(mm, FrameMap.read(mm))
        if root not in {known.root for known in spaces}:
            raise CommandError(f"--space {root:#x} is no root of a page table; there are "
                               + ", ".join(f"{known.root:#x}" for known in spaces))
        if vaddr is not None:
            _show_walk(walk(mm, parse_address(vaddr, "virtual address"), root), mm, as_json)
        else:
            _show_all(spaces, root, list(read_mappings(mm, root)), as_json)


def _show_walk(done: Walk, mm: Mm, as_json: bool) -> None:
    from hartwell.views.table import print_json, print_table
    from kernel.boot.figures import amount

    if as_json:
        print_json(walk_as_dict(done))
        return
    print(f"{done.vaddr:#x}, {mm.paging.name}, root {done.root:#x}\n")
    if done.steps:
        print_table(("level", "entry", "at", "word", "bits", "leads to"), [
            (str(step.level), str(step.index), f"{step.entry:#x}", f"{step.pte:#018x}", step.rights,
             {"absent": "nothing", "table": f"table {step.target:#x}", "leaf": f"page {step.target:#x}"}[step.kind])
            for step in done.steps], left=6)
        print()
    if done.paddr is None:
        print(f"not mapped: {done.why}")
        return
    print(f"physical {done.paddr:#x}, in a page of {amount(done.page_size)} at {done.page:#x}")
    if mm.slots.first_paddr <= done.paddr < mm.slots.max_paddr:
        print(f"frame {done.paddr & -4096:#x}: {mm.slots.state(done.paddr & -4096)}")


def _show_all(spaces: tuple[AddressSpace, ...], root: int, mappings: list[Mapping], as_json: bool) -> None:
    from hartwell.views.table import print_json, print_table
    from kernel.boot.figures import amount

    if as_json:
        print_json({"spaces": [_space_as_dict(space) for space in spaces], "root": f"{root:#x}",
                    "mappings": [mapping_as_dict(mapping) for mapping in mappings]})
        return
    print_table(("root", "space", "CPUs", "tables", "pages", "mapped"), [
        (f"{space.root:#x}", space.kind, ",".join(map(str, space.cpus)) or "-", f"{sum(space.nodes):,}",
         pages(space.pages), amount(space.mapped)) for space in spaces], left=3)
    print(f"\nroot {root:#x}")
    print_table(("virtual", "physical", "rights", "held", "size", "pages"), [
        (f"{mapping.start:016x}-{mapping.end - 1:016x}", f"{mapping.paddr:#x}", mapping.rights,
         "counted" if mapping.tracked else "-", amount(mapping.size), pages(mapping.pages))
        for mapping in mappings], left=4)


def pages(counts: tuple[int, ...]) -> str:
    """Pages of each size: `2 x 1G, 64 x 2M`."""
    found = [f"{count:,} x {size}" for count, size in zip(counts, LEVEL_SIZES, strict=False) if count]
    return ", ".join(reversed(found)) or "none"


def mapping_as_dict(mapping: Mapping) -> dict[str, Any]:
    """A mapping for programs."""
    return {"start": f"{mapping.start:#x}", "end": f"{mapping.end:#x}", "paddr": f"{mapping.paddr:#x}",
            "size": mapping.size, "rights": mapping.rights, "tracked": mapping.tracked, "pages": list(mapping.pages)}


def walk_as_dict(done: Walk) -> dict[str, Any]:
    """A walk for programs; `paddr` is null if it led nowhere."""
    return {
        "vaddr": f"{done.vaddr:#x}", "root": f"{done.root:#x}",
        "paddr": None if done.paddr is None else f"{done.paddr:#x}", "page_size": done.page_size, "why": done.why,
        "steps": [{"level": step.level, "table": f"{step.table:#x}", "index": step.index, "pte": f"{step.pte:#x}",
                   "kind": step.kind, "bits": step.rights, "target": f"{step.target:#x}"} for step in done.steps],
    }


def _space_as_dict(space: AddressSpace) -> dict[str, Any]:
    return {"root": f"{space.root:#x}", "kind": space.kind, "cpus": list(space.cpus), "tables": list(space.nodes),
            "pages": list(space.pages), "mapped": space.mapped,
            "iomem": [{"paddr": f"{paddr:#x}", "size": size} for paddr, size in space.iomems]}
