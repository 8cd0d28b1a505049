"""CLINT, by its register map, from the guest and from the host."""

from __future__ import annotations

import pytest

from emulator.board import Board
from emulator.devices.clint import MTIME, MTIMECMP_BASE, Clint
from emulator.machine import Machine
from tests.helpers.machines import END, machine, run

MSIP, MTIP = 1 << 3, 1 << 7
IDLE = "1: j 1b"


def clint(made: Machine) -> Clint:
    return next(device for device in made.devices if isinstance(device, Clint))


def mip(made: Machine, hart: int = 0) -> int:
    return made.harts[hart].read("mip")


def test_msip_drives_the_interrupt_of_its_hart_alone() -> None:
    made = machine(IDLE, Board(harts=3))
    clint(made).write(4, 4, 0xFFFF_FFFF)
    assert [mip(made, hart) & MSIP for hart in range(3)] == [0, MSIP, 0]
    assert [clint(made).read(4 * hart, 4) for hart in range(3)] == [0, 1, 0]
    clint(made).write(4, 4, 0xFFFF_FFFE)
    assert mip(made, 1) == 0


@pytest.mark.parametrize("size", [1, 2, 4])
def test_msip_can_be_set_with_any_width(size: int) -> None:
    made = machine(IDLE)
    clint(made).write(0, size, 1)
    assert mip(made) == MSIP and clint(made).read(0, size) == 1


def test_registers_of_harts_that_are_not_there_read_zero_and_ignore_writes() -> None:
    made = machine(IDLE, Board(harts=2))
    for offset in (8, 0x3FFC, MTIMECMP_BASE + 16, 0xBFF0):
        clint(made).write(offset, 4, 0xFFFF_FFFF)
        assert clint(made).read(offset, 4) == 0


@pytest.mark.parametrize("offset", [0xC000, 0xC004, 0xFFF8])
def test_nothing_is_behind_mtime(offset: int) -> None:
    made = machine(IDLE)
    made.run(max_insns=100_000)
    assert clint(made).read(offset, 4) == 0
    clint(made).write(offset, 4, 12345678)
    assert clint(made).read(MTIME, 8) == 1000


def test_mtimecmp_is_infinitely_far_after_reset() -> None:
    made = machine(IDLE)
    assert clint(made).read(MTIMECMP_BASE, 8) == (1 << 64) - 1
    made.run(max_insns=10_000)
    assert mip(made) == 0


def test_mtip_is_high_from_mtimecmp_on_and_falls_with_a_later_one() -> None:
    made = run("""
            li      t1, 0x2004000
            li      t2, 100             # tick 100 is cycle 10 000
            sd      t2, 0(t1)
            li      t3, 0x80
    1:      csrr    t4, mip
            and     t4, t4, t3
            beqz    t4, 1b
            csrr    s0, time
            li      t2, 1000
            sd      t2, 0(t1)
            csrr    s1, mip
    """ + END)
    assert (made.harts[0].read("s0"), made.harts[0].read("s1")) == (100, 0)


@pytest.mark.parametrize(("compare", "due"), [(0, True), (10, True), (100, True), (101, False), (1 << 48, False),
                                              ((1 << 62) + 5, False), (1 << 63, False), ((1 << 64) - 1, False)])
def test_a_deadline_in_the_past_or_far_in_the_future(compare: int, due: bool) -> None:
    made = machine(IDLE)
    made.run(max_insns=10_000)
    assert clint(made).read(MTIME, 8) == 100
    clint(made).write(MTIMECMP_BASE, 8, compare)
    made.run(max_insns=10)
    assert bool(mip(made) & MTIP) == due


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_mtimecmp_is_written_and_read_in_pieces_of_any_width(size: int) -> None:
    made = machine(IDLE, Board(harts=2))
    value = 0x8877665544332211
    for at in range(0, 8, size):
        clint(made).write(MTIMECMP_BASE + 8 + at, size, value >> 8 * at & ((1 << 8 * size) - 1))
    assert clint(made).read(MTIMECMP_BASE + 8, 8) == value
    for at in range(0, 8, size):
        assert clint(made).read(MTIMECMP_BASE + 8 + at, size) == value >> 8 * at & ((1 << 8 * size) - 1)
    assert clint(made).read(MTIMECMP_BASE, 8) == (1 << 64) - 1


def test_the_guest_reads_and_writes_every_width() -> None:
    made = run("""
            li      t0, 0x2004000
            li      t1, 0x8877665544332211
            sd      t1, 0(t0)
            ld      s0, 0(t0)
            lwu     s1, 4(t0)
            lhu     s2, 2(t0)
            lbu     s3, 7(t0)
            lb      s4, 7(t0)
            li      t1, 0xab
            sb      t1, 1(t0)
            li      t1, 0x1234
            sh      t1, 6(t0)
            li      t1, 0x55667788
            sw      t1, 0(t0)
            ld      s5, 0(t0)
    """ + END)
    assert [made.harts[0].read(f"s{i}") for i in range(6)] == [
        0x8877665544332211, 0x88776655, 0x4433, 0x88, (1 << 64) - 0x78, 0x1234665555667788]


def test_mtime_and_the_time_csr_are_one_clock() -> None:
    made = run("li t0, 0x200bff8\n li t1, 5000\n1: addi t1, t1, -1\n bnez t1, 1b\n ld s0, 0(t0)\n csrr s1, time\n"
               " lw s2, 0(t0)\n lw s3, 4(t0)\n" + END)
    hart = made.harts[0]
    assert hart.read("s0") == hart.read("s1") == hart.read("s2") == 100 and hart.read("s3") == 0


@pytest.mark.parametrize("value", [0, 1 << 20, 1 << 40, (1 << 63) + 7, (1 << 64) - 10])
def test_mtime_can_be_set_and_goes_on_from_there(value: int) -> None:
    made = machine(IDLE)
    made.run(max_insns=12_300)
    clint(made).write(MTIME, 8, value)
    assert clint(made).read(MTIME, 8) == value
    made.run(max_insns=500)
    assert clint(made).read(MTIME, 8) == value + 5


def test_setting_mtime_moves_deadlines() -> None:
    made = machine(IDLE)
    clint(made).write(MTIMECMP_BASE, 8, 1_000_000)
    made.run(max_insns=1000)
    assert not mip(made) & MTIP
    clint(made).write(MTIME, 8, 999_999)
    made.run(max_insns=1000)
    assert mip(made) & MTIP
    clint(made).write(MTIME, 8, 0)
    made.run(max_insns=10)
    assert not mip(made) & MTIP


def test_mtime_set_in_halves_by_the_guest() -> None:
    made = run("li t0, 0x200bff8\n li t1, 7\n sw t1, 4(t0)\n sw zero, 0(t0)\n ld s0, 0(t0)\n" + END)
    assert made.harts[0].read("s0") == 7 << 32


def test_reset_puts_everything_back() -> None:
    made = machine(IDLE)
    clint(made).write(0, 4, 1)
    clint(made).write(MTIMECMP_BASE, 8, 5)
    clint(made).write(MTIME, 8, 1 << 40)
    made.run(max_insns=100)
    made.reset()
    assert mip(made) == 0
    assert (clint(made).read(0, 4), clint(made).read(MTIME, 8)) == (0, 0)
    assert clint(made).read(MTIMECMP_BASE, 8) == (1 << 64) - 1


def test_a_timer_interrupt_comes_within_a_block_of_its_deadline() -> None:
    made = machine("""
            la      t0, vector
            csrw    mtvec, t0
            li      t1, 0x2004000
            li      t2, 300
            sd      t2, 0(t1)
            li      t2, 0x80
            csrw    mie, t2
            csrsi   mstatus, 8
    1:      addi    a0, a0, 1
            addi    a0, a0, 1
            j       1b
            .align  4
    vector: csrr    s0, cycle
            csrr    s1, mcause
    """ + END)
    assert made.run(max_insns=100_000).ok
    assert 30_000 <= made.harts[0].read("s0") <= 30_010
    assert made.harts[0].read("s1") == 1 << 63 | 7
