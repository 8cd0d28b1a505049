"""A machine whose memory the frame allocator manages, without a boot: the tests choose what is free.

        0x8000_0000  (nothing)      0x8010_0000  statics      0x8020_0000  metadata slots
        BASE, 16 MiB above: what the tests give the allocator, 16 MiB
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emulator import Board, Machine
from kernel.mm.context import Mm
from kernel.mm.frame.allocator import FrameAllocOptions, FrameDispatch
from kernel.mm.frame.meta import REF_COUNT, UNUSED, MetaSlots
from kernel.mm.frame.meta_type import ReservedMemoryMeta
from kernel.mm.layout import Layout
from kernel.mm.paging import PAGE_SIZE, SV48
from kernel.mm.port import Access, MemoryPort
from kernel.mm.statics import CPU_LOCAL_SIZE, Statics
from kernel.osdk.frame_allocator import FrameAllocator

RAM = 0x8000_0000
STATICS, STATICS_SIZE, CPU_LOCALS, SLOTS = RAM + 0x10_0000, 0x6_0000, RAM + 0x18_0000, RAM + 0x20_0000
MIB = 1 << 20
BASE = RAM + 16 * MIB
FRAMES = 4096
END = BASE + FRAMES * PAGE_SIZE
PAGE = Layout(PAGE_SIZE, PAGE_SIZE)


@dataclass
class Memory:
    """The memory manager of a machine, and its frame allocator."""

    machine: Machine
    mm: Mm
    allocator: FrameAllocator

    @property
    def dispatch(self) -> FrameDispatch:
        return self.mm.frame_allocator

    def alloc(self, pages: int = 1, align: int = 1) -> int | None:
        """Allocate behind the kernel's checks."""
        return self.dispatch.alloc(Layout(pages * PAGE_SIZE, align * PAGE_SIZE))

    def free(self, paddr: int, pages: int = 1) -> None:
        """Free behind the kernel's checks."""
        self.dispatch.dealloc(paddr, pages * PAGE_SIZE)

    def alloc_all(self) -> list[int]:
        """Every page that can be had."""
        return list(iter(self.alloc, None))

    def attach(self) -> Memory:
        """The same memory with nothing but what is in it: all Python objects are new."""
        port = MemoryPort(self.machine.bus)
        mm = Mm(port, SV48, Statics(port, STATICS, STATICS_SIZE))
        mm.slots = MetaSlots(mm, self.mm.slots.base, self.mm.slots.max_paddr, self.mm.slots.first_paddr)
        allocator = FrameAllocator(mm)
        mm.frame_allocator = FrameDispatch(mm, allocator)
        return Memory(self.machine, mm, allocator)


def memory(*pieces: tuple[int, int], cpus: int = 1, first: int = RAM) -> Memory:
    """A machine of `cpus` CPUs with these pieces of free memory: first frame, counted from BASE, and frames.

    The metadata begins with the frame at `first`.
    """
    machine = Machine(Board(memory=32 * MIB, harts=cpus))
    port = MemoryPort(machine.bus)
    mm = Mm(port, SV48, Statics.create(port, STATICS, STATICS_SIZE))
    port.store_column(SLOTS + REF_COUNT, UNUSED, END - first >> 12, 64)
    mm.slots = MetaSlots(mm, SLOTS - (first >> 6), END, first)
    mm.slots.claim_range(first, BASE, ReservedMemoryMeta())
    for cpu in range(1, cpus):
        mm.cpu_locals.set_base(cpu, CPU_LOCALS + CPU_LOCAL_SIZE * cpu)
    allocator = FrameAllocator(mm)
    mm.frame_allocator = FrameDispatch(mm, allocator)
    for first, frames in pieces:
        mm.frame_allocator.add_free_memory(BASE + first * PAGE_SIZE, frames * PAGE_SIZE)
    return Memory(machine, mm, allocator)


@contextmanager
def region(mm: Mm, pages: int) -> Iterator[int]:
    """Address of `pages` free pages that no allocator knows of, for a test to be the allocator of."""
    allocator = mm.frame_allocator.inner
    assert isinstance(allocator, FrameAllocator)
    with FrameAllocOptions(mm).alloc_segment(pages) as segment:
        paddr = segment.paddr
    assert allocator.take_range(paddr, pages * PAGE_SIZE)
    yield paddr
    allocator.dealloc(paddr, pages * PAGE_SIZE)


class Accesses:
    """Counts the accesses of the memory port."""

    def __init__(self) -> None:
        self.count = 0

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        self.count += 1


def page(n: int) -> int:
    """Address of the frame `n` of the managed memory."""
    return BASE + n * PAGE_SIZE
