"""Single views: frame map, one frame, buddy indices, walks, mappings, regions, layout."""

from __future__ import annotations

import pytest

from emulator import Board, Machine
from kernel import Kernel
from kernel.errors import NotAligned, OutOfBound
from kernel.mm import SV39, SV48, FrameAllocOptions, KVirtArea, Layout, Link, Mm, PageFlags, PageProperty, VmSpace, u16
from kernel.mm.heap.slab import SlabMeta
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from kernel.picture import (
    FrameDetail, FrameMap, FrameUsage, Picture, extfrag_index, find_heap_object, parts_of, places_of, read_areas,
    read_buddy, read_heap, read_layout, read_mappings, unusable_index, walk,
)
from kernel.picture.frames import fields_of

from .machines import clone
from .workload import PAGE, RW


class MixedMeta(Link):
    """Metadata with a gap between its fields."""

    small = u16()
    other = u16()


# --- frames --------------------------------------------------------------------------------------------------------


def test_frame_map_covers_every_frame_once_and_reads_as_the_slots_do(mm: Mm) -> None:
    frames = FrameMap.read(mm)
    runs = list(frames)
    assert (runs[0].start, runs[-1].end) == (mm.slots.first_paddr, mm.slots.max_paddr)
    assert all(run.end == after.start for run, after in zip(runs, runs[1:], strict=False))
    for run in runs:
        for paddr in {run.start, run.end - PAGE}:
            state = mm.slots.state(paddr)
            assert (run.state.type_name, run.state.count) == (state.type_name, state.count)


def test_frame_map_between_cuts_its_runs(mm: Mm) -> None:
    frames = FrameMap.read(mm)
    (run,) = frames.between(0x8020_1000, 0x8020_3000)
    assert (run.start, run.end, run.state.type_name) == (0x8020_1000, 0x8020_3000, "KernelMeta")
    assert list(frames.between(0, 0x1000)) == []


def test_run_that_crosses_a_read_is_one(kernel: Kernel) -> None:
    import kernel.picture.frame_map as module

    whole = FrameMap.read(kernel.mm)
    before, module._AT_ONCE = module._AT_ONCE, 7
    try:
        assert FrameMap.read(kernel.mm) == whole
    finally:
        module._AT_ONCE = before


def test_usage_counts_frames_and_holders(mm: Mm) -> None:
    before = FrameUsage.of(FrameMap.read(mm))
    frame = FrameAllocOptions(mm).alloc_frame_with(MixedMeta())
    other = frame.clone()
    unique = FrameAllocOptions(mm).alloc_unique(MixedMeta())
    after = FrameUsage.of(FrameMap.read(mm))
    (mine,) = (used for used in after.types if used.type_name == "MixedMeta")
    assert (mine.unique, mine.shared, mine.holders, mine.owner) == (1, 1, 2, "its holders")
    assert (after.free, after.frames) == (before.free - 2, before.frames)
    assert after.free + after.in_use + after.handed_out + after.busy == after.frames
    for handle in (frame, other, unique):
        handle.drop()
    (image,) = (used for used in after.types if used.type_name == "KernelMeta")
    assert image.holders == image.frames == image.shared > 100


def test_frame_that_is_handed_out_and_not_claimed_is_neither_free_nor_in_use(mm: Mm) -> None:
    before = FrameUsage.of(FrameMap.read(mm))
    paddr = mm.frame_allocator.alloc(Layout(PAGE, PAGE))
    assert paddr is not None
    after = FrameUsage.of(FrameMap.read(mm))
    assert (after.free, after.handed_out) == (before.free - 1, 1)
    mm.frame_allocator.dealloc(paddr, PAGE)


def test_unused_frame_is_of_no_type_whatever_its_slot_still_says(mm: Mm) -> None:
    paddr = mm.frame_allocator.alloc(Layout(PAGE, PAGE))
    assert paddr is not None
    mm.slots.mark(paddr, paddr + PAGE, mm.types.vtable(SlabMeta))
    frames = FrameMap.read(mm)
    assert paddr not in frames.of_type(mm, SlabMeta)
    assert FrameUsage.of(frames).handed_out == 1
    mm.frame_allocator.dealloc(paddr, PAGE)


def test_every_field_of_a_slot_is_decoded_by_the_type_table(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_unique(MixedMeta(small=0x1234, other=0x5678)) as frame:
        detail = FrameDetail.read(mm, frame.paddr)
        fields = {field.name: (field.offset, field.size, field.value) for field in detail.fields}
        assert fields == {"next": (0, 8, 0), "prev": (8, 8, 0), "small": (16, 2, 0x1234), "other": (18, 2, 0x5678),
                          "ref_count": (40, 8, (1 << 64) - 2), "vtable": (48, 8, mm.types.vtable(MixedMeta)),
                          "in_list": (56, 8, 0)}
        assert detail.raw == mm.port.read(mm.slots.slot(frame.paddr), 64)


def test_fields_are_decoded_from_memory_even_if_nobody_has_declared_the_type(kernel: Kernel) -> None:
    mm = kernel.mm
    with FrameAllocOptions(mm).alloc_unique(MixedMeta(small=7)) as frame:
        machine = clone(kernel.machine)
        descriptor = mm.types.vtable(MixedMeta) - mm.paging.kernel_code_base
        machine.bus.write(descriptor, b"lost.GoneMeta".ljust(96, b"\0"))
        detail = FrameDetail.read(Kernel.attach(machine).mm, frame.paddr)
        assert detail.state.type_name == "GoneMeta"
        assert {field.name: field.value for field in detail.fields}["small"] == 7
        machine.close()


def test_fields_of_a_layout_lie_as_in_c_up_to_the_first_of_an_unknown_type() -> None:
    assert fields_of("a:u8,b:u32,c:u8[6],d:u64,e:Unknown") == [
        (0, 1, "a", "u8"), (4, 4, "b", "u32"), (8, 6, "c", "u8[6]"), (16, 8, "d", "u64")]


def test_hexdump_shows_64_bytes_at_their_virtual_addresses(mm: Mm) -> None:
    lines = FrameDetail.read(mm, 0x8020_0000).hexdump()
    assert [line.split()[0] for line in lines] == [f"{mm.paging.meta_base + (0x8020_0000 >> 6) + 16 * n:016x}"
                                                   for n in range(4)]
    assert "".join(line[18:67].replace(" ", "") for line in lines) == mm.port.read(mm.slots.slot(0x8020_0000), 64).hex()


def test_detail_of_no_frame_is_refused(mm: Mm) -> None:
    with pytest.raises(OutOfBound):
        FrameDetail.read(mm, mm.slots.max_paddr)
    with pytest.raises(NotAligned):
        FrameDetail.read(mm, 0x8020_0001)


# --- free memory ---------------------------------------------------------------------------------------------------


def test_buddy_picture_names_the_chunk_or_cache_of_a_free_frame(mm: Mm) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    paddr = frame.paddr
    assert read_buddy(mm).where(paddr) == ""
    frame.drop()
    picture = read_buddy(mm)
    assert picture.where(paddr) == "cache of CPU 0, entry of 4096 bytes"
    order = max(order for order, count in enumerate(picture.counts) if count)
    head = next(pool.chunks[order][0] for pool in picture.pools if order < len(pool.chunks) and pool.chunks[order])
    assert f"chunk of order {order} at {head:#x}" in picture.where(head + PAGE)


@pytest.mark.parametrize(("counts", "order", "unusable", "extfrag"), [
    ((0, 0, 0, 1), 2, 0.0, -1.0),       # it would succeed
    ((4, 2, 0, 0), 2, 1.0, 0.5),        # 8 pages in 6 blocks: (1000 - (1000 + 8000 / 4) / 6) / 1000
    ((0, 0, 0, 0), 2, 0.0, 0.0),        # no memory at all
    ((64, 0, 0, 0), 3, 1.0, 0.86),      # fragmented
    ((1, 0, 0, 0), 3, 1.0, -0.125),     # too little: 1000 - (1000 + 125) / 1
    ((2, 1, 1, 0), 1, 0.25, -1.0),
    ((0, 0, 2, 0), 2, 0.0, -1.0),       # by chunks of that very order
])
def test_fragmentation_indices_are_linuxs(counts: tuple[int, ...], order: int, unusable: float, extfrag: float) -> None:
    assert unusable_index(counts, order) == unusable
    assert extfrag_index(counts, order) == extfrag


# --- heap ----------------------------------------------------------------------------------------------------------


def test_slots_of_a_size_class_add_up(mm: Mm) -> None:
    layout = Layout(100, 4)
    addresses = [mm.heap.alloc(layout) for _ in range(70)]
    mm.heap.dealloc(addresses.pop(), layout)
    (of,) = (of for of in read_heap(mm, FrameMap.read(mm)).classes if of.slot_size == 128)
    assert (of.active, of.moving) == (69, 0)
    assert of.active + sum(of.cached) + of.free == of.slots == of.slabs * 32
    for address in addresses:
        mm.heap.dealloc(address, layout)


def test_slabs_are_full_partial_and_empty_as_the_allocators_lists_have_them(mm: Mm) -> None:
    layout = Layout(256, 8)
    addresses = [mm.heap.alloc(layout) for _ in range(150)]
    seen = {of.slot_size: of for of in read_heap(mm, FrameMap.read(mm)).classes}
    assert isinstance(mm.heap.inner, HeapAllocator)
    for of in mm.heap.inner.use():
        ours = seen[of.slot_size]
        assert (ours.full, ours.partial, ours.empty, ours.active, ours.cached) == \
            (of.full, of.partial, of.empty, of.active, of.cached)
    assert len({seen[256].full, seen[256].partial, seen[256].empty}) == 3
    for address in addresses:
        mm.heap.dealloc(address, layout)


def test_large_allocation_is_one_object_of_many_frames(mm: Mm) -> None:
    address = mm.heap.alloc(Layout(3 * PAGE, 8))
    heap = read_heap(mm, FrameMap.read(mm))
    assert [(large.paddr, large.size, large.live) for large in heap.large] == \
        [(mm.vaddr_to_paddr(address), 3 * PAGE, True)]
    found = find_heap_object(mm, address + 2 * PAGE + 5)
    assert found is not None
    assert (found.slot_vaddr, found.slot_size, found.state) == (address, 3 * PAGE, "active")
    mm.heap.dealloc(address, Layout(3 * PAGE, 8))


# --- page tables ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vaddr", [0xFFFF_8000_8020_0123, 0xFFFF_FFFF_8020_0123])
def test_walk_ends_where_the_hart_ends(kernel: Kernel, vaddr: int) -> None:
    done = walk(kernel.mm, vaddr)
    assert done.paddr == kernel.machine.harts[0].translate(vaddr) == 0x8020_0123
    assert [step.kind for step in done.steps][-1] == "leaf"
    assert [step.level for step in done.steps] == list(range(4, 4 - len(done.steps), -1))
    for step in done.steps:
        assert kernel.mm.port.load(step.entry) == step.pte


def test_walk_of_what_is_not_mapped_says_where_it_ends(mm: Mm) -> None:
    done = walk(mm, 0xFFFF_FFFF_9000_0000)
    assert (done.paddr, done.steps[-1].kind) == (None, "absent")
    assert done.why == f"nothing is mapped: the entry of level {done.steps[-1].level} is absent"


def test_walk_of_an_address_that_is_not_canonical_has_no_steps(mm: Mm) -> None:
    done = walk(mm, 0x1234_0000_0000_0000)
    assert (done.paddr, done.steps) == (None, ())
    assert done.why.startswith("not canonical: bits 63 to 47")


def test_walk_into_a_huge_page_at_no_multiple_of_its_size_is_a_fault(mm: Mm) -> None:
    vaddr = mm.paging.linear_base + 0x8020_0000
    step = walk(mm, vaddr).steps[-1]
    assert step.level == 2
    mm.port.store(step.entry, step.pte + (1 << 10))
    done = walk(mm, vaddr)
    assert (done.paddr, done.steps[-1].kind) == (None, "leaf")
    assert done.why == "a page of 2097152 bytes at 0x80201000, which is no multiple of that: a page fault"


def test_mappings_run_together_only_where_everything_is_alike(mm: Mm) -> None:
    read_only = PageProperty.new_user(PageFlags.R)
    with VmSpace(mm) as space:
        frames = FrameAllocOptions(mm).alloc_segment(4)
        first = frames.start_paddr
        with space.cursor_mut(range(0x40_0000, 0x40_0000 + 8 * PAGE)) as cursor:
            for number, frame in enumerate(frames):
                cursor.map(frame.into_uframe(), read_only if number == 2 else RW)
        found = [(mapping.start, mapping.end, mapping.paddr, mapping.rights[:4], mapping.pages)
                 for mapping in read_mappings(mm, space.root_paddr)]
        base = 0x40_0000
        assert found == [
            (base, base + 2 * PAGE, first, "rw-u", (2, 0, 0, 0)),
            (base + 2 * PAGE, base + 3 * PAGE, first + 2 * PAGE, "r--u", (1, 0, 0, 0)),
            (base + 3 * PAGE, base + 4 * PAGE, first + 3 * PAGE, "rw-u", (1, 0, 0, 0))]
        part = read_mappings(mm, space.root_paddr, base + PAGE, base + 3 * PAGE)
        assert [(each.start, each.end) for each in part] == \
            [(base + PAGE, base + 2 * PAGE), (base + 2 * PAGE, base + 3 * PAGE)]


def test_places_of_a_frame_are_all_addresses_that_lead_to_it(mm: Mm) -> None:
    with VmSpace(mm) as space:
        frame = FrameAllocOptions(mm).alloc_frame()
        paddr = frame.paddr
        with space.cursor_mut(range(0x40_0000, 0x40_0000 + PAGE)) as cursor:
            cursor.map(frame.into_uframe(), RW)
        frames = FrameMap.read(mm)
        found = {(place.root, place.vaddr, place.kind) for place in places_of(mm, frames, paddr)}
        kernels = mm.kspace.root_paddr, mm.paddr_to_vaddr(paddr), "page"
        assert found == {kernels, (space.root_paddr, 0x40_0000, "page")}
        (table,) = (place for place in places_of(mm, frames, walk(mm, 0x40_0000, space.root_paddr).steps[-1].table)
                    if place.kind == "table")
        assert (table.root, table.vaddr, table.level) == (space.root_paddr, 0x40_0000, 1)


def test_area_shows_what_is_mapped_in_it(mm: Mm) -> None:
    frames = [FrameAllocOptions(mm).alloc_frame() for _ in range(2)]
    with KVirtArea.map_frames(mm, 8 * PAGE, 3 * PAGE, frames, PageProperty.new_kernel(PageFlags.RW)) as area:
        (seen,) = read_areas(mm)
        assert (seen.start, seen.end, seen.mapped) == (area.start, area.end, 2 * PAGE)
        assert seen.mappings[0].start == area.start + 3 * PAGE
    assert read_areas(mm) == ()


# --- regions and layout --------------------------------------------------------------------------------------------


def test_regions_cover_memory_and_count_its_frames(kernel: Kernel) -> None:
    picture = Picture.take(kernel)
    assert picture.regions[0].start == 0
    assert all(one.end == other.start for one, other in zip(picture.regions, picture.regions[1:], strict=False))
    assert sum(region.free for region in picture.regions) == picture.usage.free
    assert sum(region.free + region.used for region in picture.regions) == picture.usage.frames
    names = {part.name for region in picture.regions for part in region.parts}
    assert {"Kernel statics", "Frame metadata", "Device tree"} <= names


@pytest.mark.parametrize(("paging", "expected"), [
    (SV48, [("linear mapping", 0xFFFF_8000_0000_0000, 64 << 40), ("KVirtAreas", 0xFFFF_C000_0000_0000, 32 << 40),
            ("frame metadata", 0xFFFF_E000_0000_0000, 1 << 40), ("kernel code", 0xFFFF_FFFF_8000_0000, 1 << 30)]),
    (SV39, [("linear mapping", 0xFFFF_FFC0_0000_0000, 128 << 30), ("KVirtAreas", 0xFFFF_FFE0_0000_0000, 64 << 30),
            ("frame metadata", 0xFFFF_FFF0_0000_0000, 2 << 30), ("kernel code", 0xFFFF_FFFF_8000_0000, 1 << 30)]),
])
def test_layout_is_the_one_that_is_asked_for(paging: object, expected: list[tuple[str, int, int]]) -> None:
    """Requirement R3.1."""
    parts = parts_of(paging)  # type: ignore[arg-type]
    names = {name for name, _, _ in expected}
    assert [(part.name, part.start, part.size) for part in parts if part.name in names] == expected
    assert all(one.end == other.start for one, other in zip(parts, parts[1:], strict=False))
    assert (parts[0].start, parts[-1].start, parts[-1].end) == (0, 0xFFFF_FFFF_FFFF_0000, 1 << 64)


@pytest.mark.parametrize("mmu", ["sv48", "sv39"])
def test_layout_shows_the_kernels_three_mappings(mmu: str) -> None:
    with Kernel.boot(Machine(Board(memory=32 << 20, mmu=mmu))) as kernel:
        mm = kernel.mm
        parts = {part.name: part for part in read_layout(mm) if part.mappings}
        assert set(parts) == {"linear mapping", "frame metadata", "kernel code"}
        (linear,) = parts["linear mapping"].mappings
        assert (linear.start, linear.paddr, linear.size) == (mm.paging.linear_base, 0, mm.slots.max_paddr)
        assert {part.mappings[0].rights for part in parts.values()} == {"rw--gad", "rwx-gad"}
        kernel.machine.close()
