"""What the allocator refuses, and what it finds broken, even without the kernel's own checks before it."""

from __future__ import annotations

import pytest

from kernel.errors import CorruptionError, FrameMisuse, InvalidArgs, LockHeld
from kernel.mm import PAGE_SIZE, FrameAllocOptions, Layout
from kernel.mm.frame.meta import FREE
from tests.helpers.free_memory import check
from tests.kernel.osdk.frame_allocator.memory import FRAMES, Memory, memory, page


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


def test_a_page_that_is_in_a_cache_twice_does_not_come_into_the_pools_twice() -> None:
    m = memory((0, 256))
    paddr = m.alloc(5)
    assert paddr is not None
    m.allocator.drain()
    m.mm.slots.mark(paddr, paddr + PAGE_SIZE, FREE)
    before = m.allocator.pools.global_set.total_size
    for _ in range(12):
        m.allocator.dealloc(paddr, PAGE_SIZE)
    with pytest.raises(FrameMisuse, match="freed twice"):
        m.allocator.dealloc(paddr, PAGE_SIZE)
    assert m.allocator.cpus[0].local.set.total_size == 0
    assert m.allocator.pools.global_set.total_size == before


def test_a_page_in_use_cannot_be_freed() -> None:
    m = memory((0, 256))
    with FrameAllocOptions(m.mm).alloc_segment(8) as segment:
        assert "in use by 1" in refused(m, segment.paddr, PAGE_SIZE)
        assert "in use by 1" in refused(m, segment.paddr, 8 * PAGE_SIZE)


@pytest.mark.parametrize("pages", [2, 3, 4])
def test_an_entry_whose_last_page_is_in_use_cannot_be_freed(pages: int) -> None:
    m = memory((0, 256))
    low, high = FrameAllocOptions(m.mm).alloc_segment(pages).split((pages - 1) * PAGE_SIZE)
    paddr = low.paddr
    low.drop()
    with high:
        assert "in use by 1" in refused(m, paddr, pages * PAGE_SIZE)


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
