"""The code hook: the one hook that runs before single instructions.

There must be only one: with two, the engine asks each hook's address range again at every instruction,
and the ranges that blocks were translated under (`block.on_edge`) are gone by then. So whoever wants to
see instructions is called from here: the trace, and the floating-point repairs. A timing model has a
code hook of its own, which calls this one for the blocks that need it.
"""

from __future__ import annotations

from .fpsingle import mend
from .layout import M_TRACE
from .native import entry
from .prims import ld64
from .tracing import TRACE_INSN, trace_instruction


@entry("void(i64, i64, i32, i64)")
def on_code(uc: int, pc: int, size: int, m: int) -> None:
    """UC_HOOK_CODE: an instruction is about to run."""
    if ld64(m + M_TRACE) & TRACE_INSN:
        trace_instruction(m, pc)
    mend(m, pc, size)
