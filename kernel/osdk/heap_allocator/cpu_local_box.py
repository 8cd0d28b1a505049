"""Variables of which every CPU has its own, allocated at run time (osdk-heap-allocator `cpu_local_allocator.rs`).

        a chunk:       | CPU 0's page | CPU 1's page | … |         item n of CPU c: page c, byte n × item size
        its record     (a heap object)
        +0   next      kernel virtual address of the next chunk's record, 0 for none
        +8   frames    physical address of the chunk          +16  CPUs
        +24  items     size in bytes: 8, 16 or 32             +32  used items
        +40  bitmap    512 bits: which items are used

The static area `cpu_local_dyn` has, for each item size, the first record's address, and the lock. The
metadata of a chunk's frames leads from an item's address to its record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from kernel.errors import BootError, HeapMisuse, InvalidArgs
from kernel.mm.fields import Struct, u64
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.frame.handle import Handle
from kernel.mm.frame.meta import REF_COUNT, VTABLE
from kernel.mm.frame.meta_type import FrameMeta
from kernel.mm.frame.segment import Segment
from kernel.mm.io.pod import PodType, pod_align
from kernel.mm.layout import Layout
from kernel.mm.paging import PAGE_SIZE
from kernel.sync.spin import SpinLock

if TYPE_CHECKING:
    from kernel.mm.context import Mm

V = TypeVar("V")
ITEM_SIZES = (8, 16, 32)
BITMAP, RECORD_SIZE = 40, 104
_RECORD_LAYOUT = Layout(RECORD_SIZE, 8)


class CpuLocalChunkMeta(FrameMeta):
    """Metadata of a chunk's frames; `record` is the kernel virtual address of the chunk's record."""

    record = u64()


class Record(Struct):
    """A chunk's record, without the bitmap that follows it."""

    next = u64()
    frames = u64()
    cpus = u64()
    item = u64()
    used = u64()


class CpuLocalAllocator:
    """Allocates items of `item` bytes, 8, 16 or 32, for all CPUs at once (`CpuLocalAllocator<ITEM_SIZE>`)."""

    __slots__ = ("_head", "_lock", "_mm", "item")

    def __init__(self, mm: Mm, item: int) -> None:
        if item not in ITEM_SIZES:
            raise InvalidArgs(f"CPU-local items of {item} bytes; expected one of {ITEM_SIZES}")
        area = mm.statics.area("cpu_local_dyn", 8 * (len(ITEM_SIZES) + 1))
        self._mm, self.item = mm, item
        self._head = area + 8 * ITEM_SIZES.index(item)
        self._lock = SpinLock(mm.port, area + 8 * len(ITEM_SIZES), "CPU-local allocator", lambda: mm.cpu)

    def alloc(self) -> int:
        """Kernel virtual address of CPU 0's copy of a zeroed item; CPU n's is n pages further. NoMemory."""
        mm, port = self._mm, self._mm.port
        cpus = mm.cpu_locals.count
        with self._lock:
            record, link = self._record(port.load(self._head)), self._head
            while record is not None and (record.used == PAGE_SIZE // self.item or record.cpus != cpus):
                link = record.address
                record = self._record(record.next)
            if record is None:
                record = self._new_chunk()
                port.store(link, mm.paddr_to_vaddr(record.address))
            index = self._first_free(record.address + BITMAP)
            self._flip(record, index)
            record.used += 1
            start = record.frames + index * self.item
        for cpu in range(cpus):
            port.fill(start + cpu * PAGE_SIZE, self.item)
        return mm.paddr_to_vaddr(start)

    def dealloc(self, address: int) -> None:
        """Free what `alloc` gave; HeapMisuse for anything else.

        A chunk that becomes empty goes back if another one is empty, too.
        """
        with self._lock:
            record, index = self._find(address)
            if not self._flip(record, index):
                self._flip(record, index)
                raise HeapMisuse("CpuLocalAllocator.dealloc", address, self.item, "free", "an allocated item")
            record.used -= 1
            if not record.used:
                self._release_chunk(record)

    def chunks(self) -> list[int]:
        """Physical addresses of the chunks."""
        found, record = [], self._record(self._mm.port.load(self._head))
        while record is not None:
            found.append(record.frames)
            record = self._record(record.next)
        return found

    def _record(self, address: int) -> Record | None:
        return Record.at(self._mm.port, self._mm.vaddr_to_paddr(address)) if address else None

    def _new_chunk(self) -> Record:
        mm = self._mm
        cpus = mm.cpu_locals.count
        address = mm.heap.alloc_zeroed(_RECORD_LAYOUT)
        meta = CpuLocalChunkMeta(record=address)
        try:
            segment = FrameAllocOptions(mm).zeroed(False).alloc_segment_with(cpus, lambda paddr: meta)
        except BaseException:
            mm.heap.dealloc(address, _RECORD_LAYOUT)
            raise
        record = Record.at(mm.port, mm.vaddr_to_paddr(address))
        record.frames, record.cpus, record.item = segment.into_raw().start, cpus, self.item
        return record

    def _release_chunk(self, record: Record) -> None:
        """Free an empty chunk, unless it is the only empty one."""
        mm, link, empty, before = self._mm, self._head, 0, 0  # `before`: the word that links to the chunk
        other = self._record(mm.port.load(link))
        while other is not None:
            empty += not other.used
            if other.address == record.address:
                before = link
            link = other.address
            other = self._record(other.next)
        if empty < 2 or not before:
            return
        mm.port.store(before, record.next)
        Segment.from_raw(mm, range(record.frames, record.frames + record.cpus * PAGE_SIZE)).drop()
        mm.heap.dealloc(mm.paddr_to_vaddr(record.address), _RECORD_LAYOUT)

    def _find(self, address: int) -> tuple[Record, int]:
        mm = self._mm
        paddr = address - mm.paging.linear_base
        if mm.slots.first_paddr <= paddr < mm.slots.max_paddr:
            slot, vtable = mm.slots.slot(paddr & -PAGE_SIZE), mm.types.vtable(CpuLocalChunkMeta)
            if mm.port.load(slot + VTABLE) == vtable and mm.port.load(slot + REF_COUNT) == 1:
                record = self._record(CpuLocalChunkMeta.at(mm.port, slot).record)
                if record is not None and record.item == self.item and 0 <= paddr - record.frames < PAGE_SIZE and (
                        not paddr % self.item):
                    return record, (paddr - record.frames) // self.item
        raise HeapMisuse("CpuLocalAllocator.dealloc", address, self.item, "no CPU-local item of CPU 0 of that size",
                         "what alloc gave")

    def _first_free(self, bitmap: int) -> int:
        bits = int.from_bytes(self._mm.port.read(bitmap, PAGE_SIZE // self.item // 8), "little")
        return (~bits & bits + 1).bit_length() - 1

    def _flip(self, record: Record, index: int) -> bool:
        """Change an item's bit; whether it was set."""
        word = record.address + BITMAP + (index >> 6 << 3)
        was = self._mm.port.load(word)
        self._mm.port.store(word, was ^ 1 << (index & 63))
        return bool(was >> (index & 63) & 1)


class CpuLocalBox(Handle, Generic[V]):
    """A variable of which every CPU has its own value; `drop()` or a `with` block frees it (`CpuLocalBox`)."""

    __slots__ = ("_address", "_cpus", "_item", "_kind")

    _address: int
    _cpus: int
    _item: int
    _kind: PodType[V]

    @classmethod
    def _new(cls, mm: Mm, kind: PodType[V], item: int) -> CpuLocalBox[V]:
        box: CpuLocalBox[V] = object.__new__(cls)
        box._mm, box._kind, box._item, box._cpus = mm, kind, item, mm.cpu_locals.count
        box._address = CpuLocalAllocator(mm, item).alloc()
        box._held = True
        return box

    def __repr__(self) -> str:
        return f"<CpuLocalBox {self._address:#x} ({self._kind.SIZE} bytes a CPU){'' if self._held else ', gone'}>"

    def _release(self) -> None:
        CpuLocalAllocator(self._mm, self._item).dealloc(self._address)

    def address_on(self, cpu: int) -> int:
        """Kernel virtual address of CPU `cpu`'s value; BootError for a CPU that was not there at the allocation."""
        self._check()
        if not 0 <= cpu < self._cpus:
            raise BootError(f"CPU {cpu} has no value of {self!r}: there were {self._cpus} CPUs")
        return self._address + cpu * PAGE_SIZE

    def get_on_cpu(self, cpu: int) -> V:
        """CPU `cpu`'s value."""
        paddr = self._mm.vaddr_to_paddr(self.address_on(cpu))
        return self._kind.decode(self._mm.port.read(paddr, self._kind.SIZE))

    def set_on_cpu(self, cpu: int, value: V) -> None:
        """Set CPU `cpu`'s value."""
        self._mm.port.write(self._mm.vaddr_to_paddr(self.address_on(cpu)), self._kind.encode(value))

    def get(self) -> V:
        """The value of the CPU that the kernel runs as."""
        return self.get_on_cpu(self._mm.cpu)

    def set(self, value: V) -> None:
        """Set the value of the CPU that the kernel runs as."""
        self.set_on_cpu(self._mm.cpu, value)


def alloc_cpu_local(mm: Mm, kind: PodType[V], init: Callable[[int], V]) -> CpuLocalBox[V]:
    """A variable of the Pod type `kind` (`u64`, a Pod struct, …) for every CPU; CPU n's starts as `init(n)`.

    InvalidArgs for types of more than 32 bytes, or of none; NoMemory; what `init` raises (`alloc_cpu_local`).
    Values lie at multiples of the type's size rounded up to 8, 16 or 32.
    """
    size, align = kind.SIZE, pod_align(kind)
    need = max(size, align)
    item = next((item for item in ITEM_SIZES if need <= item), 0)
    if not item or not size:
        raise InvalidArgs(f"a CPU-local value of {size} bytes at a multiple of {align}: 1 to {ITEM_SIZES[-1]} bytes "
                          "can be allocated")
    box = CpuLocalBox._new(mm, kind, item)
    try:
        for cpu in range(mm.cpu_locals.count):
            box.set_on_cpu(cpu, init(cpu))
    except BaseException:
        box.drop()
        raise
    return box
