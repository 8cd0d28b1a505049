"""The eye `memmap`: regions of physical memory, and who has the frames."""

from __future__ import annotations

from collections.abc import Sequence

from hartwell.views.memmap import lines
from kernel.picture import FrameMap, FrameUsage, read_regions
from kernel.text.image import KernelHeader

from .eye import Eye, EyeContext


def look(context: EyeContext, args: Sequence[str]) -> list[str]:
    """The view of `hartwell memmap`."""
    mm = context.memory()
    frames = FrameMap.read(mm)
    return lines(read_regions(mm, KernelHeader.read(mm.port), frames), FrameUsage.of(frames), plain=True)


EYE = Eye("memmap", "memmap", "physical memory: the boot's regions, and who has the frames", """\
Regions are the boot's, as in /proc/iomem, with what the kernel has put into them. used and free count
frames that have metadata. The second table counts frames by the type of their metadata.""", look)
