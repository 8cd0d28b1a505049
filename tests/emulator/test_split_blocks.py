"""A block that the debugger has divided goes on exactly, whatever the debugger changes in the middle of it."""

from __future__ import annotations

import pytest

from emulator.debug import BreakAt, Target, WatchAt
from emulator.stop import Breakpoint, Stepped, Watch, Watchpoint
from tests.helpers import machines

TRAPS = """
        la      t0, handler
        csrw    mtvec, t0
        la      s0, word
        li      s1, 1
        j       block
block:  addi    a0, a0, 1
        addi    a1, a1, 2
        addi    a2, a2, 3
        sd      a2, 0(s0)
        addi    a3, a3, 4
        ld      a4, 1(zero)
        addi    a5, a5, 5
        j       over
        .align  4
handler:
        csrr    t1, mepc
        addi    t1, t1, 4
        csrw    mepc, t1
        mret
over:   csrr    s2, minstret
        csrr    s3, mcycle
""" + machines.END + """
        .align  4096
word:   .dword  0
"""


def end_of(target: Target) -> list[int]:
    assert target.resume().ok
    hart = target.machine.harts[0]
    return [hart.read(name) for name in ("a0", "a1", "a2", "a3", "a4", "a5", "s2", "s3")] + [hart.steps, hart.traps]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("watched", [False, True])
def test_a_trap_in_the_rest_of_a_block_whose_points_have_changed(steps: int, watched: bool) -> None:
    with Target(machines.machine(TRAPS)) as target:
        undisturbed = end_of(target)
        target.machine.close()
    made = machines.machine(TRAPS)
    with Target(made) as target:
        block = next(pc for pc in places(target) if made.bus.read(pc, 4) == bytes.fromhex("13051500"))
        target.seek(target.history.first.position)
        point = target.points.add(BreakAt(block))
        assert target.resume() == Breakpoint(0, block)
        target.points.remove(point)
        assert target.step(steps, hart=0) == Stepped()
        word = made.harts[0].read("s0")
        if watched:
            target.points.add(WatchAt(Watch(word, 8)))
        target.points.add(BreakAt(block))
        if watched and steps < 4:
            assert isinstance(target.resume(), Watchpoint)
        assert end_of(target) == undisturbed
    made.close()


def places(target: Target) -> list[int]:
    """The pc after each of the first steps."""
    found = []
    for _ in range(24):
        target.step()
        found.append(target.machine.harts[0].pc)
    return found
