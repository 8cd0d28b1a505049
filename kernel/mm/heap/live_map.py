"""Bitmaps for slabs with more slots than a metadata slot has bits for.

        LiveMapMeta frame:  | unit 0 | unit 1 | …            | unit 63 |     64 bytes = 512 bits each
        its metadata:       used, a bit for each unit

A slab of 8-, 16- or 32-byte slots has 512, 256 or 128 slots; which of them are live is kept in a unit,
whose physical address is in the slab's metadata. Units come straight from the frame allocator, never
from the heap or its injected allocator: making a slab cannot lead to making a slab. Frames with a free
unit are at the list's front, full ones at its back; an empty one goes back at once.

Lock order: the heap allocator's lock, then this one, then the frame allocator's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.errors import CorruptionError
from kernel.mm.fields import u64
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.frame.linked_list import FrameChain
from kernel.mm.frame.meta import VTABLE
from kernel.mm.frame.meta_type import Link
from kernel.mm.frame.unique import UniqueFrame
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.port import MASK64
from kernel.sync.spin import SpinLock

if TYPE_CHECKING:
    from kernel.mm.context import Mm

UNIT_SIZE = 64


class LiveMapMeta(Link):
    """Metadata of a frame of bitmaps: bit n of `used` says that unit n is some slab's."""

    used = u64()


class LiveMaps:
    """The kernel's bitmap units; all state is in the static area `live_maps` and in the frames."""

    __slots__ = ("_chain", "_lock", "_mm")

    def __init__(self, mm: Mm) -> None:
        area = mm.statics.area("live_maps", 64)
        self._mm = mm
        self._chain = FrameChain(mm, area)
        self._lock = SpinLock(mm.port, area + 32, "live maps", lambda: mm.cpu)

    def take(self) -> int:
        """Physical address of a zeroed unit; NoMemory."""
        mm, chain = self._mm, self._chain
        with self._lock:
            slot = chain.front()
            if not slot or LiveMapMeta.at(mm.port, slot).used == MASK64:
                frame = FrameAllocOptions(mm).zeroed(False).alloc_unique(LiveMapMeta())
                slot = mm.slots.slot(frame.into_raw())
                chain.push_front(slot)
            meta = LiveMapMeta.at(mm.port, slot)
            used = meta.used
            free = ~used & used + 1  # the lowest clear bit
            meta.used = used | free
            if used | free == MASK64:
                chain.remove(slot)
                chain.push_back(slot)
        unit = mm.slots.frame_of(slot) + (free.bit_length() - 1) * UNIT_SIZE
        mm.port.fill(unit, UNIT_SIZE)
        return unit

    def give(self, unit: int) -> None:
        """Take a unit back; CorruptionError if `unit` is none that is in use."""
        mm, chain = self._mm, self._chain
        with self._lock:
            slot, bit = self._find(unit)
            meta = LiveMapMeta.at(mm.port, slot)
            used = meta.used
            if not used & bit:
                raise CorruptionError(f"the slab bitmap at {unit:#x} is not in use")
            if used == bit or used == MASK64:
                chain.remove(slot)
            meta.used = used ^ bit
            if used == bit:
                UniqueFrame.from_raw(mm, mm.slots.frame_of(slot), LiveMapMeta).drop()
            elif used == MASK64:
                chain.push_front(slot)

    def frames(self) -> list[int]:
        """Physical addresses of the frames of bitmaps; CorruptionError if their list is broken."""
        return [self._mm.slots.frame_of(slot) for slot in self._chain]

    def used(self) -> int:
        """Units that are some slab's."""
        return sum(LiveMapMeta.at(self._mm.port, slot).used.bit_count() for slot in self._chain)

    def _find(self, unit: int) -> tuple[int, int]:
        """The metadata slot of the unit's frame, and the unit's bit."""
        mm, frame = self._mm, unit & -PAGE_SIZE
        if not unit % UNIT_SIZE and mm.slots.first_paddr <= frame < mm.slots.max_paddr:
            slot = mm.slots.slot(frame)
            if mm.port.load(slot + VTABLE) == mm.types.vtable(LiveMapMeta):
                return slot, 1 << (unit - frame) // UNIT_SIZE
        raise CorruptionError(f"{unit:#x} is not the address of a slab's bitmap")
