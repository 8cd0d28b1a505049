"""The kernel's address space: its parts with their sizes, what is mapped in each, and the KVirtAreas.

        virtual                              part                 size     mapped  rights
        ffff800000000000-ffffbfffffffffff    linear mapping     64 TiB  2.031 GiB
          ffff800000000000-ffff80007fffffff    -> 0x0                       2 GiB  rw--gad
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernel.boot.figures import amount

from .pagetable import mapping_as_dict, pages
from .table import table_lines

if TYPE_CHECKING:
    from kernel.mm import Mm
    from kernel.mm.paging import PagingMode
    from kernel.picture import AreaPicture, LayoutPart

HEADINGS = ("virtual", "part", "size", "mapped", "rights", "held", "pages")


def lines(mm: Mm, parts: Sequence[LayoutPart], areas: Sequence[AreaPicture], *, plain: bool = False) -> list[str]:
    """The whole view; with `plain` without escape sequences."""
    paging = mm.paging
    shown = [f"{paging.name}, {paging.levels} levels of tables, {paging.width}-bit addresses; "
             f"root {mm.kspace.root_paddr:#x}", "", *part_lines(parts, plain=plain)]
    if areas:
        shown += ["", *table_lines(("KVirtArea", "size", "mapped"), [
            (f"{area.start:016x}-{area.end - 1:016x}", amount(area.size), amount(area.mapped)) for area in areas],
            plain=plain)]
    return shown


def part_lines(parts: Sequence[LayoutPart], *, plain: bool = False) -> list[str]:
    """The parts, each with its mappings below it."""
    rows = []
    for part in parts:
        mapped = amount(part.mapped) if part.mapped else "-"
        rows.append((f"{part.start:016x}-{part.end - 1:016x}", part.name, amount(part.size), mapped, "", "", ""))
        rows += [(f"  {each.start:016x}-{each.end - 1:016x}", f"  -> {each.paddr:#x}", "", amount(each.size),
                  each.rights, "counted" if each.tracked else "", pages(each.pages)) for each in part.mappings]
    return table_lines(HEADINGS, rows, left=2, plain=plain)


def as_dict(paging: PagingMode, parts: Sequence[LayoutPart], areas: Sequence[AreaPicture]) -> dict[str, Any]:
    """The view for programs."""
    return {
        "paging": paging.name,
        "parts": [{"name": part.name, "start": f"{part.start:#x}", "end": f"{part.end:#x}", "size": part.size,
                   "mapped": part.mapped, "mappings": [mapping_as_dict(each) for each in part.mappings]}
                  for part in parts],
        "areas": [{"start": f"{area.start:#x}", "end": f"{area.end:#x}", "size": area.size, "mapped": area.mapped}
                  for area in areas]}
