"""Object caches: free slots that a CPU keeps for itself, one list for each slot size.

        word pair in CPU-local storage:  +0 head of the SlabSlotList   +8 bytes of the slots in it

Upstream's `ObjectCache` (osdk-heap-allocator `allocator.rs`). Nobody else looks at a CPU's caches, so no
lock is taken until one runs empty or over.

        bytes   0 ─── empty: fetch two pages' worth, and the slot that is asked for
             8192 ─── where an overflow shrinks it to
            32768 ─── one that would come to this is full: the slot goes to its slab, and the cache shrinks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from kernel.errors import CorruptionError, NoMemory
from kernel.mm.heap.slot import HeapSlot
from kernel.mm.heap.slot_list import SlabSlotList
from kernel.mm.paging import PAGE_SIZE
from kernel.sync.spin import SpinLock

from .slab_cache import SlabCache

if TYPE_CHECKING:
    from kernel.mm.context import Mm

OBJ_CACHE_MAX_SIZE = 8 * PAGE_SIZE
OBJ_CACHE_EXPECTED_SIZE = 2 * PAGE_SIZE
AREA_SIZE = 16


class ObjectCache:
    """A CPU's cache of slots from `slabs`, in AREA_SIZE bytes at physical `area`; `lock` guards the slabs."""

    __slots__ = ("_bytes", "_lock", "_port", "_size", "_slabs", "list")

    def __init__(self, mm: Mm, slabs: SlabCache, lock: SpinLock, area: int) -> None:
        self._port, self._slabs, self._lock = mm.port, slabs, lock
        self._size = slabs.slot_size
        self.list = SlabSlotList(mm, self._size, area)
        self._bytes = area + 8

    @property
    def size(self) -> int:
        """Bytes of the slots in the cache."""
        return self._port.load(self._bytes)

    def alloc(self) -> HeapSlot:
        """A slot: from the cache, else from the slabs, with a fill of the cache; NoMemory if those have none."""
        slot = self._pop()
        if slot is not None:
            return slot
        with self._lock:
            try:
                for _ in range(OBJ_CACHE_EXPECTED_SIZE // self._size):
                    self._push(self._slabs.alloc())
                return self._slabs.alloc()
            except NoMemory:
                slot = self._pop()
                if slot is None:
                    raise
                return slot

    def dealloc(self, slot: HeapSlot) -> None:
        """Keep a slot; if the cache is full, put it into its slab, and others, until two pages' worth are left."""
        if self._port.load(self._bytes) + self._size < OBJ_CACHE_MAX_SIZE:
            self._push(slot)
            return
        with self._lock:
            self._shrink(OBJ_CACHE_EXPECTED_SIZE, slot)

    def flush(self) -> None:
        """Put all slots into their slabs."""
        with self._lock:
            self._shrink(0)

    def _shrink(self, keep: int, slot: HeapSlot | None = None) -> None:
        """Put `slot`, and then slots of the cache, until it has `keep` bytes, into their slabs.

        What is wrong with the cache's own list is found before any slot moves.
        """
        had = self._port.load(self._bytes)
        count = max(had - keep, 0) // self._size
        slots = self.list.pop_many(count)
        if len(slots) != count or (not keep and not self.list.is_empty):
            self._give_back(slots)
            self._disagree(had)
        self._port.store(self._bytes, had - count * self._size)
        moving = slots if slot is None else [slot, *slots]
        for done, next_slot in enumerate(moving):
            try:
                self._slabs.dealloc(next_slot)
            except BaseException:
                rest = [other for other in moving[done:] if other is not slot and other.held]
                self._port.store(self._bytes, self._port.load(self._bytes) + len(rest) * self._size)
                self._give_back(rest)
                raise

    def _give_back(self, slots: list[HeapSlot]) -> None:
        for slot in reversed(slots):
            self.list.push(slot)

    def _push(self, slot: HeapSlot) -> None:
        self.list.push(slot)
        self._port.store(self._bytes, self._port.load(self._bytes) + self._size)

    def _pop(self) -> HeapSlot | None:
        """The first slot, None from an empty cache; CorruptionError if list and byte count disagree."""
        port, size = self._port, self._size
        left = port.load(self._bytes)
        slot = self.list.pop()
        if slot is None:
            if left:
                self._disagree(left)
            return None
        if left < size:
            self.list.push(slot)
            self._disagree(left)
        port.store(self._bytes, left - size)
        return slot

    def _disagree(self, said: int) -> NoReturn:
        raise CorruptionError(f"the object cache of {self._size}-byte slots has {len(self.list.addresses())} of them, "
                              f"but {said} bytes by its own count: was a slot written after it was freed?")
