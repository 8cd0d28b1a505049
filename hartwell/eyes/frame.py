"""The eye `frame`: everything about one frame."""

from __future__ import annotations

from collections.abc import Sequence

from hartwell.views import frame
from hartwell.views.records import lines as record_lines
from kernel.errors import OutOfBound

from .eye import Eye, EyeContext, EyeError


def look(context: EyeContext, args: Sequence[str]) -> list[str]:
    """The view of `hartwell frames`."""
    mm = context.memory()
    try:
        found = frame.look(mm, context.number(args[0], "physical address"))
    except OutOfBound as why:
        raise EyeError(f"{why}; memmap shows what is where") from None
    shown = frame.lines(found, plain=True)
    if context.tracker is not None:
        shown += ["", *record_lines(context.tracker.frame(found.detail.paddr, context.moment))]
    return shown


EYE = Eye("frame", "frame PA", "a frame: state, count, type, owner, where it is mapped, and its metadata slot", """\
PA is the physical address of any byte in the frame, or its address in the linear mapping. The slot is decoded
by the type table in memory, and dumped; > marks the frame among its neighbours.
Where allocations are tracked, its history comes last: who gave it to the allocator, got it, and gave it back.""",
          look, least=1, most=1)
