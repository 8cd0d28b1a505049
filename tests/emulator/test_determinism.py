"""The same machine, program and input give the same run, however it is driven and wherever it runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from emulator.board import Board
from emulator.stop import Matched, Watchdog
from tests.helpers.machines import END, ROOT, digest, image, machine


def outcome(name: str, harts: int) -> str:
    made = image(name).boot(harts)
    assert image(name).run(made).ok
    return digest(made)


def test_twenty_runs_on_several_harts_are_one() -> None:
    assert len({outcome("smp-pingpong", 4) for _ in range(20)}) == 1


@pytest.mark.parametrize("harts", [1, 2, 8])
def test_another_process_with_another_hash_seed_gives_the_same_run(harts: int) -> None:
    name = "smp-pingpong" if harts > 1 else "timer"
    code = f"from tests.emulator.test_determinism import outcome; print(outcome({name!r}, {harts}))"
    found = {outcome(name, harts)}
    for seed in ("0", "1", "4242"):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60, capture_output=True,
                              text=True, env={**os.environ, "PYTHONHASHSEED": seed})
        found.add(done.stdout.strip())
    assert len(found) == 1


@pytest.mark.parametrize(("name", "harts"), [("timer", 1), ("uart-echo", 1), ("smp-pingpong", 2), ("smp-pingpong", 3)])
@pytest.mark.parametrize("limit", [7, 997, 100_000])
def test_a_run_in_slices_is_the_run(name: str, harts: int, limit: int) -> None:
    made = image(name).boot(harts)
    while isinstance(made.run(max_insns=limit), Watchdog):
        pass
    assert digest(made) == outcome(name, harts)


@pytest.mark.parametrize("harts", [1, 2, 4])
def test_looking_at_the_machine_between_slices_changes_nothing(harts: int) -> None:
    made = image("smp-pingpong" if harts > 1 else "timer").boot(harts)
    while isinstance(made.run(max_insns=1000), Watchdog):
        for hart in made.harts:
            hart.registers()
            for name in ("mcause", "mstatus", "mip", "cycle", "satp", "pmpcfg0", "ft0", "priv"):
                hart.read(name)
            hart.translate(0x8020_0000)
        for device in made.devices:
            device.state()
    assert digest(made) == outcome("smp-pingpong" if harts > 1 else "timer", harts)


def test_waiting_for_output_changes_nothing() -> None:
    made = image("smp-pingpong").boot(3)
    assert made.expect(b"Game 2") == Matched()
    assert made.expect(b"laps") == Matched()
    image("smp-pingpong").run(made)
    assert digest(made) == outcome("smp-pingpong", 3)


def test_runs_in_between_of_other_machines_change_nothing() -> None:
    made, other = image("smp-pingpong").boot(2), image("smp-pingpong").boot(8)
    while isinstance(made.run(max_insns=5000), Watchdog):
        other.run(max_insns=3000)
    assert digest(made) == outcome("smp-pingpong", 2)


COUNTED = """
        li      t0, 1                   # mhpmcounter3: cycles, 4: instructions, 5: traps
        csrw    mhpmevent3, t0
        li      t0, 2
        csrw    mhpmevent4, t0
        li      t0, 3
        csrw    mhpmevent5, t0
        la      t0, vector
        csrw    mtvec, t0
        csrr    s0, mhartid
        slli    s0, s0, 3
        li      t0, 0x2004000
        add     s0, s0, t0              # this hart's mtimecmp
        li      s2, 0x200bff8
        ld      t1, 0(s2)
        sd      t1, 0(s0)
        li      t0, 0x80
        csrw    mie, t0
        csrsi   mstatus, 8
        li      s1, 40                  # interrupts still to come
1:      addi    a7, a7, 1
        bnez    s1, 1b
        csrci   mstatus, 8
        csrr    s3, mhpmcounter3
        csrr    s4, mhpmcounter4
        csrr    s5, mhpmcounter5
2:      wfi
        j       2b
        .align  4
vector: ld      t1, 0(s2)
        addi    t1, t1, 5
        sd      t1, 0(s0)
        addi    s1, s1, -1
        mret
"""


def counted(harts: int, limit: int) -> list[list[int]]:
    made = machine(COUNTED, Board(harts=harts))
    while not all(hart.read("s5") for hart in made.harts):
        made.run(max_insns=limit)
        assert made.instructions < 10_000_000
    return [[hart.read(name) for name in ("s3", "s4", "s5")] for hart in made.harts]


@pytest.mark.parametrize("harts", [1, 3])
def test_what_the_counters_count_does_not_depend_on_how_the_machine_is_run(harts: int) -> None:
    found = [counted(harts, limit) for limit in (100_000, 100_000, 997, 13)]
    assert all(each == found[0] for each in found)
    assert all(cycles >= instructions > 10_000 and traps >= 40 for cycles, instructions, traps in found[0])


def test_input_fed_at_the_same_point_gives_the_same_run() -> None:
    found = set()
    for _ in range(3):
        made = image("uart-echo").boot()
        assert made.expect(b"two words") == Matched()
        made.feed(b"typed behind the rest\n")
        image("uart-echo").run(made)
        found.add(digest(made))
    assert len(found) == 1


def test_when_a_lot_of_input_arrives_does_not_depend_on_how_the_machine_is_run() -> None:
    source = """
            li      t0, 0x10000000
            li      s2, 200000          # three times what the UART's ring holds
    1:      addi    s1, s1, 1           # counts how often it looked
            lbu     t1, 5(t0)
            andi    t1, t1, 1
            beqz    t1, 1b
            lbu     t1, 0(t0)
            addi    s0, s0, 1
            bne     s0, s2, 1b
    """ + END
    looked = set()
    for limit in (50_000_000, 50_000_000, 10_007):
        made = machine(source)
        made.feed(bytes(200_000))
        while isinstance(made.run(max_insns=limit), Watchdog):
            assert made.instructions < 50_000_000
        looked.add(made.harts[0].read("s1"))
    assert len(looked) == 1
