"""`hartwell memmap`: physical memory, as /proc/iomem shows it, and who uses its frames."""

from __future__ import annotations

from .kernels import AsJson, RamFile, opened
from .options import Harts, Memory, Mmu


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
    from hartwell.views.memmap import as_dict, lines
    from hartwell.views.table import print_json, print_lines
    from kernel.picture import Picture

    with opened(ram, memory, smp, mmu) as kernel:
        picture = Picture.take(kernel)
    if as_json:
        print_json(as_dict(picture.regions, picture.usage))
    else:
        print_lines(lines(picture.regions, picture.usage))
