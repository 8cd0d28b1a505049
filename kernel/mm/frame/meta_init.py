"""Making the frame metadata: 64 bytes for every frame up to the end of physical memory (OSTD `meta::init`).

    0                first_paddr (0 where memory allows)                 max_paddr
    |  hole of the address space  | firmware | kernel | RAM ............ |  (reserved, uncovered)
                                  slots, in one piece from the early allocator

All of it is bulk work: the slots are written by the quarter MiB, at memory speed.

Upstream covers everything from address 0, so that a machine whose RAM begins at 2 GiB pays 32 MiB for
the hole below, which one with 16 MiB does not have. Here, where the slots would take more than half of
the largest piece of memory, they begin with the first memory instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from kernel.boot.memory_region import MemoryRegion, MemoryRegionType
from kernel.errors import BootError, CorruptionError, KernelPanic
from kernel.mm.layout import Layout
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SHIFT, PAGE_SIZE, SV48
from kernel.mm.port import MemoryPort
from kernel.mm.statics import Statics

from .early import EarlyFrameAllocator
from .meta import REF_COUNT, UNUSED
from .meta_type import (
    EarlyAllocatedFrameMeta,
    FrameMeta,
    KernelMeta,
    MetaPageMeta,
    ReservedMemoryMeta,
    UnusableMemoryMeta,
)

if TYPE_CHECKING:
    from kernel.mm.context import Mm

MARKING: dict[MemoryRegionType, type[FrameMeta]] = {
    MemoryRegionType.BAD_MEMORY: UnusableMemoryMeta,
    MemoryRegionType.UNKNOWN: ReservedMemoryMeta,
    MemoryRegionType.NON_VOLATILE_SLEEP: UnusableMemoryMeta,
    MemoryRegionType.RESERVED: ReservedMemoryMeta,
    MemoryRegionType.KERNEL: KernelMeta,
    MemoryRegionType.MODULE: UnusableMemoryMeta,
    MemoryRegionType.FRAMEBUFFER: ReservedMemoryMeta,
    MemoryRegionType.RECLAIMABLE: UnusableMemoryMeta,
}
"""The metadata type with which the frames of a region are marked; those of Usable ones stay unused."""

AREA, AREA_SIZE = "frame_metadata", 32
HUGE_PAGE = 2 << 20
_SLOTS_PER_PAGE_SPAN = PAGE_SIZE // META_SLOT_SIZE * PAGE_SIZE
"""Bytes of memory whose slots fill a page."""
_CHUNK = 4096
"""Slots that are written at once."""


@dataclass(frozen=True, slots=True)
class MetaRegion:
    """Where the slots are: `size` bytes, whole pages, at physical `paddr`.

    They are those of the frames from `first_paddr` to `max_paddr`; the page of slots at `paddr` belongs at
    `first_paddr` / 64 into the virtual metadata range.
    """

    paddr: int
    size: int
    max_paddr: int
    first_paddr: int = 0

    @property
    def base(self) -> int:
        """Where the slot of frame 0 is, or would be: a frame's slot is at `base` + its address / 64."""
        return self.paddr - (self.first_paddr >> 6)

    @property
    def frames(self) -> int:
        """How many frames have a slot."""
        return self.max_paddr - self.first_paddr >> PAGE_SHIFT

    def publish(self, statics: Statics) -> None:
        """Write it to static memory: the metadata is initialised. KernelPanic if it already is."""
        area = statics.area(AREA, AREA_SIZE)
        if statics.port.load(area + 16):
            raise KernelPanic("frame metadata: initialised twice")
        for n, word in enumerate(astuple(self)):
            statics.port.store(area + 8 * n, word)

    @classmethod
    def load(cls, statics: Statics) -> MetaRegion | None:
        """What `publish` wrote; None if nothing yet, CorruptionError if it makes no sense."""
        area = statics.area(AREA, AREA_SIZE)
        region = cls(*(statics.port.load(area + 8 * n) for n in range(4)))
        if not region.max_paddr:
            return None
        if (region.paddr % PAGE_SIZE or region.max_paddr % PAGE_SIZE or region.first_paddr % _SLOTS_PER_PAGE_SPAN
                or region.frames <= 0 or region.size != _pages(region.frames * META_SLOT_SIZE)):
            raise CorruptionError(f"frame metadata at {area:#x}: {region} is not where {region.frames} slots can be")
        return region


@dataclass(frozen=True, slots=True)
class Mark:
    """The frames from `start` to `end` get the metadata type `kind`."""

    start: int
    end: int
    kind: type[FrameMeta]


def init(port: MemoryPort, regions: Sequence[MemoryRegion], early: EarlyFrameAllocator,
         limit: int = SV48.linear_size) -> MetaRegion:
    """Make the slots, all of them zeros and UNUSED, in memory from `early`; where they are.

    `limit` is the end of what the kernel can map linearly. BootError if memory ends above it, or if no
    piece of memory can hold the slots.
    """
    physical = [region for region in regions if region.kind.is_physical]
    max_paddr = max((region.end for region in physical), default=0)
    if not 0 < max_paddr <= limit:
        raise BootError(f"physical memory ends at {max_paddr:#x}: the linear mapping reaches from 0 to {limit:#x}")
    first, largest = 0, early.largest_piece()
    if _pages(max_paddr >> 6) > largest // 2:
        first = min(region.base for region in physical) // _SLOTS_PER_PAGE_SPAN * _SLOTS_PER_PAGE_SPAN
    frames = max_paddr - first >> PAGE_SHIFT
    size = _pages(frames * META_SLOT_SIZE)
    layout = Layout(size, PAGE_SIZE)
    if size >= HUGE_PAGE:
        # So that the kernel can map it by huge pages; what the alignment costs is lost for good.
        gap = early.gap(Layout(size, HUGE_PAGE))
        if gap is not None and gap <= largest // 32:
            layout = Layout(size, HUGE_PAGE)
    paddr = early.need(layout, f"the metadata of {frames} frames up to {max_paddr:#x}")
    _write(port, paddr, size // META_SLOT_SIZE, UNUSED, 0)
    return MetaRegion(paddr, size, max_paddr, first)


def marks(regions: Iterable[MemoryRegion], early: EarlyFrameAllocator, meta: MetaRegion) -> list[Mark]:
    """Which frames that have slots are to be marked how, ascending: all but the free ones."""
    wanted = [Mark(region.base, region.end, MARKING[region.kind])
              for region in regions if region.kind in MARKING]
    meta_end = meta.paddr + meta.size
    wanted.append(Mark(meta.paddr, meta_end, MetaPageMeta))
    for start, end in early.allocated_regions():
        wanted += [Mark(start, min(end, meta.paddr), EarlyAllocatedFrameMeta),
                   Mark(max(start, meta_end), end, EarlyAllocatedFrameMeta)]
    clipped = (Mark(max(mark.start, meta.first_paddr), min(mark.end, meta.max_paddr), mark.kind) for mark in wanted)
    return sorted((mark for mark in clipped if mark.start < mark.end), key=lambda mark: mark.start)


def mark_regions(mm: Mm, regions: Iterable[MemoryRegion], early: EarlyFrameAllocator, meta: MetaRegion) -> list[Mark]:
    """Claim the frames that are not free with one count each, as `marks` has it; what was marked.

    KernelPanic if it has been done before.
    """
    done = marks(regions, early, meta)
    for mark in done:
        first, last = meta.base + (mark.start >> 6), meta.base + (mark.end - PAGE_SIZE >> 6)
        if mm.port.load(first + REF_COUNT) != UNUSED or mm.port.load(last + REF_COUNT) != UNUSED:
            raise KernelPanic(f"marking frames {mark.start:#x}-{mark.end:#x}: they are not unused")
    for mark in done:
        _write(mm.port, meta.base + (mark.start >> 6), mark.end - mark.start >> PAGE_SHIFT, 1,
               mm.types.vtable(mark.kind))
    return done


def _write(port: MemoryPort, slot: int, count: int, ref_count: int, vtable: int) -> None:
    """Set `count` slots from physical `slot` on: no metadata, in no list."""
    one = bytes(REF_COUNT) + ref_count.to_bytes(8, "little") + vtable.to_bytes(8, "little") + bytes(8)
    chunk = memoryview(one * min(count, _CHUNK))
    end = slot + count * META_SLOT_SIZE
    while slot < end:
        size = min(len(chunk), end - slot)
        port.write(slot, chunk[:size])
        slot += size


def _pages(size: int) -> int:
    return -(-size // PAGE_SIZE) * PAGE_SIZE
