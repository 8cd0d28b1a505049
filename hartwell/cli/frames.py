"""`hartwell frames PADDR`: everything that is known about one frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .kernels import AsJson, RamFile, opened, parse_address
from .options import Harts, Memory, Mmu

if TYPE_CHECKING:
    from kernel import Kernel
    from kernel.picture import FrameDetail, FrameMap, FrameRun, Place

NEAR = 3
"""Runs of frames that are shown before and after."""
FAR = 1 << 24
"""Bytes to either side in which they are looked for where memory is cut up finely."""


@dataclass(frozen=True)
class _Findings:
    detail: FrameDetail
    owner: str
    places: tuple[Place, ...]
    neighbours: list[FrameRun]


def frames(
    paddr: Annotated[str, typer.Argument(
        metavar="PADDR", show_default=False,
        help="The physical address of any byte in the frame; or its address in the linear mapping.")],
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
    """
    from hartwell.views.table import print_json, print_table

    with opened(ram, memory, smp, mmu) as kernel:
        found = _look(kernel, parse_address(paddr, "physical address"))
    detail = found.detail
    if as_json:
        print_json(as_dict(found))
        return
    print(f"frame {detail.paddr:#x}: {detail.state}")
    print(f"owner {found.owner}")
    for place in found.places:
        print(f"{'maps ' if place.kind == 'table' else 'at   '} {_where(place)}")
    print(f"slot  {detail.slot_paddr:#x}, at {detail.slot_vaddr:#x}\n")
    print_table(("offset", "field", "type", "value", "meaning"), [
        (f"+{field.offset}", field.name, field.type_name,
         f"{field.value:#x}" if isinstance(field.value, int) else field.value.hex(" "), field.meaning)
        for field in detail.fields], left=5)
    print()
    print("\n".join(detail.hexdump()))
    print()
    print_table(("neighbours", "frames", "state"), [
        (("> " if run.start <= detail.paddr < run.end else "  ") + f"{run.start:#x}-{run.end:#x}", f"{run.frames:,}",
         str(run.state)) for run in found.neighbours], left=3)


def _look(kernel: Kernel, address: int) -> _Findings:
    from kernel.errors import OutOfBound
    from kernel.picture import FrameDetail, FrameMap, find_heap_object, places_of, read_buddy

    from .status import CommandError

    mm = kernel.mm
    linear = mm.paging.linear_base
    paddr = address - linear if address >= linear else address
    try:
        detail = FrameDetail.read(mm, paddr & -4096)
    except OutOfBound as why:
        raise CommandError(f"{why}; hartwell memmap shows what is where") from None
    frame_map = FrameMap.read(mm)
    owner = detail.owner
    if detail.state.kind.name == "FREE" or detail.state.type_name == "FreeHeadMeta":
        owner = "frame allocator: " + (read_buddy(mm).where(detail.paddr) or "in no chunk or cache: it is lost")
    heap_object = find_heap_object(mm, paddr + linear)
    if heap_object is not None:
        owner += f"; {paddr + linear:#x} is in slot {heap_object.index} of {heap_object.slot_size} bytes, which is " \
                 f"{heap_object.state}" + (f" (CPU {heap_object.cpu})" if heap_object.cpu is not None else "")
    return _Findings(detail, owner, places_of(mm, frame_map, detail.paddr), _around(frame_map, detail.paddr))


def _around(frame_map: FrameMap, paddr: int) -> list[FrameRun]:
    """The runs near a frame; those that read alike are one, such as a free chunk's head and its tails."""
    few = len(frame_map) < 1 << 16
    merged: list[FrameRun] = []
    for run in frame_map.between(*((0, 1 << 56) if few else (max(paddr - FAR, 0), paddr + FAR))):
        if merged and str(merged[-1].state) == str(run.state):
            run = replace(merged.pop(), end=run.end)
        merged.append(run)
    here = next((n for n, run in enumerate(merged) if run.start <= paddr < run.end), 0)
    return merged[max(here - NEAR, 0):here + NEAR + 1]


def _where(place: Place) -> str:
    if place.kind == "table":
        return f"{place.vaddr:#x} and on, as a table of level {place.level}, in the space with the root {place.root:#x}"
    return f"{place.vaddr:#x}, by an entry of level {place.level}, in the space with the root {place.root:#x}"


def as_dict(found: _Findings) -> dict[str, Any]:
    """The view for programs."""
    detail = found.detail
    return {
        "paddr": f"{detail.paddr:#x}", "slot_paddr": f"{detail.slot_paddr:#x}", "slot_vaddr": f"{detail.slot_vaddr:#x}",
        "state": detail.state.kind.name.lower(), "type": detail.state.type_name, "owner": found.owner,
        "fields": {field.name: f"{field.value:#x}" if isinstance(field.value, int) else field.value.hex()
                   for field in detail.fields},
        "raw": detail.raw.hex(),
        "places": [{"root": f"{place.root:#x}", "vaddr": f"{place.vaddr:#x}", "level": place.level, "kind": place.kind}
                   for place in found.places],
        "neighbours": [{"start": f"{run.start:#x}", "end": f"{run.end:#x}", "state": str(run.state)}
                       for run in found.neighbours],
    }
