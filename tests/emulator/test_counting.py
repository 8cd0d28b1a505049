"""Retired instructions, counted by the machine and by hand.

Traps, WFI, page ends, long blocks and code that changes under its own feet all end a translated block
early or late; none may cost or add an instruction.
"""

from __future__ import annotations

import pytest

from emulator.board import Board
from tests.helpers.machines import END, machine, run

AROUND = 6 + 4 + 2
"""Boot ROM; END up to its store; the store and the jump behind it, which are one block."""

SKIP = """
        j       start
        .align  4
vector: csrr    t1, mepc                # skips the instruction that trapped: 4 instructions
        addi    t1, t1, 4
        csrw    mepc, t1
        mret
start:  la      t0, vector
        csrw    mtvec, t0
"""
SKIP_LENGTH = 4


def count(source: str) -> int:
    """Instructions retired by `source` itself."""
    return run(source + END).instructions - AROUND


@pytest.mark.parametrize(("source", "expected"), [
    ("", 0),
    ("li t0, 1000\n1: addi t0, t0, -1\n bnez t0, 1b", 1 + 2 * 1000),
    ("repeat 2000, addi a0, a0, 1", 2000),
    ("repeat 5000, c.nop", 5000),
    ("c.nop\n repeat 3000, addi a0, a0, 1", 3001),
    ("li t0, 30\n1: repeat 700, addi a0, a0, 1\n addi t0, t0, -1\n bnez t0, 1b", 1 + 30 * 702),
    ("la t0, 1f\n csrw mepc, t0\n li t1, 0x1800\n csrw mstatus, t1\n mret\n .word 0\n1: c.nop", 2 + 1 + 2 + 1 + 1 + 1),
], ids=["nothing", "loop", "straight", "compressed", "straddling", "long-loop", "mret"])
def test_code_without_traps(source: str, expected: int) -> None:
    assert count(source) == expected


@pytest.mark.parametrize("trap", [".word 0xffffffff", "lw t3, 0(zero)", "sw t3, 0(zero)",
                                  "csrrs a1, 0x7ff, zero", "amoadd.w t3, t3, (zero)", "ld t3, 2047(zero)"])
def test_an_instruction_that_traps_is_not_retired_and_its_neighbours_are(trap: str) -> None:
    loop = f"li s0, 100\n1: addi a0, a0, 1\n {trap}\n addi a1, a1, 1\n addi s0, s0, -1\n bnez s0, 1b"
    assert count(SKIP + loop) == SKIP_LENGTH + 1 + 100 * (4 + 4)


@pytest.mark.parametrize("trap", ["ecall", "ebreak"])
def test_ecall_and_ebreak_count_as_on_the_reference_core(trap: str) -> None:
    loop = f"li s0, 100\n1: addi a0, a0, 1\n {trap}\n addi a1, a1, 1\n addi s0, s0, -1\n bnez s0, 1b"
    assert count(SKIP + loop) == SKIP_LENGTH + 1 + 100 * (4 + 1 + 4)


@pytest.mark.parametrize("before", [1, 300, 511, 512, 600, 1500])
def test_a_fault_deep_inside_straight_code(before: int) -> None:
    loop = f"""
        li      s0, 20
    1:  repeat  {before}, addi a0, a0, 1
        lw      t3, 0(zero)
        repeat  300, addi a0, a0, 1
        addi    s0, s0, -1
        beqz    s0, 2f
        j       1b
    2:
    """
    assert count(SKIP + loop) == SKIP_LENGTH + 1 + 20 * (before + 4 + 300 + 2) + 19


def test_a_fault_within_compressed_code_over_a_page_end() -> None:
    loop = "li s0, 5\n1: repeat 2100, c.nop\n lw t3, 0(zero)\n c.nop\n addi s0, s0, -1\n beqz s0, 2f\n j 1b\n2:"
    assert count(SKIP + loop) == SKIP_LENGTH + 1 + 5 * (2100 + 4 + 1 + 2) + 4


def test_instret_and_cycle_count_what_stands_between_two_reads() -> None:
    made = run("csrr a0, instret\n repeat 1500, addi t0, t0, 1\n csrr a1, instret\n csrr a2, cycle\n csrr a3, cycle\n"
               + END)
    hart = made.harts[0]
    assert hart.read("a1") - hart.read("a0") == 1501
    assert hart.read("a3") - hart.read("a2") == 1


def test_instret_does_not_count_the_trap_between_two_reads() -> None:
    made = run(SKIP + "csrr a0, instret\n ecall\n csrr a1, instret\n" + END)
    assert made.harts[0].read("a1") - made.harts[0].read("a0") == 1 + 1 + 4


def test_a_written_minstret_counts_on_from_there() -> None:
    made = run("li a0, 100\n csrw minstret, a0\n csrr a1, minstret\n csrr a2, minstret\n" + END)
    assert (made.harts[0].read("a1"), made.harts[0].read("a2")) == (100, 101)


TIMER = """
        j       start
        .align  4
vector: li      t1, 0x2004000           # puts the timer off for ever: 5 instructions
        li      t2, -1
        sd      t2, 0(t1)
        mret
start:  la      t0, vector
        csrw    mtvec, t0
        li      t1, 0x2004000
        li      t2, 1000
        sd      t2, 0(t1)
        li      t2, 0x80
        csrw    mie, t2
"""
TIMER_LENGTH = 1 + 3 + 2 + 1 + 1 + 2


def test_a_wfi_that_waits_is_one_instruction() -> None:
    assert count(TIMER + "wfi\n addi a0, a0, 1") == TIMER_LENGTH + 2


def test_a_wfi_that_ends_in_an_interrupt_is_one_instruction() -> None:
    assert count(TIMER + "csrsi mstatus, 8\n wfi\n addi a0, a0, 1") == TIMER_LENGTH + 3 + 5


def test_wfis_that_fall_through_are_one_instruction_each() -> None:
    pending = "li t2, 8\n csrw mie, t2\n li t1, 0x2000000\n li t2, 1\n sw t2, 0(t1)\n"
    assert count(pending + "repeat 5, wfi") == 6 + 5
    assert count(pending + "li t0, 100\n1: wfi\n addi t0, t0, -1\n bnez t0, 1b") == 6 + 1 + 300


@pytest.mark.parametrize("fence", ["fence.i", ""])
def test_code_that_patches_itself(fence: str) -> None:
    patching = f"""
        li      s0, 50
    1:  la      t1, patch
        lw      t2, 0(t1)
        li      t3, 0x100000
        add     t2, t2, t3
        sw      t2, 0(t1)
        {fence}
    patch: addi a1, zero, 0
        addi    s0, s0, -1
        bnez    s0, 1b
    """
    assert count(patching) == 1 + 50 * (10 if fence == "" else 11)


def test_device_accesses_in_the_middle_of_a_block() -> None:
    loop = "1: lbu t2, 5(t0)\n lbu t2, 5(t0)\n sb zero, 7(t0)\n addi t1, t1, -1\n bnez t1, 1b"
    assert count("li t0, 0x10000000\n li t1, 100\n" + loop) == 2 + 1 + 5 * 100


def test_single_precision_code_that_is_translated_twice() -> None:
    fadd = ".word 0x00a5f553"
    loop = f"li t1, 100\n1: {fadd}\n addi a1, a1, 1\n {fadd}\n addi t1, t1, -1\n bnez t1, 1b"
    assert count("li t0, 0x6000\n csrs mstatus, t0\n" + loop) == 3 + 1 + 5 * 100
    trapping = f"li s0, 100\n1: {fadd}\n addi s0, s0, -1\n bnez s0, 1b"  # FS is off: each one traps
    assert count(SKIP + trapping) == SKIP_LENGTH + 1 + 100 * (4 + 2)


def test_the_count_of_every_hart_is_its_own() -> None:
    made = machine("csrr t0, mhartid\n addi t0, t0, 1\n1: addi t0, t0, -1\n bnez t0, 1b\n2: wfi\n j 2b", Board(harts=4))
    made.run(max_insns=10_000)
    assert [hart.instructions for hart in made.harts] == [6 + 2 + 2 * (hart + 1) + 1 for hart in range(4)]
