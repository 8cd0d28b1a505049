"""Kernel eyes: questions about a machine's memory, in the kernel's terms, answered from that memory alone.

    context = EyeContext(machine, hart=0)
    eye_named("pt").run(context, ["0xffffffff80200000"], print)

`EYES` is the table that the debugger's commands, the gdb server's monitor commands and the command line are made
from. An eye changes nothing, and may be used at any moment at which the machine stands still: on a machine that was
restored, at a past point of a history, in the middle of a boot. All that it cannot do is an EyeError, in one line;
what a caller must catch is nothing else.
"""

from __future__ import annotations

from . import buddy, diff, frame, heap, memmap, pt, slab, vmmap
from .eye import Eye, EyeContext, EyeError

EYES: tuple[Eye, ...] = tuple(room.EYE for room in (memmap, vmmap, pt, frame, buddy, slab, heap, diff))


def eye_named(name: str) -> Eye:
    """The eye called `name`; EyeError, with those that there are, if there is none."""
    for eye in EYES:
        if eye.name == name:
            return eye
    raise EyeError(f"no eye is called {name!r}; there are " + ", ".join(eye.name for eye in EYES))


__all__ = ["EYES", "Eye", "EyeContext", "EyeError", "eye_named"]
