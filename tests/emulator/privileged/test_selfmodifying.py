"""Translations never go stale: code that stores of any kind, another hart or the host have patched runs as patched.

Everything runs twice: with the engine's fast stores, and with the fallback in which every store takes
its slow path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from emulator.board import Board
from emulator.engine import layout
from emulator.machine import Machine
from tests.helpers import qemu
from tests.helpers.assembler import assemble
from tests.helpers.machines import flat, load, timed

from .programs import elf

SEEDS = range(int(os.environ.get("HARTWELL_SELFMOD_SEEDS", "2")))
ROUNDS = 120_000
"""Patches and calls per seed."""
SEED_AT, ROUNDS_AT, WRONG_AT = 0x8000_0008, 0x8000_0010, 0x8000_0018
"""Where `selfmod.S` keeps its parameters and its result."""


@pytest.fixture(params=[True, False], ids=["fast stores", "fallback"])
def fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def machines(fast: bool) -> Iterator[list[Machine]]:
    made: list[Machine] = []
    yield made
    for machine in made:
        machine.close()


def _machine(machines: list[Machine], fast: bool, harts: int = 1, quantum: int = 20_000,
             profile: str | None = None) -> Machine:
    machine = timed(Board(harts=harts, quantum=quantum), profile)
    machines.append(machine)
    machine.engine.set_word(layout.M_FAST_STORES, int(fast))
    return machine


@pytest.mark.parametrize("seed", SEEDS)
def test_random_patches_through_all_kinds_of_mappings_are_all_seen(
        machines: list[Machine], fast: bool, seed: int) -> None:
    machine = _machine(machines, fast)
    machine.boot(kernel=load(elf("selfmod")))
    machine.bus.write(SEED_AT, (0x2545F491_4F6CDD1D ^ seed << 20).to_bytes(8, "little"))
    machine.bus.write(ROUNDS_AT, ROUNDS.to_bytes(8, "little"))
    stop = machine.run(max_insns=100 * ROUNDS)
    assert int.from_bytes(machine.bus.read(WRONG_AT, 8), "little") == 0
    assert stop.ok, stop


@pytest.mark.parametrize("profile", ["rocket", "u74"])
def test_they_are_all_seen_while_cycles_are_counted(machines: list[Machine], fast: bool, profile: str) -> None:
    machine = _machine(machines, fast, profile=profile)
    machine.boot(kernel=load(elf("selfmod")))
    machine.bus.write(SEED_AT, (0x2545F491_4F6CDD1D).to_bytes(8, "little"))
    machine.bus.write(ROUNDS_AT, (ROUNDS // 10).to_bytes(8, "little"))
    stop = machine.run(max_insns=10 * ROUNDS)
    assert int.from_bytes(machine.bus.read(WRONG_AT, 8), "little") == 0
    assert stop.ok, stop


@pytest.mark.parametrize("profile", ["rocket", "u74"])
def test_code_that_one_hart_writes_runs_on_the_other_while_cycles_are_counted(
        machines: list[Machine], fast: bool, profile: str) -> None:
    machine = _machine(machines, fast, harts=2, quantum=1000, profile=profile)
    machine.boot(kernel=load(elf("handover")))
    stop = machine.run(max_insns=50_000_000)
    assert stop.ok, stop


@pytest.mark.parametrize("quantum", [100, 1_000, 20_000])
def test_code_that_one_hart_writes_runs_on_the_other_after_fence_i(
        machines: list[Machine], fast: bool, quantum: int) -> None:
    machine = _machine(machines, fast, harts=2, quantum=quantum)
    machine.boot(kernel=load(elf("handover")))
    stop = machine.run(max_insns=50_000_000)
    assert stop.ok, stop


LOOP = """
        la      s0, value
1:      call    patched
        sd      a0, 0(s0)
        j       1b
patched:
        li      a0, 1
        ret
        .align 8
value:  .dword 0
"""
"""Calls `patched` for ever; the host patches it and looks at `value`."""
PATCHED, VALUE = 0x8000_0014, 0x8000_0020


def _value(machine: Machine) -> int:
    machine.run(max_insns=1000)
    return int.from_bytes(machine.bus.read(VALUE, 8), "little")


def test_code_that_the_host_writes_runs_at_once(machines: list[Machine], fast: bool) -> None:
    machine = _machine(machines, fast)
    machine.boot(kernel=flat(assemble(LOOP)))
    assert _value(machine) == 1
    for value in range(2, 40):
        machine.bus.write(PATCHED, assemble(f"li a0, {value}"))
        assert _value(machine) == value


def test_code_that_the_host_writes_through_a_view_runs_after_discard_code(machines: list[Machine], fast: bool) -> None:
    machine = _machine(machines, fast)
    machine.boot(kernel=flat(assemble(LOOP)))
    assert _value(machine) == 1
    view = machine.bus.memory(PATCHED, 4)
    view[:] = list(assemble("li a0, 77"))
    machine.bus.discard_code(PATCHED, 4)
    assert _value(machine) == 77


def test_guest_stores_are_seen_after_the_host_patched_the_same_page(machines: list[Machine], fast: bool) -> None:
    machine = _machine(machines, fast)
    machine.boot(kernel=flat(assemble(f"""
        la      s0, value
        la      s1, patched
        li      s2, {int.from_bytes(assemble('li a0, 5'), 'little'):#x}
1:      call    patched
        sd      a0, 0(s0)
        li      t0, 9
        bne     a0, t0, 1b
        sw      s2, 0(s1)                   # the host has patched it to 9: now the guest patches it to 5
        fence.i
        call    patched
        sd      a0, 0(s0)
2:      j       2b
patched:
        li      a0, 1
        ret
        .align 8
value:  .dword 0
""")))
    labels = machine.bus.read(0x8000_0000, 256)
    patched = 0x8000_0000 + labels.index(assemble("li a0, 1"))
    value = (patched + 8 + 7) & ~7
    machine.run(max_insns=1000)
    assert int.from_bytes(machine.bus.read(value, 8), "little") == 1
    machine.bus.write(patched, assemble("li a0, 9"))
    machine.run(max_insns=1000)
    assert int.from_bytes(machine.bus.read(value, 8), "little") == 5


@qemu.needs_qemu
@pytest.mark.qemu
@pytest.mark.parametrize(("program", "harts"), [("selfmod", 1), ("handover", 2)])
def test_qemu_runs_the_same_programs(program: str, harts: int) -> None:
    _, code = qemu.run(qemu.command(bios="none", kernel=elf(program), harts=harts))
    assert code == 0


def test_code_that_the_host_writes_through_a_view_runs_after_it_says_so(machines: list[Machine], fast: bool) -> None:
    machine = _machine(machines, fast)
    machine.boot(kernel=flat(assemble(LOOP)))
    assert _value(machine) == 1
    view = machine.bus.memory(PATCHED, 4)
    view[:] = list(assemble("li a0, 77"))
    machine.bus.written(PATCHED & -4096, 4096)
    assert _value(machine) == 77
