"""`hartwell memmap`: physical memory, as /proc/iomem shows it, and who uses its frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .kernels import AsJson, RamFile, opened
from .options import Harts, Memory, Mmu

if TYPE_CHECKING:
    from kernel.picture import Picture


def memmap(
    ram: RamFile = None,
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    as_json: AsJson = False,
) -> None:
    """Show the kernel's map of physical memory: regions, what is in them, and who has the frames.

    \b
    [b]Examples[/b]
      hartwell memmap                    a kernel that has just booted
      hartwell memmap -m 1G --smp 4      on a larger machine
      hartwell memmap --ram after.ram    one whose memory was saved (hartwell boot --dump-ram after.ram)
      hartwell memmap --json             for programs

    Regions are the boot's, as in /proc/iomem: from a line's first address up to its last. used and free
    count the frames that have metadata.
    """
    from hartwell.views.table import print_json, print_table
    from kernel.boot.figures import amount
    from kernel.picture import Picture

    with opened(ram, memory, smp, mmu) as kernel:
        picture = Picture.take(kernel)
    if as_json:
        print_json(as_dict(picture))
        return
    rows = []
    for region in picture.regions:
        rows.append((_range(region.start, region.end), region.kind, amount(region.size), f"{region.used:,}",
                     f"{region.free:,}"))
        rows += [("  " + _range(part.start, part.end), "  " + part.name, amount(part.size), "", "")
                 for part in region.parts]
    print_table(("physical", "region", "size", "used", "free"), rows, left=2)
    usage = picture.usage
    lines = [(used.type_name, used.owner, f"{used.frames:,}", amount(used.size), f"{used.holders + used.unique:,}")
             for used in usage.types]
    lines.append(("", "free", f"{usage.free:,}", amount(usage.free << 12), ""))
    for count, owner in ((usage.handed_out, "handed out, not claimed yet"), (usage.busy, "busy")):
        if count:
            lines.append(("", owner, f"{count:,}", amount(count << 12), ""))
    print()
    print_table(("metadata type", "used by", "frames", "size", "holders"), lines, left=2)


def as_dict(picture: Picture) -> dict[str, Any]:
    """The view for programs: sizes in bytes, `used` and `free` in frames."""
    usage = picture.usage
    return {
        "regions": [
            {"start": f"{region.start:#x}", "end": f"{region.end:#x}", "kind": region.kind, "size": region.size,
             "used": region.used, "free": region.free,
             "parts": [{"start": f"{part.start:#x}", "end": f"{part.end:#x}", "name": part.name, "size": part.size}
                       for part in region.parts]}
            for region in picture.regions],
        "frames": usage.frames, "free": usage.free, "handed_out": usage.handed_out, "busy": usage.busy,
        "types": [{"type": used.type_name, "used_by": used.owner, "unique": used.unique, "shared": used.shared,
                   "holders": used.holders} for used in usage.types],
    }


def _range(start: int, end: int) -> str:
    return f"{start:08x}-{end - 1:08x}"
