"""Pools of free chunks: one for the machine, one for each CPU (osdk-frame-allocator `pools/mod.rs`).

        CPU 0              CPU 1
        caches             caches            1 to 4 pages, last in, first out       (cache.py)
        pool, 18 orders    pool, 18 orders   chunks up to 512 MiB                   lock of the CPU
              └───────┬────────┘
               global pool, 32 orders        chunks up to 8 TiB; boot memory        its own lock

        static area "frame_pool"             CPU-local area "frame_pool"
        +0   lock                            +0   lock: the CPU's pool and caches
        +8   size snapshot, for balancing    +8   BuddySet<18>
        +16  BuddySet<32>

Buddies in different pools do not merge. A CPU's lock is taken before the global one, and never two of
CPUs at once. Upstream has no lock for a CPU's own pool, and cannot get at another's; so memory freed on
one CPU is lost to the others. Here `drain` gives it back, as a last resort before NoMemory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from kernel.errors import FrameMisuse
from kernel.mm.frame.meta import FREE, REF_COUNT, UNIQUE, UNUSED, VTABLE
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SIZE
from kernel.sync.spin import SpinLock

from .balancing import amount_to_move, move
from .buddy_set import ORDER, BuddySet
from .chunk import FreeHeadMeta, greater_order_of, size_of_order, split_to_chunks

if TYPE_CHECKING:
    from kernel.mm.context import Mm

MAX_ORDERS, MAX_LOCAL_ORDERS = 32, 18
AREA = "frame_pool"
LOCK, SNAPSHOT, GLOBAL_SET, LOCAL_SET = 0, 8, 16, 8
FEW = 16 * PAGE_SIZE
"""Ranges up to this size are checked word by word, larger ones in columns, which cost more to set up."""
VERIFIED_SIZE = 4096 * PAGE_SIZE
"""The first bytes of a range are checked frame by frame; of the rest only FrameDispatch has looked at every frame."""


class LocalPool:
    """One CPU's pool, and the lock that guards it and the CPU's caches."""

    __slots__ = ("cpu", "lock", "lock_word", "set")

    def __init__(self, mm: Mm, cpu: int, address: int) -> None:
        self.cpu, self.lock_word = cpu, address + LOCK
        self.lock = SpinLock(mm.port, address + LOCK, f"frame pool of CPU {cpu}", lambda: mm.cpu)
        self.set = BuddySet(mm, address + LOCAL_SET, MAX_LOCAL_ORDERS, f"frame pool of CPU {cpu}")

    @staticmethod
    def size_in_memory() -> int:
        """Bytes of the CPU-local area."""
        return LOCAL_SET + BuddySet.size_in_memory(MAX_LOCAL_ORDERS)


class Pools:
    """The global pool and what the CPUs' pools do with it.

    `cpus` tells how many CPUs share the global pool. Methods that take a LocalPool are called with its
    lock held.
    """

    __slots__ = ("_cpus", "_end", "_first", "_lock_word", "_mm", "_port", "_slots", "_snapshot", "_vtable",
                 "global_set", "lock")

    def __init__(self, mm: Mm, cpus: Callable[[], int]) -> None:
        address = mm.statics.area(AREA, GLOBAL_SET + BuddySet.size_in_memory(MAX_ORDERS))
        self._mm, self._port, self._cpus, self._snapshot = mm, mm.port, cpus, address + SNAPSHOT
        self._slots, self._end, self._vtable = mm.slots.base, mm.slots.max_paddr, mm.types.vtable(FreeHeadMeta)
        self._first = mm.slots.first_paddr >> 12
        self._lock_word = address + LOCK
        self.lock = SpinLock(mm.port, address + LOCK, "global frame pool", lambda: mm.cpu)
        self.global_set = BuddySet(mm, address + GLOBAL_SET, MAX_ORDERS, "global frame pool")

    # --- allocation -------------------------------------------------------------------------------------------

    def alloc(self, local: LocalPool, size: int, align: int) -> int | None:
        """The address of `size` bytes, whole pages, at a multiple of `align`; None if neither pool has such a chunk.

        The chunk's frames beyond `size` stay free.
        """
        order = max(greater_order_of(size), greater_order_of(align))
        paddr = local.set.alloc_chunk(order) if order < MAX_LOCAL_ORDERS else None
        if paddr is None:
            if order >= MAX_ORDERS:
                return None
            with self.lock:
                paddr = self.global_set.alloc_chunk(order)
                self._snap()
            if paddr is None:
                return None
        if rest := size_of_order(order) - size:
            self._insert(local, paddr + size, rest)
        self._balance(local)
        return paddr

    # --- free ---------------------------------------------------------------------------------------------------

    def dealloc(self, local: LocalPool, ranges: Iterable[tuple[int, int]]) -> None:
        """Take back ranges (address, bytes) of free frames; FrameMisuse, with nothing changed, if one is none."""
        pieces = _joined(ranges)
        for paddr, size in pieces:
            self.require_loose("dealloc", paddr, size)
        for paddr, size in pieces:
            self._insert(local, paddr, size)
        self._balance(local)

    def add_free_memory(self, paddr: int, size: int) -> None:
        """Take over a range of free frames: it goes to the global pool. FrameMisuse if it is none."""
        self.require_loose("add_free_memory", paddr, size)
        with self.lock:
            for head, order in split_to_chunks(paddr, size, MAX_ORDERS - 1):
                self.global_set.insert_chunk(head, order)
            self._snap()

    def _insert(self, local: LocalPool, paddr: int, size: int) -> None:
        for head, order in split_to_chunks(paddr, size, MAX_ORDERS - 1):
            if order < MAX_LOCAL_ORDERS:
                local.set.insert_chunk(head, order)
            else:
                with self.lock:
                    self.global_set.insert_chunk(head, order)
                    self._snap()

    def _balance(self, local: LocalPool) -> None:
        port = self._port
        amount = amount_to_move(local.set.total_size, port.load(self._snapshot), self._cpus())
        if -PAGE_SIZE < amount < PAGE_SIZE or port.compare_exchange(self._lock_word, 0, local.cpu + 1):
            return  # when another CPU has the global pool, the next operation will do
        try:
            if amount > 0:
                move(self.global_set, local.set, amount)
            else:
                move(local.set, self.global_set, -amount)
            self._snap()
        finally:
            port.store(self._lock_word, 0)

    def _snap(self) -> None:
        self._port.store(self._snapshot, self.global_set.total_size)

    # --- last resorts -------------------------------------------------------------------------------------------

    def drain(self, local: LocalPool, cached: Iterable[tuple[int, int]]) -> None:
        """Give all chunks of a CPU's pool, and the `cached` ranges, to the global pool, where they merge."""
        with self.lock:
            while (chunk := local.set.pop_largest(MAX_LOCAL_ORDERS - 1)) is not None:
                self.global_set.insert_chunk(*chunk)
            for paddr, size in _joined(cached):
                for head, order in split_to_chunks(paddr, size, MAX_ORDERS - 1):
                    self.global_set.insert_chunk(head, order)
            self._snap()

    def take_range(self, paddr: int, size: int) -> bool:
        """Take exactly the range out of the global pool; False, with nothing changed, unless all of it is there."""
        end, found, at = paddr + size, [], paddr
        with self.lock:
            while at < end:
                chunk = self.chunk_around(at)
                if chunk is None or not self.global_set.has_chunk(*chunk):
                    return False
                found.append(chunk)
                at = chunk[0] + size_of_order(chunk[1])
            for head, order in found:
                self.global_set.take_chunk(head, order)
            for low, high in ((found[0][0], paddr), (end, at)):
                for head, order in split_to_chunks(low, high - low):
                    self.global_set.insert_chunk(head, order)
            self._snap()
        return True

    # --- checks -------------------------------------------------------------------------------------------------

    def chunk_around(self, paddr: int) -> tuple[int, int] | None:
        """The free chunk, address and order, in whichever pool, that the page at `paddr` is in; None if in none."""
        load, frame = self._port.load, paddr >> 12
        head = frame
        while True:  # a chunk's address is that of any of its frames, with some of the lowest set bits cleared
            slot = self._slots + (head << 6)
            if load(slot + REF_COUNT) == UNIQUE and load(slot + VTABLE) == self._vtable:
                order = load(slot + ORDER)
                if frame - head >> order == 0:
                    return head << 12, order
            if not head:
                return None
            head &= head - 1
            if head < self._first:
                return None

    def require_loose(self, operation: str, paddr: int, size: int) -> None:
        """FrameMisuse unless the range is of free frames that are in no pool."""
        if size > FEW:
            self._mm.slots.require_free(operation, paddr, paddr + min(size, VERIFIED_SIZE))
        else:
            load, first = self._port.load, self._slots + (paddr >> 6)
            for slot in range(first, first + (size >> 6), META_SLOT_SIZE):
                if load(slot + REF_COUNT) != UNUSED or load(slot + VTABLE) != FREE:
                    self._mm.slots.require_free(operation, paddr, paddr + size)
        around = self.chunk_around(paddr)
        if around is not None:
            raise FrameMisuse(operation, paddr, size, f"it is in the free chunk {around[0]:#x} of order {around[1]}",
                              "frames that are in no free chunk")


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same ranges, ascending, those that touch made one; FrameMisuse if two overlap."""
    joined: list[tuple[int, int]] = []
    for paddr, size in sorted(ranges):
        if joined:
            low, length = joined[-1]
            if low + length > paddr:
                raise FrameMisuse("dealloc", paddr, size, "it is among the frames to be freed twice", "each once")
            if low + length == paddr:
                joined[-1] = low, length + size
                continue
        joined.append((paddr, size))
    return joined
