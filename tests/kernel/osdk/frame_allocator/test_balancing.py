"""Balancing a CPU's pool with the global one."""

from __future__ import annotations

import pytest

from kernel.mm import PAGE_SIZE
from kernel.osdk.frame_allocator import BuddySet
from kernel.osdk.frame_allocator.balancing import CHUNKS_PER_BALANCE, amount_to_move, move
from tests.kernel.osdk.frame_allocator.memory import Memory, memory, region

GIB = 1 << 30


@pytest.mark.parametrize(("local", "whole", "cpus", "amount"), [
    (0, 4 * GIB, 2, GIB),                      # nothing: fetch E
    (GIB // 8 - PAGE_SIZE, 4 * GIB, 2, GIB - GIB // 8 + PAGE_SIZE),  # below E/8: fetch up to E
    (GIB // 8, 4 * GIB, 2, 0),                 # from E/8 …
    (2 * GIB - PAGE_SIZE, 4 * GIB, 2, 0),      # … to 2E: leave it alone
    (2 * GIB, 4 * GIB, 2, -GIB),               # 2E: give down to E
    (3 * PAGE_SIZE, 0, 4, -3 * PAGE_SIZE),     # an empty global pool: give all
    (0, 0, 4, 0),
])
def test_the_amount_to_move(local: int, whole: int, cpus: int, amount: int) -> None:
    assert amount_to_move(local, whole, cpus) == amount


def two_sets(orders: int = 8) -> tuple[Memory, BuddySet, BuddySet]:
    m = memory((0, 2048))
    size = BuddySet.size_in_memory(orders)
    return m, BuddySet(m.mm, m.mm.statics.area("source", size), orders), BuddySet(
        m.mm, m.mm.statics.area("target", BuddySet.size_in_memory(4)), 4)


def empty(*sets: BuddySet) -> None:
    for its in sets:
        while its.pop_largest(its.orders - 1) is not None:
            pass


def test_the_largest_power_of_two_in_the_amount_is_moved_in_one_piece() -> None:
    m, source, target = two_sets()
    with region(m.mm, 128) as first:
        source.insert_chunk(first, 7)
        move(source, target, 7 * PAGE_SIZE)
        assert (target.chunk_count(2), target.total_size) == (1, 4 * PAGE_SIZE)
        empty(source, target)


def test_a_chunk_too_large_for_the_target_is_cut() -> None:
    m, source, target = two_sets()
    with region(m.mm, 128) as first:
        source.insert_chunk(first, 7)
        move(source, target, 64 * PAGE_SIZE)
        assert (target.chunk_count(3), source.total_size) == (8, 64 * PAGE_SIZE)
        empty(source, target)


@pytest.mark.parametrize("amount", [-1, 0, 1, PAGE_SIZE - 1])
def test_less_than_a_page_is_not_moved(amount: int) -> None:
    m, source, target = two_sets()
    with region(m.mm, 128) as first:
        source.insert_chunk(first, 7)
        move(source, target, amount)
        assert target.total_size == 0
        empty(source)


def test_balancing_a_pool_of_single_pages_ends() -> None:
    """Upstream: an order that is not there makes two calls for the one below, 2^order in all."""
    m, source, target = two_sets()
    with region(m.mm, 256) as first:
        for page in range(0, 256, 2):
            source.insert_chunk(first + page * PAGE_SIZE, 0)
        move(source, target, 1 << 40)
        assert target.total_size == CHUNKS_PER_BALANCE * PAGE_SIZE
        empty(source, target)


def test_smaller_chunks_make_up_for_a_large_one_that_is_not_there_but_no_more_than_that() -> None:
    m, source, target = two_sets()
    with region(m.mm, 64) as first:
        for page, order in ((0, 3), (16, 1), (32, 3)):
            source.insert_chunk(first + page * PAGE_SIZE, order)
        move(source, target, 16 * PAGE_SIZE)
        assert (source.total_size, target.total_size) == (2 * PAGE_SIZE, 16 * PAGE_SIZE)
        empty(source, target)


def test_an_empty_source_moves_nothing() -> None:
    _, source, target = two_sets()
    move(source, target, GIB)
    assert target.total_size == 0
