"""Memory regions: what wins, what is aligned how, what remains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.boot.memory_region import (
    MAX_REGIONS,
    PADDR_END,
    MemoryRegion,
    MemoryRegionArray,
    MemoryRegionType,
    into_non_overlapping,
)
from kernel.errors import InvalidArgs, NotEnoughResources

P = 4096
BAD, UNKNOWN, RESERVED, KERNEL, USABLE = (MemoryRegionType(n) for n in (0, 1, 3, 4, 8))
Shape = tuple[int, int, MemoryRegionType]


def swept(*regions: Shape) -> list[Shape]:
    return [(region.base, region.end, region.kind) for region in into_non_overlapping(
        MemoryRegion(base, end - base, kind) for base, end, kind in regions)]


def test_sort_full_non_overlapping() -> None:
    regions = MemoryRegionArray(64)
    regions.push(MemoryRegion(0, P + 1, USABLE))  # can be combined
    regions.push(MemoryRegion(P - 1, P + 2, USABLE))
    regions.push(MemoryRegion(P * 2, P * 5, USABLE))
    regions.push(MemoryRegion(P * 3 + 1, P - 2, BAD))  # punctures
    regions.push(MemoryRegion(P * 9, P * 2, USABLE))  # far away: leaves a hole
    result = regions.into_non_overlapping()
    assert len(result) == 5
    assert [(region.base, region.end, region.kind) for region in result] == [
        (0, P * 3, USABLE), (P * 3, P * 4, BAD), (P * 4, P * 7, USABLE), (P * 7, P * 9, UNKNOWN),
        (P * 9, P * 11, USABLE)]
    assert result[1] == MemoryRegion(P * 3, P, BAD)


def test_the_kinds_have_upstreams_values_and_five_are_physical() -> None:
    assert [str(kind) for kind in MemoryRegionType] == [
        "BadMemory", "Unknown", "NonVolatileSleep", "Reserved", "Kernel", "Module", "Framebuffer", "Reclaimable",
        "Usable"]
    assert [kind.value for kind in MemoryRegionType if kind.is_physical] == [2, 4, 5, 7, 8]


def test_nothing_gives_nothing() -> None:
    assert swept() == []
    assert swept((5 * P, 5 * P, RESERVED)) == []


def test_a_usable_region_within_one_page_vanishes() -> None:
    assert swept((0, 2 * P, RESERVED), (4 * P + 1, 5 * P - 1, USABLE)) == [
        (0, 2 * P, RESERVED), (2 * P, 4 * P, UNKNOWN)]
    assert MemoryRegion(P + 1, P - 2, USABLE).as_aligned() == MemoryRegion(2 * P, 0, USABLE)


def test_an_empty_region_takes_no_page() -> None:
    assert swept((0, 4 * P, USABLE), (P + 1, P + 1, RESERVED)) == [(0, 4 * P, USABLE)]
    assert MemoryRegion(P + 1, 0, RESERVED).as_aligned().size == 0


def test_a_tail_that_ends_within_a_page_keeps_all_of_it() -> None:
    assert swept((0, P, USABLE), (P, 2 * P + 1, KERNEL)) == [(0, P, USABLE), (P, 3 * P, KERNEL)]
    assert swept((0, P, USABLE), (2 * P + 7, 2 * P + 9, KERNEL)) == [
        (0, P, USABLE), (P, 2 * P, UNKNOWN), (2 * P, 3 * P, KERNEL)]


def test_a_usable_tail_loses_its_part_of_a_page() -> None:
    assert swept((0, 2 * P + 1, USABLE)) == [(0, 2 * P, USABLE)]


@pytest.mark.parametrize("base, size", [(PADDR_END, 1), ((1 << 64) - P, P + 1), (-1, 1), (0, -1), (1, PADDR_END)])
def test_a_region_outside_of_the_physical_address_space_is_refused(base: int, size: int) -> None:
    with pytest.raises(InvalidArgs, match="physical address space"):
        MemoryRegion(base, size, RESERVED)


def test_a_region_may_end_where_the_physical_address_space_does() -> None:
    assert swept((PADDR_END - 1, PADDR_END, RESERVED))[-1] == (PADDR_END - P, PADDR_END, RESERVED)


def test_more_regions_than_the_array_holds_are_refused_by_name() -> None:
    array = MemoryRegionArray()
    for n in range(MAX_REGIONS):
        array.push(MemoryRegion(n * P, P, USABLE))
    with pytest.raises(NotEnoughResources, match="0x5000-0x6000 Reserved.*512"):
        array.push(MemoryRegion(5 * P, P, RESERVED))
    assert len(array) == MAX_REGIONS and len(array.into_non_overlapping()) == 1


def test_more_than_512_resulting_regions_are_an_error() -> None:
    spots = [(n * 2 * P, n * 2 * P + P, RESERVED) for n in range(256)]
    assert len(swept((0, 512 * P, USABLE), *spots)) == 512
    with pytest.raises(NotEnoughResources, match="513 memory regions remain"):
        swept((0, 513 * P, USABLE), *spots, (512 * P, 513 * P, BAD))
    with pytest.raises(NotEnoughResources, match="513 memory regions are given"):
        swept(*[(0, P, USABLE)] * 513)


SHAPES = st.lists(st.builds(
    lambda base, size, kind: (base, base + size, kind),
    st.integers(0, 20 * P) | st.integers(0, 20).map(lambda n: n * P),
    st.integers(0, 6 * P) | st.integers(0, 6).map(lambda n: n * P),
    st.sampled_from(MemoryRegionType)), max_size=12)


@given(SHAPES)
def test_every_page_gets_the_lowest_kind_that_touches_it(shapes: list[Shape]) -> None:
    def page(at: int) -> MemoryRegionType:
        kinds = [kind for base, end, kind in shapes if base < end and (
            base <= at and at + P <= end if kind == USABLE else base < at + P and at < end)]
        return min(kinds, default=UNKNOWN)

    result = swept(*shapes)
    end = result[-1][1] if result else 0
    assert [page(at) for at in range(0, end, P)] == [
        kind for base, stop, kind in result for _ in range(base, stop, P)]
    # In whole pages, without gaps, neighbours differ, and nothing that counts lies behind the end.
    assert [base for base, _, _ in result] == [0, *(stop for _, stop, _ in result)][:len(result)]
    assert all(one[2] != other[2] for one, other in zip(result, result[1:], strict=False))
    assert all(page(at) == UNKNOWN for at in range(end, end + 30 * P, P))
    assert end >= max((stop // P * P for base, stop, _ in shapes if base < stop), default=0)
