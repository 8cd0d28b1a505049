"""R3: kernel space and physical memory (the source document on memory management), seen from both sides."""

from __future__ import annotations

import struct

import pytest

from emulator import Board, Machine, Range
from kernel import Choices, Kernel
from kernel.boot.memory_region import MemoryRegionType
from kernel.cpu.probe import Fault, Probe
from kernel.errors import AllocatorFault, FrameMisuse, HeapMisuse, NoMemory
from kernel.mm import (
    PAGE_SIZE, FrameAllocOptions, HeapSlot, KVirtArea, Layout, Mm, PageFlags, PageProperty, Pod, Segment, VmSpace, u8,
    u16, u32, u64,
)
from kernel.mm.check import check
from kernel.mm.frame.early import EarlyFrameAllocator
from kernel.mm.frame.meta import REF_COUNT, Kind
from kernel.mm.frame.meta_type import EarlyAllocatedFrameMeta, KernelMeta, MetaPageMeta
from kernel.mm.heap.slab import SlabMeta
from kernel.mm.paging import SV39, SV48
from kernel.osdk.frame_allocator.buddy_demo import internal_fragmentation, split_and_merge
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from tests.helpers.assembler import assemble
from tests.helpers.kernels import boot

LOAD_PAGE_FAULT, STORE_PAGE_FAULT, FETCH_PAGE_FAULT = 13, 15, 12


def _probe(kernel: Kernel) -> Probe:
    return Probe(kernel.smp)


# --- R3.1, R3.2, R3.3: layout, regions, early allocation ------------------------------------------------------


def test_r3_1_the_layout_of_kernel_space() -> None:
    tib, gib = 1 << 40, 1 << 30
    assert (SV48.linear_base, SV48.linear_size) == (0xffff_8000_0000_0000, 64 * tib)
    assert (SV48.kvirt_base, SV48.meta_base - SV48.kvirt_base) == (0xffff_c000_0000_0000, 32 * tib)
    assert (SV48.meta_base, SV48.meta_end - SV48.meta_base) == (0xffff_e000_0000_0000, 1 * tib)
    assert SV48.kernel_code_base + 0x8000_0000 == 0xffff_ffff_8000_0000
    assert SV48.kernel_end == 0xffff_ffff_ffff_0000
    assert (SV39.linear_base, SV39.linear_size) == (0xffff_ffc0_0000_0000, 128 * gib)
    assert (SV39.kvirt_base, SV39.meta_base) == (0xffff_ffe0_0000_0000, 0xffff_fff0_0000_0000)


@pytest.mark.parametrize("paging", [SV48, SV39], ids=["sv48", "sv39"])
def test_r3_1_the_hart_finds_each_part_where_the_layout_says(paging: object) -> None:
    with boot(Choices(paging=paging)) as kernel:  # type: ignore[arg-type]
        mm, probe = kernel.mm, _probe(kernel)
        assert mm.paging is paging
        start = kernel.service.header.kernel_start
        magic = int.from_bytes(b"HARTWELL", "little")
        assert probe.load(0, mm.paddr_to_vaddr(start) + 64) == magic
        assert probe.load(0, mm.paging.kernel_code_base + start + 64) == magic
        with FrameAllocOptions(mm).alloc_frame() as frame:
            assert probe.load(0, mm.paging.meta_base + frame.paddr // 64 + REF_COUNT) == 1
        assert probe.load(0, mm.paging.kvirt_base) == Fault(LOAD_PAGE_FAULT, mm.paging.kvirt_base)
        assert probe.load(0, mm.paging.meta_end) == Fault(LOAD_PAGE_FAULT, mm.paging.meta_end)
        assert kernel.service.hart(0).pc >> 32 == 0xffff_ffff


def test_r3_2_the_device_tree_tells_usable_and_reserved_memory_initramfs_and_kernel() -> None:
    initrd = b"070701 this would be an archive"
    machine = Machine(Board(banks=(Range(0x8000_0000, 32 << 20), Range(0x9000_0000, 16 << 20)),
                            reserved=(Range(0x8180_0000, 1 << 20),)))
    with Kernel.boot(machine, initrd=initrd, bootargs="console=ttyS0") as kernel:
        info = kernel.early_info
        assert info.command_line == "console=ttyS0"
        assert info.initramfs is not None
        assert kernel.mm.port.read(info.initramfs[0], len(initrd)) == initrd

        def kind(paddr: int) -> MemoryRegionType:
            return next(region.kind for region in info.regions if region.base <= paddr < region.end)

        assert kind(0x1000) is MemoryRegionType.UNKNOWN
        assert kind(0x8000_0000) is MemoryRegionType.RESERVED, "the firmware reserves itself"
        assert kind(0x8020_0000) is MemoryRegionType.KERNEL
        assert kind(0x8180_0000) is MemoryRegionType.RESERVED
        assert kind(info.initramfs[0]) is MemoryRegionType.MODULE
        assert kind(kernel.mm.slots.max_paddr - 1) is MemoryRegionType.USABLE
        assert kind(0x8800_0000) is MemoryRegionType.UNKNOWN
        assert info.device_tree is not None
        assert kind(info.device_tree[0]) is MemoryRegionType.RECLAIMABLE
        ends = [(region.base, region.end) for region in info.regions]
        assert ends[0][0] == 0
        assert all(before[1] == after[0] for before, after in zip(ends, ends[1:], strict=False)), "gaps or overlaps"
        assert kernel.boot_info() == info
        check(kernel.mm, [])


def test_r3_3_the_hand_over_from_the_early_allocator_loses_and_doubles_nothing(kernel: Kernel) -> None:
    mm, early = kernel.mm, EarlyFrameAllocator(kernel.mm.statics)
    used = [paddr for start, end in early.allocated_regions() for paddr in range(start, end, PAGE_SIZE)]
    assert used
    usable = {paddr for region in kernel.early_info.regions if region.kind is MemoryRegionType.USABLE
              for paddr in range(region.base, region.end, PAGE_SIZE)}
    assert set(used) <= usable
    kept = [paddr for paddr in used if mm.slots.state(paddr).kind is Kind.SHARED
            and issubclass(mm.slots.kind(paddr), EarlyAllocatedFrameMeta | MetaPageMeta)]
    assert len(used) - len(kept) <= 16, "only nodes of the boot page table may have been given back"
    allocator = mm.frame_allocator.inner
    assert isinstance(allocator, FrameAllocator)
    held = {paddr for paddr in usable if mm.slots.state(paddr).kind is not Kind.FREE}
    heads = {paddr for order in range(32) for paddr in allocator.pools.global_set.chunks(order)}
    heads |= {paddr for part in allocator.cpus for order in range(18) for paddr in part.local.set.chunks(order)}
    assert allocator.load_total_free_size() == (len(usable) - len(held - heads)) * PAGE_SIZE
    kernel_start = kernel.service.header.kernel_start
    assert mm.slots.kind(kernel_start) is KernelMeta
    check(mm, [])


# --- R3.4, R3.5: frames, segments, VmIo ---------------------------------------------------------------------------


class Inner(Pod):
    a = u32()
    b = u16()
    c = u8()
    pad = u8()


def test_r3_4_frames_and_segments_come_from_the_options(mm: Mm) -> None:
    options = FrameAllocOptions(mm)
    with options.alloc_frame() as frame, options.alloc_segment(3) as segment:
        frame.write_bytes(0, b"\xff" * PAGE_SIZE)
        assert segment.size == 3 * PAGE_SIZE
        paddr = frame.paddr
        frame.drop()
        with FrameAllocOptions(mm).zeroed(False).alloc_frame() as dirty:
            assert dirty.paddr == paddr
            assert dirty.read_bytes(0, 4) == b"\xff" * 4
        with options.alloc_frame() as clean:
            assert clean.read_bytes(0, PAGE_SIZE) == bytes(PAGE_SIZE)


def test_r3_5_vmio_reads_and_writes_bytes_values_and_structs(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_segment(2) as segment:
        segment.write_val(PAGE_SIZE - 4, Inner, Inner(a=0x01020304, b=5, c=6))
        assert segment.read_bytes(PAGE_SIZE - 4, 8) == struct.pack("<IHBB", 0x01020304, 5, 6, 0)
        assert segment.read_val(PAGE_SIZE - 4, Inner).a == 0x01020304
        segment.write_slice(8, u16, [1, 2, 3])
        assert segment.read_slice(8, u16, 3) == [1, 2, 3]
        assert mm.port.read(segment.start_paddr + 8, 6) == b"\1\0\2\0\3\0"


# --- R3.6, R3.9, R3.10: the heap ------------------------------------------------------------------------------------


def test_r3_6_the_dispatcher_checks_the_answers_of_the_heap_allocator() -> None:
    class WrongSize(HeapAllocator):
        __slots__ = ()

        def alloc(self, layout: Layout) -> HeapSlot:
            return super().alloc(Layout(16, 8) if layout.size == 500 else layout)

    with boot(Choices(heap_allocator=WrongSize)) as kernel:
        address = kernel.mm.heap.alloc(Layout(100, 8))
        with pytest.raises(AllocatorFault, match="WrongSize"):
            kernel.mm.heap.alloc(Layout(500, 8))
        kernel.mm.heap.dealloc(address, Layout(100, 8))
        check(kernel.mm, [])


def test_r3_9_slots_come_from_partial_then_empty_then_new_slabs(mm: Mm) -> None:
    heap = mm.heap.inner
    assert isinstance(heap, HeapAllocator)
    cache = next(cache for cache in heap.slabs if cache.slot_size == 2048)
    layout, taken = Layout(2048, 8), []
    while not len(cache.full):
        taken.append(mm.heap.alloc(layout))
    assert {SlabMeta.at(mm.port, slot).nr_allocated for slot in cache.full} == {2}
    assert all(SlabMeta.at(mm.port, slot).nr_allocated == 1 for slot in cache.partial)
    assert all(SlabMeta.at(mm.port, slot).nr_allocated == 0 for slot in cache.empty)
    for address in taken:
        mm.heap.dealloc(address, layout)
    heap.reclaim()
    assert (len(cache.full), len(cache.partial), len(cache.empty)) == (0, 0, 0)
    check(mm, [])


def test_r3_10_slots_cannot_be_forged_freed_twice_or_used_after_free(mm: Mm) -> None:
    with pytest.raises(TypeError):
        HeapSlot()
    layout = Layout(64, 8)
    address = mm.heap.alloc(layout)
    mm.heap.dealloc(address, layout)
    with pytest.raises(HeapMisuse, match=f"{address:#x}"):
        mm.heap.dealloc(address, layout)
    other = mm.heap.alloc(layout)
    for wrong, what in ((other + 8, layout), (other, Layout(32, 8)), (other, Layout(5000, 8)), (0x1000, layout),
                        (mm.paddr_to_vaddr(0x8020_0000), layout), (mm.paging.linear_base - 64, layout)):
        with pytest.raises(HeapMisuse):
            mm.heap.dealloc(wrong, what)
    mm.heap.dealloc(other, layout)
    check(mm, [])


# --- R3.7: the buddy system's examples --------------------------------------------------------------------------------


def test_r3_7_a_mebibyte_splits_down_to_128_kib_and_merges_again(mm: Mm) -> None:
    states = list(split_and_merge(mm))
    sizes = [sorted(block.size >> 10 for block in state.blocks) for state in states]
    assert sizes[0] == [1024]
    assert [128, 128, 256, 512] in sizes
    assert sizes[-1] == [1024]
    assert all(sum(size) == 1024 for size in sizes)
    check(mm, [])


def test_r3_7_a_request_of_65_kib_takes_128_kib(mm: Mm) -> None:
    states = list(internal_fragmentation(mm))
    taken = [block for state in states for block in state.blocks if block.requested == 65 << 10]
    assert taken
    assert {block.size for block in taken} == {128 << 10}
    check(mm, [])


# --- R3.8, R3.11, R3.13 -----------------------------------------------------------------------------------------------


def test_r3_8_an_allocated_frame_is_unused_and_a_released_one_unreachable(mm: Mm) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    with VmSpace(mm) as space:
        with space.cursor_mut(range(0x1000, 0x2000)) as cursor:
            cursor.map(frame.clone().into_uframe(), PageProperty.new_user(PageFlags.RW))
        paddr = frame.paddr
        frame.drop()
        assert mm.slots.state(paddr).count == 1, "the mapping still holds it"
        with pytest.raises(FrameMisuse, match="in use by 1"):
            mm.frame_allocator.dealloc(paddr, PAGE_SIZE)
    assert mm.slots.state(paddr).kind is Kind.FREE


def test_r3_8_an_allocator_that_gives_a_frame_in_use_is_refused_by_name() -> None:
    class Doubling(FrameAllocator):
        __slots__ = ()
        victim = 0

        def alloc(self, layout: Layout) -> int | None:
            return type(self).victim or super().alloc(layout)

    with boot(Choices(frame_allocator=Doubling)) as kernel:
        with FrameAllocOptions(kernel.mm).alloc_frame() as frame:
            Doubling.victim = frame.paddr
            with pytest.raises(AllocatorFault, match=f"Doubling: alloc gave {frame.paddr:#x}") as caught:
                FrameAllocOptions(kernel.mm).alloc_frame()
            assert "in use by 1" in str(caught.value)
            Doubling.victim = 0
        check(kernel.mm, [])


def test_r3_11_allocators_are_injected(mm: Mm) -> None:
    assert mm.frame_allocator.name == "FrameAllocator"
    calls: list[int] = []

    class Counting(FrameAllocator):
        __slots__ = ()

        def alloc(self, layout: Layout) -> int | None:
            calls.append(layout.size)
            return super().alloc(layout)

    with boot(Choices(frame_allocator=Counting)) as kernel:
        before = len(calls)
        FrameAllocOptions(kernel.mm).alloc_segment(7).drop()
        assert calls[before:] == [7 * PAGE_SIZE]
        assert kernel.mm.frame_allocator.name == "Counting"


def test_r3_13_the_firmware_enters_the_kernel_in_s_mode_with_hart_and_device_tree(kernel: Kernel) -> None:
    console = kernel.machine.console.decode()
    assert "next stage  0x80200000 in S-mode" in console
    entry = kernel.reports[0].figures
    assert entry["hart"] == 0
    assert kernel.mm.port.read(int(entry["device_tree"]), 4) == b"\xd0\x0d\xfe\xed"
    assert kernel.service.hart(0).priv == 1


# --- state under the CPU's eyes -------------------------------------------------------------------------------------


def test_guest_and_python_see_the_same_words(kernel: Kernel) -> None:
    mm, probe = kernel.mm, _probe(kernel)
    address = mm.heap.alloc(Layout(64, 8))
    mm.port.store(mm.vaddr_to_paddr(address), 0x1122_3344_5566_7788)
    assert probe.load(0, address) == 0x1122_3344_5566_7788
    assert probe.store(0, address + 8, 0xAA55) is None
    assert mm.port.load(mm.vaddr_to_paddr(address) + 8) == 0xAA55
    with FrameAllocOptions(mm).alloc_frame() as frame:
        slot = mm.slots.to_virtual(mm.slots.slot(frame.paddr))
        words = [probe.load(0, slot + 8 * n) for n in range(8)]
        assert words == [mm.port.load(mm.slots.slot(frame.paddr) + 8 * n) for n in range(8)]
        with frame.clone():
            assert probe.load(0, slot + REF_COUNT) == 2
        assert probe.store(0, mm.paddr_to_vaddr(frame.paddr) + 100, 0x5A, 1) is None
        assert frame.read_val(100, u8) == 0x5A
    mm.heap.dealloc(address, Layout(64, 8))


def test_code_in_a_frame_runs_on_the_hart_and_reads_the_kernels_memory(kernel: Kernel) -> None:
    """A guest function that adds up a metadata slot's words, in a frame that is mapped executable."""
    mm = kernel.mm
    with FrameAllocOptions(mm).alloc_frame() as data:
        slot = mm.slots.slot(data.paddr)
        code = assemble(f"""
            li   t0, {mm.slots.to_virtual(slot)}
            li   a0, 0
            li   t1, 8
        1:  ld   t2, 0(t0)
            add  a0, a0, t2
            addi t0, t0, 8
            addi t1, t1, -1
            bnez t1, 1b
            ret
        """, 0)
        frame = FrameAllocOptions(mm).alloc_frame()
        frame.write_bytes(0, code)
        kernel.machine.bus.discard_code(frame.paddr, PAGE_SIZE)
        with KVirtArea.map_frames(mm, PAGE_SIZE, 0, [frame], PageProperty.new_kernel(PageFlags.RX)) as area:
            assert _probe(kernel).fetch(0, area.start) == sum(mm.port.load(slot + 8 * n) for n in range(8)) % (1 << 64)


def test_permissions_fault_as_they_should(kernel: Kernel) -> None:
    mm, probe = kernel.mm, _probe(kernel)
    read_only = KVirtArea.map_frames(mm, PAGE_SIZE, 0, [FrameAllocOptions(mm).alloc_frame()],
                                     PageProperty.new_kernel(PageFlags.R))
    with read_only as area:
        assert probe.load(0, area.start) == 0
        assert probe.store(0, area.start, 1) == Fault(STORE_PAGE_FAULT, area.start)
        assert probe.fetch(0, area.start) == Fault(FETCH_PAGE_FAULT, area.start)
    linear = mm.paddr_to_vaddr(kernel.service.header.kernel_start)
    assert probe.fetch(0, linear) == Fault(FETCH_PAGE_FAULT, linear), "the linear mapping is not executable"
    with VmSpace(mm) as space:
        with space.cursor_mut(range(0x1000, 0x2000)) as cursor:
            cursor.map(FrameAllocOptions(mm).alloc_frame().into_uframe(), PageProperty.new_user(PageFlags.RW))
        space.activate()
        assert probe.load(0, 0x1000) == Fault(LOAD_PAGE_FAULT, 0x1000), "a user page without SUM"
        assert probe.load(0, 0x1000, user=True) == 0
        assert probe.load(0, 0x2000, user=True) == Fault(LOAD_PAGE_FAULT, 0x2000)


def test_a_stale_translation_is_there_until_it_is_flushed(kernel: Kernel) -> None:
    mm, probe = kernel.mm, _probe(kernel)
    frame = FrameAllocOptions(mm).alloc_frame()
    frame.write_val(0, u64, 42)
    with KVirtArea.map_frames(mm, PAGE_SIZE, 0, [frame], PageProperty.new_kernel(PageFlags.RW)) as area:
        assert probe.load(0, area.start) == 42
        with mm.kspace.page_table.cursor_mut(area.range) as cursor:
            taken = cursor.take_next(PAGE_SIZE)
        assert mm.kspace.page_table.page_walk(area.start) is None
        assert probe.load(0, area.start) == 42, "the hart's TLB knows nothing of the change yet"
        mm.tlb.sfence_page(area.start)
        assert probe.load(0, area.start) == Fault(LOAD_PAGE_FAULT, area.start)
    assert taken is not None
    taken.item.frame.drop()  # type: ignore[union-attr]
    check(mm, [])


# --- memory runs out --------------------------------------------------------------------------------------------------


@pytest.mark.board(memory=16 << 20)
def test_all_memory_can_be_had_given_back_and_had_again(mm: Mm) -> None:
    def take_all() -> list[Segment[object]]:  # type: ignore[type-var]
        taken, count = [], 1024
        while count:
            try:
                taken.append(FrameAllocOptions(mm).zeroed(False).alloc_segment(count))
            except NoMemory:
                count //= 2
        return taken  # type: ignore[return-value]

    totals = []
    for _ in range(2):
        taken = take_all()
        totals.append(sum(segment.nframes for segment in taken))
        check(mm, taken)
        for segment in taken:
            segment.drop()
        check(mm, [])
    assert totals[0] == totals[1] > 3000
