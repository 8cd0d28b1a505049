"""Buddy sets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.errors import CorruptionError, FrameMisuse, InvalidArgs
from kernel.mm import PAGE_SIZE, LinkedList
from kernel.mm.context import Mm
from kernel.mm.frame.linked_list import BACK, FRONT, HEAD_SIZE, ID, NEXT, PREV, SIZE
from kernel.mm.frame.meta import FREE, IN_LIST, REF_COUNT, TAKEN, UNIQUE, UNUSED, VTABLE, MetaSlots
from kernel.osdk.frame_allocator.buddy_set import LISTS, ORDER, BuddySet
from kernel.osdk.frame_allocator.chunk import FreeHeadMeta, size_of_order, split_to_chunks
from tests.kernel.osdk.frame_allocator.memory import BASE, END, FRAMES, RAM, memory, region


@contextmanager
def buddy_set(orders: int, pages: int) -> Iterator[tuple[Mm, BuddySet, int]]:
    """An empty set, and the first of `pages` pages for it, which it must not have any more at the end."""
    mm = memory((0, 2 * pages + 16)).mm
    its = BuddySet(mm, mm.statics.area("test", BuddySet.size_in_memory(orders)), orders)
    with region(mm, pages) as first:
        yield mm, its, first
        while its.pop_largest(orders - 1) is not None:
            pass
        assert its.total_size == 0


def head_of(mm: Mm, its: BuddySet, order: int) -> int:
    """Physical address of the list of `order`."""
    return mm.statics.area("test", BuddySet.size_in_memory(its.orders)) + LISTS + HEAD_SIZE * order


def test_buddy_set_insert_alloc() -> None:
    with buddy_set(5, 16) as (_, its, first):
        its.insert_chunk(first, 4)
        assert its.total_size == size_of_order(4)
        chunks = []
        for order, left in ((0, 15), (0, 14), (1, 12), (2, 8), (3, 0)):
            paddr = its.alloc_chunk(order)
            assert paddr is not None
            chunks.append(paddr)
            assert its.total_size == left * PAGE_SIZE
        for which, order, total in ((2, 1, 2), (0, 0, 3), (4, 3, 11), (1, 0, 12), (3, 2, 16)):
            its.insert_chunk(chunks[which], order)
            assert its.total_size == total * PAGE_SIZE
        assert its.alloc_chunk(4) == first
        assert its.total_size == 0


# --- ours --------------------------------------------------------------------------------------------------


def test_a_split_leaves_the_right_halves() -> None:
    with buddy_set(4, 8) as (_, its, first):
        its.insert_chunk(first, 3)
        assert its.alloc_chunk(0) == first
        assert [list(its.chunks(order)) for order in range(4)] == [
            [first + PAGE_SIZE], [first + 2 * PAGE_SIZE], [first + 4 * PAGE_SIZE], []]


def test_the_chunk_inserted_last_is_allocated_first() -> None:
    with buddy_set(1, 4) as (_, its, first):
        for frame in (2, 0, 3, 1):
            its.insert_chunk(first + frame * PAGE_SIZE, 0)
        order = [its.alloc_chunk(0) for _ in range(4)]
        assert order == [first + frame * PAGE_SIZE for frame in (1, 3, 0, 2)]


def test_the_smallest_chunk_that_will_do_is_split() -> None:
    with buddy_set(4, 16) as (_, its, first):
        its.insert_chunk(first, 3)
        its.insert_chunk(first + size_of_order(3), 1)
        assert its.alloc_chunk(0) == first + size_of_order(3)
        assert its.chunk_count(3) == 1


def test_an_empty_set_and_a_too_small_one_have_nothing() -> None:
    with buddy_set(4, 4) as (_, its, first):
        assert its.alloc_chunk(0) is None
        its.insert_chunk(first, 1)
        assert its.alloc_chunk(2) is None
        assert its.alloc_chunk(40) is None
        assert its.pop_largest(0) is None
        assert its.total_size == 2 * PAGE_SIZE


def test_chunks_of_the_highest_order_do_not_merge() -> None:
    with buddy_set(2, 4) as (_, its, first):
        its.insert_chunk(first, 1)
        its.insert_chunk(first + size_of_order(1), 1)
        assert its.chunk_count(1) == 2


def test_a_buddy_of_another_order_or_in_another_set_does_not_merge() -> None:
    with buddy_set(4, 4) as (mm, its, first):
        other = BuddySet(mm, mm.statics.area("other", BuddySet.size_in_memory(4)), 4)
        other.insert_chunk(first + PAGE_SIZE, 0)
        its.insert_chunk(first, 0)
        its.insert_chunk(first + 2 * PAGE_SIZE, 0)
        assert [its.chunk_count(order) for order in range(3)] == [2, 0, 0]
        assert other.alloc_chunk(0) == first + PAGE_SIZE


def test_no_chunk_merges_with_what_lies_above_all_memory() -> None:
    m = memory((0, 16))
    mm, last = m.mm, END - 2 * PAGE_SIZE
    mm.slots = MetaSlots(mm, mm.slots.base, END - PAGE_SIZE, mm.slots.first_paddr)
    mm.slots.mark(last, last + PAGE_SIZE, FREE)
    its = BuddySet(mm, mm.statics.area("test", BuddySet.size_in_memory(32)), 32)
    its.insert_chunk(last, 0)
    mm.port.store(mm.slots.slot(last) + 64 + IN_LIST, mm.port.load(head_of(mm, its, 0) + ID))
    assert its.alloc_chunk(0) == last
    its.insert_chunk(last, 0)
    assert list(its.chunks(0)) == [last]
    with pytest.raises(InvalidArgs):
        its.insert_chunk(mm.slots.max_paddr, 0)


def test_no_chunk_merges_with_what_lies_below_all_memory() -> None:
    m = memory((0, FRAMES), first=BASE)
    pool = m.allocator.pools.global_set
    assert m.alloc(FRAMES, FRAMES) == BASE
    word = m.mm.statics.area("frame_pool", 1048) + 24 + HEAD_SIZE * 12 + ID
    m.mm.port.store(m.mm.slots.slot(BASE) - (BASE - RAM >> 6) + IN_LIST, m.mm.port.load(word))
    m.free(BASE, FRAMES)
    assert list(pool.chunks(12)) == [BASE]
    with pytest.raises(InvalidArgs):
        pool.insert_chunk(BASE - PAGE_SIZE, 0)


def test_memory_looks_as_if_linked_lists_of_unique_frames_were_used() -> None:
    with buddy_set(4, 16) as (mm, its, first):
        for frame in (0, 2, 5):
            its.insert_chunk(first + frame * PAGE_SIZE, 0)
        head, port = head_of(mm, its, 0), mm.port
        slots = [mm.slots.slot(first + frame * PAGE_SIZE) for frame in (5, 2, 0)]
        links = [mm.slots.to_virtual(slot) for slot in slots]
        assert [port.load(head + word) for word in (FRONT, BACK, SIZE)] == [links[0], links[2], 3]
        assert [port.load(slot + NEXT) for slot in slots] == [*links[1:], 0]
        assert [port.load(slot + PREV) for slot in slots] == [0, *links[:2]]
        for slot in slots:
            assert port.load(slot + IN_LIST) == port.load(head + ID) != 0
            assert port.load(slot + REF_COUNT) == UNIQUE
            assert port.load(slot + VTABLE) == mm.types.vtable(FreeHeadMeta)
            assert port.load(slot + ORDER) == 0
        # … and a LinkedList over the same words works.
        frames = LinkedList(mm, FreeHeadMeta, head)
        assert (frames.size, frames.contains(first)) == (3, True)
        taken = frames.pop_back()
        assert taken is not None
        assert taken.paddr == first
        assert list(its.chunks(0)) == [first + 5 * PAGE_SIZE, first + 2 * PAGE_SIZE]
        frames.push_front(taken)
        assert its.alloc_chunk(0) == first
        frames._take()


def test_what_is_taken_out_is_unused_and_in_the_allocators_hands() -> None:
    with buddy_set(4, 8) as (mm, its, first):
        its.insert_chunk(first, 3)
        its.alloc_chunk(1)
        for slot in (mm.slots.slot(first), mm.slots.slot(first + PAGE_SIZE)):
            assert mm.port.load(slot + REF_COUNT) == UNUSED
            assert mm.port.load(slot + VTABLE) == FREE
            assert mm.port.load(slot + IN_LIST) == 0
        its.insert_chunk(first, 1)


def test_lists_get_their_ids_when_they_are_first_used() -> None:
    with buddy_set(4, 8) as (mm, its, first):
        its.insert_chunk(first, 2)
        ids = [mm.port.load(head_of(mm, its, order) + ID) for order in range(4)]
        assert [bool(known) for known in ids] == [False, False, True, False]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1 << 32), orders=st.integers(1, 8))
def test_any_order_of_inserts_gives_the_largest_chunks(seed: int, orders: int) -> None:
    rng = random.Random(seed)
    with buddy_set(orders, 128) as (_, its, first):
        pages = list(range(128))
        rng.shuffle(pages)
        kept = pages[:rng.randrange(20)]
        for page in pages[len(kept):]:
            its.insert_chunk(first + page * PAGE_SIZE, 0)
        expected: set[tuple[int, int]] = set()
        low = 0
        for page in [*sorted(kept), 128]:
            expected |= set(split_to_chunks(first + low * PAGE_SIZE, (page - low) * PAGE_SIZE, orders - 1))
            low = page + 1
        assert {(paddr, order) for order in range(orders) for paddr in its.chunks(order)} == expected


# --- misuse ------------------------------------------------------------------------------------------------


def test_a_chunk_cannot_be_inserted_twice() -> None:
    with buddy_set(4, 8) as (_, its, first):
        its.insert_chunk(first, 2)
        for order in (0, 1, 2, 3):
            with pytest.raises(FrameMisuse, match="unique, as FreeHeadMeta"):
                its.insert_chunk(first, order)
        assert (its.total_size, list(its.chunks(2))) == (4 * PAGE_SIZE, [first])


def test_a_frame_that_is_handed_out_cannot_be_inserted() -> None:
    with buddy_set(4, 8) as (mm, its, first):
        mm.slots.mark(first, first + PAGE_SIZE, TAKEN)
        with pytest.raises(FrameMisuse, match="handed out"):
            its.insert_chunk(first, 0)
        assert mm.port.load(mm.slots.slot(first) + REF_COUNT) == UNUSED
        assert its.total_size == 0
        mm.slots.mark(first, first + PAGE_SIZE, FREE)


def test_what_cannot_be_a_chunk_is_refused() -> None:
    with buddy_set(4, 8) as (_, its, first):
        for paddr, order in ((first + PAGE_SIZE, 1), (first + 1, 0), (first, 4), (first, -1), (-PAGE_SIZE, 0)):
            with pytest.raises(InvalidArgs):
                its.insert_chunk(paddr, order)
        with pytest.raises(InvalidArgs):
            its.alloc_chunk(-1)
        with pytest.raises(CorruptionError):
            its.take_chunk(first, 0)


@pytest.mark.parametrize("orders", [0, 53])
def test_a_set_has_1_to_52_orders(orders: int) -> None:
    with pytest.raises(InvalidArgs):
        BuddySet(memory().mm, 0x8010_0000, orders)


# --- broken memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [NEXT, PREV, ORDER, VTABLE])
@pytest.mark.parametrize("value", [0x1234, 0xffff_e000_0000_0000, 0xffff_e000_0200_0000])
def test_a_broken_head_is_named_and_nothing_is_changed(word: int, value: int) -> None:
    with buddy_set(4, 16) as (mm, its, first):
        for frame in (0, 2, 4):
            its.insert_chunk(first + frame * PAGE_SIZE, 0)
        middle = mm.slots.slot(first + 2 * PAGE_SIZE)
        mm.port.store(mm.slots.slot(first + 4 * PAGE_SIZE) + NEXT, mm.slots.to_virtual(middle))
        was = mm.port.load(middle + word)
        mm.port.store(middle + word, value)
        before = mm.port.read(mm.slots.slot(first), 16 * 64), mm.port.read(head_of(mm, its, 0), 4 * HEAD_SIZE)
        with pytest.raises(CorruptionError):
            its.insert_chunk(first + 3 * PAGE_SIZE, 0)
        with pytest.raises(CorruptionError):
            list(its.chunks(0))
        assert before == (mm.port.read(mm.slots.slot(first), 16 * 64), mm.port.read(head_of(mm, its, 0), 4 * HEAD_SIZE))
        mm.port.store(middle + word, was)


def test_a_tail_that_is_in_use_is_found_before_the_chunk_is_split() -> None:
    with buddy_set(4, 8) as (mm, its, first):
        its.insert_chunk(first, 3)
        slot = mm.slots.slot(first + 4 * PAGE_SIZE)
        for word, value, was in ((REF_COUNT, 1, UNUSED), (VTABLE, TAKEN, FREE)):
            mm.port.store(slot + word, value)
            before = mm.port.read(mm.slots.slot(first), 8 * 64)
            with pytest.raises(CorruptionError, match="its tail"):
                its.alloc_chunk(0)
            assert mm.port.read(mm.slots.slot(first), 8 * 64) == before
            mm.port.store(slot + word, was)
        assert its.total_size == 8 * PAGE_SIZE


def test_a_list_that_begins_in_its_middle_is_named() -> None:
    with buddy_set(1, 4) as (mm, its, first):
        for frame in (0, 1, 2):
            its.insert_chunk(first + frame * PAGE_SIZE, 0)
        head = head_of(mm, its, 0)
        was = mm.port.load(head + FRONT)
        mm.port.store(head + FRONT, mm.slots.to_virtual(mm.slots.slot(first + PAGE_SIZE)))
        with pytest.raises(CorruptionError, match="another before it"):
            its.alloc_chunk(0)
        mm.port.store(head + FRONT, was)


def test_a_list_that_runs_in_a_circle_is_not_walked_forever() -> None:
    with buddy_set(1, 4) as (mm, its, first):
        for frame in (0, 1, 2):
            its.insert_chunk(first + frame * PAGE_SIZE, 0)
        last, front = mm.slots.slot(first), mm.slots.slot(first + 2 * PAGE_SIZE)
        mm.port.store(last + NEXT, mm.slots.to_virtual(front))
        with pytest.raises(CorruptionError):
            list(its.chunks(0))
        mm.port.store(last + NEXT, 0)


def test_a_size_without_a_front_is_named() -> None:
    with buddy_set(1, 4) as (mm, its, _):
        mm.port.store(head_of(mm, its, 0) + SIZE, 1)
        with pytest.raises(CorruptionError):
            its.alloc_chunk(0)
        mm.port.store(head_of(mm, its, 0) + SIZE, 0)
