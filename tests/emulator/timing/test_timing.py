"""A machine with a flat profile: the same machine, with its cycles told apart."""

from __future__ import annotations

import pytest

from emulator.board import Board
from emulator.timing import load_profile
from emulator.timing.events import Event
from emulator.timing.stats import HartStats, Stats
from tests.helpers.machines import END, digest, image, machine, run

LOOP = "li t0, 1000\n1: addi t0, t0, -1\n bnez t0, 1b\n"
WAIT = """
        li      t0, 0x200bff8           # mtime
        ld      t1, 0(t0)
        addi    t1, t1, 100
        li      t0, 0x2004000           # mtimecmp
        sd      t1, 0(t0)
        li      t0, 0x80
        csrw    mie, t0                 # MTIE; no trap, since MIE is 0
        wfi
"""


def test_a_machine_without_a_profile_has_no_timing() -> None:
    assert machine(END).timing is None


def test_a_flat_profiles_cycles_are_instructions() -> None:
    made = run(LOOP + END, timing=load_profile("simple"))
    assert made.timing is not None
    assert made.timing.profile == load_profile("simple")
    stats = made.timing.stats()
    (hart,) = stats.harts
    assert (stats.profile, stats.accuracy) == ("simple", "one cycle per instruction")
    assert hart.cycles == hart.instructions == made.instructions > 2000
    assert (hart.cpi, hart.waiting, hart.stalls) == (1.0, 0, {})
    assert hart.events == {Event.CYCLES: hart.cycles, Event.INSTRUCTIONS: hart.instructions, Event.TRAPS: 0}


def test_cycles_in_wfi_are_waiting_and_not_in_cpi() -> None:
    made = run(WAIT + END, timing=load_profile("simple"))
    assert made.timing is not None
    (hart,) = made.timing.stats().harts
    assert hart.waiting == hart.cycles - hart.instructions
    assert 9900 < hart.waiting <= 10_000  # 100 ticks of 100 cycles
    assert hart.cpi == 1.0


@pytest.mark.parametrize("name", ["hello", "timer", "smp-pingpong"])
def test_a_flat_profile_changes_nothing(name: str) -> None:
    known = image(name)
    plain, timed = known.boot(), known.boot(profile="simple")
    assert known.run(plain) == known.run(timed)
    assert digest(plain) == digest(timed)
    assert timed.timing is not None
    for hart, counted in zip(timed.harts, timed.timing.stats().harts, strict=True):
        assert (counted.cycles, counted.instructions, counted.events[Event.TRAPS]) == (
            hart.cycles, hart.instructions, hart.traps)


def test_counts_start_over_with_a_reset() -> None:
    made = run(LOOP + END, Board(harts=2), timing=load_profile("simple"))
    assert made.timing is not None
    made.reset()
    assert [(hart.cycles, hart.instructions) for hart in made.timing.stats().harts] == [(0, 0), (0, 0)]


def test_a_machines_cpi_is_that_of_all_harts_together() -> None:
    def hart(number: int, cycles: int, waiting: int, instructions: int) -> HartStats:
        return HartStats(number, cycles, waiting, instructions, {}, {})

    stats = Stats("x", "y", (hart(0, 300, 0, 100), hart(1, 250, 150, 100), hart(2, 0, 0, 0)))
    assert (stats.cycles, stats.instructions, stats.cpi) == (300, 200, 2.0)
    assert [each.cpi for each in stats.harts] == [3.0, 1.0, 0.0]
    assert Stats("x", "y", (hart(0, 5, 5, 0),)).cpi == 0.0
