"""Surveys and checks of the allocator's memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.errors import CorruptionError
from kernel.mm import PAGE_SIZE
from kernel.mm.frame.meta import REF_COUNT, TAKEN
from kernel.osdk.frame_allocator import survey
from tests.helpers.free_memory import check
from tests.kernel.osdk.frame_allocator.memory import BASE, Memory, memory


def used() -> Memory:
    """An allocator with something everywhere: 7 pages in CPU 0's cache, chunks in its pool and the global one."""
    m = memory((0, 256), cpus=2)
    m.alloc()
    return m


def test_a_survey_shows_chunks_by_order_and_cache_entries() -> None:
    found = survey(used().allocator)
    assert [pool.cpu for pool in found.pools] == [None, 0, 1]
    assert [len(cache.entries) for cache in found.caches] == [7, 0, 0, 0, 0, 0, 0, 0]
    assert found.total_size == 255 * PAGE_SIZE
    # 8 of 256 pages went to the cache; of the 248 left, E = 62 pages, the CPU's pool got the 32 in one piece.
    assert found.pools[0].counts[:8] == (0, 0, 0, 1, 1, 0, 1, 1)
    assert found.pools[1].counts[:8] == (0, 0, 0, 0, 0, 1, 0, 0)
    assert sum(size for _, size, _ in found.ranges()) == 255 * PAGE_SIZE


def total(m: Memory) -> None:
    m.allocator.pools.global_set.insert_chunk(BASE + PAGE_SIZE, 0)


def counter(m: Memory) -> None:
    m.allocator.free_size.add(1, PAGE_SIZE)


def tail_in_use(m: Memory) -> None:
    chunk = next(chunks[0] for chunks in survey(m.allocator).pools[0].chunks[1:] if chunks)
    m.mm.port.store(m.mm.slots.slot(chunk + PAGE_SIZE) + REF_COUNT, 1)


def cached_page_handed_out(m: Memory) -> None:
    entry = next(m.allocator.cpus[0].caches[0].entries())
    m.mm.slots.mark(entry, entry + PAGE_SIZE, TAKEN)


def cached_twice(m: Memory) -> None:
    cache = m.allocator.cpus[0].cache
    m.mm.port.store(cache + 8, m.mm.port.load(cache + 16))


def size_word(m: Memory) -> None:
    address = m.mm.statics.area("frame_pool", 1048) + 16
    m.mm.port.store(address, m.mm.port.load(address) + PAGE_SIZE)


@pytest.mark.parametrize(("harm", "what"), [
    (total, "is in the"), (counter, "are counted as free"), (tail_in_use, "expected a free one"),
    (cached_page_handed_out, "expected a free one"), (cached_twice, "is in the cache of CPU 0"),
    (size_word, "its chunks have"),
])
def test_a_check_names_what_is_wrong(harm: Callable[[Memory], None], what: str) -> None:
    m = used()
    check(m.allocator)
    harm(m)
    with pytest.raises(CorruptionError, match=what):
        check(m.allocator)


def test_a_check_finds_buddies_that_are_not_merged() -> None:
    m = memory((0, 4), (8, 4))
    pool = m.allocator.pools.global_set
    pool.take_chunk(BASE, 2)
    word = m.mm.statics.area("frame_pool", 1048) + 24 + 24  # the id of the list of order 0
    pool.insert_chunk(BASE, 0)
    was = m.mm.port.load(word)
    m.mm.port.store(word, 0)
    pool.insert_chunk(BASE + 2 * PAGE_SIZE, 0)
    m.mm.port.store(word, was)
    with pytest.raises(CorruptionError):
        check(m.allocator)
