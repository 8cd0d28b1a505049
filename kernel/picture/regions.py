"""Physical memory: the boot's regions, what the kernel put into them, and how much of each is used.

A region is what the boot found; its parts are what has been there since: pieces of the kernel's image, the
metadata slots, what the early allocator handed out, the initramfs, the device tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.boot.early_info import EarlyInfo
from kernel.mm.frame.early import EarlyFrameAllocator
from kernel.mm.frame.meta import Kind
from kernel.mm.frame.meta_init import MetaRegion
from kernel.mm.port import looks
from kernel.text.image import KernelHeader

from .frame_map import FrameMap
from .reading import reading

if TYPE_CHECKING:
    from kernel.mm.context import Mm


@dataclass(frozen=True)
class RegionPart:
    """Something that has its place in a region: physical `start` to `end`."""

    start: int
    end: int
    name: str

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


@dataclass(frozen=True)
class RegionPicture:
    """A boot region, its `parts`, and its frames: `free`, `used`, and without a slot.

    `kind` is OSTD's name of the region's type.
    """

    start: int
    end: int
    kind: str
    parts: tuple[RegionPart, ...]
    free: int
    used: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


@looks
def read_regions(mm: Mm, header: KernelHeader, frames: FrameMap) -> tuple[RegionPicture, ...]:
    """The boot's regions, ascending; CorruptionError if EARLY_INFO or the early allocator's words are damaged."""
    with reading("boot memory regions"):
        info = EarlyInfo.load(mm.statics)
        parts = list(_parts(mm, header, info))
    found = []
    for region in info.regions:
        mine = [RegionPart(max(part.start, region.base), min(part.end, region.end), part.name) for part in parts
                if part.start < region.end and region.base < part.end]
        free = used = 0
        for run in frames.between(region.base, region.end):
            if run.state.kind is Kind.FREE:
                free += run.frames
            else:
                used += run.frames
        found.append(RegionPicture(region.base, region.end, str(region.kind), tuple(sorted(mine, key=_order)),
                                   free, used))
    return tuple(found)


def _order(part: RegionPart) -> tuple[int, int]:
    return part.start, -part.end


def _parts(mm: Mm, header: KernelHeader, info: EarlyInfo) -> list[RegionPart]:
    statics_end = header.statics + header.statics_size
    parts = [
        RegionPart(header.kernel_start, header.statics, "Kernel text and data"),
        RegionPart(header.statics, statics_end, "Kernel statics"),
        RegionPart(statics_end, header.boot_stack, "Kernel console buffer"),
        RegionPart(header.boot_stack, header.kernel_end, "Kernel stacks"),
    ]
    if info.initramfs is not None:
        parts.append(RegionPart(*info.initramfs, "Initramfs"))
    if info.device_tree is not None:
        parts.append(RegionPart(*info.device_tree, "Device tree"))
    meta = MetaRegion.load(mm.statics)
    early = EarlyFrameAllocator(mm.statics)
    for start, end in early.allocated_regions():
        if meta is not None and start <= meta.paddr and meta.paddr + meta.size <= end:
            parts.append(RegionPart(meta.paddr, meta.paddr + meta.size, "Frame metadata"))
            parts.append(RegionPart(start, meta.paddr, "Early allocations"))
            start = meta.paddr + meta.size
        parts.append(RegionPart(start, end, "Early allocations"))
    return [part for part in parts if part.size > 0]
