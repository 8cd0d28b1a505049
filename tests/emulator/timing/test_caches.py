"""The caches beside plain models of them, access by access."""

from __future__ import annotations

import random

import numpy as np
import pytest

from emulator.engine.abi import ENV_GPR, ENV_PRIV, ENV_SIZE
from emulator.engine.layout import M_BANKS
from emulator.timing.access import note_access
from emulator.timing.caches import FIRST_DIRTY, HIT, MISS, MISS_DIRTY, l1d_access, l1i_access, l1i_clear, step
from emulator.timing.decode import decode
from emulator.timing.events import Event
from emulator.timing.layout import (
    D_OPS, EV_DIRTY, EV_FIRST_DIRTY, EV_STALL, MAX_LINES, O_SIZE, T_EVENT_COUNT, T_EVENT_LIST, T_L1D_LATEST,
    T_L1D_SHIFT, T_L1D_TAGS, T_L1I_EPOCH, T_L1I_SHIFT, T_L1I_TAGS, T_PENDING,
)

from .bare import Bare, address, rocket

LD, SD = 0x0005_3503, 0x00B5_3023  # ld a0, 0(a0); sd a1, 0(a0)
A0 = 10


class Model:
    """A cache of `sets` times `ways` lines of 64 bytes, as its documentation says, in lists."""

    def __init__(self, sets: int, ways: int, lru: bool, early: bool = False) -> None:
        self.ways, self.lru, self.early = ways, lru, early
        self.lines: list[list[int | None]] = [[None] * ways for _ in range(sets)]
        self.order: list[list[int]] = [[] for _ in range(sets)]  # ways, the one used longest ago first
        self.dirty: set[int] = set()
        self.shift = 1

    def _way(self, number: int) -> int:
        lines = self.lines[number]
        if self.lru:
            return lines.index(None) if None in lines else self.order[number][0]
        before = self.shift
        bits = f"{before:016b}"  # taps 16, 14, 13 and 11, counted from 1
        new = int(bits[0]) ^ int(bits[2]) ^ int(bits[3]) ^ int(bits[5])
        self.shift = int(bits[1:] + str(new), 2)
        return (self.shift if self.early else before) % self.ways

    def access(self, at: int, store: int) -> int:
        line = at // 64
        number = line % len(self.lines)
        lines, order = self.lines[number], self.order[number]
        if line in lines:
            way, outcome = lines.index(line), HIT
            if store and line not in self.dirty:
                outcome = FIRST_DIRTY
        else:
            way = self._way(number)
            old = lines[way]
            outcome = MISS_DIRTY if old in self.dirty else MISS
            if old is not None:
                self.dirty.discard(old)
            lines[way] = line
        if store:
            self.dirty.add(line)
        if way in order:
            order.remove(way)
        order.append(way)
        return outcome


def addresses(seed: int, count: int) -> list[tuple[int, int]]:
    """Random accesses to some 24 KiB, often to a place used a moment ago: (address, store)."""
    rng = random.Random(seed)
    recent = [0x8000_0000]
    found = []
    for _ in range(count):
        if rng.random() < 0.4:
            recent.append(0x8000_0000 + 8 * rng.randrange(3072))
        found.append((rng.choice(recent[-20:]), int(rng.random() < 0.3)))
    return found


@pytest.mark.parametrize("early", [False, True])
def test_the_replacement_register_has_every_value_but_0(early: bool) -> None:
    model = Model(1, 4, False, early)
    register, seen = 1, set()
    while register not in seen:
        seen.add(register)
        assert model.shift == register
        register = step(register)
        model._way(0)
    assert seen == set(range(1, 1 << 16))
    assert register == 1


@pytest.mark.parametrize(("sets", "ways", "replacement"), [
    (64, 4, "lfsr"), (64, 4, "lru"), (16, 8, "lru"), (64, 1, "lfsr"), (1, 16, "lfsr"), (1, 32, "lru")])
def test_the_data_cache_is_the_plain_model(sets: int, ways: int, replacement: str) -> None:
    hart = Bare(rocket("l1d", sets=sets, ways=ways, replacement=replacement))
    model = Model(sets, ways, replacement == "lru")
    outcomes = []
    for at, store in addresses(sets + ways, 3000):
        outcomes.append(l1d_access(hart.t, at, store))
        assert outcomes[-1] == model.access(at, store)
    assert set(outcomes) == {HIT, FIRST_DIRTY, MISS, MISS_DIRTY}
    assert hart.count(Event.L1D_ACCESSES) == len(outcomes)
    assert hart.count(Event.L1D_MISSES) == outcomes.count(MISS) + outcomes.count(MISS_DIRTY)
    assert hart.count(Event.L1D_WRITEBACKS) == outcomes.count(MISS_DIRTY)
    tags = hart.words[T_L1D_TAGS >> 3:(T_L1D_TAGS >> 3) + MAX_LINES]
    assert {int(tag) >> 2: bool(tag & 2) for tag in tags if tag & 1} == {
        line: line in model.dirty for lines in model.lines for line in lines if line is not None}
    if replacement == "lfsr":
        assert hart[T_L1D_SHIFT] == model.shift


@pytest.mark.parametrize(("ways", "replacement"), [(4, "lfsr"), (4, "lru"), (1, "lfsr")])
def test_the_instruction_cache_is_the_plain_model(ways: int, replacement: str) -> None:
    hart = Bare(rocket("l1i", sets=16, ways=ways, replacement=replacement))
    model = Model(16, ways, replacement == "lru", early=True)
    for at, _ in addresses(ways, 2000):
        before = hart[T_L1I_EPOCH]
        outcome = l1i_access(hart.t, at)
        assert outcome == model.access(at, 0)
        assert (hart[T_L1I_EPOCH] != before) == (outcome == MISS)
    assert hart.count(Event.L1I_MISSES) > 100
    assert replacement == "lru" or hart[T_L1I_SHIFT] == model.shift


def test_fence_i_empties_the_instruction_cache_and_keeps_the_register() -> None:
    hart = Bare()
    for line in range(300):
        l1i_access(hart.t, 64 * line)
    register, epoch = hart[T_L1I_SHIFT], hart[T_L1I_EPOCH]
    l1i_clear(hart.t)
    assert not hart.words[T_L1I_TAGS >> 3:(T_L1I_TAGS >> 3) + 256].any()
    assert hart[T_L1I_SHIFT] == register and hart[T_L1I_EPOCH] != epoch
    assert l1i_access(hart.t, 64 * 299) == MISS


@pytest.mark.parametrize("replacement", ["lfsr", "lru"])
def test_the_fast_path_of_a_plain_hit_never_differs_from_the_tags(replacement: str) -> None:
    fast, slow = (Bare(rocket("l1d", replacement=replacement)) for _ in range(2))
    machine = np.zeros((M_BANKS + 4096) // 8, dtype=np.int64)
    machine[M_BANKS >> 3:(M_BANKS >> 3) + 2] = 0x8000_0000, 1 << 20
    env = np.zeros(ENV_SIZE // 8 + 1, dtype=np.int64)
    env[ENV_PRIV >> 3] = 3
    op = np.zeros(O_SIZE // 8, dtype=np.int64)
    fast.blocks[0, D_OPS >> 3] = address(op)
    fast[T_PENDING] = address(fast.blocks)
    bits = {HIT: 0, FIRST_DIRTY: EV_FIRST_DIRTY, MISS: EV_STALL, MISS_DIRTY: EV_STALL | EV_DIRTY}
    hits = 0
    for at, store in addresses(9, 4000):
        env[(ENV_GPR >> 3) + A0] = at
        fast[T_EVENT_COUNT] = 0
        word, _ = decode(SD if store else LD)
        note_access(fast.t, address(machine), address(env), address(op), word)
        outcome = l1d_access(slow.t, at, store)
        noted = fast[T_EVENT_LIST] >> 20 & 0xFFF if fast[T_EVENT_COUNT] else 0
        assert noted & (EV_FIRST_DIRTY | EV_STALL | EV_DIRTY) == bits[outcome]
        hits += outcome == HIT
    assert hits > 1000
    for at in (T_L1D_TAGS, T_L1D_LATEST):
        assert (fast.words[at >> 3:(at >> 3) + 256] == slow.words[at >> 3:(at >> 3) + 256]).all()
    for event in (Event.L1D_ACCESSES, Event.L1D_MISSES, Event.L1D_WRITEBACKS):
        assert fast.count(event) == slow.count(event)
