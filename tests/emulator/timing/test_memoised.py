"""The automaton remembers what the pipeline would compute: forgetting it, at any moment, changes no count.

And what it computes adds up: every cycle of a hart is an instruction, a stall, or waiting.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from bench.timing.programs import FOLDER
from emulator.board import Board
from emulator.machine import Machine
from emulator.stop import Watchdog
from emulator.timing import model
from tests.helpers.assembler import assemble
from tests.helpers.machines import BASE, LIMIT, flat, image, load, timed

PROGRAMS = ["br_alt", "csr_status", "div_shadow", "fence_i", "fp_thru_mix", "icache_jump", "k_dispatch", "lrsc",
            "mmio_clint", "sb_drain", "vm_code_16", "vm_syscall"]
IMAGES = ["hello", "pagefault-sv39", "sbi-selftest", "smp-pingpong", "timer"]
PROFILES = ["rocket", "u74"]

each_profile = pytest.mark.parametrize("profile", PROFILES)


def program(name: str, profile: str) -> Machine:
    """A machine that is about to run a reference program."""
    made = timed(Board(memory=64 << 20), profile)
    made.boot(kernel=load(FOLDER / "elf" / f"{name}.elf"))
    return made


def counts(made: Machine) -> Any:
    """All that was counted, and what the guest left behind."""
    assert made.timing is not None
    found = (made.console, [(hart.instructions, hart.cycles, hart.traps, hart.registers()) for hart in made.harts],
             made.timing.stats())
    made.close()
    return found


def finished(made: Machine) -> Any:
    """The counts at the end of an undisturbed run."""
    stop = made.run(max_insns=LIMIT)
    assert stop.ok, stop
    return counts(made)


def forgetful(made: Machine, seed: int, longest: int) -> Any:
    """The counts of a run that forgets all blocks, edges and states every now and then."""
    rng = random.Random(seed)
    stops = 0
    while isinstance(made.run(max_insns=rng.randrange(1, longest)), Watchdog):
        made.engine.flush_translations()
        stops += 1
    assert stops > 10
    return counts(made)


PATCHED = """
        li      s0, 4000
        li      s1, 1
        la      s2, patch
        li      s3, 0x8067              # ret
        li      s4, 2000
        li      s5, 1103515245
loop:   mul     s1, s1, s5
        addi    s1, s1, 1234
        srli    t1, s1, 17
        andi    t1, t1, 1
        jal     ra, function            # two calls: a return that is not foreseen by the stack is wrong
        jal     ra, function
        bne     s0, s4, 1f
        sw      s3, 0(s2)
        fence.i
1:      addi    s0, s0, -1
        bnez    s0, loop
        li      t0, 0x100000
        li      t1, 0x5555
        sw      t1, 0(t0)
2:      j       2b
function:
        bnez    t1, 1f                  # either way, by chance
patch:  nop
        nop
        nop
        nop
        nop
1:      ret
"""


def test_a_wrong_path_that_is_patched_is_looked_at_again() -> None:
    """Fetch meets a return there, from some moment on, and moves the return stack; no block of that code ran since."""
    def patched() -> Machine:
        made = timed(Board(), "rocket")
        made.boot(kernel=flat(assemble(PATCHED, BASE)))
        return made

    assert forgetful(patched(), 1, 2000) == finished(patched())


def shrink(monkeypatch: pytest.MonkeyPatch, **pools: int) -> None:
    """Machines made from now on have pools of these sizes."""
    for name, size in pools.items():
        monkeypatch.setattr(model, name, size)


@each_profile
@pytest.mark.parametrize("name", PROGRAMS)
def test_forgetting_at_random_moments_costs_no_cycle_of_a_program(name: str, profile: str) -> None:
    expected = finished(program(name, profile))
    longest = max(20, sum(hart[0] for hart in expected[1]) // 40)
    assert forgetful(program(name, profile), 1, longest) == expected


@each_profile
@pytest.mark.parametrize("name", IMAGES)
def test_forgetting_at_random_moments_costs_no_cycle_of_an_image(name: str, profile: str) -> None:
    longest = 300_000 if name == "sbi-selftest" else 20_000
    assert forgetful(image(name).boot(profile=profile), 2, longest) == finished(image(name).boot(profile=profile))


POOLS = {"edges": {"EDGES": 40}, "states": {"STATES": 30}, "instructions": {"OPS": 1000}, "blocks": {"BLOCKS": 20},
         "all": {"EDGES": 30, "STATES": 20, "OPS": 1000, "BLOCKS": 15}}


@each_profile
@pytest.mark.parametrize("pools", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize("name", ["k_dispatch", "icache_jump", "vm_syscall"])
def test_a_full_pool_costs_no_cycle(name: str, pools: dict[str, int], profile: str,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    expected = finished(program(name, profile))
    shrink(monkeypatch, **pools)
    assert finished(program(name, profile)) == expected


def test_a_full_pool_costs_no_cycle_of_several_harts(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = finished(image("smp-pingpong").boot(3, "rocket"))
    shrink(monkeypatch, EDGES=2000, STATES=150, OPS=2000, BLOCKS=200)
    assert finished(image("smp-pingpong").boot(3, "rocket")) == expected


@pytest.mark.parametrize("name", ["hello", "mhello", "pagefault-sv39", "pagefault-sv48", "bad-romstore"])
def test_a_hart_that_never_waits_has_a_cause_for_every_cycle(name: str) -> None:
    made = image(name).boot(profile="rocket")
    image(name).run(made)
    assert made.timing is not None
    (hart,) = made.timing.stats().harts
    assert hart.instructions + sum(hart.stalls.values()) == hart.cycles
    made.close()
