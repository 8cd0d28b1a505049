"""The Python kernel's own structures as targets: `kernel:pages`, what requirement R1.8 is about.

    kernel:pages               CPUs look up a page, drop it, and make it inaccessible, all at once
    kernel:pages/blind-add     the same with a bug: a look-up adds to the count blindly, not by compare-and-swap

        lookup     Frame.access: one more holder, or nothing if the page is not to be had
        drop       drop a reference; the last one frees the frame
        lock       make_inaccessible: a holder of its own, if nobody else has a reference

A scenario says who does what: " | lookup | drop". Everyone who drops or locks has a reference from the start on.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Final

from emulator import Board, Machine
from hartwell.lab.errors import ProgramError, SpecError
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.subject.catalogue import OWN_RACES
from kernel import Kernel
from kernel.mm import Accessible, Frame, FrameAllocOptions, FrameMeta, Mm, UniqueFrame
from kernel.mm.fields import u64
from kernel.mm.frame.meta import REF_COUNT, Kind, MetaSlots

from .system import Shown
from .target import Closing
from .tasks import Job, Prepared, Tasks

MEMORY: Final = 16 << 20
NAMES: Final = tuple(OWN_RACES)
VERBS: Final = ("lookup", "drop", "lock")
STOCK: Final = ("drop lookup", "lock lookup", "lock drop lookup", "drop lookup lookup")


class CachePage(Accessible):
    """A page of a cache that is looked up by its address."""

    index = u64()


class Private(FrameMeta):
    """The same page when nobody else has it."""

    index = u64()


class KernelTarget(Closing):
    """Pages of the Python kernel, on as many CPUs."""

    def __init__(self, spec: str, harts: int) -> None:
        if spec not in NAMES:
            raise SpecError(f"{spec}: expected one of {', '.join(NAMES)}")
        self.name, self._harts = spec, harts
        self._blind = spec.endswith("/blind-add")
        source = inspect.getsource(MetaSlots) + inspect.getsource(Frame)
        self.build = hashlib.blake2b(source.encode(), digest_size=16).hexdigest()
        self._kernel = Kernel.boot(Machine(Board(harts=harts, memory=MEMORY)))
        self._tasks: Tasks | None = None

    def scenarios(self, seed: int) -> Sequence[str]:
        """See Target."""
        return ["| " + " | ".join(islice(cycle(words.split()), self._harts)) for words in STOCK]

    def open(self, scenario: str) -> Shown:
        """See Target."""
        before, *verbs = (part.strip() for part in scenario.split("|"))
        wrong = next((verb for verb in verbs if verb not in VERBS), None)
        if before or wrong is not None or len(verbs) != self._harts:
            raise ProgramError(f"scenario: {scenario!r}: expected | and one of {', '.join(VERBS)} for each of "
                               f"{self._harts} CPUs")
        if self._tasks is not None:
            self._tasks.close()
        self._tasks = Tasks(self._kernel, lambda: self._prepared(verbs), self._harts)
        return self._tasks

    def close(self) -> None:
        """See Target."""
        if self._tasks is not None:
            self._tasks.close()
        self._kernel.close()
        self._kernel.machine.close()

    def _prepared(self, verbs: Sequence[str]) -> Prepared:
        mm = self._kernel.mm
        page = FrameAllocOptions(mm).zeroed(False).alloc_frame_with(CachePage(index=7))
        paddr = page.paddr
        mine = [page, *(page.clone() for _ in range(sum(verb != "lookup" for verb in verbs) - 1))]
        if all(verb == "lookup" for verb in verbs):
            raise ProgramError("scenario: nobody drops or locks the page; expected somebody who does")
        jobs = [Job(verb, self._does(verb, paddr, mine)) for verb in verbs]
        return Prepared(jobs, lambda results, digest: _judge(mm, paddr, results), _names)

    def _does(self, verb: str, paddr: int, mine: list[Frame[CachePage]]) -> Callable[[], object]:
        mm = self._kernel.mm
        if verb == "lookup":
            return (lambda: _blind_access(mm, paddr)) if self._blind else lambda: Frame.access(mm, paddr, CachePage)
        handle = mine.pop()
        if verb == "drop":
            return handle.drop

        def lock() -> object:
            unique = handle.make_inaccessible(lambda old: Private(index=old.index))
            return handle if unique is None else unique

        return lock


def _blind_access(mm: Mm, paddr: int) -> Frame[CachePage] | None:
    """What R1.5 forbids: a count that is seen to be that of a page in use is added to, whatever it is by then."""
    slot = mm.slots.slot(paddr)
    if mm.port.load(slot + REF_COUNT) != 1:
        return None
    mm.port.fetch_add(slot + REF_COUNT, 1)
    return Frame._adopt(mm, paddr, CachePage)


def _judge(mm: Mm, paddr: int, results: Sequence[object]) -> Finding | None:
    """The state of the frame must be what its holders make it."""
    for cpu, result in enumerate(results):
        if isinstance(result, Exception):
            return Finding(FindingKind.CRASH, f"CPU {cpu}: {type(result).__name__}: {result}", None, paddr,
                           expected="a return", actual=type(result).__name__)
    held = [result for result in results if isinstance(result, Frame | UniqueFrame)]
    state = mm.slots.state(paddr)
    expected = Kind.FREE
    if any(isinstance(handle, UniqueFrame) for handle in held):
        expected = Kind.UNIQUE
        if len(held) > 1:
            return Finding(FindingKind.CHECK, f"page {paddr:#x} has a holder of its own, and {len(held) - 1} more",
                           None, paddr, expected="one holder", actual=f"{len(held)} holders")
    elif held:
        expected = Kind.SHARED
    if state.kind is not expected or expected is Kind.SHARED and state.count != len(held):
        return Finding(FindingKind.CHECK, f"page {paddr:#x} is {state}, and has {len(held)} holders", None, paddr,
                       expected=f"{expected.name.lower()}, {len(held)} holders", actual=str(state))
    for handle in held:
        handle.drop()
    if mm.slots.state(paddr).kind is not Kind.FREE:
        return Finding(FindingKind.LOST, f"page {paddr:#x} is {mm.slots.state(paddr)} when nobody holds it", None,
                       paddr, expected="a free frame", actual=str(mm.slots.state(paddr)))
    return None


def _names(results: Sequence[object]) -> object:
    return [type(result).__name__ for result in results]
