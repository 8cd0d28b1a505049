"""Physical memory as /proc/iomem shows it, and who uses its frames.

        physical             region                        size  used   free
        80200000-80291fff    Kernel                     584 KiB   146      0
          80200000-80204fff    Kernel text and data      20 KiB
        80292000-81dfffff    Usable                   27.43 MiB   387  6,635
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kernel.boot.figures import amount

from .table import table_lines

if TYPE_CHECKING:
    from kernel.picture import FrameUsage, RegionPicture


def lines(regions: Sequence[RegionPicture], usage: FrameUsage, *, plain: bool = False) -> list[str]:
    """A line for each region and its parts, then one for each metadata type; `plain` without escape sequences."""
    rows = []
    for region in regions:
        rows.append((_range(region.start, region.end), region.kind, amount(region.size), f"{region.used:,}",
                     f"{region.free:,}"))
        rows += [("  " + _range(part.start, part.end), "  " + part.name, amount(part.size), "", "")
                 for part in region.parts]
    shown = table_lines(("physical", "region", "size", "used", "free"), rows, left=2, plain=plain)
    types = [(used.type_name, used.owner, f"{used.frames:,}", amount(used.size), f"{used.holders + used.unique:,}")
             for used in usage.types]
    types.append(("", "free", f"{usage.free:,}", amount(usage.free << 12), ""))
    for count, owner in ((usage.handed_out, "handed out, not claimed yet"), (usage.busy, "busy")):
        if count:
            types.append(("", owner, f"{count:,}", amount(count << 12), ""))
    return [*shown, "", *table_lines(("metadata type", "used by", "frames", "size", "holders"), types, left=2,
                                     plain=plain)]


def as_dict(regions: Sequence[RegionPicture], usage: FrameUsage) -> dict[str, Any]:
    """The view for programs: sizes in bytes, `used` and `free` in frames."""
    return {
        "regions": [
            {"start": f"{region.start:#x}", "end": f"{region.end:#x}", "kind": region.kind, "size": region.size,
             "used": region.used, "free": region.free,
             "parts": [{"start": f"{part.start:#x}", "end": f"{part.end:#x}", "name": part.name, "size": part.size}
                       for part in region.parts]}
            for region in regions],
        "frames": usage.frames, "free": usage.free, "handed_out": usage.handed_out, "busy": usage.busy,
        "types": [{"type": used.type_name, "used_by": used.owner, "unique": used.unique, "shared": used.shared,
                   "holders": used.holders} for used in usage.types],
    }


def _range(start: int, end: int) -> str:
    return f"{start:08x}-{end - 1:08x}"
