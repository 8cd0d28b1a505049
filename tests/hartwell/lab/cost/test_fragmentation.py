"""Fragmentation: against a model that looks at every page by itself, and Linux's formulas worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from hartwell.lab.cost.fragmentation import (
    MOMENTS, follow, fragmentation_index, free_blocks, longest_run, mean, unusable_index,
)
from hartwell.lab.cost.history import History, Occupancy
from hartwell.lab.operation import RESULT, Operations, Program, State
from hartwell.lab.subject.subject import Memory

START = 0x8100_0000


def blocks_by_hand(free: Sequence[bool], first: int, highest: int) -> list[int]:
    """Free blocks by order: from each page on, the largest aligned one that is all free, as a buddy would keep them."""
    counts = [0] * (highest + 1)
    page = 0
    while page < len(free):
        if not free[page]:
            page += 1
            continue
        order = next(order for order in range(highest, -1, -1)
                     if (first + page) % (1 << order) == 0 and page + (1 << order) <= len(free)
                     and all(free[page:page + (1 << order)]))
        counts[order] += 1
        page += 1 << order
    return counts


@pytest.mark.parametrize("seed", range(12))
def test_free_blocks_are_those_of_a_buddy_that_merged_all(seed: int) -> None:
    random = np.random.Generator(np.random.PCG64(seed))
    length, first, highest = (int(random.integers(*pair)) for pair in ((1, 200), (0, 70), (0, 6)))
    free = random.random(length) < random.random()
    for _ in range(3):  # long runs, too
        at = int(random.integers(0, length))
        free[at:at + 40] = True
    counts = free_blocks(free, first, highest)
    assert counts == blocks_by_hand(free.tolist(), first, highest)
    assert sum(count << order for order, count in enumerate(counts)) == free.sum()


@pytest.mark.parametrize("seed", range(8))
def test_indices_are_the_whole_parts_of_what_the_definitions_say(seed: int) -> None:
    random = np.random.Generator(np.random.PCG64(seed))
    counts = random.integers(0, 30, 8).tolist()
    counts[int(random.integers(1, 8)):] = [0] * 8
    counts = counts[:8]
    free = sum(count * 2 ** order for order, count in enumerate(counts))
    for order in range(8):
        usable = sum(count * 2 ** each for each, count in enumerate(counts) if each >= order)
        assert unusable_index(counts, order) == (int(Fraction(1000 * (free - usable), free)) if free else 1000)
        wanted = fragmentation_index(counts, order)
        if free and not usable:
            exact = 1000 - (1000 + Fraction(1000 * free, 2 ** order)) / sum(counts)
            assert abs(wanted - exact) < 2  # two divisions of whole numbers
        else:
            assert wanted == (-1000 if usable else 0)


def test_indices_worked_out_by_hand() -> None:
    """100 free blocks of one page, none larger: all of it is useless for two pages, and it is fragmentation."""
    counts = [100, 0, 0, 0]
    assert [unusable_index(counts, order) for order in range(4)] == [0, 1000, 1000, 1000]
    assert fragmentation_index(counts, 0) == -1000
    assert fragmentation_index(counts, 1) == 1000 - (1000 + 50_000) // 100 == 490
    assert fragmentation_index(counts, 3) == 1000 - (1000 + 12_500) // 100 == 865
    assert unusable_index([2, 1], 1) == 500
    assert (unusable_index([0, 0], 1), fragmentation_index([0, 0], 1)) == (1000, 0)


def test_the_longest_run() -> None:
    assert longest_run(np.array([True, True, False, True, True, True])) == 3
    assert longest_run(np.array([False, False])) == 0
    assert longest_run(np.ones(5, dtype=bool)) == 5


def answered(program: Program, addresses: dict[int, int], cycles: Sequence[int]) -> tuple[Operations, Operations]:
    """A program with results: the addresses of its allocations by handle, and what each operation cost."""
    operations = program.operations
    results = np.zeros(len(operations), dtype=RESULT)
    results["state"], results["cycles"] = State.DONE, cycles
    results["value"] = [addresses.get(int(handle), 0) for handle in operations["handle"]]
    return operations, results


def test_who_has_which_page_when() -> None:
    memory = Memory(START, 16 * 4096, START)
    program = Program()
    first = program.alloc(3 * 4096, 4096)
    rest = program.split(first, 4096)
    program.dealloc(first)
    program.alloc(4096)  # finds none
    program.dealloc(rest)
    addresses = {first: START + 4 * 4096, rest: START + 5 * 4096}
    history = History.of(*answered(program, addresses, [10, 0, 20, 30, 40]), memory)
    assert history.time.tolist() == [10, 10, 30, 60, 100] and history.unit == "cycles"
    assert history.live.tolist() == [12288, 12288, 8192, 8192, 0]
    assert history.blocks.tolist() == [1, 2, 1, 1, 0]
    assert history.peak == 0
    occupancy = Occupancy(history, memory)
    assert np.flatnonzero(occupancy.to(2)).tolist() == [4, 5, 6]
    assert np.flatnonzero(occupancy.to(4)).tolist() == [5, 6]
    assert not occupancy.to(5).any()
    assert np.flatnonzero(occupancy.touched).tolist() == [4, 5, 6]
    assert history.moments(10).tolist() == [2, 2, 3, 3, 3, 4, 4, 4, 4, 5]


def test_a_heap_s_pages_hold_what_lies_in_them() -> None:
    start = 0xFFFF_8000_0000_0000 + START  # the linear mapping
    memory = Memory(start, 4 * 4096, START)
    program = Program()
    first, second = program.alloc(100), program.alloc(5000)
    program.dealloc(first)
    history = History.of(*answered(program, {first: start + 8, second: start + 4000}, [1, 1, 1]), memory)
    occupancy = Occupancy(history, memory)
    assert occupancy.to(2).tolist() == [196, 4096, 808, 0]
    assert occupancy.to(3).tolist() == [96, 4096, 808, 0]


def test_what_is_not_in_the_memory_is_left_out() -> None:
    memory = Memory(START, 4 * 4096, START)
    program = Program()
    outside = [program.alloc(8192) for _ in range(2)]
    history = History.of(*answered(program, {outside[0]: START - 4096, outside[1]: START + 3 * 4096}, [1, 1]), memory)
    assert not Occupancy(history, memory).to(2).any()


def test_without_cycles_time_is_the_number_of_the_operation() -> None:
    program = Program()
    program.alloc(4096)
    program.dealloc(0)
    history = History.of(*answered(program, {0: START}, [0, 0]), Memory(START, 65536, START))
    assert (history.unit, history.time.tolist(), history.end) == ("operations", [1, 2], 2)


def test_every_second_page_of_a_memory() -> None:
    """Half of it is free, none of that is good for two pages, and the map says where."""
    memory = Memory(START, 256 * 4096, START)
    program = Program()
    for _ in range(256):
        program.alloc(4096)
    for handle in range(0, 256, 2):
        program.dealloc(handle)
    addresses = {handle: START + 4096 * handle for handle in range(256)}
    operations, results = answered(program, addresses, [1] * 384)
    found = follow(History.of(operations, results, memory), memory)
    assert len(found.time) == MOMENTS and found.time[-1] == 384 and found.operation[-1] == 384
    assert found.free[-1] == (128, 0, 0, 0, 0, 0, 0, 0, 0)
    assert (found.unusable(1)[-1], found.index(1)[-1], found.longest[-1]) == (1000, 1000 - 65_000 // 128, 1)
    assert found.scattered[-1] == 127 * 1000 // 128
    assert found.live[-1] == 128 * 4096 and found.used[-1] == 128 and found.touched == 256
    assert (found.map[:, -1] == 128).all()  # each row is two pages, one of them free
    half = found.map[:, MOMENTS // 3]
    assert half[0] == 255 and half[-1] == 0
    assert found.utilisation[-1] == 1000


def test_the_mean_is_rounded() -> None:
    assert [mean(values) for values in ([], [1, 2], [1, 1, 2], [0, 0, 1])] == [0, 2, 1, 0]
