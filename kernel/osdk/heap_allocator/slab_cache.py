"""A cache of slabs of one slot size (osdk-heap-allocator `slab_cache.rs`).

                     first slot taken             last slot taken
        empty ─────────────────────► partial ─────────────────────► full
              ◄─────────────────────         ◄─────────────────────
                      last slot back               first slot back

        area (96 bytes):  +0 empty list   +32 partial list   +64 full list

Slots come from the partial slab that got one back last, then from the empty slab that became so last, then
from a new slab; then, four spare ones are made, too. More than 16 empty slabs are freed, down to 4.
The lists are FrameChains: which one a slab is in is in its metadata slot, so that a freed slot finds
its slab, and the slab its list, by address.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kernel.errors import HeapMisuse, InvalidArgs, KernelPanic, NoMemory
from kernel.mm.frame.linked_list import HEAD_SIZE, FrameChain
from kernel.mm.frame.meta import REF_COUNT, UNIQUE
from kernel.mm.heap.slab import FREE_LIST, Slab, SlabMeta
from kernel.mm.heap.slot import SLAB_SLOTS, HeapSlot, SlabSlot
from kernel.mm.paging import PAGE_SIZE

from .slab_counter import SlabCounter

if TYPE_CHECKING:
    from kernel.mm.context import Mm

EXPECTED_EMPTY_SLABS = 4
MAX_EMPTY_SLABS = 16
AREA_SIZE = 3 * HEAD_SIZE


class SlabCache:
    """Slabs of `slot_size`-byte slots, whose three lists are at physical `area`. Callers hold the lock."""

    __slots__ = ("_counter", "_mm", "empty", "full", "partial", "slot_size")

    def __init__(self, mm: Mm, slot_size: int, area: int) -> None:
        if slot_size not in SLAB_SLOTS:
            raise InvalidArgs(f"no slab has slots of {slot_size} bytes")
        self._mm, self.slot_size = mm, slot_size
        self.empty, self.partial, self.full = (FrameChain(mm, area + i * HEAD_SIZE) for i in range(3))
        self._counter = SlabCounter(mm)

    def alloc(self) -> HeapSlot:
        """A slot; NoMemory when there is none and no frame for a new slab."""
        mm = self._mm
        if meta := self.partial.back():
            slot = SlabMeta.at(mm.port, meta).alloc(mm)
            if not mm.port.load(meta + FREE_LIST):
                self.partial.remove(meta)
                self.full.push_front(meta)
            return slot
        if meta := self.empty.front():
            slot = SlabMeta.at(mm.port, meta).alloc(mm)
            self.empty.remove(meta)
            self._file(meta)
            return slot
        meta = self._new_slab()
        try:
            for _ in range(EXPECTED_EMPTY_SLABS):
                self.empty.push_front(self._new_slab())
        except NoMemory:
            pass
        except BaseException:
            self.empty.push_front(meta)
            raise
        slot = SlabMeta.at(mm.port, meta).alloc(mm)
        self._file(meta)
        return slot

    def dealloc(self, slot: HeapSlot) -> None:
        """Put a slot of this cache back; it is used up. HeapMisuse for any other."""
        mm = self._mm
        info, paddr = slot.info, slot.paddr
        if not isinstance(info, SlabSlot):
            raise HeapMisuse("SlabCache.dealloc", slot.address, info.size, f"a {info}", "a slab's slot")
        meta = mm.slots.slot(paddr & -PAGE_SIZE)
        for chain in (self.partial, self.full):
            if chain.contains_slot(meta):
                break
        else:
            raise HeapMisuse("SlabCache.dealloc", slot.address, info.size, "of a slab that is not in this cache",
                             f"a {self.slot_size}-byte slot that the cache gave")
        left = SlabMeta.at(mm.port, meta).dealloc(mm, slot)
        if left:
            if chain is self.full or chain.back() != meta:  # else it is where it would be put
                chain.remove(meta)
                self.partial.push_back(meta)
            return
        chain.remove(meta)
        self.empty.push_front(meta)
        if len(self.empty) > MAX_EMPTY_SLABS:
            self.shrink(EXPECTED_EMPTY_SLABS)

    def shrink(self, keep: int = 0) -> int:
        """Free empty slabs until `keep` are left; the number freed."""
        mm, freed = self._mm, 0
        while len(self.empty) > keep:
            meta = self.empty.front()
            slab = Slab.from_raw(mm, mm.slots.frame_of(meta))
            self.empty.remove(meta)
            try:
                slab.drop()
            except BaseException:
                slab.into_raw()
                if mm.port.load(meta + REF_COUNT) == UNIQUE:
                    self.empty.push_front(meta)
                raise
            self._counter.add(-PAGE_SIZE)
            freed += 1
        return freed

    def drop(self) -> None:
        """Free all slabs. KernelPanic, and nothing is freed, if slots of one are allocated."""
        for meta in (self.partial.front(), self.full.front()):
            if meta:
                slab = SlabMeta.at(self._mm.port, meta)
                raise KernelPanic(f"{slab.nr_allocated} slots allocated when dropping a slab ({self.slot_size}-byte "
                                  f"slots, {self._mm.slots.frame_of(meta):#x}) with its cache")
        self.shrink()

    def metas(self) -> Iterator[SlabMeta]:
        """The metadata of every slab: full, partial, then empty ones; CorruptionError if a list is broken."""
        for chain in (self.full, self.partial, self.empty):
            for meta in chain:
                yield SlabMeta.at(self._mm.port, meta)

    def allocated(self) -> int:
        """Slots that are not in their slabs."""
        return sum(meta.nr_allocated for meta in self.metas())

    def _new_slab(self) -> int:
        """The metadata slot of a new slab, which is in no list."""
        meta = self._mm.slots.slot(Slab.new(self._mm, self.slot_size).into_raw())
        self._counter.add(PAGE_SIZE)
        return meta

    def _file(self, meta: int) -> None:
        """Put a slab that has just given a slot into the list where it belongs (`add_slab`)."""
        if self._mm.port.load(meta + FREE_LIST):
            self.partial.push_back(meta)
        else:
            self.full.push_front(meta)
