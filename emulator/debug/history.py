"""The history of a run: keyframes, from which every place in it can be reached again.

        keyframe ── harts alone ──> keyframe ── turn of the host ──> keyframe ── harts alone ──> …

A keyframe is a snapshot at a position. Between two of them the harts alone decide what happens, and what
they do follows from the first; whatever the host's software does to the machine (a *turn*) makes a keyframe
of its own. So any place is a keyframe and a number of steps behind it, and software on the host never has
to do a thing twice.

Keyframes behind a turn are needed; the others only save time, and are dropped when there are too many.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..stop import Mark
from .position import Position

if TYPE_CHECKING:
    from ..snapshot import Snapshot

NEEDED = 4096
"""Keyframes behind turns that are kept; when there are more, the first half of the history is forgotten."""
CONVENIENT = 192
"""Other keyframes that are kept."""


@dataclass(frozen=True, eq=False)
class Keyframe:
    """The machine's state at `position`; `needed` if the host had its turn just before.

    `offset` is what `position.steps` is ahead of the machine's own count, which starts over at a reset. `mark` is
    where the host's software stands, if it stands at a mark.
    """

    position: Position
    snapshot: Snapshot
    offset: int
    needed: bool
    mark: Mark | None = None


class History:
    """The keyframes of one run, by position."""

    def __init__(self) -> None:
        self._frames: list[Keyframe] = []
        self._keys: list[Position] = []

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Keyframe]:
        return iter(self._frames)

    @property
    def first(self) -> Keyframe:
        """Where the history begins."""
        return self._frames[0]

    def add(self, frame: Keyframe, here: Position) -> None:
        """Keep `frame`, in the place of one at the same position; `here` is where the user looks at the moment."""
        at = bisect_left(self._keys, frame.position)
        if at < len(self._keys) and self._keys[at] == frame.position:
            if self._frames[at].needed and not frame.needed:
                return
            self._frames[at] = frame
            return
        self._frames.insert(at, frame)
        self._keys.insert(at, frame.position)
        self._drop(here)

    def before(self, position: Position) -> Keyframe | None:
        """The last keyframe at or before `position`."""
        at = bisect_right(self._keys, position)
        return self._frames[at - 1] if at else None

    def mark_before(self, position: Position) -> Mark | None:
        """The last mark that the host's software came to before `position`."""
        for frame in reversed(self._frames[:bisect_left(self._keys, position)]):
            if frame.mark is not None:
                return frame.mark
        return None

    def turn(self, number: int) -> Keyframe | None:
        """The keyframe behind turn `number` of the host."""
        at = bisect_left([frame.position.turn for frame in self._frames], number)
        found = self._frames[at] if at < len(self._frames) else None
        return found if found is not None and found.position.turn == number and found.needed else None

    def forget_after(self, position: Position) -> None:
        """Drop all keyframes behind `position`: what followed will not happen."""
        at = bisect_right(self._keys, position)
        del self._frames[at:], self._keys[at:]

    def _drop(self, here: Position) -> None:
        """Make room, least where the user looks."""
        convenient = [frame for frame in self._frames[1:] if not frame.needed]
        if len(convenient) > CONVENIENT:
            self._remove(max(convenient, key=lambda frame: abs(frame.position.steps - here.steps)))
        needed = [frame for frame in self._frames if frame.needed]
        if len(needed) > NEEDED:
            at = self._frames.index(needed[NEEDED // 2])
            del self._frames[:at], self._keys[:at]

    def _remove(self, frame: Keyframe) -> None:
        at = self._frames.index(frame)
        del self._frames[at], self._keys[at]
