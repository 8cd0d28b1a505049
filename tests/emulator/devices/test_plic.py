"""PLIC, by its register map: priorities, enables, threshold, gateways, claim and complete, two contexts a hart."""

from __future__ import annotations

import pytest

from emulator.board import Board, virt_devices
from emulator.devices.device import Device
from emulator.devices.plic import SOURCES, Plic
from emulator.errors import BoardError, BusError
from emulator.machine import Machine
from tests.helpers.machines import machine

SEIP, MEIP = 1 << 9, 1 << 11
PENDING, ENABLE, THRESHOLD, CLAIM = 0x1000, 0x2000, 0x20_0000, 0x20_0004
M0, S0, M1, S1 = range(4)
"""Contexts of the first two harts."""


class Board2:
    """A machine of two harts and short names for what its PLIC does."""

    def __init__(self) -> None:
        self.machine: Machine = machine("1: j 1b", Board(harts=2))
        self.plic = next(device for device in self.machine.devices if isinstance(device, Plic))

    def allow(self, source: int, context: int, priority: int = 1) -> None:
        self.plic.write(4 * source, 4, priority)
        at = ENABLE + 0x80 * context + 4 * (source // 32)
        self.plic.write(at, 4, self.plic.read(at, 4) | 1 << source % 32)

    def line(self, source: int, level: bool) -> None:
        self.machine.set_irq(source, level)

    def claim(self, context: int) -> int:
        return self.plic.read(CLAIM + 0x1000 * context, 4)

    def complete(self, context: int, source: int) -> None:
        self.plic.write(CLAIM + 0x1000 * context, 4, source)

    def threshold(self, context: int, value: int) -> None:
        self.plic.write(THRESHOLD + 0x1000 * context, 4, value)

    def pending(self, source: int) -> int:
        return self.plic.read(PENDING + 4 * (source // 32), 4) >> source % 32 & 1

    def outputs(self) -> list[int]:
        """MEIP and SEIP of hart 0, then of hart 1: the contexts' outputs in order."""
        return [int(bool(hart.read("mip") & bit)) for hart in self.machine.harts for bit in (MEIP, SEIP)]


@pytest.fixture
def board() -> Board2:
    return Board2()


@pytest.mark.parametrize("context", [M0, S0, M1, S1])
@pytest.mark.parametrize("source", [1, 10, 31, 32, 62, 63, 64, 95])
def test_each_source_reaches_each_context(board: Board2, source: int, context: int) -> None:
    board.allow(source, context)
    board.line(source, True)
    assert board.outputs() == [int(i == context) for i in range(4)]
    assert board.claim(context) == source
    assert board.outputs() == [0, 0, 0, 0]


def test_a_source_that_is_not_enabled_is_pending_and_interrupts_nobody(board: Board2) -> None:
    board.plic.write(4 * 10, 4, 7)
    board.line(10, True)
    assert board.pending(10) == 1 and board.outputs() == [0, 0, 0, 0]
    assert board.claim(M0) == 0
    board.allow(10, S1)
    assert board.outputs() == [0, 0, 0, 1]


def test_priority_0_never_interrupts_and_is_never_claimed(board: Board2) -> None:
    board.allow(10, M0, priority=0)
    board.line(10, True)
    assert board.outputs() == [0, 0, 0, 0] and board.claim(M0) == 0
    board.plic.write(40, 4, 1)
    assert board.outputs() == [1, 0, 0, 0]


def test_the_highest_priority_is_claimed_first_then_the_lowest_number(board: Board2) -> None:
    for source, priority in ((20, 3), (5, 1), (70, 7), (9, 3), (40, 7), (63, 3)):
        board.allow(source, S0, priority)
        board.line(source, True)
    assert [board.claim(S0) for _ in range(7)] == [40, 70, 9, 20, 63, 5, 0]


def test_the_threshold_masks_the_interrupt_but_not_the_claim(board: Board2) -> None:
    board.allow(10, M0, priority=3)
    board.line(10, True)
    for threshold, output in ((0, 1), (2, 1), (3, 0), (7, 0), (2, 1)):
        board.threshold(M0, threshold)
        assert board.outputs()[0] == output
    board.threshold(M0, 7)
    assert board.claim(M0) == 10


def test_thresholds_belong_to_their_contexts(board: Board2) -> None:
    board.allow(10, M0)
    board.allow(10, S1)
    board.threshold(M0, 7)
    board.line(10, True)
    assert board.outputs() == [0, 0, 0, 1]


def test_priorities_and_thresholds_have_three_bits(board: Board2) -> None:
    board.plic.write(40, 4, 0xFFFF_FFFF)
    board.threshold(S0, 0xFFFF_FFFF)
    assert board.plic.read(40, 4) == 7 and board.plic.read(THRESHOLD + 0x1000, 4) == 7


def test_a_level_that_stays_high_interrupts_again_after_completion_only(board: Board2) -> None:
    board.allow(10, M0)
    board.line(10, True)
    assert board.claim(M0) == 10
    assert board.outputs()[0] == 0 and board.pending(10) == 0 and board.claim(M0) == 0
    board.complete(M0, 10)
    assert board.outputs()[0] == 1 and board.claim(M0) == 10
    board.line(10, False)
    board.complete(M0, 10)
    assert board.outputs()[0] == 0 and board.pending(10) == 0


def test_a_line_that_rises_while_its_source_is_in_service_waits_for_the_completion(board: Board2) -> None:
    board.allow(10, M0)
    board.line(10, True)
    board.claim(M0)
    board.line(10, False)
    board.line(10, True)
    assert board.outputs()[0] == 0
    board.complete(M0, 10)
    assert board.outputs()[0] == 1


def test_one_claim_takes_the_source_from_all_contexts(board: Board2) -> None:
    for context in (M0, S0, M1, S1):
        board.allow(10, context)
    board.line(10, True)
    assert board.outputs() == [1, 1, 1, 1]
    assert board.claim(S1) == 10
    assert board.outputs() == [0, 0, 0, 0] and board.claim(M0) == 0


@pytest.mark.parametrize("wrong", [0, 11, 96, 1023, 0xFFFF_FFFF])
def test_completing_what_is_not_enabled_is_ignored(board: Board2, wrong: int) -> None:
    board.allow(10, M0)
    board.line(10, True)
    board.claim(M0)
    board.complete(M0, wrong)
    board.complete(S0, 10)  # not enabled there
    assert board.outputs()[0] == 0
    board.complete(M0, 10)
    assert board.outputs()[0] == 1


def test_source_0_does_not_exist(board: Board2) -> None:
    board.plic.write(0, 4, 7)
    board.plic.write(ENABLE, 4, 0xFFFF_FFFF)
    assert board.plic.read(0, 4) == 0 and board.plic.read(ENABLE, 4) == 0xFFFF_FFFE
    board.line(0, True)
    assert board.pending(0) == 0 and board.outputs() == [0, 0, 0, 0]


def test_pending_bits_are_read_only(board: Board2) -> None:
    board.plic.write(PENDING, 4, 0xFFFF_FFFF)
    assert board.plic.read(PENDING, 4) == 0


@pytest.mark.parametrize("offset", [4 * SOURCES, 0xFFC, PENDING + 12, PENDING + 0x80, ENABLE + 12, ENABLE + 0x80 * 16,
                                    0x10_0000, THRESHOLD + 8, THRESHOLD + 0x1000 * 16, 0x5F_FFFC])
def test_registers_that_are_not_there_read_zero_and_ignore_writes(board: Board2, offset: int) -> None:
    board.plic.write(offset, 4, 0xFFFF_FFFF)
    assert board.plic.read(offset, 4) == 0


@pytest.mark.parametrize("source", [-1, 96, 127, 128, 133, 1 << 20])
def test_a_line_that_is_not_there_is_refused_and_disturbs_no_other(board: Board2, source: int) -> None:
    before = board.plic.words.copy()
    with pytest.raises(BusError, match="no source"):
        board.line(source, True)
    assert (board.plic.words == before).all()


@pytest.mark.parametrize("irq", [-1, 96, 200])
def test_a_device_with_an_impossible_source_is_refused(irq: int) -> None:
    class Odd(Device):
        name = "odd"

        def __init__(self) -> None:
            super().__init__(0x2000_0000, 0x1000, irq)

        def read(self, offset: int, size: int) -> int:
            return 0

        def write(self, offset: int, size: int, value: int) -> None:
            pass

    with pytest.raises(BoardError, match="odd"):
        Machine(Board(devices=(*virt_devices(), Odd)))


def test_reset_forgets_everything_but_the_lines(board: Board2) -> None:
    board.allow(20, M0, 5)
    board.threshold(M0, 2)
    board.line(20, True)
    assert board.claim(M0) == 20  # in service when the reset comes
    board.line(20, False)
    board.machine.reset()
    assert (board.plic.read(80, 4), board.plic.read(ENABLE, 4), board.plic.read(THRESHOLD, 4)) == (0, 0, 0)
    board.allow(20, M0)
    board.line(20, True)
    assert board.outputs()[0] == 1 and board.claim(M0) == 20
