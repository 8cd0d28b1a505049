"""From a stop of the guard to a report: the access, seen from the stopped machine; the block's past, by running again.

        stopped      backtrace of the access, shadow bytes around it, the block that it is in or near
        once more    the calls about a byte of that block are written down
        once more    … up to the call that allocated it: backtrace
        once more    … up to the call that freed it: backtrace

The machine is deterministic: what runs again from the pristine subject is the same run, call by call.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from emulator.guard import FREED, FREED_BEGIN, MARGIN, Event
from emulator.stop import Guarded, Wrong
from hartwell.debug.programs import Programs
from hartwell.lab.finding import Finding

from .frames import frames_of, instruction_of
from .report import AROUND, ROW, Block, Past, Report, ShadowRows
from .sanitizer import Sanitizer

NEAR = 64
"""Bytes between an access and a block that it may have been meant for."""
_ACTIONS = {Wrong.USER_LOAD: "load", Wrong.USER_STORE: "store", Wrong.KEEPER_STORE: "the allocator's store",
            Wrong.OVERLAP: "return from an allocation"}


class Explainer:
    """Makes reports of what `sanitizer` has stopped for."""

    def __init__(self, sanitizer: Sanitizer) -> None:
        self.sanitizer = sanitizer

    @cached_property
    def programs(self) -> Programs:
        """What backtraces know: driver, allocator and the others."""
        subject = self.sanitizer.subject
        return Programs([text.image for text in (subject.driver, subject.text, *subject.clients)])

    def explain(self, finding: Finding, stop: Guarded) -> Finding:
        """`finding`, for whose `stop` the machine stands still now, with its report, as text and in its details."""
        report = self.report(stop, finding)
        return replace(finding, report=str(report), details={**finding.details, "report": report.to_json()})

    def report(self, stop: Guarded, finding: Finding) -> Report:
        """The report of a stop for which the machine stands still now."""
        sanitizer = self.sanitizer
        _, title = sanitizer.name(stop)
        hart = sanitizer.subject.machine.harts[stop.hart]
        frames = frames_of(hart, self.programs)
        instruction = "" if stop.what in (Wrong.OVERLAP, *_FREES) else instruction_of(hart, self.programs, stop.pc)
        near, marked = self._near(stop), self._marked(stop)
        shadow = self._shadow(marked)
        past, block = self._past(stop, near) if near is not None else ((), None)
        action = f"{_ACTIONS.get(stop.what, 'free')} of {_bytes(stop.size)}"
        number = finding.operation
        during = "" if number is None else f"operation {number}, {self.sanitizer.words(number)}".rstrip(", ")
        notes = ("No block was ever there.",) if near is None else ()
        return Report(title, action, stop.hart, frames, instruction, block, past, shadow, during, notes)

    # --- which block --------------------------------------------------------------------------------------------

    def _marked(self, stop: Guarded) -> int:
        """The physical address whose shadow byte the report points to."""
        if stop.what in (Wrong.USER_LOAD, Wrong.USER_STORE):
            return self.sanitizer.first_wrong(stop)
        if stop.what is Wrong.KEEPER_STORE:
            accessed = range(stop.paddr, stop.paddr + stop.size)
            return next((at for at in accessed if self.sanitizer.is_live(at)), stop.paddr)
        return stop.paddr

    def _near(self, stop: Guarded) -> int | None:
        """The physical address of a byte of the block that a stop is about, None if there is none."""
        at = self._marked(stop)
        state = self.sanitizer.guard.state(at)
        if self.sanitizer.is_live(at):
            return at
        beyond = self._neighbour(at)
        if state in (FREED, FREED_BEGIN) or beyond is None and state == MARGIN:
            return at
        return beyond

    def _neighbour(self, at: int) -> int | None:
        """The nearest byte of the allocated block that ends just before `at`, or begins just behind it."""
        is_live = self.sanitizer.is_live
        return next((byte for distance in range(1, NEAR + 1) for byte in (at - distance, at + distance)
                     if is_live(byte)), None)

    def _past(self, stop: Guarded, byte: int) -> tuple[tuple[Past, ...], Block | None]:
        """Who allocated and freed the block, and what it was."""
        guard = self.sanitizer.guard
        self.sanitizer.rerun(lambda: guard.track(byte))
        events = guard.events()
        if events and (stop.what in _FREES and events[-1].back or stop.what is Wrong.OVERLAP and not events[-1].back):
            events = events[:-1]  # the one that is wrong
        given = next((event for event in reversed(events) if not event.back), None)
        if given is None:
            return (), None
        taken = events[-1] if events[-1].back else None
        past = [self._call("allocated", given)]
        if taken is not None:
            past.append(self._call("freed", taken))
        at = self._marked(stop)
        begin, end = given.paddr, given.paddr + given.size
        state = "freed" if taken is not None else "allocated"
        return tuple(past), Block(begin + self.sanitizer.base, given.size, state, _where(at, begin, end))

    def _call(self, what: str, event: Event) -> Past:
        """A call of the past, with its backtrace: the subject is run up to it."""
        sanitizer = self.sanitizer
        operation = self.sanitizer.rerun(lambda: sanitizer.guard.stop_at(event.call))
        hart = sanitizer.subject.machine.harts[event.hart]
        words = "" if operation is None else self.sanitizer.words(operation)
        return Past(what, event.call, event.hart, frames_of(hart, self.programs), operation, words)

    # --- what is around it ------------------------------------------------------------------------------------------

    def _shadow(self, marked: int) -> ShadowRows:
        """Rows of shadow bytes around a physical address, as they are now."""
        guard, base = self.sanitizer.guard, self.sanitizer.base
        granule, memory = guard.kept.granule, guard.kept.memory
        width = ROW * granule
        first = max(marked // width * width - AROUND * width, memory.start // width * width)
        last = min(marked // width * width + (AROUND + 1) * width, -(-memory.stop // width) * width)
        states = tuple(guard.state(at) for at in range(first, last, granule)) if marked in memory else ()
        return ShadowRows(first + base, granule, states, (marked - first) // granule)


_FREES = (Wrong.TAKE_FREED, Wrong.TAKE_INSIDE, Wrong.TAKE_OUTSIDE, Wrong.TAKE_SIZE)


def _where(at: int, begin: int, end: int) -> str:
    """Where an address is, in or near a block."""
    if at >= end:
        return "right behind the end of the" if at == end else f"{_bytes(at - end)} behind the end of the"
    if at < begin:
        return f"{_bytes(begin - at)} before the"
    return "at the beginning of the" if at == begin else f"{_bytes(at - begin)} inside of the"


def _bytes(count: int) -> str:
    return f"{count:,} byte{'s' * (count != 1)}"
