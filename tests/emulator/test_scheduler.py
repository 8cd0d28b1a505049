"""Several harts: they advance together, wait, wake each other, and one hart does not notice the scheduler."""

from __future__ import annotations

import pytest

from emulator.board import Board
from emulator.stop import Exited, Watchdog
from tests.helpers.machines import END, digest, image, machine, run


@pytest.mark.parametrize("harts", [2, 3, 5, 8])
def test_busy_harts_make_progress_together(harts: int) -> None:
    made = machine("1: addi a0, a0, 1\n j 1b", Board(harts=harts))
    made.run(max_insns=harts * 1_000_000)
    counts = [hart.instructions for hart in made.harts]
    assert max(counts) - min(counts) <= 2 * made.board.quantum


@pytest.mark.parametrize("quantum", [1, 100, 20_000])
def test_no_hart_runs_further_ahead_than_the_quantum(quantum: int) -> None:
    made = machine("1: addi a0, a0, 1\n j 1b", Board(harts=3, quantum=quantum))
    for _ in range(50):
        made.run(max_insns=997)
        clocks = [hart.cycles for hart in made.harts]
        assert max(clocks) - min(clocks) <= quantum + 1000  # and the rest of the slice in which the run ended


def test_a_hart_that_spins_on_memory_sees_the_others_store() -> None:
    made = run("""
            csrr    t0, mhartid
            la      t1, flag
            bnez    t0, 2f
    1:      ld      t2, 0(t1)
            beqz    t2, 1b
    """ + END + """
    2:      li      t3, 100000
    3:      addi    t3, t3, -1
            bnez    t3, 3b
            sd      t0, 0(t1)
    4:      j       4b
            .align  8
    flag:   .dword  0
    """, Board(harts=2))
    assert made.harts[0].instructions >= 100_000


def test_counters_shared_by_eight_harts_lose_nothing() -> None:
    made = run("""
            la      t0, counter
            addi    s2, t0, 8
            li      t1, 10000
    1:      li      t2, 1
            amoadd.d zero, t2, (t0)
    2:      lr.d    t3, (s2)
            addi    t3, t3, 1
            sc.d    t5, t3, (s2)
            bnez    t5, 2b
            addi    t1, t1, -1
            bnez    t1, 1b
            la      t2, arrived
            li      t3, 1
            amoadd.d zero, t3, (t2)
            csrr    t3, mhartid
    3:      bnez    t3, 3b
            li      t4, 8
    4:      ld      t3, 0(t2)
            bne     t3, t4, 4b
            la      t0, counter
            ld      s0, 0(t0)
            ld      s1, 8(t0)
    """ + END + """
            .align  8
    counter: .dword 0, 0
    arrived: .dword 0
    """, Board(harts=8))
    assert (made.harts[0].read("s0"), made.harts[0].read("s1")) == (80_000, 80_000)


def test_a_reservation_does_not_survive_another_harts_store() -> None:
    made = run("""
            csrr    t0, mhartid
            la      t1, word
            la      t2, turn
            bnez    t0, other
            lr.d    t3, (t1)
            li      t4, 1
            sd      t4, 0(t2)           # go
    1:      ld      t4, 8(t2)
            beqz    t4, 1b              # it has stored
            sc.d    s0, t3, (t1)
            ld      s1, 0(t1)
    """ + END + """
    other:  ld      t4, 0(t2)
            beqz    t4, other
            li      t5, 99
            sd      t5, 0(t1)
            sd      t5, 8(t2)
    2:      j       2b
            .align  8
    word:   .dword  7
    turn:   .dword  0, 0
    """, Board(harts=2))
    assert (made.harts[0].read("s0"), made.harts[0].read("s1")) == (1, 99)


def test_wfi_wakes_by_an_interrupt_from_another_hart() -> None:
    made = run("""
            csrr    t0, mhartid
            li      t1, 8
            csrw    mie, t1
            beqz    t0, 2f
            li      t3, 50000
    1:      addi    t3, t3, -1
            bnez    t3, 1b
            li      t1, 0x2000000
            sw      t0, 0(t1)
    3:      wfi
            j       3b
    2:      wfi
            csrr    s0, cycle
    """ + END, Board(harts=2))
    assert 100_000 < made.harts[0].read("s0") < 100_000 + made.board.quantum
    assert made.harts[0].instructions < 30


@pytest.mark.parametrize("harts", [1, 4])
def test_wfi_wakes_by_the_timer_at_its_time(harts: int) -> None:
    made = run("""
            csrr    t0, mhartid
    1:      bnez    t0, 1b
            li      t1, 0x2004000
            li      t2, 5000
            sd      t2, 0(t1)
            li      t1, 0x80
            csrw    mie, t1
            wfi
            csrr    s0, time
    """ + END, Board(harts=harts))
    assert made.harts[0].read("s0") == 5000


def test_wfi_wakes_by_the_plic() -> None:
    made = machine("""
            li      t0, 0x0c000000
            li      t1, 1
            sw      t1, 40(t0)          # priority of source 10
            li      t0, 0x0c002000
            li      t1, 0x400
            sw      t1, 0(t0)           # enabled for M-mode of hart 0
            li      t0, 0x10000000
            li      t1, 1
            sb      t1, 1(t0)           # IER: received data
            li      t1, 0x800
            csrw    mie, t1
            wfi
            li      t0, 0x0c200004
            lw      s0, 0(t0)
    """ + END)
    made.run(max_insns=1000)
    assert made.harts[0].waiting
    made.feed(b"x")
    assert made.run(max_insns=1000) == Exited(0)
    assert made.harts[0].read("s0") == 10


def test_all_harts_waiting_leap_to_the_earliest_timer() -> None:
    made = run("""
            csrr    t0, mhartid
            li      t1, 0x2004000
            slli    t2, t0, 3
            add     t1, t1, t2
            li      t3, 8000000
            li      t4, 1000000
            mul     t4, t4, t0
            sub     t3, t3, t4          # hart h at 8 000 000 - h * 1 000 000 ticks
            sd      t3, 0(t1)
            li      t1, 0x80
            csrw    mie, t1
            wfi
            csrr    s0, time
    """ + END, Board(harts=4))
    assert made.harts[3].read("s0") == 5_000_000
    assert [hart.waiting for hart in made.harts] == [True, True, True, False]


def test_a_python_devices_event_comes_while_one_hart_waits_and_another_is_ahead() -> None:
    made = machine("""
            csrr    t0, mhartid
    1:      bnez    t0, 1b
            li      t0, 0x0c000000
            li      t1, 1
            sw      t1, 44(t0)          # source 11: the real-time clock
            li      t0, 0x0c002000
            li      t1, 0x800
            sw      t1, 0(t0)
            csrw    mie, t1
            li      t1, 0x101000
            li      t0, 1
            sw      t0, 16(t1)
            lw      t2, 0(t1)
            lw      t3, 4(t1)
            addi    t2, t2, 2000
            sw      t3, 12(t1)
            sw      t2, 8(t1)           # an alarm in 2 microseconds
            wfi
    """ + END, Board(harts=2))
    assert made.run(max_insns=1_000_000, timeout=10) == Exited(0)


@pytest.mark.parametrize("name", ["timer", "hello", "pagefault-sv39", "sbi-selftest"])
def test_the_quantum_is_nothing_to_a_single_hart(name: str) -> None:
    found = set()
    for quantum in (1, 777, 20_000, 10**9):
        made = image(name).boot(1, quantum=quantum)
        image(name).run(made)
        found.add(digest(made))
    assert len(found) == 1


@pytest.mark.parametrize("quantum", [1, 50, 1000, 1_000_000])
def test_harts_work_together_with_any_quantum(quantum: int) -> None:
    made = image("smp-pingpong").boot(4, quantum=quantum)
    assert image("smp-pingpong").run(made) == Exited(0)
    assert image("smp-pingpong").printed(made.console) == image("smp-pingpong").expected


def test_a_wfi_loop_with_a_pending_interrupt_does_not_starve_the_others() -> None:
    made = machine("""
            csrr    t0, mhartid
            li      t1, 8
            csrw    mie, t1
            bnez    t0, 2f
            li      t2, 0x2000000
            sw      t1, 0(t2)
            li      t1, 1
            sw      t1, 0(t2)           # its own MSIP, pending for ever: WFI falls through
    1:      wfi
            j       1b
    2:      addi    a0, a0, 1
            j       2b
    """, Board(harts=2))
    assert isinstance(made.run(max_insns=200_000), Watchdog)
    assert made.harts[1].instructions > 100_000
