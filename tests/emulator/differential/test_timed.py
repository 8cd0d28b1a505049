"""Counting cycles changes no result of random code, legal or not, and its counts add up."""

from __future__ import annotations

import random
from typing import Any

import pytest

from emulator.board import Board
from emulator.stop import Exited
from emulator.timing.events import Event
from tests.helpers.machines import flat, timed

from .compare import sequences, single
from .image import Case, build
from .test_against_qemu import FUNCT7, OPCODES

PROFILES = ["rocket", "u74"]


def outcome(image: bytes, profile: str | None) -> Any:
    """What the image prints, counts and leaves in memory."""
    made = timed(Board(), profile)
    made.boot(kernel=flat(image))
    stop = made.run(timeout=100)
    assert stop == Exited(0), stop
    (hart,) = made.harts
    if profile is not None:
        assert made.timing is not None
        (stats,) = made.timing.stats().harts
        events, lost = stats.events, sum(stats.stalls.values())
        assert stats.waiting == 0
        if profile == "rocket":
            assert hart.instructions + lost == hart.cycles
        assert hart.cycles >= max(hart.instructions / 2, lost)
        assert events[Event.L1D_WRITEBACKS] <= events[Event.L1D_MISSES] <= events[Event.L1D_ACCESSES]
        assert events[Event.BRANCH_MISPREDICTS] <= events[Event.BRANCHES] <= hart.instructions
        assert events[Event.LOADS] > hart.instructions // 100
    memory = bytes(made.bus.memory(0x8000_0000, 16 << 20).data)
    found = (made.console, hart.instructions, hart.traps, hart.registers(), memory)
    made.close()
    return found


def same(cases: list[Case], group: int = 1, all_addresses: bool = False) -> None:
    image = build(cases, group=group, all_addresses=all_addresses)
    untimed = outcome(image, None)
    for profile in PROFILES:
        assert outcome(image, profile) == untimed, profile


@pytest.mark.parametrize(("count", "length"), [(1500, 12), (150, 200)], ids=["short", "long"])
def test_random_sequences(count: int, length: int) -> None:
    same(sequences(seed=77, count=count, length=length))


def test_compressed_encodings_legal_or_not() -> None:
    words = []
    for word in range(0, 1 << 16):
        jumps = (word & 3 == 1 and word >> 13 >= 5) or (word & 3 == 2 and word >> 13 == 4 and word >> 2 & 31 == 0)
        if word & 3 != 3 and not jumps and word * 0x9E3779B1 >> 7 & 7 == 0:
            words.append(word.to_bytes(2, "little"))
    same(single(words), group=64, all_addresses=True)


def test_words_legal_or_not() -> None:
    rng = random.Random(3)
    words = []
    for _ in range(6000):
        word = rng.getrandbits(25) << 7 | rng.choice(OPCODES)
        if rng.random() < 0.6:
            word = word & ~(0x7F << 25) | rng.choice(FUNCT7) << 25
        words.append(word.to_bytes(4, "little"))
    same(single(words), group=64, all_addresses=True)
