"""Pictures of scribbled-over memory: right where it still makes sense, a CorruptionError with the place where not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from kernel import Kernel
from kernel.errors import BootError, CorruptionError
from kernel.mm import FrameAllocOptions, Layout, Mm, VmSpace
from kernel.mm.heap.slab import SlabMeta
from kernel.mm.page_table.config import UserPtConfig
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from kernel.picture import FrameDetail, FrameMap, Picture, read_buddy, read_heap, read_mappings, walk
from kernel.text.image import KernelHeader
from tests.helpers.effort import rounds

from .workload import PAGE, Workload

Damage = Callable[[Mm], int]


def slot_of(mm: Mm, kind: str) -> int:
    """The slot of the first frame of a metadata type."""
    return next(mm.slots.slot(run.start) for run in FrameMap.read(mm) if run.state.type_name == kind)


def count_of_a_frame(mm: Mm) -> int:
    return slot_of(mm, "KernelMeta") + 40


def type_of_a_frame(mm: Mm) -> int:
    return slot_of(mm, "KernelMeta") + 48


def link_of_a_free_chunk(mm: Mm) -> int:
    return slot_of(mm, "FreeHeadMeta")


def order_of_a_free_chunk(mm: Mm) -> int:
    return slot_of(mm, "FreeHeadMeta") + 16


def slab_size(mm: Mm) -> int:
    return slot_of(mm, "SlabMeta") + 24


def live_slab(mm: Mm) -> int:
    """The counts of the slab with the boot information in it."""
    slab = next(slab for slab in read_heap(mm, FrameMap.read(mm)).slabs if slab.live)
    return mm.slots.slot(slab.paddr) + 24


def live_map_of_a_slab(mm: Mm) -> int:
    mm.heap.alloc(Layout(8, 8))
    slab = next(slab for slab in read_heap(mm, FrameMap.read(mm)).slabs if slab.slot_size == 8)
    return mm.slots.slot(slab.paddr) + 32


def cache_entry(mm: Mm) -> int:
    inner = mm.frame_allocator.inner
    assert isinstance(inner, FrameAllocator)
    FrameAllocOptions(mm).alloc_frame().drop()
    return inner.cpus[0].cache + 8


def cached_slot(mm: Mm) -> int:
    address = mm.heap.alloc(Layout(64, 8))
    mm.heap.dealloc(address, Layout(64, 8))
    return mm.vaddr_to_paddr(address)


def cached_bytes(mm: Mm) -> int:
    cached_slot(mm)
    inner = mm.heap.inner
    assert isinstance(inner, HeapAllocator)
    return inner.object_caches(0)[3].list.head + 8


def table_entry(mm: Mm) -> int:
    return mm.kspace.root_paddr + 256 * 8


def region_count(mm: Mm) -> int:
    return mm.statics.area("memory_regions", 8 + 512 * 24)


def early_words(mm: Mm) -> int:
    return mm.statics.area("early_frames", 64) + 8


@pytest.mark.parametrize(("damage", "value", "words"), [
    (count_of_a_frame, 1 << 63, r"frame 0x80200000: reference count 0x8000000000000000"),
    (type_of_a_frame, 0x4141_4141, r"frame 0x80200000: reference count 0x1, type word 0x41414141"),
    (link_of_a_free_chunk, 0x4141, r"free memory: .*0x4141 is not the address of a metadata slot"),
    (order_of_a_free_chunk, 40, r"free memory: .*in the list of order"),
    (slab_size, 0x1234 << 32, r"slab 0x[0-9a-f]+: slots of 4660 bytes"),
    (cache_entry, 0x8000_0001, r"free memory: CPU 0's cache of 1 pages: 0x80000001 is not the address of a frame"),
    (cached_slot, 0xDEAD_BEE8, r"object caches of CPU 0: list of 64-byte heap slots: .* links to 0xdeadbee8"),
    (live_slab, 256 << 32, r"slab 0x[0-9a-f]+: 0 of 16 slots are allocated, and the live ones are 0x"),
    (live_map_of_a_slab, 0x1000, r"(slab 0x[0-9a-f]+|object caches of CPU 0): no memory at 0x1"),
    (cached_bytes, 640, r"object caches of CPU 0: the one of 64-byte slots has 129 of them, but 640 bytes"),
    (table_entry, 0xFFFF_FFFF_FC01, r"page table of level 4 at 0x.*: entry 256 points to 0x.*no frame of memory"),
    (table_entry, 0x8020_0000 >> 2 | 1, r"entry 256 points to 0x80200000, which is in use by 1 as KernelMeta"),
    (region_count, 513, r"boot information: EARLY_INFO at 0x[0-9a-f]+: 513 memory regions"),
    (early_words, 1, r"boot memory regions: early allocator at 0x[0-9a-f]+"),
])
def test_damage_is_named_with_its_place(kernel: Kernel, damage: Damage, value: int, words: str) -> None:
    where = damage(kernel.mm)
    kernel.mm.port.store(where, value)
    for each in (kernel, Kernel.attach(kernel.machine)):
        with pytest.raises(CorruptionError, match=words):
            Picture.take(each)


def test_views_that_do_not_meet_the_damage_stay_right(kernel: Kernel) -> None:
    mm = kernel.mm
    frames, heap = FrameMap.read(mm), read_heap(mm, FrameMap.read(mm))
    buddy, mappings = read_buddy(mm), list(read_mappings(mm, mm.kspace.root_paddr))
    kernel_start = 0x8020_0000
    mm.port.store(mm.slots.slot(kernel_start) + 48, 0x4141)  # whose frame this is, nobody knows any more
    with pytest.raises(CorruptionError):
        Picture.take(kernel)
    assert read_heap(mm, FrameMap.read(mm)) == heap
    assert read_buddy(mm) == buddy
    assert list(read_mappings(mm, mm.kspace.root_paddr)) == mappings
    damaged = FrameMap.read(mm)
    assert damaged != frames
    assert [str(run.state) for run in damaged.between(kernel_start, kernel_start + 2 * PAGE)] == \
        ["in use by 1 as unknown type 0x4141", "in use by 1 as KernelMeta"]
    detail = FrameDetail.read(mm, kernel_start)
    assert {field.name: field.value for field in detail.fields}["vtable"] == 0x4141


def test_walk_into_a_table_outside_of_memory_is_named(kernel: Kernel) -> None:
    mm = kernel.mm
    mm.port.store(mm.kspace.root_paddr + 256 * 8, 0x10_0000_0000 >> 2 | 1)
    with pytest.raises(CorruptionError, match=r"walk of 0x.*: the table of level 3 at 0x1000000000 is not in memory"):
        walk(mm, mm.paging.linear_base)


def test_table_that_points_to_itself_is_named(kernel: Kernel) -> None:
    mm = kernel.mm
    with VmSpace(mm) as space:
        mm.port.store(space.root_paddr, space.root_paddr >> 2 | 1)
        with pytest.raises(CorruptionError, match=r"of level 4; expected a table of level 3"):
            list(read_mappings(mm, space.root_paddr))
        mm.port.store(space.root_paddr, 0)


def test_cpus_that_an_address_space_wrongly_claims_are_named(kernel: Kernel) -> None:
    mm = kernel.mm
    with VmSpace(mm) as space:
        word = mm.slots.slot(space.root_paddr) + UserPtConfig.cpus.offset
        mm.port.store(word, 2)
        with pytest.raises(CorruptionError, match=r"its root names the CPUs \(1,\), the CPUs that name it are \(\)"):
            Picture.take(kernel)
        mm.port.store(word, 0)


def test_iomem_list_that_does_not_end_is_named(kernel: Kernel) -> None:
    mm = kernel.mm
    work = Workload(kernel, 1)
    while not work.spaces:
        work.new_space()
    work.map_io()
    head = mm.slots.slot(work.spaces[0][0].root_paddr) + 8
    record = mm.port.load(head)
    mm.port.store(mm.vaddr_to_paddr(record) + 16, record)
    with pytest.raises(CorruptionError, match=r"address space 0x[0-9a-f]+: the list of I/O memory .* is no record"):
        Picture.take(kernel)
    mm.port.store(mm.vaddr_to_paddr(record) + 16, 0)
    work.close()


def places(kernel: Kernel, frames: FrameMap) -> Iterator[tuple[int, int]]:
    """Where the kernel keeps things: start and size of its slots, statics, page tables and slabs."""
    mm = kernel.mm
    header = KernelHeader.read(mm.port)
    slots = mm.slots
    yield slots.slot(slots.first_paddr), slots.max_paddr - slots.first_paddr >> 6
    yield header.statics, header.statics_size
    yield 0x8020_0000 + 64, 256
    for kind in (SlabMeta, mm.slots.kind(mm.kspace.root_paddr)):
        for paddr in frames.of_type(mm, kind)[:16]:
            yield paddr, PAGE


@pytest.mark.parametrize("seed", range(rounds(4, 2)))
@pytest.mark.board(harts=2)
def test_random_damage_gives_a_picture_or_a_named_error(kernel: Kernel, seed: int) -> None:
    """Any word of the kernel's memory may hold anything: no other exception, no endless walk."""
    work = Workload(kernel, seed)
    work.run(150)
    mm, chance = kernel.mm, random.Random(seed)
    sound = Picture.take(kernel)
    where = list(places(kernel, sound.frames))
    named = 0
    for _ in range(150):
        start, size = chance.choice(where)
        at = start + chance.randrange(size // 8) * 8
        was = mm.port.load(at)
        value = chance.choice((0, 1, (1 << 64) - 1, chance.getrandbits(64), mm.port.load(where[0][0] + 64 * 600),
                               was ^ 1 << chance.randrange(64), mm.paging.linear_base + chance.randrange(1 << 33)))
        mm.port.store(at, value)
        try:
            Picture.take(Kernel.attach(kernel.machine))
        except (CorruptionError, BootError) as why:
            assert str(why)
            named += 1
        mm.port.store(at, was)
    assert named > 10
    assert Picture.take(kernel) == sound
    work.close()
