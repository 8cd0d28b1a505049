"""The test finisher from the host's side and at the widths that guests use; its exit codes are in test_stops."""

from __future__ import annotations

import pytest

from emulator.stop import Exited, Watchdog
from tests.helpers.machines import machine


def test_it_reads_as_zero() -> None:
    made = machine("1: j 1b")
    assert made.bus.load(0x10_0000, 4) == 0 and made.bus.load(0x10_0FFC, 4) == 0


def test_a_store_by_the_host_ends_the_next_run_at_once() -> None:
    made = machine("1: addi a0, a0, 1\n j 1b")
    made.bus.store(0x10_0000, 4, 42 << 16 | 0x3333)
    assert made.run(max_insns=1000) == Exited(42)
    assert made.instructions == 0


@pytest.mark.parametrize("store", ["sh", "sw", "sd"])
def test_pass_may_be_stored_with_any_width(store: str) -> None:
    assert machine(f"li t0, 0x100000\n li t1, 0x5555\n {store} t1, 0(t0)\n1: j 1b").run(max_insns=1000) == Exited(0)


def test_only_its_first_word_ends_the_machine() -> None:
    made = machine("li t0, 0x100000\n li t1, 0x5555\n sw t1, 4(t0)\n sw t1, 2044(t0)\n1: j 1b")
    assert isinstance(made.run(max_insns=1000), Watchdog)


def test_the_first_of_two_stores_in_a_row_counts() -> None:
    made = machine("li t0, 0x100000\n li t1, 0x5555\n li t2, 0x13333\n sw t1, 0(t0)\n sw t2, 0(t0)\n1: j 1b")
    assert made.run(max_insns=1000) == Exited(0)


def test_nothing_runs_behind_the_block_that_ends_the_machine() -> None:
    made = machine("li t0, 0x100000\n li t1, 0x5555\n sw t1, 0(t0)\n j 1f\n1: addi a0, a0, 1\n j 1b")
    made.run(max_insns=1000)
    assert made.harts[0].read("a0") == 0
