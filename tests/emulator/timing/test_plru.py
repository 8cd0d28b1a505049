"""Tree pseudo-LRU: sequences worked out by hand, and the native form beside the recursive definition."""

from __future__ import annotations

import random

import numpy as np
import pytest

from emulator.timing.plru import plru_table, plru_touch, plru_touched, plru_way

WAYS = [1, 2, 3, 4, 5, 6, 8, 14, 28, 32, 40, 64]
Tree = tuple["Tree", bool, "Tree"] | None
"""A tree: its lower part, whether the upper part was used longer ago, its upper part; None for one way."""


def tree(ways: int) -> Tree:
    """A tree that was never used."""
    if ways == 1:
        return None
    lower = 1 << (ways - 1).bit_length() - 1
    return tree(lower), False, tree(ways - lower)


def size(node: Tree) -> int:
    return 1 if node is None else size(node[0]) + size(node[2])


def oldest(node: Tree) -> int:
    """The way to replace."""
    if node is None:
        return 0
    return size(node[0]) + oldest(node[2]) if node[1] else oldest(node[0])


def used(node: Tree, way: int) -> Tree:
    """The tree after `way` was used."""
    if node is None:
        return None
    lower = size(node[0])
    if way < lower:
        return used(node[0], way), True, node[2]
    return node[0], False, used(node[2], way - lower)


@pytest.mark.parametrize("ways", WAYS)
def test_words_and_tables_are_the_recursive_definition(ways: int) -> None:
    table = np.array(plru_table(ways), dtype=np.int64)
    rng = random.Random(ways)
    state, known = 0, tree(ways)
    for _ in range(300):
        assert plru_way(state, ways) == oldest(known)
        way = rng.randrange(ways)
        touched = plru_touched(state, ways, way)
        state, known = plru_touch(state, int(table.ctypes.data), way), used(known, way)
        assert state == touched
        assert 0 <= state < 1 << max(ways - 1, 1)


@pytest.mark.parametrize(("ways", "uses", "replaced"), [
    (4, [], 0), (4, [0], 2), (4, [0, 2], 1), (4, [0, 2, 1], 3), (4, [0, 1, 2, 3], 0), (4, [3, 0], 2), (4, [0, 3, 1], 2),
    (8, [0], 4), (8, [0, 4], 2), (8, [0, 4, 2], 6), (8, [0, 4, 2, 6, 1], 5), (8, [7, 6, 5, 4, 3, 2, 1, 0], 7),
    (3, [0], 2), (3, [2], 0), (3, [0, 2], 1), (6, [5], 0), (6, [0], 4), (6, [0, 4], 2), (6, [0, 4, 2], 5)])
def test_sequences_worked_out_by_hand(ways: int, uses: list[int], replaced: int) -> None:
    state = 0
    for way in uses:
        state = plru_touched(state, ways, way)
    assert plru_way(state, ways) == replaced


def chosen(ways: int, count: int) -> list[int]:
    """What is replaced when each replaced way is then used."""
    state, found = 0, []
    for _ in range(count):
        found.append(plru_way(state, ways))
        state = plru_touched(state, ways, found[-1])
    return found


def test_eight_ways_are_filled_in_the_order_of_reversed_bits() -> None:
    assert chosen(8, 16) == [0, 4, 2, 6, 1, 5, 3, 7] * 2


@pytest.mark.parametrize("ways", [2, 4, 8, 16, 32])
def test_every_way_of_a_full_tree_is_chosen_once_in_a_round(ways: int) -> None:
    assert sorted(chosen(ways, ways)) == list(range(ways))


def test_28_ways_are_chosen_from_the_lower_16_and_the_upper_12_in_turn() -> None:
    bits = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15]
    upper = [16, 24, 20, 26, 18, 25, 22, 27, 17, 24, 21, 26, 19, 25, 23, 27]
    assert chosen(28, 32) == [way for pair in zip(bits, upper, strict=True) for way in pair]
