"""Host calls: answered by setting registers, whichever hart is in the engine; counts between them."""

from __future__ import annotations

import pytest

from emulator.board import Board
from emulator.engine import layout
from emulator.errors import EngineError
from emulator.stop import HostCall
from tests.helpers.machines import machine

CALL = 1 << 25 | 0x0B
SOURCE = f"""
1:      addi    a0, a0, 1
        .word   {CALL}
        add     a2, a0, a1
        j       1b
"""


def test_an_answer_sets_registers_and_goes_on_behind_the_call() -> None:
    guest = machine(SOURCE)
    guest.answer_host_calls(True)
    hart = guest.harts[0]
    assert guest.run(max_insns=1000) == HostCall(0, CALL)
    at = hart.pc
    hart.answer({"a0": 41, "a1": -1, "x17": 1 << 64 | 7})
    assert (hart.pc, hart.read("a0"), hart.read("a1"), hart.read("a7")) == (at + 4, 41, (1 << 64) - 1, 7)
    assert guest.run(max_insns=1000) == HostCall(0, CALL)
    assert (hart.pc, hart.read("a0"), hart.read("a2")) == (at, 42, 40)
    with pytest.raises(KeyError):
        hart.answer({"a8": 1})
    guest.close()
    with pytest.raises(EngineError, match="closed"):
        hart.answer({"a0": 1})


def test_a_hart_that_is_not_in_the_engine_is_answered_too() -> None:
    guest = machine(SOURCE, Board(harts=3))
    guest.answer_host_calls(True)
    stop = guest.run(max_insns=1000)
    assert isinstance(stop, HostCall) and guest.engine.current_hart == stop.hart
    others = [hart for hart in guest.harts if hart.id != stop.hart]
    before = [(hart.pc, hart.read("a0")) for hart in guest.harts]
    others[1].answer({"a0": 7})
    for hart, (pc, a0) in zip(guest.harts, before, strict=True):
        assert (hart.pc, hart.read("a0")) == ((pc + 4, 7) if hart is others[1] else (pc, a0))
    guest.close()


@pytest.mark.parametrize("harts", [1, 3])
def test_instructions_are_those_of_all_harts_within_blocks_as_well(harts: int) -> None:
    guest = machine("1: addi a0, a0, 1\n addi a1, a1, 1\n addi a2, a2, 1\n j 1b", Board(harts=harts))
    within = set()
    for _ in range(40 * harts):
        before = guest.instructions
        guest.step()
        assert guest.instructions == sum(hart.instructions for hart in guest.harts) == before + 1
        within.add(guest.engine.within_block)
        assert guest.engine.within_block == (guest.engine.split(guest.engine.current_hart) > 0)
        assert guest.engine.current_pc == guest.harts[guest.engine.current_hart].pc
    assert within == {True, False}
    guest.close()


def test_words_of_the_engine_are_modulo_2_64() -> None:
    guest = machine(SOURCE)
    for value in 0, 1, -1, 1 << 63, (1 << 64) - 1, -1 << 63, (1 << 63) - 1, 1 << 64:
        guest.engine.set_word(layout.M_WATCH_ADDRESS, value)
        assert guest.engine.word(layout.M_WATCH_ADDRESS) == (value + (1 << 63) & (1 << 64) - 1) - (1 << 63)
    guest.close()
