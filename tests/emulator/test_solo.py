"""One hart at a time: who runs is decided outside, access by access."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator import Board, Breakpoint, Machine, Stop, Watchdog
from emulator.solo import Before, Solo
from emulator.stop import Deadlock, Watch
from tests.helpers.machines import machine

BASE = 0x8000_0000
WORD = BASE + 0x1000
COUNTER = """
        la      s0, word
        li      s1, 0
        ld      a0, 0(s0)
        addi    a0, a0, 1
        addi    s1, s1, 1
        sd      a0, 0(s0)
        addi    s1, s1, 1
        amoadd.d a1, s1, (s0)
1:      j       1b
        .align  4096
word:   .dword  0, 0
"""
LOAD, STORE, AMO, END = (BASE + offset for offset in (12, 24, 32, 36))


@pytest.fixture
def counter() -> Iterator[Machine]:
    made = machine(COUNTER, Board(harts=2))
    yield made
    made.close()


def watching(made: Machine) -> Solo:
    return made.solo([Watch(WORD, 8, loads=True)])


def word(made: Machine) -> int:
    return int.from_bytes(made.bus.read(WORD, 8), "little")


def at(access: Before | Stop) -> int:
    assert isinstance(access, Before), access
    return access.pc


def test_a_hart_stops_before_each_access_and_no_other_runs(counter: Machine) -> None:
    with watching(counter) as solo:
        seen = [solo.run(0)]
        while len(seen) < 3:
            seen.append(solo.run(0, passing=True))
        assert seen[0] == Before(at(seen[0]), WORD, 8, False)
        assert seen[1] == Before(at(seen[0]) + 12, WORD, 8, True)
        assert seen[2] == Before(at(seen[1]) + 8, WORD, 8, True)
        assert word(counter) == 1, "the AMO has been done"
        assert solo.run(0, passing=True, max_insns=100) == Watchdog("instructions", 100, counter.harts[0].pc)
        assert word(counter) == 3
        assert counter.harts[1].instructions == 0


def test_an_update_is_lost_if_it_is_decided_that_way(counter: Machine) -> None:
    with watching(counter) as solo:
        solo.run(0)
        solo.run(1)
        for hart in (0, 1, 0, 1):  # both load, both store
            solo.run(hart, passing=True)
        assert word(counter) == 1


def test_nothing_is_accessed_before_it_is_let_pass(counter: Machine) -> None:
    with watching(counter) as solo:
        first = solo.run(0)
        assert solo.run(0) == first
        assert solo.run(0) == first
        counter.bus.write(WORD, (40).to_bytes(8, "little"))
        solo.run(0, passing=True)
        assert counter.harts[0].read("a0") == 41


def test_harts_go_back_to_where_they_were(counter: Machine) -> None:
    with watching(counter) as solo:
        solo.run(0)
        solo.run(1)
        saved = solo.save()
        instructions = [hart.instructions for hart in counter.harts]
        first = solo.run(0, passing=True), solo.run(1, passing=True), solo.run(0, passing=True)
        solo.load(saved)
        assert [hart.instructions for hart in counter.harts] == instructions
        counter.bus.write(WORD, bytes(8))
        assert (solo.run(0, passing=True), solo.run(1, passing=True), solo.run(0, passing=True)) == first
        assert word(counter) == 1


def test_instructions_are_counted_once_each(counter: Machine) -> None:
    with watching(counter) as solo:
        before = [at(solo.run(0))]
        assert counter.harts[0].instructions == (before[0] - counter.harts[0].pc) // 4 + straight(counter)
        for distance in (3, 2):
            was = counter.harts[0].instructions
            solo.run(0, passing=True)
            assert counter.harts[0].instructions - was == distance
    undisturbed = machine(COUNTER, Board(harts=1))
    undisturbed.set_breakpoints([counter.harts[0].pc])
    assert isinstance(undisturbed.run(max_insns=1000), Breakpoint)
    assert undisturbed.harts[0].instructions == counter.harts[0].instructions
    undisturbed.close()


def straight(made: Machine) -> int:
    """Instructions up to the first access."""
    alone = machine(COUNTER, Board(harts=1))
    alone.set_breakpoints([made.harts[0].pc])
    alone.run(max_insns=1000)
    count = alone.harts[0].instructions
    alone.close()
    return count


RESERVED = """
        la      s0, word
        csrr    t0, mhartid
        bnez    t0, other
        lr.d    a0, (s0)
        li      a1, 7
        sc.d    a2, a1, (s0)
1:      j       1b
other:  li      a0, 9
        sd      a0, 8(s0)
1:      j       1b
        .align  4096
word:   .dword  0, 0
"""


@pytest.mark.parametrize("released", [False, True])
def test_a_reservation_lives_on_until_it_is_released(released: bool) -> None:
    made = machine(RESERVED, Board(harts=2))
    with made.solo([Watch(WORD, 16, loads=True)]) as solo:
        solo.run(0)
        assert solo.reservation(0) is None
        store = solo.run(0, passing=True)
        assert solo.reservation(0) == WORD
        assert isinstance(store, Before) and store.store
        solo.run(1)
        solo.run(1, passing=True, max_insns=50)
        assert int.from_bytes(made.bus.read(WORD + 8, 8), "little") == 9
        if released:
            solo.release(0)
        solo.run(0, passing=True, max_insns=50)
        assert made.harts[0].read("a2") == int(released)
        assert word(made) == (0 if released else 7)
    made.close()


def test_a_hart_that_waits_for_an_interrupt_is_not_waited_for() -> None:
    made = machine("wfi\n1: j 1b", Board(harts=2))
    with made.solo() as solo:
        assert isinstance(solo.run(1), Deadlock)
    made.close()


def test_afterwards_all_harts_take_their_turns_again_under_the_watchpoints_of_before(counter: Machine) -> None:
    watch = Watch(WORD, 8)
    counter.set_watchpoints([watch])
    with watching(counter) as solo:
        solo.run(0)
    stop = counter.run(max_insns=1000)
    assert "stored 8 bytes" in str(stop)
    counter.set_watchpoints([])
    counter.run(max_insns=200_000)
    assert all(hart.instructions > 100 for hart in counter.harts)
    assert word(counter) >= 3
