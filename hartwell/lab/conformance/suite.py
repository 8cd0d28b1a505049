"""The checks, in order: what is asked of an allocator, for how many points."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hartwell.lab.errors import LabError
from hartwell.lab.subject.guest import PREFIXES, GuestSubject
from hartwell.lab.subject.subject import Subject, SubjectKind

from . import basics, behaviour, completeness, harts, load
from .check import FRAME, HEAP, Check, Level

BASIC, COMPLETE, DEMANDING = Level.BASIC, Level.COMPLETE, Level.DEMANDING
SHADOW: Final = "shadow"
CONSERVATION: Final = "shadow, conservation"
CONTENTS: Final = "contents"
ZEROED: Final = "zeroed"
"""What an allocator offers, rather than promises: hartwell_…_alloc_zeroed."""

CHECKS: Final = (
    Check("one", BASIC, 5, "one block, and back", SHADOW, basics.one),
    Check("sizes", BASIC, 8, "blocks of every size, apart from each other", SHADOW, basics.sizes),
    Check("alignments", BASIC, 8, "blocks at a multiple of what was asked for", SHADOW, basics.alignments),
    Check("odd-sizes", BASIC, 7, "sizes beside powers of two", SHADOW, basics.odd_sizes),
    Check("impossible", BASIC, 7, "what cannot be had is refused with 0", "answers", basics.impossible),
    Check("exhaust", COMPLETE, 6, "everything can be had, and once more", CONSERVATION, completeness.exhaust),
    Check("reuse", COMPLETE, 6, "what was freed is handed out again", CONSERVATION, completeness.reuse),
    Check("contents", COMPLETE, 4, "allocated blocks keep every byte", CONTENTS, completeness.contents),
    Check("merge", COMPLETE, 6, "what was cut up is whole again", CONSERVATION, completeness.merge),
    Check("parts", COMPLETE, 4, "blocks come back in parts", CONSERVATION, completeness.splits, FRAME),
    Check("large-and-small", COMPLETE, 4, "bytes and pages, side by side", CONSERVATION, completeness.large_and_small,
          HEAP),
    Check("pieces", COMPLETE, 4, "memory that was given in pieces", CONSERVATION, completeness.pieces),
    Check("load", DEMANDING, 12, "thousands of operations of every workload", CONSERVATION, load.workloads),
    Check("full", DEMANDING, 5, "a memory that is full again and again", CONSERVATION, load.full),
    Check("in-turn", DEMANDING, 5, "one CPU allocates, another gives back", CONSERVATION, harts.in_turn),
    Check("at-once", DEMANDING, 4, "several CPUs at the same time", CONSERVATION, harts.at_once),
    Check("cost", DEMANDING, 5, "instructions do not grow with the load", "cost", behaviour.cost),
    Check("manners", DEMANDING, 4, "registers and interrupts stay as they are", "registers", behaviour.manners),
    Check("misuse", DEMANDING, 0, "what is not allocated is not taken back", "answers", behaviour.misuse,
          promise="refuses-misuse"),
    Check("bounded-time", DEMANDING, 0, "instructions do not grow with free blocks", "cost", behaviour.bounded_time,
          promise="bounded-time"),
    Check("zeroed", DEMANDING, 0, "zeroed memory is zero", "contents", behaviour.zeroed, promise=ZEROED),
)


class SuiteError(LabError):
    """There is no such check."""


def offers(subject: Subject) -> frozenset[str]:
    """The promises that a subject makes, and what else it can be asked."""
    zeroed = (isinstance(subject, GuestSubject)
              and subject.text.symbols.find(PREFIXES[subject.kind] + "alloc_zeroed") is not None)
    return subject.promises | ({ZEROED} if zeroed else set())


def suite(kind: SubjectKind, promises: Iterable[str] = (), level: Level = DEMANDING,
          only: Iterable[str] = ()) -> list[Check]:
    """The checks for an allocator of `kind` that makes `promises`, up to a level; those of the names `only` if there
    are any. SuiteError for names that there are not.
    """
    made = frozenset(promises)
    found = [check for check in CHECKS
             if kind in check.kinds and check.level <= level and (not check.promise or check.promise in made)]
    wanted = list(only)
    known = [check.name for check in found]
    for name in wanted:
        if name not in known:
            raise SuiteError(f"no check of a {kind.value} allocator is called {name}: expected one of "
                             f"{', '.join(known)}")
    return [check for check in found if not wanted or check.name in wanted]
