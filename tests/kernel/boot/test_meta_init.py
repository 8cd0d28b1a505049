"""The metadata slots at boot: where they are, what they hold, what they cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from emulator import Range
from kernel.boot.device_tree import BootInformation
from kernel.boot.memory_region import MemoryRegion, MemoryRegionType
from kernel.errors import BootError, CorruptionError, KernelPanic
from kernel.mm.context import Mm
from kernel.mm.frame.early import EarlyFrameAllocator
from kernel.mm.frame.meta import REF_COUNT, UNUSED, VTABLE
from kernel.mm.frame.meta_init import AREA, AREA_SIZE, HUGE_PAGE, MARKING, MetaRegion, init, mark_regions, marks
from kernel.mm.frame.meta_type import EarlyAllocatedFrameMeta, MetaPageMeta
from kernel.mm.layout import Layout
from kernel.mm.paging import SV39, SV48
from kernel.mm.statics import Statics
from tests.kernel.boot.boards import GIB, KERNEL, MIB, RAM, STATICS, TREE, Bare

P = 4096
USABLE = MemoryRegionType.USABLE


def built(there: Bare, before: tuple[Layout, ...] = ()) -> tuple[BootInformation, EarlyFrameAllocator, MetaRegion, Mm]:
    """Slots on a machine, frames marked."""
    boot, early = there.early()
    for layout in before:
        assert early.alloc(layout) is not None
    meta = init(there.port, boot.regions, early)
    mm = Mm(there.port, SV48, there.statics)
    mark_regions(mm, boot.regions, early, meta)
    return boot, early, meta, mm


def types(there: Bare, meta: MetaRegion, mm: Mm, start: int, end: int) -> set[tuple[int, str]]:
    """Every (reference count, type name) among the frames of start … end; "" for none."""
    slot, count = meta.base + (start >> 6), end - start >> 12
    counts = there.port.load_column(slot + REF_COUNT, count, 64)
    vtables = there.port.load_column(slot + VTABLE, count, 64)
    found = np.unique(np.stack([counts, vtables], axis=1), axis=0)
    return {(int(c), mm.types.kind(int(v)).type_name() if v else "") for c, v in found}


def test_128_mib_at_2_gib_have_557056_slots_from_address_0_in_34_mib(make: Callable[..., Bare]) -> None:
    there = make(memory=128 * MIB)
    _, _, meta, _ = built(there)
    assert (meta.frames, meta.size, meta.max_paddr, meta.first_paddr) == (557_056, 34 * MIB, RAM + 128 * MIB, 0)
    assert meta.base == meta.paddr


def test_new_slots_are_zeros_and_unused_whatever_was_in_memory(make: Callable[..., Bare]) -> None:
    there = make(memory=128 * MIB)
    boot, early = there.early()
    there.port.fill(RAM + 4 * MIB, 90 * MIB, 0xa5)
    meta = init(there.port, boot.regions, early)
    slots = there.port.load_column(meta.paddr, meta.size // 8).reshape(-1, 8)
    assert (slots[:, REF_COUNT // 8] == UNUSED).all()
    assert not slots[:, [0, 1, 2, 3, 4, 6, 7]].any()
    assert there.port.load(meta.paddr + meta.size) == 0xa5a5_a5a5_a5a5_a5a5


def test_frames_are_marked_by_their_regions_kind_and_usable_ones_stay_unused(make: Callable[..., Bare]) -> None:
    there = make(banks=(Range(RAM, 128 * MIB), Range(RAM + 256 * MIB, 64 * MIB)),
                 reserved=(Range(RAM, 512 << 10), Range(RAM + 260 * MIB, MIB)))
    boot, early, meta, mm = built(there, (Layout(3 * P),))
    used = early.allocated_regions()[0]
    for region in boot.regions:
        if region.kind != USABLE:
            assert types(there, meta, mm, region.base, region.end) == {(1, MARKING[region.kind].type_name())}, region
        else:
            free = [(region.base, region.end)] if not region.base <= used[0] < region.end else [(used[1], region.end)]
            assert all(types(there, meta, mm, *part) == {(UNUSED, "")} for part in free), region
    assert {region.kind.name for region in boot.regions} == {"UNKNOWN", "RESERVED", "KERNEL", "RECLAIMABLE", "USABLE"}
    assert types(there, meta, mm, meta.paddr, meta.paddr + meta.size) == {(1, "MetaPageMeta")}
    assert types(there, meta, mm, used[0], meta.paddr) == {(1, "EarlyAllocatedFrameMeta")}


def test_the_table_of_markings_is_the_specifications() -> None:
    assert [MARKING[kind].type_name() if kind in MARKING else "" for kind in MemoryRegionType] == [
        "UnusableMemoryMeta", "ReservedMemoryMeta", "UnusableMemoryMeta", "ReservedMemoryMeta", "KernelMeta",
        "UnusableMemoryMeta", "ReservedMemoryMeta", "UnusableMemoryMeta", ""]


def test_every_frame_is_marked_once_or_free(make: Callable[..., Bare]) -> None:
    there = make(banks=(Range(RAM, 64 * MIB), Range(4 * GIB, 128 * MIB)))
    boot, early = there.early()
    early.alloc(Layout(5 * P))
    early.alloc(Layout(96 * MIB))  # high, below where the metadata would go
    meta = init(there.port, boot.regions, early)
    early.alloc(Layout(7 * P, 16 * P))  # behind the metadata
    done = [(mark.start, mark.end) for mark in marks(boot.regions, early, meta)]
    free = [(paddr, paddr + size) for paddr, size in early.free_ranges(boot.regions)]
    at = meta.first_paddr
    for start, end in sorted(done + free):
        assert start == at
        at = end
    assert at == meta.max_paddr


def test_what_was_allocated_early_before_and_behind_the_metadata_is_marked(make: Callable[..., Bare]) -> None:
    there = make(memory=128 * MIB)
    boot, early = there.early()
    early.alloc(Layout(P))
    meta = init(there.port, boot.regions, early)
    behind = early.alloc(Layout(2 * P))
    kinds = {mark.start: (mark.end, mark.kind) for mark in marks(boot.regions, early, meta)}
    start = early.allocated_regions()[0][0]
    assert kinds[start] == (meta.paddr, EarlyAllocatedFrameMeta)
    assert kinds[meta.paddr] == (behind, MetaPageMeta)
    assert kinds[behind] == (behind + 2 * P, EarlyAllocatedFrameMeta)


def test_trailing_memory_that_is_not_physical_has_no_slots(make: Callable[..., Bare]) -> None:
    there = make(memory=128 * MIB, reserved=(Range(RAM + 120 * MIB, 8 * MIB),))
    boot, _, meta, _ = built(there)
    assert boot.regions[-1].kind == MemoryRegionType.RESERVED
    assert meta.max_paddr == RAM + 120 * MIB


def test_marking_twice_is_refused_and_changes_nothing(make: Callable[..., Bare]) -> None:
    there = make(memory=128 * MIB)
    boot, early, meta, mm = built(there)
    before = there.port.read(meta.paddr, meta.size)
    with pytest.raises(KernelPanic, match="they are not unused"):
        mark_regions(mm, boot.regions, early, meta)
    assert there.port.read(meta.paddr, meta.size) == before


@pytest.mark.parametrize("memory", [16, 24, 32, 40, 64])
def test_small_memory_has_slots_from_its_first_frame_on(make: Callable[..., Bare], memory: int) -> None:
    """Upstream needs 32 MiB for the hole below 2 GiB alone."""
    there = make(memory=memory * MIB)
    boot, early, meta, mm = built(there)
    assert (meta.first_paddr, meta.frames) == (RAM, memory * MIB // P)
    assert meta.size == memory * MIB // 64 and meta.base + (RAM >> 6) == meta.paddr
    assert types(there, meta, mm, *KERNEL) == {(1, "KernelMeta")}
    assert types(there, meta, mm, TREE, TREE + P) == {(1, "UnusableMemoryMeta")}
    assert sum(size for _, size in early.free_ranges(boot.regions)) > (memory - 5) * MIB


def test_the_slots_lie_at_huge_pages_where_memory_allows(make: Callable[..., Bare]) -> None:
    there = make(memory=128 * MIB)
    _, early = there.early()
    start = early.allocated_regions()[0][0]
    regions = [MemoryRegion(RAM, 128 * MIB, USABLE)]
    early.alloc(Layout(3 * P))
    paddr = init(there.port, regions, early).paddr
    assert paddr % HUGE_PAGE == 0 and start + 3 * P <= paddr < start + 3 * P + HUGE_PAGE


def test_alignment_to_huge_pages_is_no_reason_to_fail(make: Callable[..., Bare]) -> None:
    there = make(memory=128 * MIB)
    regions = [MemoryRegion(0, RAM, MemoryRegionType.UNKNOWN), MemoryRegion(RAM + P, 128 * MIB - P, USABLE)]
    early = EarlyFrameAllocator.create(there.statics, [MemoryRegion(RAM + 5 * MIB + P, 69 * MIB, USABLE)])
    assert early.gap(Layout(34 * MIB, HUGE_PAGE)) == MIB - P  # within the limit
    assert init(there.port, regions, early).paddr == RAM + 6 * MIB
    tight = Statics.create(there.port, STATICS, KERNEL[1] - STATICS)
    early = EarlyFrameAllocator.create(tight, [MemoryRegion(RAM + 4 * MIB + P, 2 * MIB, USABLE)])
    assert init(there.port, regions, early).paddr == RAM + 4 * MIB + P


def test_no_piece_that_is_large_enough_is_reported_with_need_and_supply(make: Callable[..., Bare]) -> None:
    """#907: the metadata needs one piece."""
    there = make(banks=(Range(RAM, 16 * MIB), Range(1 << 40, 16 * MIB)))
    boot, early = there.early()
    with pytest.raises(BootError, match=r"no memory for the metadata of \d+ frames up to 0x10001000000: "
                                        r"\d+ contiguous bytes are needed, .* largest piece of usable memory has 1\d+"):
        init(there.port, boot.regions, early)
    assert early.allocated_regions()[0][0] == early.allocated_regions()[0][1]


def test_memory_beyond_the_linear_mapping_is_refused(make: Callable[..., Bare]) -> None:
    there = make(banks=(Range(RAM, 16 * MIB), Range(1 << 37, 16 * MIB)))
    boot, early = there.early()
    with pytest.raises(BootError, match="physical memory ends at 0x2001000000: .* 0x2000000000"):
        init(there.port, boot.regions, early, SV39.linear_size)


def test_where_the_slots_are_is_found_in_memory_again(make: Callable[..., Bare]) -> None:
    there = make(memory=16 * MIB)
    assert MetaRegion.load(there.statics) is None
    _, _, meta, _ = built(there)
    meta.publish(there.statics)
    again = Statics(there.port, STATICS, KERNEL[1] - STATICS)
    assert MetaRegion.load(again) == meta
    with pytest.raises(KernelPanic, match="initialised twice"):
        meta.publish(again)
    there.port.store(again.area(AREA, AREA_SIZE) + 8, meta.size + P)
    with pytest.raises(CorruptionError, match="frame metadata"):
        MetaRegion.load(again)


@pytest.mark.slow
def test_64_gib_touch_their_slots_and_nothing_else(make: Callable[..., Bare]) -> None:
    there = make(memory=64 * GIB)
    before = resident()
    boot, _, meta, mm = built(there)
    assert meta.frames == 66 * GIB // P
    assert resident() - before < meta.size + 16 * MIB
    assert types(there, meta, mm, 0, RAM) == {(1, "ReservedMemoryMeta")}
    assert types(there, meta, mm, boot.regions[-1].end - 64 * P, boot.regions[-1].end) == {(UNUSED, "")}


def resident() -> int:
    """Bytes of this process in the host's memory."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * P
