"""Over a call of a function that calls itself, there and back: the deeper calls return to the same address."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.helpers.assembler import BASE, assemble
from tests.helpers.machines import END, machine

from .debugger import Debugger

CALL = "        jal     ra, recurse\n"
SOURCE = f"""
        li      sp, 0x80100000
        addi    a0, zero, 5
{CALL}
{END}
        .align  4
recurse:
        addi    sp, sp, -16
        sd      ra, 8(sp)
        beqz    a0, back
        addi    a0, a0, -1
        jal     ra, recurse
        addi    s1, s1, 1
back:   ld      ra, 8(sp)
        addi    sp, sp, 16
        ret
"""


@pytest.fixture
def debugger() -> Iterator[Debugger]:
    """In front of the call in the outermost `recurse`."""
    made = Debugger(machine(SOURCE), [])
    code = assemble(SOURCE)
    (inner,) = (BASE + at.start() for at in re.finditer(re.escape(assemble("addi s1, s1, 1")), code))
    made.do(f"tb *{inner - 4:#x}", "c")
    assert made.pc == inner - 4 and made.machine.harts[0].read("a0") == 4
    yield made
    made.target.close()
    made.machine.close()


def test_nexti_waits_for_the_call_in_this_frame(debugger: Debugger) -> None:
    hart = debugger.machine.harts[0]
    call, sp, state = debugger.pc, hart.read("sp"), debugger.state()
    debugger.do("ni")
    assert (debugger.pc, hart.read("sp"), hart.read("s1")) == (call + 4, sp, 4)
    debugger.do("rni")
    assert debugger.state() == state
    debugger.do("ni 2", "rni 2")
    assert debugger.state() == state


def test_a_point_inside_is_stopped_at(debugger: Debugger) -> None:
    call = debugger.pc
    debugger.do(f"b *{call:#x} if $a0 == 1")
    said = debugger.do("ni")
    assert said[0].startswith("breakpoint 2: ") and debugger.machine.harts[0].read("a0") == 1
    debugger.do("delete", "ni")
    assert debugger.pc == call + 4 and debugger.machine.harts[0].read("s1") == 1
