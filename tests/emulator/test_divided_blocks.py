"""A block that a debugger has split is counted as one, whatever the debugger does between its parts."""

from __future__ import annotations

import pytest

from emulator.board import Board
from emulator.machine import Machine
from tests.helpers.assembler import assemble
from tests.helpers.machines import END, LIMIT, digest, flat, timed

SOURCE = """
        la      t0, handler
        csrw    mtvec, t0
        li      s0, 3
again:  addi    a0, a0, 1
        addi    a0, a0, 2
        ecall                           # retires, and traps
        addi    a0, a0, 3
        ld      a1, 0(zero)             # traps in the middle of a block
        addi    a0, a0, 4
        ebreak
        addi    a0, a0, 5
        addi    s0, s0, -1
        bnez    s0, again
        j       end
        .align  4
handler:
        csrr    t1, mepc
        addi    t1, t1, 4
        csrw    mepc, t1
        mret
end:
""" + END


def made(profile: str | None) -> Machine:
    machine = timed(Board(memory=2 << 20), profile)
    machine.boot(kernel=flat(assemble(SOURCE)))
    return machine


def found(machine: Machine) -> tuple[object, ...]:
    return machine.steps, machine.harts[0].read("a0"), digest(machine)


@pytest.mark.parametrize("profile", [None, "rocket"])
@pytest.mark.parametrize("disturb", ["breakpoints", "restored"])
def test_translations_may_be_dropped_between_two_parts(profile: str | None, disturb: str) -> None:
    whole = made(profile)
    assert whole.run(max_insns=LIMIT).ok
    expected, steps = found(whole), whole.steps
    whole.close()
    for step in range(1, steps - 6):
        machine = made(profile)
        machine.proceed(steps=step)
        assert machine.steps == step
        if disturb == "breakpoints":
            machine.set_breakpoints([0])
        else:
            machine.revisit(machine.snapshot())
        machine.proceed(steps=3)
        assert machine.steps == step + 3
        machine.run(max_insns=LIMIT)
        assert found(machine) == expected, step
        machine.close()
