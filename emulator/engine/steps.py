"""Steps: the unit in which a debugger goes through a run, and in which places in it are counted.

A step is an instruction that retires or traps, or an interrupt that is taken. So every step ends at a
place where the machine can stand still, and places are numbered without gaps:

        steps = instructions retired + traps taken - traps of instructions that retired all the same

The last are ECALL and EBREAK (see `trap`). A hart that waits makes no step.
"""

from __future__ import annotations

from .layout import M_HART, M_STEP, M_STEP_HART, M_STEP_LEFT
from .native import inline
from .prims import ld64, st64


@inline
def stepping(m: int) -> bool:
    """Whether steps of the running hart are counted."""
    return ld64(m + M_STEP) != 0 and (ld64(m + M_STEP_HART) == 0 or ld64(m + M_STEP_HART) == ld64(m + M_HART))


@inline
def steps_done(m: int) -> bool:
    """Whether all steps that were asked for have been made."""
    return ld64(m + M_STEP) != 0 and ld64(m + M_STEP_LEFT) <= 0


@inline
def take_steps(m: int, count: int) -> None:
    """The running hart makes `count` steps (or gives them back when negative)."""
    if stepping(m):
        st64(m + M_STEP_LEFT, ld64(m + M_STEP_LEFT) - count)
