"""The predictors: directions, targets and return addresses, beside plain models and sequences worked out by hand."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from emulator.timing.blocks import bht_part
from emulator.timing.events import Event
from emulator.timing.layout import (
    CFI_BRANCH, CFI_CALL, CFI_INDIRECT, CFI_JUMP, CFI_RETURN, D_BHT, D_BTB, D_CFI, D_DECEIVES_BEFORE, D_FALL, D_HALF,
    D_PACKET, D_SIZE, EF_QUEUE_EMPTY, ENTRY_MISPREDICT, ENTRY_PREDICTED, ENTRY_REDIRECT, ENTRY_SEQUENTIAL, FILTER,
    T_BTB_FILTER, T_BTB_KEY, T_BTB_LATE, T_HISTORY,
)
from emulator.timing.plru import plru_touched, plru_way
from emulator.timing.predictor import (
    bht_index, btb_find, btb_search, btb_update, learn, predicts_taken, ras_head, ras_pop, ras_push, resolve,
    settle_late, set_key, shift,
)

from .bare import Bare, address, rocket

CODE = 0x8000_0000


def block(hart: Bare, number: int, kind: int, packet: int) -> int:
    """A block that ends with a 32-bit control transfer in `packet`."""
    d = address(hart.blocks) + number * D_SIZE
    for at, value in ((D_CFI, kind), (D_PACKET, packet), (D_FALL, packet + 4), (D_HALF, 1), (D_BTB, 0),
                      (D_BHT, bht_part(hart.p, packet)), (D_DECEIVES_BEFORE, 0)):
        hart.blocks[number, at >> 3] = value
    return d


# --- directions -----------------------------------------------------------------------------------------

def test_the_index_is_the_one_of_the_reference_core() -> None:
    hart = Bare()
    rng = random.Random(1)
    for _ in range(500):
        pc, history = CODE + 4 * rng.randrange(1 << 20), rng.randrange(256)
        expected = (pc >> 2 & 0x1FF) ^ (pc >> 11 & 3) ^ ((221 * history & 0xFF) >> 5) << 6
        assert bht_index(hart.p, bht_part(hart.p, pc), history) == expected


def test_the_histories_of_an_alternating_branch_share_an_entry() -> None:
    hart = Bare()
    assert len({bht_index(hart.p, 0, history) for history in (0xEE, 0xBB)}) == 1


def test_the_youngest_branch_is_the_histories_highest_bit() -> None:
    hart, history = Bare(), 0
    for taken in (1, 1, 0, 1, 0, 0, 0, 1, 1):
        history = shift(hart.p, history, taken)
    assert history == 0b1100_0101


@pytest.mark.parametrize(("bits", "outcomes", "predictions"), [
    (1, [1, 0, 1, 1], [0, 1, 0, 1, 1]), (2, [1, 1, 0, 1, 1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 1, 1, 1, 1, 0, 0, 0])])
def test_counters_of_one_and_two_bits(bits: int, outcomes: list[int], predictions: list[int]) -> None:
    hart = Bare(rocket("predictor", bht_counter=bits))
    found = [predicts_taken(hart.t, hart.p, 7)]
    for taken in outcomes:
        learn(hart.t, hart.p, 7, taken)
        found.append(predicts_taken(hart.t, hart.p, 7))
    assert found == predictions
    assert predicts_taken(hart.t, hart.p, 8) == 0


# --- the return address stack ---------------------------------------------------------------------------

@pytest.mark.parametrize("entries", [1, 2, 6, 32])
def test_the_stack_forgets_the_oldest_and_knows_when_it_is_empty(entries: int) -> None:
    hart = Bare(rocket("predictor", ras_entries=entries))
    rng = random.Random(entries)
    model: list[int] = []
    for n in range(2000):
        assert ras_head(hart.t) == (model[-1] if model else -1)
        if rng.random() < 0.5:
            ras_push(hart.t, hart.p, n)
            model = [*model, n][-entries:]
        else:
            ras_pop(hart.t, hart.p)
            model = model[:-1]


def test_without_a_stack_no_return_is_known() -> None:
    hart = Bare(rocket("predictor", ras_entries=0))
    ras_push(hart.t, hart.p, 1)
    ras_pop(hart.t, hart.p)
    assert ras_head(hart.t) == -1


# --- the branch target buffer ---------------------------------------------------------------------------

def sound(hart: Bare) -> None:
    """The filter says how many entries there are by hash."""
    counts = [0] * FILTER
    for key in hart.words[T_BTB_KEY >> 3:(T_BTB_KEY >> 3) + 64]:
        if key != -1:
            counts[int(key) >> 2 & (FILTER - 1)] += 1
    assert hart.words[T_BTB_FILTER >> 3:(T_BTB_FILTER >> 3) + FILTER].tolist() == counts


@pytest.mark.parametrize("entries", [1, 5, 28, 64])
def test_a_full_buffer_replaces_by_pseudo_lru(entries: int) -> None:
    hart = Bare(rocket("predictor", btb_entries=entries))
    rng = random.Random(entries)
    keys: list[int | None] = [None] * entries
    state = 0
    for _ in range(400):
        packet = CODE + 4 * rng.randrange(2 * entries)
        found = btb_search(hart.t, hart.p, packet)
        assert found == (keys.index(packet) if packet in keys else -1)
        btb_update(hart.t, hart.p, packet, CFI_JUMP << 1, found, CODE)
        way = found if found >= 0 else plru_way(state, entries)
        keys[way] = packet
        state = plru_touched(state, entries, way)
        sound(hart)


def test_entries_of_a_page_that_makes_room_are_gone() -> None:
    hart = Bare()
    for page in range(6):  # one page register for each: targets within the page
        btb_update(hart.t, hart.p, CODE + (page << 14), CFI_JUMP << 1, -1, CODE + (page << 14) + 64)
    assert all(btb_search(hart.t, hart.p, CODE + (page << 14)) >= 0 for page in range(6))
    btb_update(hart.t, hart.p, CODE + (6 << 14), CFI_JUMP << 1, -1, CODE + (6 << 14))
    assert [btb_search(hart.t, hart.p, CODE + (page << 14)) >= 0 for page in range(7)] == [False] + [True] * 6
    btb_update(hart.t, hart.p, CODE + (7 << 14), CFI_JUMP << 1, -1, CODE + (9 << 14))  # two pages: two make room
    assert [btb_search(hart.t, hart.p, CODE + (page << 14)) >= 0 for page in range(8)] == [False] * 3 + [True] * 5
    sound(hart)


@pytest.mark.parametrize(("key", "target"), [(0, 1), (1, 0)])
def test_an_entry_needs_the_pages_of_both_its_ends(key: int, target: int) -> None:
    hart = Bare()
    btb_update(hart.t, hart.p, CODE, CFI_JUMP << 1, -1, CODE)  # page 0 first: it makes room first
    btb_update(hart.t, hart.p, CODE + (key << 14) + 64, CFI_JUMP << 1, -1, CODE + (target << 14))
    for page in range(2, 7):
        assert btb_search(hart.t, hart.p, CODE + (key << 14) + 64) >= 0
        btb_update(hart.t, hart.p, CODE + (page << 14), CFI_JUMP << 1, -1, CODE + (page << 14))
    assert btb_search(hart.t, hart.p, CODE + (key << 14) + 64) == -1


@pytest.mark.parametrize("hint", [0, 1, 5])
def test_what_is_in_the_buffer_twice_hits_once_more_and_is_gone_whatever_the_block_remembers(hint: int) -> None:
    hart = Bare()
    first, second = CODE + 0x40, CODE + 0x80
    for packet in (first, second, first, second):
        btb_update(hart.t, hart.p, packet, CFI_JUMP << 1, -1, CODE)
    for number, packet in enumerate((first, second)):
        d = block(hart, number, CFI_JUMP, packet)
        hart.blocks[number, D_BTB >> 3] = hint
        assert btb_find(hart.t, hart.p, d) >= 0
        assert btb_find(hart.t, hart.p, d) == -1
    sound(hart)


def test_a_dropped_entry_is_not_found_by_the_blocks_hint() -> None:
    hart = Bare()
    d = block(hart, 0, CFI_JUMP, CODE)
    btb_update(hart.t, hart.p, CODE, CFI_JUMP << 1, 3, CODE)
    assert btb_find(hart.t, hart.p, d) == 3
    set_key(hart.t, 3, -1)
    assert btb_find(hart.t, hart.p, d) == -1


# --- how fetch comes to the next block ------------------------------------------------------------------

def go(hart: Bare, d: int, target: int, flags: int = EF_QUEUE_EMPTY) -> int:
    """Resolve, with the update of the BTB that it started made."""
    outcome = resolve(hart.t, d, flags, target)
    settle_late(hart.t, hart.p)
    return outcome


def test_a_jump_is_redirected_once_and_then_predicted() -> None:
    hart = Bare()
    d = block(hart, 0, CFI_JUMP, CODE + 0x100)
    assert [go(hart, d, CODE) for _ in range(3)] == [ENTRY_REDIRECT, ENTRY_PREDICTED, ENTRY_PREDICTED]
    assert (hart.count(Event.JUMPS), hart.count(Event.FETCH_REDIRECTS)) == (3, 1)


def test_a_jump_met_with_packets_waiting_is_not_entered() -> None:
    hart = Bare()
    d = block(hart, 0, CFI_JUMP, CODE + 0x100)
    assert [go(hart, d, CODE, 0) for _ in range(3)] == [ENTRY_REDIRECT] * 3
    assert hart[T_BTB_LATE] == -1


def test_an_indirect_jump_is_predicted_where_it_went_last() -> None:
    hart = Bare()
    d = block(hart, 0, CFI_INDIRECT, CODE + 0x100)
    targets = [0x200, 0x200, 0x300, 0x300, 0x200]
    expected = [ENTRY_MISPREDICT] + [ENTRY_PREDICTED if a == b else ENTRY_MISPREDICT for a, b in pairwise(targets)]
    assert [go(hart, d, CODE + target) for target in targets] == expected
    assert hart.count(Event.TARGET_MISPREDICTS) == 3


def test_returns_go_where_the_stack_says() -> None:
    hart = Bare()
    call, back = block(hart, 0, CFI_CALL, CODE + 0x100), block(hart, 1, CFI_RETURN, CODE + 0x1000)
    go(hart, call, CODE + 0xF00)
    assert go(hart, back, CODE + 0x104) == ENTRY_REDIRECT
    assert go(hart, back, CODE + 0x104) == ENTRY_PREDICTED  # an empty stack: the BTB's own target
    go(hart, call, CODE + 0xF00)
    assert go(hart, back, CODE + 0x108) == ENTRY_MISPREDICT


def test_a_branch_that_is_never_taken_is_never_entered() -> None:
    hart = Bare()
    d = block(hart, 0, CFI_BRANCH, CODE + 0x100)
    assert {go(hart, d, CODE + 0x104) for _ in range(50)} == {ENTRY_SEQUENTIAL}
    assert (hart.words[T_BTB_KEY >> 3:(T_BTB_KEY >> 3) + 64] == -1).all()
    assert (hart.count(Event.BRANCHES), hart.count(Event.BRANCH_MISPREDICTS)) == (50, 0)


def test_a_branch_always_taken_is_learnt_for_each_history_and_then_predicted() -> None:
    hart = Bare()
    d = block(hart, 0, CFI_BRANCH, CODE + 0x100)
    outcomes = [go(hart, d, CODE) for _ in range(40)]
    assert outcomes[0] == ENTRY_MISPREDICT and set(outcomes[20:]) == {ENTRY_PREDICTED}
    assert hart[T_HISTORY] == 0xFF
    assert hart.count(Event.BRANCH_MISPREDICTS) == outcomes.count(ENTRY_MISPREDICT)
    assert go(hart, d, CODE + 0x104) == ENTRY_MISPREDICT
