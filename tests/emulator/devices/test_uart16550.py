"""UART 16550A, by its register map, and the rings behind it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emulator.devices.plic import Plic
from emulator.devices.uart16550 import DLAB, IER, IIR, LCR, LOOPBACK, LSR, MCR, MSR, RBR, SCR, Uart16550
from emulator.machine import Machine
from tests.helpers.machines import END, ROOT, machine

DATA, EMPTY, BOTH = 1, 2, 3
"""Bits of IER: received data, transmitter empty."""
NONE, THRI, RDI = 0x01, 0x02, 0x04
"""Values of IIR."""


@pytest.fixture
def made() -> Machine:
    return machine("1: j 1b")


@pytest.fixture
def uart(made: Machine) -> Uart16550:
    return made.uart


def line(made: Machine) -> bool:
    plic = next(device for device in made.devices if isinstance(device, Plic))
    return bool(plic.read(0x1000, 4) >> 10 & 1)


def test_the_state_after_reset(uart: Uart16550) -> None:
    assert [uart.read(offset, 1) for offset in (RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR)] == [
        0, 0, NONE, 0, 8, 0x60, 0xB0, 0]


def test_scratch_line_and_modem_control_keep_what_is_written(uart: Uart16550) -> None:
    for offset, value, kept in ((SCR, 0xA5, 0xA5), (LCR, 0x1B, 0x1B), (MCR, 0xFF, 0x1F), (IER, 0xFF, 0x0F)):
        uart.write(offset, 1, value)
        assert uart.read(offset, 1) == kept


def test_dlab_shows_the_divisor_in_place_of_data_and_ier(made: Machine, uart: Uart16550) -> None:
    uart.write(IER, 1, DATA)
    made.feed(b"x")
    uart.write(LCR, 1, DLAB | 3)
    uart.write(0, 1, 0x34)
    uart.write(1, 1, 0x12)
    assert (uart.read(0, 1), uart.read(1, 1), uart.read(LCR, 1)) == (0x34, 0x12, DLAB | 3)
    uart.write(LCR, 1, 3)
    assert (uart.read(IER, 1), uart.read(RBR, 1)) == (DATA, ord("x"))
    assert uart.take_output() == b""


def test_lsr_says_whether_a_byte_waits(made: Machine, uart: Uart16550) -> None:
    made.feed(b"ab")
    assert uart.read(LSR, 1) == 0x61
    assert (uart.read(RBR, 1), uart.read(LSR, 1), uart.read(RBR, 1)) == (ord("a"), 0x61, ord("b"))
    assert uart.read(LSR, 1) == 0x60 and uart.read(RBR, 1) == 0


def test_fifos_show_in_iir_when_they_are_on(uart: Uart16550) -> None:
    uart.write(IIR, 1, 0x07)
    assert uart.read(IIR, 1) == 0xC0 | NONE
    uart.write(IIR, 1, 0)
    assert uart.read(IIR, 1) == NONE


def test_a_fifo_reset_does_not_lose_what_was_typed(made: Machine, uart: Uart16550) -> None:
    made.feed(b"early")
    uart.write(IIR, 1, 0x07)
    assert bytes(uart.read(RBR, 1) for _ in range(5)) == b"early"


# --- interrupts -----------------------------------------------------------------------------------


def test_received_data_interrupts_until_it_is_read(made: Machine, uart: Uart16550) -> None:
    uart.write(IER, 1, DATA)
    assert uart.read(IIR, 1) == NONE and not line(made)
    made.feed(b"ab")
    assert line(made)
    for _ in range(2):
        assert uart.read(IIR, 1) == RDI
        uart.read(RBR, 1)
    assert uart.read(IIR, 1) == NONE


def test_data_that_waits_interrupts_as_soon_as_it_may(made: Machine, uart: Uart16550) -> None:
    made.feed(b"a")
    assert uart.read(IIR, 1) == NONE
    uart.write(IER, 1, DATA)
    assert uart.read(IIR, 1) == RDI and line(made)


def test_enabling_the_transmitter_interrupt_raises_it_once(uart: Uart16550) -> None:
    uart.write(IER, 1, EMPTY)
    assert uart.read(IIR, 1) == THRI  # and reading IIR clears it
    assert uart.read(IIR, 1) == NONE
    uart.write(IER, 1, EMPTY)  # it was enabled already
    assert uart.read(IIR, 1) == NONE
    uart.write(IER, 1, 0)
    uart.write(IER, 1, EMPTY)
    assert uart.read(IIR, 1) == THRI


def test_every_byte_sent_raises_the_transmitter_interrupt_again(uart: Uart16550) -> None:
    uart.write(IER, 1, EMPTY)
    uart.read(IIR, 1)
    uart.write(RBR, 1, ord("x"))
    assert uart.read(IIR, 1) == THRI


def test_received_data_comes_before_the_transmitter(made: Machine, uart: Uart16550) -> None:
    uart.write(IER, 1, BOTH)
    made.feed(b"a")
    assert [uart.read(IIR, 1) for _ in range(3)] == [RDI, RDI, RDI]  # which does not clear the other
    uart.read(RBR, 1)
    assert [uart.read(IIR, 1) for _ in range(2)] == [THRI, NONE]


# --- loopback -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("outputs", "inputs"), [(0x00, 0x00), (0x01, 0x20), (0x02, 0x10), (0x04, 0x40), (0x08, 0x80),
                                                 (0x0F, 0xF0)])
def test_loopback_turns_modem_outputs_into_inputs(uart: Uart16550, outputs: int, inputs: int) -> None:
    uart.write(MCR, 1, LOOPBACK | outputs)
    assert uart.read(MSR, 1) & 0xF0 == inputs
    uart.write(MCR, 1, outputs)
    assert uart.read(MSR, 1) & 0xF0 == 0xB0


def test_loopback_gives_back_what_is_sent_and_sends_nothing(made: Machine, uart: Uart16550) -> None:
    made.feed(b"line")
    uart.write(IER, 1, DATA)
    uart.write(MCR, 1, LOOPBACK)
    assert uart.read(LSR, 1) == 0x60 and uart.read(IIR, 1) == NONE
    uart.write(RBR, 1, 0xA5)
    assert (uart.read(LSR, 1), uart.read(IIR, 1), uart.read(RBR, 1)) == (0x61, RDI, 0xA5)
    uart.write(MCR, 1, 0)
    assert uart.read(RBR, 1) == ord("l") and uart.take_output() == b""


# --- rings ----------------------------------------------------------------------------------------

RECEIVE = """
        la      t0, vector
        csrw    mtvec, t0
        li      t0, 0x0c000000
        li      t1, 1
        sw      t1, 40(t0)
        li      t0, 0x0c002000
        li      t1, 1024
        sw      t1, 0(t0)
        li      t0, 0x10000000
        li      t1, 1
        sb      t1, 1(t0)
        li      s2, 31
        li      s4, LENGTH
        li      t1, 0x800
        csrw    mie, t1
        csrsi   mstatus, 8
1:      wfi
        j       1b
        .align  4
vector: li      t0, 0x0c200004
        lw      t1, 0(t0)
        li      t2, 0x10000000
2:      lbu     t3, 5(t2)
        andi    t3, t3, 1
        beqz    t3, 3f
        lbu     t3, 0(t2)
        mul     s1, s1, s2              # a hash of what was received
        add     s1, s1, t3
        addi    s0, s0, 1
        beq     s0, s4, done
        j       2b
3:      sw      t1, 0(t0)
        mret
done:
"""


@pytest.mark.parametrize("length", [1, 65_535, 65_536, 65_537, 200_000])
def test_input_of_any_length_arrives_whole_by_interrupts(length: int) -> None:
    data = bytes((7 * i + i // 251) & 255 for i in range(length))
    made = machine(RECEIVE.replace("LENGTH", str(length)) + END)
    made.feed(data)
    assert made.run(max_insns=50_000_000, timeout=20).ok
    expected = 0
    for byte in data:
        expected = (expected * 31 + byte) & (1 << 64) - 1
    assert (made.harts[0].read("s0"), made.harts[0].read("s1")) == (length, expected)


def test_input_in_many_pieces_wraps_around_the_ring(uart: Uart16550) -> None:
    got, sent = bytearray(), bytearray()
    for i in range(60):
        piece = bytes((i + j) & 255 for j in range(3001))
        sent += piece
        uart.feed(piece)
        while uart.input_left > 2000:
            got.append(uart.read(RBR, 1))
    while uart.input_left:
        got.append(uart.read(RBR, 1))
    assert got == sent


@pytest.mark.parametrize("unrolled", [1, 400])
def test_output_of_any_length_loses_nothing(unrolled: int) -> None:
    made = machine(f"""
            li      t0, 0x10000000
            li      t1, {240_000 // unrolled}
    1:      repeat  {unrolled}, sb t1, 0(t0)
            addi    t1, t1, -1
            beqz    t1, 2f
            j       1b
    2:
    """ + END)
    assert made.run(max_insns=10_000_000).ok
    assert made.console == b"".join(bytes([i & 255]) * unrolled for i in range(240_000 // unrolled, 0, -1))


def test_output_written_by_the_host_does_not_run_over() -> None:
    code = """if True:
        from tests.helpers.machines import machine
        made = machine("1: j 1b")
        for _ in range(200_000):
            made.uart.write(0, 1, 65)
        made.run(max_insns=100)
        assert made.console and set(made.console) == {65}
    """
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, timeout=60, capture_output=True,
                          text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])


def test_the_guest_may_use_wider_accesses() -> None:
    made = machine("li t0, 0x10000000\n li t1, 0x41424344\n sw t1, 0(t0)\n sh t1, 0(t0)\n lhu s1, 6(t0)\n" + END)
    assert made.run(max_insns=1000).ok
    assert made.console == b"DD" and made.harts[0].read("s1") & 0xFF == 0xB0


def test_reset_puts_the_registers_back_and_keeps_what_was_typed(made: Machine, uart: Uart16550) -> None:
    for offset, value in ((IER, 3), (MCR, LOOPBACK), (SCR, 9), (LCR, DLAB), (IIR, 1)):
        uart.write(offset, 1, value)
    made.feed(b"k")
    made.reset()
    assert [uart.read(offset, 1) for offset in (IER, IIR, LCR, MCR, SCR)] == [0, NONE, 0, 8, 0]
    assert uart.read(RBR, 1) == ord("k")
