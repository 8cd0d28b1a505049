"""Defects of the upstream allocator that ours has not; each test names one."""

from __future__ import annotations

import pytest

from kernel.errors import FrameMisuse, InvalidArgs
from kernel.mm import PAGE_SIZE, Layout
from tests.helpers.free_memory import check
from tests.kernel.osdk.frame_allocator.memory import FRAMES, memory, page


def test_every_page_between_allocated_ones_can_be_allocated() -> None:
    """Upstream: of 2,052 free pages, 18 could be allocated, since its cache wants 8 in a row."""
    m = memory((0, FRAMES))
    pages = [m.alloc() for _ in range(FRAMES - 8)]
    for paddr in sorted(paddr for paddr in pages if paddr is not None)[::2]:
        m.free(paddr)
    assert m.allocator.load_total_free_size() == 2052 * PAGE_SIZE
    assert len(set(m.alloc_all())) == 2052
    assert m.allocator.load_total_free_size() == 0
    check(m.allocator)


def test_a_fresh_pool_of_256_pages_yields_all_256() -> None:
    """Upstream: 248, for the same reason."""
    m = memory((0, 256))
    assert sorted(m.alloc_all()) == [page(n) for n in range(256)]


@pytest.mark.parametrize("pages", [2, 3, 4])
def test_the_last_entry_of_any_cached_size_can_be_allocated(pages: int) -> None:
    m = memory((0, 16))
    blocks = []
    while (paddr := m.alloc(pages)) is not None:
        blocks.append(paddr)
    assert len(blocks) == 16 // pages


def test_3_pages_aligned_to_2_are_aligned() -> None:
    """Upstream: the second entry of a fetched piece lies 3 pages behind the first."""
    m = memory((0, FRAMES))
    blocks = [m.alloc(3, 2) for _ in range(100)]
    assert all(paddr is not None and paddr % (2 * PAGE_SIZE) == 0 for paddr in blocks)
    assert len(set(blocks)) == 100


@pytest.mark.parametrize("pages", [2, 4])
def test_an_entry_freed_as_part_of_something_larger_is_not_handed_out_misaligned(pages: int) -> None:
    m = memory((0, FRAMES))
    paddr = m.alloc(16)
    assert paddr is not None
    m.free(paddr + PAGE_SIZE, pages)
    assert m.allocator.cpus[0].caches[pages - 1].ranges() == [(paddr + PAGE_SIZE, pages * PAGE_SIZE)]
    aligned = m.alloc(pages, pages)
    assert aligned is not None
    assert aligned % (pages * PAGE_SIZE) == 0
    assert m.alloc(pages) == paddr + PAGE_SIZE


@pytest.mark.parametrize(("pages", "align"), [(1, 2), (1, 1024), (3, 4), (5, 64), (2, 512)])
def test_an_alignment_above_the_size_costs_no_more_than_the_size(pages: int, align: int) -> None:
    m = memory((1, FRAMES - 1))
    paddr = m.alloc(pages, align)
    assert paddr is not None
    assert paddr % (align * PAGE_SIZE) == 0
    assert m.allocator.load_total_free_size() == (FRAMES - 1 - pages) * PAGE_SIZE
    assert check(m.allocator).total_size == (FRAMES - 1 - pages) * PAGE_SIZE


def test_a_cache_is_filled_from_single_pages_when_there_is_nothing_larger() -> None:
    m = memory(*((n, 1) for n in range(1, 41, 2)))
    assert m.alloc() is not None
    assert len(m.allocator.cpus[0].caches[0]) == 7
    assert len(m.alloc_all()) == 19


def test_an_alignment_above_the_size_is_not_served_from_single_pages_that_have_it_not() -> None:
    m = memory((1, 1), (3, 1), (5, 1), (6, 2))
    assert m.alloc(1, 2) == page(6)
    assert m.alloc(1, 2) is None
    assert check(m.allocator).total_size == 4 * PAGE_SIZE


def test_balance_amounts_below_a_page_do_not_underflow() -> None:
    """Upstream: an order below 0 with 100 pages and four CPUs."""
    m = memory((0, 100), cpus=4)
    blocks = []
    for n in range(100):
        m.mm.cpu = n % 4
        blocks.append(m.alloc())
        check(m.allocator)
    assert None not in blocks
    for n, paddr in enumerate(blocks):
        m.mm.cpu = n * 7 % 4
        assert paddr is not None
        m.free(paddr)
    assert check(m.allocator).total_size == 100 * PAGE_SIZE


def test_free_memory_in_another_cpus_cache_is_allocated_before_there_is_none() -> None:
    m = memory((0, 16), cpus=2)
    pages = m.alloc_all()
    m.mm.cpu = 1
    for paddr in pages:
        m.free(paddr)
    assert len(m.allocator.cpus[1].caches[0]) > 0
    m.mm.cpu = 0
    assert sorted(m.alloc_all()) == sorted(pages)


def test_free_memory_in_another_cpus_pool_is_allocated_before_there_is_none() -> None:
    m = memory((0, FRAMES), cpus=2)
    m.mm.cpu = 1
    m.alloc(5)
    held = m.allocator.cpus[1].local.set.total_size
    assert held >= FRAMES // 8 * PAGE_SIZE
    m.mm.cpu = 0
    assert len(m.alloc_all()) == FRAMES - 5


def test_buddies_in_different_pools_merge_before_a_large_block_is_refused() -> None:
    m = memory((0, 1024), cpus=4)
    blocks = m.alloc_all()
    for n, paddr in enumerate(blocks):
        m.mm.cpu = n % 4
        m.free(paddr)
    assert m.alloc(1024, 1024) == page(0)


def test_pages_in_a_cache_merge_before_a_larger_alignment_is_refused() -> None:
    m = memory((0, 2))
    for paddr in m.alloc_all():
        m.free(paddr)
    assert len(m.allocator.cpus[0].caches[0]) == 2
    assert m.alloc(1, 2) == page(0)


def test_0_pages_are_refused() -> None:
    m = memory((0, 256))
    for size in (0, 1, PAGE_SIZE - 1, PAGE_SIZE + 1):
        with pytest.raises(InvalidArgs):
            m.allocator.alloc(Layout(size, 1))
        with pytest.raises(FrameMisuse):
            m.allocator.dealloc(page(0), size)
    m.allocator.add_free_memory(page(0), 0)
    assert check(m.allocator).total_size == 256 * PAGE_SIZE
