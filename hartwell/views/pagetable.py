"""Page tables: the walk of an address, level by level; all address spaces; and what one of them maps.

        level  entry  at          word                bits          leads to
        4      511    0x81ee8ff8  0x0000000020790401  v--------     table 0x81e41000
        3      510    0x81e41ff0  0x0000000020790801  v--------     table 0x81e42000
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kernel.boot.figures import amount

from .table import table_lines

if TYPE_CHECKING:
    from kernel.mm import Mm
    from kernel.mm.paging import PagingMode
    from kernel.picture import AddressSpace, Mapping, Walk

LEVEL_SIZES = ("4K", "2M", "1G", "512G", "256T")


def walk_lines(done: Walk, paging: PagingMode, *, plain: bool = False) -> list[str]:
    """A walk: each entry on the way, and where it led; with `plain` without escape sequences."""
    shown = [f"{done.vaddr:#x}, {paging.name}, root {done.root:#x}", ""]
    if done.steps:
        shown += table_lines(("level", "entry", "at", "word", "bits", "leads to"), [
            (str(step.level), str(step.index), f"{step.entry:#x}", f"{step.pte:#018x}", step.rights,
             {"absent": "nothing", "table": f"table {step.target:#x}", "leaf": f"page {step.target:#x}"}[step.kind])
            for step in done.steps], left=6, plain=plain)
        shown.append("")
    if done.paddr is None:
        return [*shown, f"not mapped: {done.why}"]
    return [*shown, f"physical {done.paddr:#x}, in a page of {amount(done.page_size)} at {done.page:#x}"]


def frame_lines(mm: Mm, paddr: int) -> list[str]:
    """The frame that a walk led to, in one line; none if it has no metadata."""
    if not mm.slots.first_paddr <= paddr < mm.slots.max_paddr:
        return []
    with mm.port.looking():
        return [f"frame {paddr & -4096:#x}: {mm.slots.state(paddr & -4096)}"]


def space_lines(spaces: Sequence[AddressSpace], *, plain: bool = False) -> list[str]:
    """All address spaces, a line for each."""
    return table_lines(("root", "space", "CPUs", "tables", "pages", "mapped"), [
        (f"{space.root:#x}", space.kind, ",".join(map(str, space.cpus)) or "-", f"{sum(space.nodes):,}",
         pages(space.pages), amount(space.mapped)) for space in spaces], left=3, plain=plain)


def mapping_lines(mappings: Iterable[Mapping], *, plain: bool = False) -> list[str]:
    """What a space maps, a line for each run of pages alike."""
    return table_lines(("virtual", "physical", "rights", "held", "size", "pages"), [
        (f"{mapping.start:016x}-{mapping.end - 1:016x}", f"{mapping.paddr:#x}", mapping.rights,
         "counted" if mapping.tracked else "-", amount(mapping.size), pages(mapping.pages))
        for mapping in mappings], left=4, plain=plain)


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


def space_as_dict(space: AddressSpace) -> dict[str, Any]:
    """An address space for programs."""
    return {"root": f"{space.root:#x}", "kind": space.kind, "cpus": list(space.cpus), "tables": list(space.nodes),
            "pages": list(space.pages), "mapped": space.mapped,
            "iomem": [{"paddr": f"{paddr:#x}", "size": size} for paddr, size in space.iomems]}
