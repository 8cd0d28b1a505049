"""Counting cycles is deterministic, does not notice a debugger, and changes nothing but the cycles.

The programs are the reference programs of the timing model, which print the cycles that they saw
themselves, and the test images.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bench.timing.programs import FOLDER
from emulator.board import Board
from emulator.machine import Machine
from emulator.stop import Breakpoint, Stepped, Watchdog
from emulator.trace import TraceKind, Tracer
from tests.helpers.machines import LIMIT, ROOT, image, images, load, timed

UNTIMED = None
PIPELINE = "rocket"
TIMED = ["simple", PIPELINE]
PROFILES = [UNTIMED, *TIMED]
PROGRAMS = ["br_cold", "csr_status", "fence_i", "fma_d_dep", "icache_jump", "k_dispatch", "lrsc", "mmio_clint",
            "mul_indep", "rem_mid", "sb_drain", "stride_sd_64k", "vm_code_16", "vm_syscall"]
"""Something of every mechanism that costs cycles."""
CLOCKLESS = ["bad-exit", "bad-jump", "bad-loop", "bad-romstore", "bad-traploop", "hello", "mhello", "pagefault-sv39",
             "pagefault-sv48", "slab-corruption", "uart-echo"]
"""Images on one hart that read no clock, so that they cannot notice how many cycles have passed."""
CLOCKED = ["timer", "sbi-selftest", "smp-pingpong"]
"""Images that read clocks, or whose harts wait for each other: only what they print is the same."""

each_profile = pytest.mark.parametrize("profile", PROFILES)
each_program = pytest.mark.parametrize("program", PROGRAMS)


def start(program: str, profile: str | None = PIPELINE) -> Machine:
    """A machine that is about to run a reference program."""
    made = timed(Board(memory=64 << 20), profile)
    made.boot(kernel=load(FOLDER / "elf" / f"{program}.elf"))
    return made


def counts(made: Machine) -> Any:
    """All that was counted, and what the guest saw of it."""
    timing = getattr(made, "timing", None)
    return (made.console, [(hart.instructions, hart.cycles, hart.traps, hart.registers()) for hart in made.harts],
            timing.stats() if timing is not None else None)


def finished(made: Machine) -> Any:
    """What was counted when the program has ended by itself."""
    stop = made.run(max_insns=LIMIT)
    assert stop.ok, stop
    return counts(made)


def memory(made: Machine) -> str:
    """A hash of RAM."""
    found = hashlib.sha256()
    for bank in made.board.banks:
        found.update(made.bus.memory(bank.base, bank.size).data)
    return found.hexdigest()


def played(harts: int, profile: str | None) -> Any:
    """The counts of an image that keeps `harts` harts busy."""
    made = image("smp-pingpong" if harts > 1 else "timer").boot(harts, profile)
    found = finished(made)
    made.close()
    return found


# --- the same again -----------------------------------------------------------------------------------

@each_profile
@pytest.mark.parametrize("harts", [1, 2, 4])
def test_twenty_runs_count_the_same_cycles_and_print_the_same(profile: str | None, harts: int) -> None:
    first = played(harts, profile)
    for _ in range(19):
        assert played(harts, profile) == first


def test_another_process_with_another_hash_seed_counts_the_same() -> None:
    # With other host addresses, too: no cache or predictor may be indexed by them.
    code = "from tests.emulator.timing.test_determinism import *; print(played(4, PIPELINE))"
    for seed in ("1", "4242"):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60, capture_output=True,
                              text=True, env={**os.environ, "PYTHONHASHSEED": seed})
        assert done.stdout.strip() == str(played(4, PIPELINE))


@each_profile
@each_program
def test_a_reset_machine_counts_as_a_new_one(program: str, profile: str | None) -> None:
    made = start(program, profile)
    first = finished(made)[0]
    made.reset()
    assert finished(made)[0] == first * 2


@each_program
def test_machines_with_other_profiles_in_between_change_nothing(program: str) -> None:
    made, others = start(program), [start(program, other) for other in PROFILES]
    while isinstance(made.run(max_insns=1009), Watchdog):
        for other in others:
            other.run(max_insns=499)
    assert counts(made) == finished(start(program))


# --- a debugger ---------------------------------------------------------------------------------------

def address(program: str, symbol: str) -> int:
    """Where a reference program has `symbol`."""
    found = load(FOLDER / "elf" / f"{program}.elf").symbols.find(symbol)
    assert found is not None
    return found.address


def steps(made: Machine, end: int) -> Iterator[tuple[int, int, int]]:
    """Hart 0's pc, instructions and cycles after every single step up to `end`."""
    hart = made.harts[0]
    while hart.pc != end:
        assert isinstance(made.step(), Stepped)
        yield hart.pc, hart.instructions, hart.cycles


@each_program
def test_stepping_through_a_program_costs_no_cycle(program: str) -> None:
    made = start(program)
    insns, clock = 0, 0
    for _, insns_after, clock_after in steps(made, address(program, "sys_exit")):
        assert clock_after - clock >= insns_after - insns >= 0  # a core that issues one instruction a cycle
        insns, clock = insns_after, clock_after
    assert finished(made) == finished(start(program))


@each_program
@pytest.mark.parametrize("limit", [7, 997])
def test_a_run_in_slices_costs_no_cycle(program: str, limit: int) -> None:
    made = start(program)
    while isinstance(made.run(max_insns=limit), Watchdog):
        pass
    assert counts(made) == finished(start(program))


@each_program
@pytest.mark.parametrize("distance", [2, 20])
def test_breakpoints_cost_no_cycle(program: str, distance: int) -> None:
    """The region of interest, cut into blocks of one instruction or of a few."""
    made, region = start(program), address(program, "bench_run")
    made.set_breakpoints([region + distance * n for n in range(256)])
    hits = 0
    while isinstance(made.run(max_insns=LIMIT), Breakpoint):
        hits += 1
    assert hits > 1
    assert counts(made) == finished(start(program))


@pytest.mark.parametrize("harts", [2, 4])
def test_breakpoints_and_steps_on_several_harts_cost_no_cycle(harts: int) -> None:
    made = image("smp-pingpong").boot(harts, PIPELINE)
    handler = load(image("smp-pingpong").path).symbols.find("trap")
    assert handler is not None
    made.set_breakpoints([handler.address])
    stops = 0
    while isinstance(made.run(max_insns=LIMIT), Breakpoint):
        stops += 1
        for _ in range(stops % 5):
            made.step()
    assert stops >= 240
    assert counts(made) == played(harts, PIPELINE)


def test_the_clock_at_a_breakpoint_is_that_of_stepping_there() -> None:
    program = "k_dispatch"
    stepped = {insns: (pc, clock) for pc, insns, clock in steps(start(program), address(program, "sys_exit"))}
    made = start(program)
    made.set_breakpoints(sorted({pc for pc, _ in stepped.values()})[::7])
    hart, hits = made.harts[0], 0
    while isinstance(made.run(max_insns=LIMIT), Breakpoint):
        hits += 1
        assert (hart.pc, hart.cycles) == stepped[hart.instructions]
    assert hits > 100


@pytest.mark.parametrize("kind", TraceKind)
def test_tracing_costs_no_cycle(kind: TraceKind) -> None:
    made = start("vm_syscall")
    lines: list[str] = []
    tracer = Tracer(made, frozenset({kind}), lines.append)
    traced = finished(made)
    tracer.close()
    assert traced == finished(start("vm_syscall")) and lines


# --- nothing but the cycles ---------------------------------------------------------------------------

def architectural(name: str, harts: int, profile: str | None) -> Any:
    """What an image leaves behind, its clocks left out."""
    made = image(name).boot(harts, profile)
    stop = image(name).run(made)
    found = (stop, made.console, memory(made), [(hart.instructions, hart.traps, hart.registers(), hart.priv)
                                                for hart in made.harts])
    made.close()
    return found


@pytest.mark.parametrize(("name", "harts"), [*((name, 1) for name in CLOCKLESS), ("hello", 4)])
def test_counting_cycles_changes_no_result(name: str, harts: int) -> None:
    untimed = architectural(name, harts, UNTIMED)
    assert [architectural(name, harts, profile) for profile in TIMED] == [untimed] * len(TIMED)


@pytest.mark.parametrize("name", CLOCKED)
@pytest.mark.parametrize("profile", TIMED)
def test_counting_cycles_changes_nothing_that_an_image_prints(name: str, profile: str) -> None:
    made = image(name).boot(profile=profile)
    assert image(name).run(made).ok
    assert image(name).printed(made.console) == image(name).expected


def test_every_image_is_compared() -> None:
    assert sorted(CLOCKLESS + CLOCKED) == images()
