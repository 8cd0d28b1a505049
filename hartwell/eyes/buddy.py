"""The eye `buddy`: free memory by order."""

from __future__ import annotations

from collections.abc import Sequence

from hartwell.views.buddyinfo import lines
from kernel.boot.boot_record import Phase
from kernel.picture import read_buddy

from .eye import Eye, EyeContext, EyeError


def look(context: EyeContext, args: Sequence[str]) -> list[str]:
    """The view of `hartwell buddyinfo --indices`."""
    picture = read_buddy(context.memory(Phase.FRAMES))
    if not picture.pools:
        raise EyeError(f"the frames are {picture.name}'s, whose books are not known here")
    return lines(picture, indices=True, plain=True)


EYE = Eye("buddy", "buddy", "free memory: chunks of each order in every pool, and the CPUs' caches", """\
A chunk of order n is 2^n frames. The indices are Linux's, for the global pool: unusable is the share of its
memory that is in chunks too small for an order; extfrag says why an allocation of that order would fail: 0
for lack of memory, 1 for fragmentation, -1 that it would not.""", look)
