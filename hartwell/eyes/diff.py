"""The eye `diff`: what changed since a moment that was marked, or one of the history."""

from __future__ import annotations

from collections.abc import Sequence

from hartwell.views.diff import lines
from kernel.boot.boot_record import Phase
from kernel.picture import Picture, difference

from .eye import Eye, EyeContext, EyeError

MARK = "mark"
FIRST = ""
"""What a mark without a name is called."""


def look(context: EyeContext, args: Sequence[str]) -> list[str]:
    """`diff mark [NAME]` takes a picture, `diff [NAME]` compares with it, `diff INSTRUCTION` with the history."""
    now = Picture.of(context.memory(Phase.PAGE_TABLE))
    if args and args[0] == MARK:
        name = args[1] if len(args) > 1 else FIRST
        context.marks[name] = now
        return [f"marked instruction {context.machine.instructions:,}; diff{' ' + name if name else ''} will show "
                "what has changed since"]
    if len(args) > 1:
        raise EyeError(f"{' '.join(args)!r}: expected a mark's name, or a number of instructions")
    return lines(difference(_before(context, args[0] if args else FIRST), now), plain=True)


def _before(context: EyeContext, name: str) -> Picture:
    marked = context.marks.get(name)
    if marked is not None:
        return marked
    if name and name.replace(",", "").replace("_", "").isdecimal():
        if context.picture_at is None:
            raise EyeError(f"there is no history here, in which instruction {name} could be looked for; "
                           "diff mark marks the present")
        return context.picture_at(int(name.replace(",", "").replace("_", "")))
    there = ", ".join(repr(known) for known in context.marks if known)
    raise EyeError((f"no mark is called {name!r}" if name else "no moment is marked")
                   + (f"; there are {there}" if there else "") + f": diff mark{' ' + name if name else ''} makes one")


EYE = Eye("diff", "diff [mark [NAME] | NAME | INSTRUCTION]", "what changed in the kernel's memory since a moment", """\
diff mark puts the memory as it is now aside, under a NAME if one likes; diff then shows what has changed since:
frames, address spaces and their mappings, the heap, KVirtAreas, free memory. Where there is a history, a number
of instructions names a moment of it.""", look, most=2)
