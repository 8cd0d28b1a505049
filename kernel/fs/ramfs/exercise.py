"""The RamFS exercise: the same work on a file in one heap object and on one in frames, and what each costs.

    print(table())

The work: append 4 KiB 256 times, write 1000 bytes to random places 256 times, read all, cut off half, take the
name away. The program's buffer lies in frames, too, so that what is copied is copied from memory to memory.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emulator import Board, Machine
from emulator.timing import load_profile
from kernel.boot.booting import Choices
from kernel.fs.open_file import Flags, Whence
from kernel.fs.vfs import Vfs
from kernel.kernel import Kernel
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.heap.slot import HeapSlot
from kernel.mm.layout import Layout
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SIZE
from kernel.mm.port import Access
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator

from .ramfs import RamFs, Storage

if TYPE_CHECKING:
    from kernel.mm.context import Mm

MEMORY: Final = 32 << 20
APPENDS: Final = 256
REWRITES: Final = 256
REWRITTEN: Final = 1000
"""Bytes of each write to a random place."""
BUFFER: Final = 16
"""Frames of the program's buffer."""


@dataclass(frozen=True)
class Step:
    """A part of the work: what it asked for, moved and took.

    `frames` and `objects` are requests to the frame allocator and to the heap. `copied` bytes were copied from
    memory to memory, from and to the program's included; `filled` were set, most to zero. `cycles` are those of
    the profile's core (kernel.cost). `peak` is the most memory that was taken since the work began, in bytes, slabs
    to spare included; `held` is what is taken behind the step, without them.
    """

    name: str
    frames: int
    objects: int
    copied: int
    filled: int
    cycles: int
    peak: int
    held: int


class _Counts:
    """Requests to both allocators, and bytes that are out; bytes of bulk accesses outside of the frames' metadata."""

    def __init__(self) -> None:
        self.out = self.peak = 0
        self.metadata = range(0)
        self.begin()

    def begin(self) -> None:
        """A step begins."""
        self.frames = self.objects = self.copied = self.filled = 0
        self._loaded = 0

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        """An observer's: words are the kernel's own. The port tells of a copy as a load and a store."""
        if size <= 8 or address in self.metadata:
            return
        if kind is Access.LOAD:
            self._loaded = size
            return
        if self._loaded == size:
            self.copied += size
        else:
            self.filled += size
        self._loaded = 0


class _CountedFrames(FrameAllocator):
    """The default frame allocator, counted."""

    __slots__ = ("counts",)

    def __init__(self, mm: Mm, counts: _Counts) -> None:
        super().__init__(mm)
        self.counts = counts

    def alloc(self, layout: Layout) -> int | None:
        paddr = super().alloc(layout)
        if paddr is not None:
            counts = self.counts
            counts.frames += 1
            counts.out += layout.size
            counts.peak = max(counts.peak, counts.out)
        return paddr

    def dealloc(self, paddr: int, size: int) -> None:
        super().dealloc(paddr, size)
        self.counts.out -= size


class _CountedHeap(HeapAllocator):
    """The default heap allocator, counted."""

    __slots__ = ("counts",)

    def __init__(self, mm: Mm, counts: _Counts) -> None:
        super().__init__(mm)
        self.counts = counts

    def alloc(self, layout: Layout) -> HeapSlot:
        self.counts.objects += 1
        return super().alloc(layout)


def run(storage: Storage, profile: str = "rocket") -> list[Step]:
    """Do the work on a new machine with a timing model; what its steps cost."""
    counts = _Counts()
    choices = Choices(frame_allocator=lambda mm: _CountedFrames(mm, counts),
                      heap_allocator=lambda mm: _CountedHeap(mm, counts), watchdog_lines=None)
    machine = Machine(Board(memory=MEMORY), load_profile(profile))
    with Kernel.boot(machine, choices) as kernel:
        steps = list(_work(kernel, storage, counts))
    machine.close()
    return steps


def _work(kernel: Kernel, storage: Storage, counts: _Counts) -> Iterator[Step]:
    mm = kernel.mm
    vfs = Vfs(mm, RamFs.create(mm, storage))
    buffer = FrameAllocOptions(mm).alloc_segment(BUFFER)
    heap, slots = mm.heap.inner, mm.slots
    assert isinstance(heap, HeapAllocator)
    heap.reclaim()
    counts.metadata = range(slots.slot(slots.first_paddr), slots.slot(slots.max_paddr - PAGE_SIZE) + META_SLOT_SIZE)
    counts.peak = base = counts.out
    file = vfs.open(vfs.place, b"file", Flags.CREAT | Flags.RDWR)
    places = random.Random(1)

    def append() -> None:
        for _ in range(APPENDS):
            file.write(buffer.reader().limit(PAGE_SIZE))

    def rewrite() -> None:
        for _ in range(REWRITES):
            file.pwrite(places.randrange(APPENDS * PAGE_SIZE - REWRITTEN), buffer.reader().limit(REWRITTEN))

    def read() -> None:
        file.seek(0, Whence.SET)
        while file.read(buffer.writer()):
            pass

    def remove() -> None:
        vfs.unlink(vfs.place, b"file")
        file.close()

    work: tuple[tuple[str, Callable[[], None]], ...] = (
        (f"append 4 KiB, {APPENDS} times", append), (f"write {REWRITTEN} bytes, {REWRITES} times", rewrite),
        ("read all of it", read), ("cut off half", lambda: file.truncate(APPENDS * PAGE_SIZE // 2)),
        ("unlink and close", remove))
    for name, act in work:
        counts.begin()
        with mm.port.observed(counts), kernel.measure() as cost:
            act()
        frames, objects, copied, filled = counts.frames, counts.objects, counts.copied, counts.filled
        heap.reclaim()
        yield Step(name, frames, objects, copied, filled, cost.cycles, counts.peak - base, counts.out - base)
    buffer.drop()


def table(profile: str = "rocket") -> str:
    """Both storages side by side, a row for each step."""
    lines = [f"{'':30}{'frames':>7}{'objects':>8}{'copied':>10}{'filled':>10}{'cycles':>11}{'peak':>10}{'held':>10}"]
    for storage in Storage:
        lines.append(storage.value)
        lines += [f"  {step.name:28}{step.frames:7,}{step.objects:8,}{step.copied:10,}{step.filled:10,}"
                  f"{step.cycles:11,}{step.peak:10,}{step.held:10,}" for step in run(storage, profile)]
    return "\n".join(lines)
