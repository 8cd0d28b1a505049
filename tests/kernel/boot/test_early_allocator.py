"""The early allocator: two bump ranges, nothing lost and nothing twice when it hands over."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import Range
from kernel.boot.memory_region import MemoryRegion, MemoryRegionType
from kernel.errors import BootError, CorruptionError, KernelPanic
from kernel.mm.frame.early import AREA, AREA_SIZE, RETIRED, EarlyFrameAllocator
from kernel.mm.layout import Layout
from kernel.mm.statics import Statics
from tests.kernel.boot.boards import GIB, KERNEL, MIB, RAM, STATICS, Bare

P = 4096
USABLE, RESERVED = MemoryRegionType.USABLE, MemoryRegionType.RESERVED


def usable(*ranges: tuple[int, int]) -> list[MemoryRegion]:
    return [MemoryRegion(start, end - start, USABLE) for start, end in ranges]


def test_it_hands_out_from_the_start_in_whole_pages(make: Callable[..., Bare]) -> None:
    early = EarlyFrameAllocator.create(make(memory=16 * MIB).statics, usable((RAM, RAM + 8 * P)))
    assert [early.alloc(Layout(size)) for size in (1, P, P + 1, 0, P)] == [
        RAM, RAM + P, RAM + 2 * P, RAM + 4 * P, RAM + 5 * P]
    assert early.alloc(Layout(3 * P)) is None
    assert early.alloc(Layout(2 * P)) == RAM + 6 * P
    assert early.alloc(Layout(P)) is None


def test_the_gap_that_alignment_leaves_counts_as_allocated(make: Callable[..., Bare]) -> None:
    early = EarlyFrameAllocator.create(make(memory=16 * MIB).statics, usable((RAM, RAM + 64 * P)))
    early.alloc(Layout(P))
    assert early.gap(Layout(P, 16 * P)) == 15 * P
    assert early.alloc(Layout(P, 16 * P)) == RAM + 16 * P
    assert early.allocated_regions()[0] == (RAM, RAM + 17 * P)


def test_it_serves_from_the_largest_piece_on_each_side_of_4_gib_the_low_one_first(make: Callable[..., Bare]) -> None:
    four = 1 << 32
    early = EarlyFrameAllocator.create(make(memory=16 * MIB).statics, usable(
        (RAM, RAM + 2 * P), (RAM + 4 * P, RAM + 8 * P), (four, four + P), (four + 2 * P, four + 4 * P)))
    assert [early.alloc(Layout(size * P)) for size in (2, 2, 1)] == [RAM + 4 * P, RAM + 6 * P, four + 2 * P]
    assert early.largest_piece() == P


def test_a_piece_across_4_gib_is_cut(make: Callable[..., Bare]) -> None:
    four = 1 << 32
    early = EarlyFrameAllocator.create(make(memory=16 * MIB).statics, usable((four - 2 * P, four + 3 * P)))
    assert early.alloc(Layout(3 * P)) == four
    assert early.alloc(Layout(2 * P)) == four - 2 * P
    assert early.alloc(Layout(P)) is None


def test_what_cannot_be_had_is_reported_with_what_there_is(make: Callable[..., Bare]) -> None:
    early = EarlyFrameAllocator.create(make(memory=16 * MIB).statics, usable((RAM, RAM + 8 * P)))
    with pytest.raises(BootError, match="no memory for the moon: 36864 contiguous bytes .* largest .* 32768"):
        early.need(Layout(9 * P), "the moon")
    assert early.need(Layout(8 * P), "the moon") == RAM


def test_without_usable_memory_it_does_not_begin(make: Callable[..., Bare]) -> None:
    statics = make(memory=16 * MIB).statics
    with pytest.raises(BootError, match="no region is Usable"):
        EarlyFrameAllocator.create(statics, [MemoryRegion(RAM, P, RESERVED)])
    assert EarlyFrameAllocator.create(statics, usable((RAM, RAM + P))).alloc(Layout(P)) == RAM


def test_it_is_used_only_while_it_serves(make: Callable[..., Bare]) -> None:
    statics = make(memory=16 * MIB).statics
    regions = usable((RAM, RAM + 8 * P))
    with pytest.raises(KernelPanic, match="EarlyFrameAllocator: used before"):
        EarlyFrameAllocator(statics).alloc(Layout(P))
    early = EarlyFrameAllocator.create(statics, regions)
    with pytest.raises(KernelPanic, match="EarlyFrameAllocator: initialised twice"):
        EarlyFrameAllocator.create(statics, regions)
    early.alloc(Layout(P))
    assert early.retire(regions) == [(RAM + P, 7 * P)]
    for use in (lambda: early.alloc(Layout(P)), lambda: early.gap(Layout(P)), lambda: early.retire(regions)):
        with pytest.raises(KernelPanic, match="EarlyFrameAllocator: used after it was retired"):
            use()
    assert early.allocated_regions() == ((RAM, RAM + P), (0, 0))


def test_its_state_is_found_in_memory_again(make: Callable[..., Bare]) -> None:
    there = make(memory=16 * MIB)
    regions = usable((RAM, RAM + 8 * P))
    early = EarlyFrameAllocator.create(there.statics, regions)
    early.alloc(Layout(3 * P))
    other = EarlyFrameAllocator(Statics(there.port, STATICS, KERNEL[1] - STATICS))
    assert other.alloc(Layout(P)) == RAM + 3 * P
    other.retire(regions)
    assert early.state == RETIRED


@pytest.mark.parametrize("offset, word", [(0, 3), (16, RAM - P), (16, RAM + 9 * P), (24, RAM + 7 * P + 1), (32, 1)])
def test_words_that_it_never_writes_are_corruption(make: Callable[..., Bare], offset: int, word: int) -> None:
    statics = make(memory=16 * MIB).statics
    EarlyFrameAllocator.create(statics, usable((RAM, RAM + 8 * P)))
    statics.port.store(statics.area(AREA, AREA_SIZE) + offset, word)
    with pytest.raises(CorruptionError, match="early allocator"):
        EarlyFrameAllocator(statics)


def test_two_banks_and_a_hole_of_a_real_board(make: Callable[..., Bare]) -> None:
    there = make(banks=(Range(RAM, 64 * MIB), Range(1 << 32, GIB)))
    boot, early = there.early()
    assert early.alloc(Layout(GIB, P)) == 1 << 32
    low = early.alloc(Layout(P))
    assert low is not None and low < RAM + 64 * MIB
    assert sum(size for _, size in early.retire(boot.regions)) == sum(
        region.size for region in boot.regions if region.kind == USABLE) - GIB - P


@settings(deadline=None)
@given(data=st.data())
def test_the_hand_over_loses_and_doubles_nothing(data: st.DataObject, shared: Bare) -> None:
    """R3.3: every usable page is allocated early or free afterwards, never both."""
    four = 1 << 32
    cuts = sorted(data.draw(st.sets(st.integers(-40, 40), min_size=2, max_size=12)))
    kinds = data.draw(st.lists(st.sampled_from([USABLE, RESERVED]), min_size=len(cuts) - 1, max_size=len(cuts) - 1))
    regions = [MemoryRegion(four + a * P, (b - a) * P, kind)
               for a, b, kind in zip(cuts, cuts[1:], kinds, strict=False)]
    statics = Statics.create(shared.port, STATICS, KERNEL[1] - STATICS)
    pages = [at for region in regions if region.kind == USABLE for at in range(region.base, region.end, P)]
    if not pages:
        with pytest.raises(BootError):
            EarlyFrameAllocator.create(statics, regions)
        return
    early = EarlyFrameAllocator.create(statics, regions)
    taken: list[int] = []
    for size, align in data.draw(st.lists(st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 8])), max_size=12)):
        got = early.alloc(Layout(size * P, align * P))
        if got is not None:
            assert got % (align * P) == 0
            taken += range(got, got + size * P, P)
    assert len(set(taken)) == len(taken) and set(taken) <= set(pages)
    early_pages = [at for start, end in early.allocated_regions() for at in range(start, end, P)]
    free_pages = [at for paddr, size in early.retire(regions) for at in range(paddr, paddr + size, P)]
    assert sorted(early_pages + free_pages) == pages
    assert set(taken) <= set(early_pages)
