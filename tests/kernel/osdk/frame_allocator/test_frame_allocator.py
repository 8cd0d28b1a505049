"""The frame allocator as a whole."""

from __future__ import annotations

import pytest

from emulator import Board, Machine
from kernel.errors import BootError, CorruptionError, FrameMisuse, InvalidArgs, LockHeld
from kernel.mm import PAGE_SIZE, FrameAllocOptions, Layout, MemoryPort, Mm, UniqueFrame, Unit
from kernel.mm.frame.meta import FREE, REF_COUNT, TAKEN, UNUSED, VTABLE, MetaSlots
from kernel.mm.paging import SV48
from kernel.mm.port import Access
from kernel.mm.statics import Statics
from kernel.osdk.frame_allocator import FrameAllocator, check
from kernel.osdk.frame_allocator.chunk import split_to_chunks
from tests.kernel.osdk.frame_allocator.memory import BASE, FRAMES, PAGE, STATICS, STATICS_SIZE, Memory, memory


class Accesses:
    """Counts the accesses of the memory port."""

    def __init__(self) -> None:
        self.count = 0

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        self.count += 1


def page(n: int) -> int:
    """Address of the frame `n` of the managed memory."""
    return BASE + n * PAGE_SIZE


@pytest.mark.parametrize(("pages", "align"), [(1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (4, 4), (8, 8), (16, 16)])
def test_frame_allocator_alloc_layout_match(pages: int, align: int) -> None:
    m = memory((0, FRAMES))
    layout = Layout(pages * PAGE_SIZE, align * PAGE_SIZE)
    paddr = m.allocator.alloc(layout)
    assert paddr is not None
    assert paddr % layout.align == 0
    for frame in range(paddr, paddr + layout.size, PAGE_SIZE):
        UniqueFrame.from_unused(m.mm, frame, Unit()).reset_as_unused()
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


# --- defects of upstream, mended -----------------------------------------------------------------------------


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


# --- misuse ------------------------------------------------------------------------------------------------


def refused(m: Memory, paddr: int, size: int) -> str:
    """Free straight to the allocator, past the kernel's checks, what must be refused; why it was."""
    before = check(m.allocator)
    with pytest.raises(FrameMisuse) as caught:
        m.allocator.dealloc(paddr, size)
    assert (caught.value.operation, caught.value.size) == ("dealloc", size)
    assert check(m.allocator) == before
    return caught.value.state


@pytest.mark.parametrize("pages", [1, 2, 4, 5, 64])
def test_the_head_of_a_free_chunk_cannot_be_freed(pages: int) -> None:
    assert refused(memory((0, 256)), page(0), pages * PAGE_SIZE).endswith("unique, as FreeHeadMeta")


@pytest.mark.parametrize("pages", [5, 64])
def test_the_tail_of_a_free_chunk_cannot_be_freed(pages: int) -> None:
    assert "in the free chunk" in refused(memory((0, 256)), page(17), pages * PAGE_SIZE)


def test_a_tail_that_came_into_a_cache_does_not_come_out_of_it_into_the_pools() -> None:
    m = memory((0, 256))
    m.alloc(4)
    m.allocator.drain()
    for n in range(100, 112):
        m.allocator.dealloc(page(n), PAGE_SIZE)
    before = m.allocator.pools.global_set.total_size
    with pytest.raises(FrameMisuse, match="in the free chunk"):
        m.allocator.dealloc(page(112), PAGE_SIZE)
    assert m.allocator.pools.global_set.total_size == before


def test_a_page_in_use_cannot_be_freed() -> None:
    m = memory((0, 256))
    with FrameAllocOptions(m.mm).alloc_segment(8) as segment:
        assert "in use by 1" in refused(m, segment.paddr, PAGE_SIZE)
        assert "in use by 1" in refused(m, segment.paddr, 8 * PAGE_SIZE)


@pytest.mark.parametrize(("paddr", "size"), [
    (page(0) + 1, PAGE_SIZE), (page(0), -PAGE_SIZE), (-PAGE_SIZE, PAGE_SIZE), (page(FRAMES), PAGE_SIZE),
    (page(FRAMES - 1), 2 * PAGE_SIZE), (1 << 60, PAGE_SIZE),
])
def test_what_is_no_range_of_frames_cannot_be_freed_or_added(paddr: int, size: int) -> None:
    m = memory((0, 256))
    assert refused(m, paddr, size) == "not a range of whole frames"
    with pytest.raises(FrameMisuse):
        m.allocator.add_free_memory(paddr, size)


@pytest.mark.parametrize(("first", "pages"), [(0, 256), (255, 2), (17, 4), (100, 1000), (0, FRAMES)])
def test_memory_cannot_be_added_twice(first: int, pages: int) -> None:
    m = memory((0, 256))
    m.mm.slots.mark(page(256), page(FRAMES), FREE)
    before = check(m.allocator)
    with pytest.raises(FrameMisuse):
        m.allocator.add_free_memory(page(first), pages * PAGE_SIZE)
    assert check(m.allocator) == before


def test_a_cache_that_claims_more_than_it_can_hold_is_named() -> None:
    m = memory((0, 256))
    paddr = m.alloc()
    assert paddr is not None
    m.mm.port.store(m.allocator.cpus[0].cache, 13)
    for attempt in (m.alloc, lambda: m.free(paddr), lambda: check(m.allocator)):
        with pytest.raises(CorruptionError, match="13 entries of 12"):
            attempt()


@pytest.mark.parametrize("pages", [1, 5])
def test_who_waits_for_a_lock_that_nobody_can_release_is_told(pages: int) -> None:
    m = memory((0, 256), cpus=2)
    word = m.allocator.cpus[0].lock_word
    paddr = m.alloc(pages)
    assert paddr is not None
    m.mm.port.store(word, 2)
    with pytest.raises(LockHeld, match="frame pool of CPU 0"):
        m.alloc(pages)
    with pytest.raises(LockHeld):
        m.free(paddr, pages)
    m.mm.port.store(word, 0)
    m.free(paddr, pages)
    assert check(m.allocator).total_size == 256 * PAGE_SIZE


def test_locks_are_free_after_every_operation_and_error() -> None:
    m = memory((0, 256), cpus=2)
    words = [part.lock_word for part in m.allocator.cpus] + [m.mm.statics.area("frame_pool", 1048)]
    m.alloc()
    m.alloc(1 << 30)
    with pytest.raises(InvalidArgs):
        m.allocator.alloc(Layout(1, 1))
    with pytest.raises(FrameMisuse):
        m.allocator.add_free_memory(page(0), PAGE_SIZE)
    assert [m.mm.port.load(word) for word in words] == [0, 0, 0]


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


def test_a_range_with_a_frame_in_use_is_not_taken_out() -> None:
    m = memory((0, 256))
    used = m.alloc()
    assert used == page(0)
    for first, pages in ((0, 1), (0, 256), (255, 2)):
        assert not m.allocator.take_range(page(first), pages * PAGE_SIZE)
        assert check(m.allocator).total_size == 255 * PAGE_SIZE
    with pytest.raises(InvalidArgs):
        m.allocator.take_range(page(1), 1)
    assert PAGE.size == PAGE_SIZE
