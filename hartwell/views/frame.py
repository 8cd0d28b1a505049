"""One frame: its state, owner and places, its metadata slot field by field, a dump of it, and its neighbours.

        frame 0x80200000: in use by 1 as KernelMeta
        owner kernel image
        at    0xffffffff80200000, by an entry of level 1, in the space with the root 0x81ee8000
        slot  0x80a08000, at 0xffffe00002008000
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kernel.attaching import phase_of
from kernel.boot.boot_record import Phase
from kernel.picture import FrameDetail, FrameMap, find_heap_object, places_of, read_buddy

from .table import table_lines

if TYPE_CHECKING:
    from kernel.mm import Mm
    from kernel.picture import FrameRun, Place

NEAR = 3
"""Runs of frames that are shown before and after."""
FAR = 1 << 24
"""Bytes to either side in which they are looked for where memory is cut up finely."""


@dataclass(frozen=True)
class Findings:
    """What is known about a frame: its slot, its owner in words, where it is mapped, and the runs around it."""

    detail: FrameDetail
    owner: str
    places: tuple[Place, ...]
    neighbours: list[FrameRun]


def look(mm: Mm, address: int) -> Findings:
    """What is known about the frame with the byte at `address`, physical or of the linear mapping.

    OutOfBound if that has no metadata. Who owns it, and where it is mapped, are told as far as the boot has come.
    """
    phase, linear = phase_of(mm), mm.paging.linear_base
    paddr = address - linear if address >= linear else address
    detail = FrameDetail.read(mm, paddr & -4096)
    frame_map = FrameMap.read(mm)
    owner = detail.owner
    if phase >= Phase.FRAMES and (detail.state.kind.name == "FREE" or detail.state.type_name == "FreeHeadMeta"):
        owner = "frame allocator: " + (read_buddy(mm).where(detail.paddr) or "in no chunk or cache: it is lost")
    heap_object = find_heap_object(mm, paddr + linear) if phase >= Phase.HEAP else None
    if heap_object is not None:
        owner += f"; {paddr + linear:#x} is in slot {heap_object.index} of {heap_object.slot_size} bytes, which is " \
                 f"{heap_object.state}" + (f" (CPU {heap_object.cpu})" if heap_object.cpu is not None else "")
    places = places_of(mm, frame_map, detail.paddr) if phase >= Phase.PAGE_TABLE else ()
    return Findings(detail, owner, places, _around(frame_map, detail.paddr))


def lines(found: Findings, *, plain: bool = False) -> list[str]:
    """The whole view; with `plain` without escape sequences."""
    detail = found.detail
    shown = [f"frame {detail.paddr:#x}: {detail.state}", f"owner {found.owner}"]
    shown += [f"{'maps ' if place.kind == 'table' else 'at   '} {_where(place)}" for place in found.places]
    shown += [f"slot  {detail.slot_paddr:#x}, at {detail.slot_vaddr:#x}", ""]
    shown += table_lines(("offset", "field", "type", "value", "meaning"), [
        (f"+{field.offset}", field.name, field.type_name,
         f"{field.value:#x}" if isinstance(field.value, int) else field.value.hex(" "), field.meaning)
        for field in detail.fields], left=5, plain=plain)
    shown += ["", *detail.hexdump(), ""]
    return shown + table_lines(("neighbours", "frames", "state"), [
        (("> " if run.start <= detail.paddr < run.end else "  ") + f"{run.start:#x}-{run.end:#x}", f"{run.frames:,}",
         str(run.state)) for run in found.neighbours], left=3, plain=plain)


def as_dict(found: Findings) -> dict[str, Any]:
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
