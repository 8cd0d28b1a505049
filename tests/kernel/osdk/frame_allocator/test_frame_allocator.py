"""The frame allocator as a whole."""

from __future__ import annotations

import pytest

from emulator import Board, Machine
from kernel.errors import BootError, InvalidArgs
from kernel.mm import PAGE_SIZE, Layout, MemoryPort, Mm, UniqueFrame
from kernel.mm.frame.meta import FREE, REF_COUNT, TAKEN, UNUSED, VTABLE, MetaSlots
from kernel.mm.frame.meta_type import AllocatorMeta
from kernel.mm.paging import SV48
from kernel.mm.statics import Statics
from kernel.osdk.frame_allocator import FrameAllocator
from tests.helpers.free_memory import check
from kernel.osdk.frame_allocator.chunk import split_to_chunks
from tests.kernel.osdk.frame_allocator.memory import FRAMES, STATICS, STATICS_SIZE, Accesses, memory, page


class Probe(AllocatorMeta):
    """Metadata by which a test claims what an allocator has just handed out."""


@pytest.mark.parametrize(("pages", "align"), [(1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (4, 4), (8, 8), (16, 16)])
def test_frame_allocator_alloc_layout_match(pages: int, align: int) -> None:
    m = memory((0, FRAMES))
    layout = Layout(pages * PAGE_SIZE, align * PAGE_SIZE)
    paddr = m.allocator.alloc(layout)
    assert paddr is not None
    assert paddr % layout.align == 0
    for frame in range(paddr, paddr + layout.size, PAGE_SIZE):
        UniqueFrame.from_unused(m.mm, frame, Probe()).reset_as_unused()
    m.allocator.add_free_memory(paddr, layout.size)
    check(m.allocator)


# --- caches ------------------------------------------------------------------------------------------------


def test_the_page_freed_last_is_allocated_first() -> None:
    m = memory((0, FRAMES))
    pages = [m.alloc() for _ in range(3)]
    for paddr in pages:
        assert paddr is not None
        m.free(paddr)
    assert [m.alloc() for _ in range(3)] == pages[::-1]


@pytest.mark.parametrize(("pages", "share"), [(1, 8), (2, 4), (3, 4), (4, 4)])
def test_an_empty_cache_fetches_two_thirds_of_its_capacity_and_hands_out_the_lowest_then_the_highest(
        pages: int, share: int) -> None:
    m = memory((0, FRAMES))
    first = m.alloc(pages)
    assert first is not None
    cache = m.allocator.cpus[0].caches[pages - 1]
    assert list(cache.entries()) == [first + i * pages * PAGE_SIZE for i in range(share - 1, 0, -1)]
    assert m.alloc(pages) == first + (share - 1) * pages * PAGE_SIZE


@pytest.mark.parametrize(("pages", "capacity", "share"), [(1, 12, 8), (2, 6, 4), (3, 6, 4), (4, 6, 4)])
def test_a_full_cache_gives_back_what_is_freed_and_two_thirds_of_its_capacity(
        pages: int, capacity: int, share: int) -> None:
    m = memory((0, FRAMES))
    blocks = [m.alloc(pages) for _ in range(capacity + share)]
    m.allocator.drain()
    cache = m.allocator.cpus[0].caches[pages - 1]
    for n, paddr in enumerate(blocks[:capacity + 1], 1):
        assert paddr is not None
        m.free(paddr, pages)
        assert len(cache) == (n if n <= capacity else capacity - share)
    assert list(cache.entries()) == blocks[:capacity - share][::-1]
    check(m.allocator)


def test_more_than_4_pages_pass_the_caches_by() -> None:
    m = memory((0, FRAMES))
    paddr = m.alloc(5)
    assert paddr is not None
    m.free(paddr, 5)
    assert [len(cache) for cache in m.allocator.cpus[0].caches] == [0, 0, 0, 0]


# --- pools -------------------------------------------------------------------------------------------------


def test_added_memory_goes_to_the_global_pool_as_the_largest_chunks() -> None:
    m = memory((3, 1000))
    expected = sorted(split_to_chunks(page(3), 1000 * PAGE_SIZE))
    pool = check(m.allocator).pools[0]
    assert sorted((paddr, order) for order, chunks in enumerate(pool.chunks) for paddr in chunks) == expected


def test_a_cpus_pool_fetches_half_of_its_share_of_the_global_pool() -> None:
    m = memory((0, FRAMES), cpus=2)
    m.alloc(5)
    pools = check(m.allocator).pools
    # The 3 pages behind the 5 are below E/8; E = 4088/2/2 pages, and 512 are the largest chunk in E less those 3.
    assert [pool.total_size // PAGE_SIZE for pool in pools] == [FRAMES - 8 - 512, 512 + 3, 0]


def test_a_cpus_own_pool_serves_before_the_global_one() -> None:
    m = memory((0, FRAMES), cpus=2)
    m.alloc(5)
    before = check(m.allocator).pools
    assert m.alloc(16) is not None
    after = check(m.allocator).pools
    assert after[0] == before[0]
    assert before[1].total_size - after[1].total_size == 16 * PAGE_SIZE


def test_a_cpus_pool_gives_back_what_is_twice_its_share() -> None:
    m = memory((0, 1024), cpus=2)
    blocks = [m.alloc(8) for _ in range(128)]
    for paddr in blocks:
        assert paddr is not None
        m.free(paddr, 8)
    global_pool, mine, _ = check(m.allocator).pools
    expected = global_pool.total_size // 2 // 2
    assert mine.total_size < 2 * expected + 8 * PAGE_SIZE
    assert global_pool.total_size > 0


def test_frames_beyond_a_size_that_is_no_power_of_two_stay_free() -> None:
    m = memory((0, 64))
    assert m.alloc(33, 1) == page(0)
    assert check(m.allocator).total_size == 31 * PAGE_SIZE
    assert m.alloc(16, 16) == page(48)


def test_any_part_of_an_allocation_can_be_freed_in_any_order() -> None:
    m = memory((0, 64))
    assert m.alloc(64) == page(0)
    for first, pages in ((50, 14), (1, 3), (10, 40), (0, 1), (4, 6)):
        m.free(page(first), pages)
        check(m.allocator)
    assert m.alloc(64) == page(0)


@pytest.mark.parametrize("pages", [4097, 1 << 20, 1 << 40])
def test_more_than_there_is_is_none_and_changes_nothing(pages: int) -> None:
    m = memory((0, FRAMES))
    assert m.alloc(pages) is None
    assert m.alloc(1, 1 << pages.bit_length()) is None
    assert check(m.allocator).total_size == FRAMES * PAGE_SIZE
    assert m.alloc(FRAMES) == page(0)


def test_an_allocator_without_memory_has_none() -> None:
    assert memory().alloc() is None


def test_the_counter_follows_memory_from_one_cpu_to_another() -> None:
    m = memory((0, 256), cpus=2)
    blocks = [m.alloc(3) for _ in range(10)]
    m.mm.cpu = 1
    for paddr in blocks:
        assert paddr is not None
        m.free(paddr, 3)
        check(m.allocator)
    assert m.allocator.load_total_free_size() == 256 * PAGE_SIZE


def test_a_cpu_that_comes_later_gets_its_own_pool() -> None:
    m = memory((0, 256))
    m.mm.cpu = 1
    with pytest.raises(BootError):
        m.alloc()
    m.mm.cpu_locals.set_base(1, 0x8018_2000)
    assert m.alloc() is not None
    assert len(m.allocator.cpus[1].caches[0]) == 7


# --- state in memory ---------------------------------------------------------------------------------------


def test_an_attached_allocator_has_the_same_free_memory_and_goes_on() -> None:
    m = memory((0, FRAMES), cpus=2)
    blocks = [m.alloc(1 + n % 7) for n in range(200)]
    m.mm.cpu = 1
    for n, paddr in enumerate(blocks[:100]):
        assert paddr is not None
        m.free(paddr, 1 + n % 7)
    again = m.attach()
    assert check(again.allocator) == check(m.allocator)
    for n, paddr in enumerate(blocks[100:], 100):
        assert paddr is not None
        again.free(paddr, 1 + n % 7)
    assert again.alloc(FRAMES) == page(0)


def test_two_machines_have_their_own_memory() -> None:
    one, two = memory((0, 256)), memory((0, 256))
    one.alloc_all()
    assert two.allocator.load_total_free_size() == 256 * PAGE_SIZE
    assert one.alloc() is None
    assert two.alloc() is not None


def test_adding_64_gib_touches_only_the_heads_of_its_chunks() -> None:
    size = 64 << 30
    machine = Machine(Board(memory=size))
    port = MemoryPort(machine.bus)
    mm = Mm(port, SV48, Statics.create(port, STATICS, STATICS_SIZE))
    base, end = 0x8020_0000, 0x8000_0000 + size
    mm.slots = MetaSlots(mm, base, end)
    start = -(-(base + (end >> 6)) // PAGE_SIZE) * PAGE_SIZE
    allocator = FrameAllocator(mm)
    for paddr in {*range(start, start + (16 << 20), PAGE_SIZE),
                  *(head for head, _ in split_to_chunks(start, end - start))}:
        port.store(mm.slots.slot(paddr) + REF_COUNT, UNUSED)
        port.store(mm.slots.slot(paddr) + VTABLE, FREE)
    counter = Accesses()
    with port.observed(counter):
        allocator.add_free_memory(start, end - start)
    assert allocator.load_total_free_size() == end - start
    assert counter.count < 1000


# --- ranges (R1.9) -----------------------------------------------------------------------------------------


def test_free_frames_can_be_taken_out_and_added_again() -> None:
    m = memory((0, FRAMES), cpus=2)
    m.free(m.alloc() or 0)
    assert m.allocator.take_range(page(1000), 77 * PAGE_SIZE)
    m.mm.slots.mark(page(1000), page(1077), TAKEN)
    assert check(m.allocator).total_size == (FRAMES - 77) * PAGE_SIZE
    assert sorted(m.alloc_all()) == [page(n) for n in range(FRAMES) if not 1000 <= n < 1077]
    m.dispatch.add_free_memory(page(1000), 77 * PAGE_SIZE)
    assert sorted(m.alloc_all()) == [page(n) for n in range(1000, 1077)]


def test_a_range_that_another_pool_has_is_not_taken_out_of_the_global_one() -> None:
    m = memory((0, FRAMES), cpus=2)
    m.alloc(5)
    before = check(m.allocator)
    chunk = max(chunks[0] for chunks in before.pools[1].chunks if chunks)
    assert not m.allocator.pools.take_range(chunk, PAGE_SIZE)
    assert check(m.allocator) == before


def test_a_range_with_a_frame_in_use_is_not_taken_out() -> None:
    m = memory((0, 256))
    used = m.alloc()
    assert used == page(0)
    for first, pages in ((0, 1), (0, 256), (255, 2)):
        assert not m.allocator.take_range(page(first), pages * PAGE_SIZE)
        assert check(m.allocator).total_size == 255 * PAGE_SIZE
    with pytest.raises(InvalidArgs):
        m.allocator.take_range(page(1), 1)
