"""The real-time clock: a date of its own, a nanosecond counter, and an alarm."""

from __future__ import annotations

import pytest

from emulator.board import Board, virt_devices
from emulator.devices.goldfish_rtc import DEFAULT_START, GoldfishRtc
from emulator.devices.plic import Plic
from emulator.machine import Machine
from emulator.stop import Deadlock, Watchdog
from tests.helpers.machines import END, machine, run

LOW, HIGH, ALARM_LOW, ALARM_HIGH, ENABLED, CLEAR_ALARM, STATUS, CLEAR_INTERRUPT = range(0, 32, 4)
SECOND = 1_000_000_000


def rtc(made: Machine) -> GoldfishRtc:
    return next(device for device in made.devices if isinstance(device, GoldfishRtc))


def read(made: Machine) -> int:
    return rtc(made).read(LOW, 4) | rtc(made).read(HIGH, 4) << 32


def set_time(made: Machine, value: int) -> None:
    rtc(made).write(HIGH, 4, value >> 32)
    rtc(made).write(LOW, 4, value & 0xFFFF_FFFF)


def set_alarm(made: Machine, value: int) -> None:
    rtc(made).write(ALARM_HIGH, 4, value >> 32)
    rtc(made).write(ALARM_LOW, 4, value & 0xFFFF_FFFF)


def pending(made: Machine) -> bool:
    plic = next(device for device in made.devices if isinstance(device, Plic))
    return bool(plic.read(0x1000, 4) >> 11 & 1)


def test_every_run_sees_the_same_date() -> None:
    program = "li t0, 0x101000\n lwu s0, 0(t0)\n lwu s1, 4(t0)\n" + END
    first, second = run(program).harts[0], run(program).harts[0]
    assert (first.read("s0"), first.read("s1")) == (second.read("s0"), second.read("s1"))
    assert (first.read("s1") << 32 | first.read("s0")) // SECOND == DEFAULT_START


def test_the_date_at_the_start_can_be_chosen() -> None:
    board = Board(devices=tuple(make for make in virt_devices() if make is not GoldfishRtc)
                  + (lambda: GoldfishRtc(start=1_000_000_000),))
    assert read(Machine(board)) == 1_000_000_000 * SECOND


def test_it_follows_the_machines_clock() -> None:
    made = machine("1: j 1b")
    before = read(made)
    made.run(max_insns=1_234_000)
    assert read(made) - before == made.clock == 1_234_000


def test_reading_the_low_half_latches_the_high_one() -> None:
    made = machine("1: j 1b")
    set_time(made, (5 << 32) - 1000)
    low = rtc(made).read(LOW, 4)
    made.run(max_insns=10_000)
    assert rtc(made).read(HIGH, 4) == 4 and low == (1 << 32) - 1000
    assert read(made) >> 32 == 5


@pytest.mark.parametrize("value", [0, 1, 1_700_000_000_600_000_001, 4_000_000_000 * SECOND + 7, (1 << 63) - 1])
def test_a_time_that_is_set_is_the_time_to_the_nanosecond(value: int) -> None:
    made = machine("1: j 1b")
    made.run(max_insns=1_000)
    set_time(made, value)
    assert read(made) == value
    made.run(max_insns=5_000)
    assert read(made) == value + 5_000


def test_reset_takes_back_a_time_that_the_guest_set() -> None:
    made = machine("1: j 1b")
    set_time(made, 5 * SECOND)
    made.reset()
    assert read(made) == DEFAULT_START * SECOND


ALARM = """
        li      t0, 0x0c000000
        li      t1, 1
        sw      t1, 44(t0)
        li      t0, 0x0c002000
        li      t1, 0x800
        sw      t1, 0(t0)               # source 11 to M-mode
        csrw    mie, t1
        li      t0, 0x101000
        li      t1, 1
        sw      t1, 16(t0)              # IRQ_ENABLED
        lwu     t1, 0(t0)
        lwu     t2, 4(t0)
        slli    t2, t2, 32
        or      t1, t1, t2
        li      t2, 3000000
        add     t1, t1, t2              # in 3 ms
        srli    t2, t1, 32
        sw      t2, 12(t0)
        sw      t1, 8(t0)
"""


def test_an_alarm_wakes_a_waiting_hart_at_its_time() -> None:
    made = run(ALARM + """
            csrr    s0, cycle
            lw      s3, 24(t0)
            wfi
            csrr    s1, cycle
            li      t1, 0x0c200004
            lw      s2, 0(t1)
            lw      s4, 24(t0)
            sw      zero, 28(t0)        # CLEAR_INTERRUPT
            sw      s2, 0(t1)
            lw      s5, 0(t1)
    """ + END)
    s = [made.harts[0].read(f"s{i}") for i in range(6)]
    assert abs(s[1] - s[0] - 3_000_000) < 100
    assert s[2:] == [11, 1, 0, 0]


def test_an_alarm_that_may_not_interrupt_wakes_nobody() -> None:
    made = machine(ALARM.replace("sw      t1, 16(t0)", "sw      zero, 16(t0)") + "1: wfi\n j 1b")
    assert isinstance(made.run(max_insns=10_000, timeout=10), Deadlock)


def test_an_alarm_that_is_taken_back_does_not_ring() -> None:
    made = machine("1: j 1b")
    rtc(made).write(ENABLED, 4, 1)
    set_alarm(made, read(made) + 5000)
    assert rtc(made).read(STATUS, 4) == 1
    rtc(made).write(CLEAR_ALARM, 4, 1)
    assert rtc(made).read(STATUS, 4) == 0
    made.run(max_insns=100_000)
    assert not pending(made)


def test_a_later_alarm_replaces_an_earlier_one() -> None:
    made = machine("1: j 1b")
    rtc(made).write(ENABLED, 4, 1)
    now = read(made)
    set_alarm(made, now + 5_000)
    set_alarm(made, now + 50_000)
    made.run(max_insns=20_000)
    assert not pending(made)
    made.run(max_insns=40_000)
    assert pending(made)


def test_an_alarm_in_the_past_rings_at_once() -> None:
    made = machine("1: j 1b")
    rtc(made).write(ENABLED, 4, 1)
    set_alarm(made, 5)
    made.run(max_insns=10)
    assert pending(made)


@pytest.mark.parametrize("when", [(1 << 64) - 1, 1 << 63, (1 << 63) - 1])
def test_an_alarm_in_the_far_future_neither_rings_nor_hangs(when: int) -> None:
    made = machine(f"""
            li      t0, 0x101000
            li      t1, {when >> 32}
            li      t2, {when & 0xFFFF_FFFF}
            li      t3, 1
            sw      t3, 16(t0)
            sw      t1, 12(t0)
            sw      t2, 8(t0)
    1:      j       1b
    """)
    stop = made.run(max_insns=100_000, timeout=10)
    assert isinstance(stop, Watchdog) and stop.unit == "instructions"
    assert not pending(made)


def test_alarms_without_number_take_no_memory() -> None:
    made = machine("li t0, 0x101000\n li t1, -1\n li t2, 2000\n1: sw t2, 8(t0)\n sw t1, 12(t0)\n addi t2, t2, -1\n"
                   "bnez t2, 1b\n2: j 2b")
    made.run(max_insns=50_000)
    assert len(made.snapshot().host.events) == 1


def test_reset_lowers_the_interrupt() -> None:
    made = machine("1: j 1b")
    rtc(made).write(ENABLED, 4, 1)
    set_alarm(made, 5)
    made.run(max_insns=10)
    assert pending(made)
    made.reset()
    assert not pending(made) and rtc(made).read(ENABLED, 4) == 0 and rtc(made).read(STATUS, 4) == 0
    made.run(max_insns=100)
    assert not pending(made)
