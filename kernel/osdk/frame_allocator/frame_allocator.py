"""The default frame allocator: caches over per-CPU pools over a global buddy system (osdk-frame-allocator `lib.rs`).

        FrameDispatch ──► FrameAllocator ──► FrameCache (1 to 4 pages) ──► LocalPool ──► global pool

        alloc        cache, CPU's pool, global pool; then the other CPUs' caches and pools are drained
        dealloc      cache, CPU's pool, balanced with the global pool

All of its state is in emulated memory: in statics and CPU-local areas, found again by name, and in the
free frames' metadata slots. It does not use the heap. Interrupts are off throughout: the kernel's Python
code is never interrupted, and other CPUs wait at the locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.errors import BootError, FrameMisuse, InvalidArgs
from kernel.mm.frame.meta import REF_COUNT, UNUSED
from kernel.mm.layout import Layout
from kernel.mm.paging import PAGE_SHIFT, PAGE_SIZE
from kernel.mm.statics import MAX_CPUS

from .cache import AREA as CACHE_AREA
from .cache import AREA_SIZE as CACHE_SIZE
from .cache import MAX_PAGES, SHAPES, FrameCache
from .per_cpu_counter import PerCpuCounter
from .pools import AREA as POOL_AREA
from .pools import LocalPool, Pools

if TYPE_CHECKING:
    from kernel.mm.context import Mm

ONE_PAGE = SHAPES[0].capacity


class CpuPart:
    """What one CPU has of the allocator: its pool, its caches, its word of the free-size counter."""

    __slots__ = ("cache", "caches", "counter", "local", "lock", "lock_word")

    def __init__(self, mm: Mm, cpu: int, pool: int, cache: int, counter: int) -> None:
        self.local = LocalPool(mm, cpu, pool)
        self.lock, self.lock_word = self.local.lock, self.local.lock_word
        self.cache, self.counter = cache, counter
        self.caches = [FrameCache(mm, cpu, cache, shape) for shape in SHAPES]


class FrameAllocator:
    """The frame allocator of `mm`; where it had been before, it is found again, with all of its free memory.

    It wants the metadata slots, and local storage for each CPU that uses it. Every method works for the
    CPU `mm.cpu`.
    """

    __slots__ = ("_cache_offset", "_cpus", "_end", "_first", "_pool_offset", "_port", "_slots", "free_size", "mm",
                 "pools")

    def __init__(self, mm: Mm) -> None:
        self.mm, self._port, self._slots = mm, mm.port, mm.slots.base
        self._first, self._end = mm.slots.first_paddr, mm.slots.max_paddr
        self.free_size = PerCpuCounter(mm, "free_frames_size")
        self._pool_offset = mm.statics.local_area(POOL_AREA, LocalPool.size_in_memory())
        self._cache_offset = mm.statics.local_area(CACHE_AREA, CACHE_SIZE)
        self._cpus: list[CpuPart] = []
        self.pools = Pools(mm, lambda: len(self._cpus))
        self._find_cpus()

    # --- CPUs -------------------------------------------------------------------------------------------------

    @property
    def cpus(self) -> list[CpuPart]:
        """Each CPU's part, by its number."""
        self._find_cpus()
        return self._cpus

    def _find_cpus(self) -> None:
        """Look for CPUs that got their local storage since the last time."""
        mm = self.mm
        while len(self._cpus) < MAX_CPUS:
            cpu = len(self._cpus)
            try:
                base = mm.cpu_locals.base(cpu)
            except BootError:
                return
            self._cpus.append(CpuPart(mm, cpu, base + self._pool_offset, base + self._cache_offset,
                                      base + self.free_size.offset))

    def _part(self, cpu: int) -> CpuPart:
        if cpu >= len(self._cpus):
            self._find_cpus()
            self.mm.cpu_locals.base(cpu)  # BootError if it has none
        return self._cpus[cpu]

    # --- GlobalFrameAllocator -----------------------------------------------------------------------------------

    def alloc(self, layout: Layout) -> int | None:
        """Physical address of `layout.size` bytes at a multiple of `layout.align`; None if there is no such piece.

        That is the answer only when neither the pools nor any CPU's cache could make one up. InvalidArgs
        for a size that is no positive multiple of 4096.
        """
        size, port, me = layout.size, self._port, self.mm.cpu
        part = self._cpus[me] if me < len(self._cpus) else self._part(me)
        if port.compare_exchange(part.lock_word, 0, me + 1):
            part.lock.__enter__()
        try:
            cache = part.cache
            if size == PAGE_SIZE and layout.align <= PAGE_SIZE and 0 < (count := port.load(cache)) <= ONE_PAGE:
                paddr: int | None = port.load(cache + 8 * count)
                port.store(cache, count - 1)
            else:
                paddr = self._alloc(part, size, layout.align)
            if paddr is not None:
                port.fetch_add(part.counter, -size)
                return paddr
        finally:
            port.store(part.lock_word, 0)
        return self._last_resort(part, size, layout.align)

    def _alloc(self, part: CpuPart, size: int, align: int) -> int | None:
        if size <= 0 or size & PAGE_SIZE - 1:
            raise InvalidArgs(f"{size} bytes are not a number of frames")
        if size <= MAX_PAGES * PAGE_SIZE and align <= size:
            return part.caches[(size >> PAGE_SHIFT) - 1].alloc(self.pools, part.local, align)
        return self.pools.alloc(part.local, size, align)

    def _last_resort(self, part: CpuPart, size: int, align: int) -> int | None:
        """Bring all free memory together and try once more."""
        self.drain()
        with part.lock:
            paddr = self.pools.alloc(part.local, size, align)
            if paddr is not None:
                self._port.fetch_add(part.counter, -size)
            return paddr

    def dealloc(self, paddr: int, size: int) -> None:
        """Take back `size` bytes at `paddr`: any page-aligned part of an allocation.

        FrameMisuse, with nothing changed, for what is no range of whole, unused frames, or is in a free
        chunk. A frame that is in a cache is not recognized here: FrameDispatch does that.
        """
        port, me = self._port, self.mm.cpu
        if (paddr | size) & PAGE_SIZE - 1 or size <= 0 or not self._first <= paddr <= self._end - size:
            raise FrameMisuse("dealloc", paddr, size, "not a range of whole frames", "what was allocated")
        if port.load(self._slots + (paddr >> 6) + REF_COUNT) != UNUSED:
            raise FrameMisuse("dealloc", paddr, size, str(self.mm.slots.state(paddr)), "an unused frame")
        part = self._cpus[me] if me < len(self._cpus) else self._part(me)
        if port.compare_exchange(part.lock_word, 0, me + 1):
            part.lock.__enter__()
        try:
            cache = part.cache
            if size == PAGE_SIZE and (count := port.load(cache)) < ONE_PAGE:
                port.store(cache + 8 + 8 * count, paddr)
                port.store(cache, count + 1)
            elif size <= MAX_PAGES * PAGE_SIZE:
                part.caches[(size >> PAGE_SHIFT) - 1].dealloc(self.pools, part.local, paddr)
            else:
                self.pools.dealloc(part.local, [(paddr, size)])
            port.fetch_add(part.counter, size)
        finally:
            port.store(part.lock_word, 0)

    def add_free_memory(self, paddr: int, size: int) -> None:
        """Take over `size` bytes of free memory at `paddr`, which go to the global pool; none is fine.

        FrameMisuse, with nothing changed, as for `dealloc`.
        """
        if (paddr | size) & PAGE_SIZE - 1 or size < 0 or not self._first <= paddr <= self._end - size:
            raise FrameMisuse("add_free_memory", paddr, size, "not a range of whole frames", "free memory")
        if size:
            me = self.mm.cpu
            part = self._part(me)
            with part.lock:
                self.pools.add_free_memory(paddr, size)
                self._port.fetch_add(part.counter, size)

    # --- more -----------------------------------------------------------------------------------------------------

    def load_total_free_size(self) -> int:
        """Bytes of free memory: in pools and caches of all CPUs."""
        return self.free_size.get()

    def drain(self) -> None:
        """Give what the CPUs' caches and pools have to the global pool, where all buddies merge."""
        for part in self.cpus:
            with part.lock:
                cached = [entry for cache in part.caches for entry in cache.ranges()]
                self.pools.drain(part.local, cached)
                for cache in part.caches:
                    cache.clear()

    def take_range(self, paddr: int, size: int) -> bool:
        """Take exactly these frames out of the free memory: for unplugging memory, or moving frames away from it.

        False, with nothing changed but where free memory is kept, unless all of them are free. They are the
        caller's then, as after `alloc`. InvalidArgs for what is no range of whole frames.
        """
        if (paddr | size) & PAGE_SIZE - 1 or size <= 0 or not self._first <= paddr <= self._end - size:
            raise InvalidArgs(f"{paddr:#x} ({size} bytes) is not a range of whole frames")
        self.drain()
        taken = self.pools.take_range(paddr, size)
        if taken:
            self.free_size.sub(self.mm.cpu, size)
        return taken
