"""The same machine, program and input give the same run, however it is driven and wherever it runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
