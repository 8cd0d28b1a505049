"""A machine with a profile: the same machine, with its cycles told apart."""

from __future__ import annotations

import pytest

from emulator.board import Board
from emulator.timing import load_profile
from emulator.timing.events import Event, Stall
from emulator.timing.parameter import Whole
from emulator.timing.profile import PARAMETERS, Profile, build
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


def extreme(end: str, **changes: int) -> Profile:
    """The profile with every parameter at the least or most that it may be, but for what they then contradict."""
    values = {}
    for name, parameter in PARAMETERS.items():
        if isinstance(parameter, Whole):
            values[name] = parameter.low if end == "low" else parameter.high
        else:
            values[name] = load_profile("rocket" if end == "low" else "u74").values()[name]
    return build(end, "", None, {**values, **{name.replace("__", "."): value for name, value in changes.items()}})


@pytest.mark.parametrize("profile", [
    extreme("low"), extreme("high", l1i__ways=1, l1d__ways=1), extreme("high", l1i__sets=128, l1d__sets=128),
    extreme("high", l1i__ways=1, l1d__ways=1, issue__width=1), extreme("low", issue__width=2),
], ids=["least", "most, in sets", "most, in ways", "most, single issue", "least, dual issue"])
@pytest.mark.parametrize("name", ["hello", "pagefault-sv48", "smp-pingpong"])
def test_a_guest_does_the_same_at_the_ends_of_every_parameters_range(profile: Profile, name: str) -> None:
    known = image(name)
    made = known.boot(profile=profile)
    stop = known.run(made)
    assert stop.ok, stop
    assert known.printed(made.console) == known.expected
    assert made.timing is not None
    for hart in made.timing.stats().harts:
        assert hart.instructions == made.harts[hart.hart].instructions
        assert all(0 <= count <= hart.cycles for count in (*hart.stalls.values(), hart.waiting))


@pytest.mark.parametrize("name", ["hello", "timer", "smp-pingpong"])
def test_rockets_cycles_are_instructions_stalls_and_waiting(name: str) -> None:
    known = image(name)
    made = known.boot(profile="rocket")
    assert known.run(made).ok
    assert made.timing is not None
    for hart in made.timing.stats().harts:
        assert hart.cycles == hart.instructions + sum(hart.stalls.values()) + hart.waiting
        assert hart.events[Event.CYCLES] == hart.cycles
        assert hart.events[Event.INSTRUCTIONS] == hart.instructions
        assert hart.events[Event.L1D_MISSES] * 40 < hart.stalls[Stall.L1D] < hart.events[Event.L1D_MISSES] * 70


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
