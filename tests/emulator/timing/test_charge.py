"""Charging a hart for what the host does in its place: TLB, cache, clock and counts."""

from __future__ import annotations

from emulator import Board, Machine
from emulator.timing import HostAccess, load_profile
from emulator.timing.events import Event, Stall
from emulator.timing.timing import Timing

RAM = 0x8000_0000


def machine(profile: str = "rocket", harts: int = 2) -> tuple[Machine, Timing]:
    made = Machine(Board(harts=harts, memory=4 << 20), load_profile(profile))
    assert made.timing is not None
    return made, made.timing


def load(timing: Timing, address: int, size: int = 8, instructions: int = 0, stride: int = 8, hart: int = 0) -> int:
    """Cycles of a load that is not translated."""
    return timing.charge(hart, address, address, size, HostAccess.LOAD, instructions, stride)


def test_an_access_costs_its_instructions_and_a_miss_and_the_clock_goes_on_by_that() -> None:
    made, timing = machine()
    miss = timing.profile.l1d.miss
    assert load(timing, RAM, instructions=4) == 5 + miss
    assert load(timing, RAM + 56, instructions=4) == 5
    assert [hart.cycles for hart in made.harts] == [10 + miss, 0]
    assert load(timing, RAM, hart=1) == 1 + miss, "a hart has a cache of its own"


def test_a_range_goes_word_by_word_and_a_column_by_its_stride() -> None:
    _, timing = machine()
    miss = timing.profile.l1d.miss
    assert load(timing, RAM, size=256, instructions=3) == 3 + 32 + 4 * miss
    assert load(timing, RAM + 4, size=8) == 2, "it is in two words"
    assert load(timing, RAM + 4096, size=3 * 64 + 8, stride=64) == 4 + 4 * miss
    assert timing.count(Event.LOADS) == 32 + 2 + 4


def test_a_store_makes_a_line_dirty_and_a_dirty_line_costs_more_to_replace() -> None:
    _, timing = machine()
    l1d = timing.profile.l1d
    size = l1d.sets * l1d.ways * l1d.line
    cycles = timing.charge(0, RAM, RAM, size, HostAccess.STORE, 0)
    cycles += load(timing, RAM + size, size)
    dirty = timing.count(Event.L1D_WRITEBACKS)
    assert dirty > 0
    assert cycles == (2 * size // 8 + timing.count(Event.L1D_MISSES) * l1d.miss
                      + dirty * (l1d.miss_dirty - l1d.miss))


def test_stats_tell_the_hosts_instructions_apart_and_nothing_as_waiting() -> None:
    made, timing = machine()
    spent = load(timing, RAM, instructions=9)
    hart = timing.stats().harts[0]
    assert (hart.cycles, hart.instructions, hart.host, hart.waiting) == (spent, 0, 10, 0)
    assert hart.stalls[Stall.L1D] == spent - 10
    assert hart.cpi == spent / 10
    made.reset()
    assert timing.stats().harts[0].host == 0


def test_empty_caches_are_cold_again_and_nothing_counted_is_lost() -> None:
    _, timing = machine()
    cold, warm = load(timing, RAM), load(timing, RAM)
    before = timing.count(Event.L1D_MISSES)
    timing.empty_caches()
    assert timing.count(Event.L1D_MISSES) == before == 1
    assert load(timing, RAM) == cold > warm


def test_a_flat_profile_charges_nothing() -> None:
    made, timing = machine("simple")
    assert (load(timing, RAM), timing.count(Event.LOADS), made.harts[0].cycles, timing.modelled) == (0, 0, 0, False)
    timing.empty_caches()
