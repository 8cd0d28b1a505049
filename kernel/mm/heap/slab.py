"""Slabs: a frame cut into slots of one size (OSTD `mm/heap/slab.rs`).

        the frame          | slot 0 | slot 1 | … |          a free slot's first 8 bytes: the next free one
        its metadata slot  +0   next, prev                  links of the cache's list that the slab is in
                           +16  free_list                   the first free slot
                           +24  nr_allocated, slot_size     slots that are not in the free list; bytes of each
                           +32  live                        bit n: slot n is in a user's hands

Addresses of slots are kernel virtual ones, 0 ends a list. A slab of slots below 64 bytes has more than 64
of them: its `live` is the physical address of a bitmap (live_map.py). Unlike upstream's, a slot size must
divide the page (#3911), so that no slot can cross into the next frame.

A slot that is allocated need not be live: allocators keep slots in lists of their own. The live bit is
set and cleared by the dispatcher alone, and tells a double free from a first one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kernel.errors import CorruptionError, HeapMisuse, InvalidArgs, KernelPanic, NoMemory
from kernel.mm.fields import u32, u64
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.frame.meta import REF_COUNT, UNIQUE, VTABLE
from kernel.mm.frame.meta_type import Link
from kernel.mm.frame.unique import UniqueFrame
from kernel.mm.paging import PAGE_SIZE

from .live_map import LiveMaps
from .slot import SLAB_SLOTS, HeapSlot

if TYPE_CHECKING:
    from kernel.mm.context import Mm

FREE_LIST, COUNTS, LIVE = 16, 24, 32
"""Offsets in the metadata slot; the word at COUNTS is slot_size << 32 | nr_allocated."""
SMALL = 64
"""Slots below this size have their live bits in a bitmap of their own."""
MASK32 = (1 << 32) - 1


class SlabMeta(Link):
    """Metadata of a slab (`SlabMeta`)."""

    free_list = u64()
    nr_allocated = u32()
    slot_size = u32()
    live = u64()

    @property
    def capacity(self) -> int:
        """Slots of the slab."""
        return PAGE_SIZE // self.slot_size

    def alloc(self, mm: Mm) -> HeapSlot:
        """Take a slot out of the free list: the one that was freed last, at first the highest.

        NoMemory from a full slab (`AllocError`), CorruptionError if the free list is broken.
        """
        port, meta = mm.port, self.address
        counts, address = port.load(meta + COUNTS), port.load(meta + FREE_LIST)
        size, linear = counts >> 32, mm.paging.linear_base
        left = PAGE_SIZE // size - (counts & MASK32)
        if not left and not address:
            raise NoMemory(f"the slab of {size}-byte slots at {mm.slots.frame_of(meta):#x} is full")
        paddr = address - linear
        base = meta - mm.slots.base << 6
        if paddr & -PAGE_SIZE != base or paddr & size - 1 or left <= 0:
            self._broken(mm, "its head", address)
        link = port.load(paddr)
        if link:
            if link - linear & -PAGE_SIZE != base or link & size - 1 or left == 1 or link == address:
                self._broken(mm, f"slot {address:#x}", link)
            offset = link & PAGE_SIZE - 1
            live = port.load(meta + LIVE)
            if size < SMALL:
                live = port.load(live + (offset // size >> 6 << 3))
            if live >> (offset // size & 63) & 1:
                self._broken(mm, f"slot {address:#x}", link)
        elif left != 1:
            self._broken(mm, f"slot {address:#x}", link)
        port.store(meta + FREE_LIST, link)
        port.store(meta + COUNTS, counts + 1)
        return HeapSlot._adopt(mm, address, SLAB_SLOTS[size])

    def dealloc(self, mm: Mm, slot: HeapSlot) -> int:
        """Put a slot of this slab back at the free list's head; it is used up. The number still allocated.

        HeapMisuse for a slot of another slab or size (`AllocError`), one that is live, and one too many.
        """
        slot._check()
        port, meta, address, info = mm.port, self.address, slot._address, slot._info
        counts, head = port.load(meta + COUNTS), port.load(meta + FREE_LIST)
        size, paddr = counts >> 32, address - mm.paging.linear_base
        if info is not SLAB_SLOTS.get(size) or paddr & -PAGE_SIZE != meta - mm.slots.base << 6 or slot._mm is not mm:
            raise HeapMisuse("Slab.dealloc", address, info.size, f"a {info} of another slab",
                             f"a {size}-byte slot of the slab at {mm.slots.frame_of(meta):#x}")
        if address == head or not counts & MASK32:
            raise HeapMisuse("Slab.dealloc", address, size, "free in its slab", "an allocated slot")
        offset = paddr & PAGE_SIZE - 1
        live = port.load(meta + LIVE)
        if size < SMALL:
            live = port.load(live + (offset // size >> 6 << 3))
        if live >> (offset // size & 63) & 1:
            raise HeapMisuse("Slab.dealloc", address, size, "live: its user has it", "a slot that was freed")
        slot._held = False
        port.store(paddr, head)
        port.store(meta + FREE_LIST, address)
        port.store(meta + COUNTS, counts - 1)
        return (counts & MASK32) - 1

    def live_slots(self, mm: Mm) -> list[int]:
        """Kernel virtual addresses of the slots that are in users' hands, ascending."""
        size = self.slot_size
        count = PAGE_SIZE // size
        bits = self.live
        if size < SMALL:
            bits = int.from_bytes(mm.port.read(bits, count // 8), "little")
        first = mm.slots.frame_of(self.address) + mm.paging.linear_base
        return [first + n * size for n in range(count) if bits >> n & 1]

    def free_slots(self, mm: Mm) -> list[int]:
        """Kernel virtual addresses of the slots in the free list, in its order; CorruptionError if it is broken."""
        size, base = self.slot_size, mm.slots.frame_of(self.address)
        taken = set(self.live_slots(mm))
        free: list[int] = []
        where, address = "its head", self.free_list
        while address:
            paddr = address - mm.paging.linear_base
            if paddr & -PAGE_SIZE != base or paddr & size - 1 or address in taken:
                self._broken(mm, where, address)
            taken.add(address)
            free.append(address)
            where, address = f"slot {address:#x}", mm.port.load(paddr)
        if len(free) + self.nr_allocated != PAGE_SIZE // size:
            raise CorruptionError(f"the slab of {size}-byte slots at {base:#x} has {len(free)} free and "
                                  f"{self.nr_allocated} allocated slots of {PAGE_SIZE // size}")
        return free

    def on_drop(self, mm: Mm, paddr: int) -> None:
        """KernelPanic while slots of the slab are allocated: it cannot be freed under its users."""
        if self.nr_allocated:
            raise KernelPanic(f"{self.nr_allocated} slots allocated when dropping a slab ({self.slot_size}-byte slots, "
                              f"{paddr:#x})")
        if self.slot_size < SMALL:
            LiveMaps(mm).give(self.live)

    def _broken(self, mm: Mm, where: str, link: int) -> None:
        raise CorruptionError(f"free list of the slab of {self.slot_size}-byte slots at "
                              f"{mm.slots.frame_of(self.address):#x}: {where} links to {link:#x}, "
                              "which is no free slot of it: was a slot written after it was freed?")


class Slab(UniqueFrame[SlabMeta]):
    """A slab in nobody's list: a UniqueFrame with SlabMeta (`Slab<SLOT_SIZE>`).

    Dropping it while slots are allocated raises KernelPanic, and it stays as it is.
    """

    __slots__ = ()

    @classmethod
    def new(cls, mm: Mm, slot_size: int) -> Slab:
        """A slab of free slots of `slot_size` bytes, the highest first in its list.

        InvalidArgs unless 8 <= slot_size <= 4096 and it divides 4096 (#3911); NoMemory.
        """
        if slot_size not in SLAB_SLOTS:
            raise InvalidArgs(f"slots of {slot_size} bytes: a slot size is 8 to {PAGE_SIZE} and divides {PAGE_SIZE}")
        live = LiveMaps(mm).take() if slot_size < SMALL else 0
        try:
            frame = FrameAllocOptions(mm).zeroed(False).alloc_unique(SlabMeta(slot_size=slot_size, live=live))
        except BaseException:
            if live:
                LiveMaps(mm).give(live)
            raise
        paddr = frame.into_raw()
        first, count = paddr + mm.paging.linear_base, PAGE_SIZE // slot_size
        links = np.arange(count, dtype=np.uint64) * np.uint64(slot_size) + np.uint64(first - slot_size)
        links[0] = 0
        mm.port.store_column(paddr, links, count, slot_size)
        mm.port.store(mm.slots.slot(paddr) + FREE_LIST, first + (count - 1) * slot_size)
        return cls._of(mm, paddr)

    @classmethod
    def from_raw(cls, mm: Mm, paddr: int, kind: Any = SlabMeta) -> Slab:  # type: ignore[override]
        """The handle of a slab whose frame was given up with `into_raw`; CorruptionError if there is none."""
        UniqueFrame.from_raw(mm, paddr, kind).into_raw()
        return cls._of(mm, paddr)

    @classmethod
    def _of(cls, mm: Mm, paddr: int) -> Slab:
        return cast("Slab", cls._adopt(mm, paddr, SlabMeta))

    @property
    def capacity(self) -> int:
        """Slots of the slab."""
        return self.meta.capacity

    @property
    def nr_allocated(self) -> int:
        """Slots that are not in the free list."""
        return self.meta.nr_allocated

    def alloc(self) -> HeapSlot:
        """`SlabMeta.alloc`."""
        return self.meta.alloc(self._mm)

    def dealloc(self, slot: HeapSlot) -> None:
        """`SlabMeta.dealloc`."""
        self.meta.dealloc(self._mm, slot)


class SlabFinder:
    """Finds the slab of a slot by its address: arithmetic on the metadata region, no search (R1.1)."""

    __slots__ = ("_linear", "_port", "_slots", "_vtable")

    def __init__(self, mm: Mm) -> None:
        self._port, self._slots, self._linear = mm.port, mm.slots, mm.paging.linear_base
        self._vtable = mm.types.vtable(SlabMeta)

    def out(self, address: int, size: int) -> bool:
        """Whether `address` is that of an allocated, not live slot of a slab of `size`-byte slots."""
        paddr = address - self._linear
        slots, port = self._slots, self._port
        if paddr & size - 1 or not slots.first_paddr <= paddr < slots.max_paddr:
            return False
        meta = slots.base + (paddr >> 12 << 6)
        counts = port.load(meta + COUNTS)
        if counts >> 32 != size or port.load(meta + VTABLE) != self._vtable or port.load(meta + REF_COUNT) != UNIQUE:
            return False
        index = (paddr & PAGE_SIZE - 1) // size
        live = port.load(meta + LIVE)
        if size < SMALL:
            live = port.load(live + (index >> 6 << 3))
        return counts & MASK32 != 0 and not live >> (index & 63) & 1
