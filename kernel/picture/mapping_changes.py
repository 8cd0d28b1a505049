"""Mappings that differ: what two page tables translate otherwise, in runs of addresses with one change.

Page sizes do not count: a large page that was split into small ones translates as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from .page_tables import Mapping, letters

Target = tuple[int, int, bool]
"""Physical address of the first byte, property bits, and whether the entries hold counts."""


class MappingChangeKind(Enum):
    """What happened to the entries of a run."""

    ADDED = "added"
    REMOVED = "removed"
    MOVED = "another frame"
    RIGHTS = "other bits"


@dataclass(frozen=True)
class MappingChange:
    """Virtual `start` to `end` led, page after page, to `before`, and leads to `after`; None is nowhere."""

    start: int
    end: int
    before: Target | None
    after: Target | None

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start

    @property
    def kind(self) -> MappingChangeKind:
        """What happened."""
        if self.before is None:
            return MappingChangeKind.ADDED
        if self.after is None:
            return MappingChangeKind.REMOVED
        return MappingChangeKind.RIGHTS if self.before[0] == self.after[0] else MappingChangeKind.MOVED

    def rights(self) -> tuple[str, str]:
        """The bits before and after in letters, "" for nowhere; see `letters`."""
        return _letters(self.before), _letters(self.after)


def mapping_changes(before: Sequence[Mapping], after: Sequence[Mapping]) -> tuple[MappingChange, ...]:
    """Where two lists of mappings, ascending, differ: ascending, in the largest runs."""
    found: list[MappingChange] = []
    edges = sorted({edge for mapping in (*before, *after) for edge in (mapping.start, mapping.end)})
    pieces = zip(edges, edges[1:], _targets(before, edges), _targets(after, edges), strict=False)
    for start, end, old, new in pieces:
        if old == new:
            continue
        last = found[-1] if found else None
        if last is not None and last.end == start and _goes_on(last, last.before, old) \
                and _goes_on(last, last.after, new):
            found[-1] = MappingChange(last.start, end, last.before, last.after)
        else:
            found.append(MappingChange(start, end, old, new))
    return tuple(found)


def _targets(mappings: Sequence[Mapping], edges: Sequence[int]) -> Iterator[Target | None]:
    """For each edge, where the addresses from there on lead; the edges include those of the mappings."""
    at = 0
    for edge in edges:
        while at < len(mappings) and mappings[at].end <= edge:
            at += 1
        if at < len(mappings) and mappings[at].start <= edge:
            mapping = mappings[at]
            yield mapping.paddr + edge - mapping.start, mapping.bits, mapping.tracked
        else:
            yield None


def _goes_on(change: MappingChange, side: Target | None, piece: Target | None) -> bool:
    """Whether a piece behind a change leads on where the change's last page does."""
    if side is None or piece is None:
        return side is piece
    return (side[0] + change.size, *side[1:]) == piece


def _letters(side: Target | None) -> str:
    return "" if side is None else letters(side[1])
