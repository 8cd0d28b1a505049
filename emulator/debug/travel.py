"""Going to any place of a run: back to a keyframe, and forwards from there.

What is behind a keyframe is run again, and because the machine is deterministic it is the same. A *leg* is what
the harts do between two keyframes:

        keyframe ── leg: steps of the harts ──> border ── turn of the host ──> keyframe ── leg …

Where a leg is long, keyframes are laid on it: the next visit in that part of the run is short.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import HistoryError
from ..stop import Breakpoint, HistoryBegins, Interrupted, Mark, Marked, Stepped, Stop, Watch, Watchpoint
from .history import History, Keyframe
from .points import Points, is_hit
from .position import Position
from .stops import HostWrote

if TYPE_CHECKING:
    from ..machine import Machine

LONG_WAY = 1 << 16
"""Steps of a leg from which on keyframes are laid on it."""

Wanted = Callable[[Stop], bool]
"""Whether a hit is to be stopped at."""


class Interruption(Exception):
    """The user has ended a journey."""


class Traveller:
    """A machine, and where it is in its history, which begins here and now.

    While `present` is set the machine is in the past, and that is what it comes back to.
    """

    def __init__(self, machine: Machine, points: Points) -> None:
        self.machine, self.points = machine, points
        self.history = History()
        self.present: Keyframe | None = None
        self.offset = 0
        """What positions are ahead of the machine's own count."""
        self._turn = 0
        self._output: Callable[[bytes], None] | None = None
        machine.on_reset.append(self._reset)
        self.record(needed=True)

    # --- where we are -----------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """Where the machine is."""
        return Position(self.offset + self.machine.steps, self._turn)

    @property
    def end(self) -> Position:
        """How far the run has come."""
        return self.position if self.present is None else self.present.position

    def record(self, *, needed: bool = False, mark: Mark | None = None) -> Keyframe:
        """Make a keyframe of where the machine is."""
        frame = Keyframe(self.position, self.machine.snapshot(), self.offset, needed, mark)
        self.history.add(frame, frame.position)
        return frame

    def turn_over(self, mark: Mark | None = None) -> None:
        """The host has had a turn; its software stands at `mark`, or waits for the machine."""
        self._turn += 1
        self.record(needed=True, mark=mark)

    def close(self) -> None:
        """Let go of the machine."""
        self._forget_present()
        self.machine.on_reset.remove(self._reset)

    def _reset(self) -> None:
        """The machine counts anew from now on."""
        self.offset += self.machine.steps
        self.machine.on_reset.append(self._reset)

    def _enter(self, frame: Keyframe) -> None:
        self.machine.revisit(frame.snapshot)
        self.offset, self._turn = frame.offset, frame.position.turn

    # --- between past and present -------------------------------------------------------------------------

    def leave_present(self) -> None:
        """Remember where the run has come to; output that was seen is not to be seen again."""
        if self.present is None:
            self.present = self.record()
            self._output, self.machine.on_output = self.machine.on_output, None

    def return_to_present(self) -> None:
        """Be where the run has come to."""
        if self.present is not None:
            self._enter(self.present)
            self._forget_present()

    def cut(self) -> None:
        """Make here the present: what followed will not happen."""
        if self.present is not None:
            self.history.forget_after(self.position)
        self._forget_present()

    def _forget_present(self) -> None:
        if self.present is not None:
            self.present = None
            self.machine.on_output, self._output = self._output, None

    # --- going to a place ---------------------------------------------------------------------------------

    def seek(self, target: Position) -> None:
        """Go to a place up to `end`, past all points.

        HistoryError for a place before the history; Interruption when the user ends it.
        """
        here, frame = self.position, self.history.before(target)
        if frame is None:
            raise HistoryError(f"{target} is before the history, which begins at {self.history.first.position}")
        self.leave_present()
        if here.turn != target.turn or not frame.position <= here <= target:
            self._enter(frame)
        self._lay(target.steps)
        self._run_to(target.steps)

    def again(self) -> None:
        """Come here once more, with no watchpoint on the way: one that is looked at costs a timing model cycles."""
        place, output = self.position, self.machine.on_output
        self.machine.on_output = None
        try:
            self._enter(self._frame(Position(place.steps - 1, place.turn)))
            self._lay(place.steps)
            self._run_to(place.steps)
        finally:
            self.machine.on_output = output

    def _lay(self, steps: int) -> None:
        """On a long way to `steps`, go most of it, and lay keyframes: half-way, and half of the rest, and so on."""
        while (distance := steps - self.position.steps) > LONG_WAY:
            self._run_to(self.position.steps + distance // 2)
            self.record()

    def _run_to(self, steps: int) -> None:
        """Let the harts make steps up to `steps`, past all points; no turn of the host is on the way."""
        left = steps - self.position.steps
        if left <= 0:
            return
        with self.machine.passing_points():
            stop = self.machine.proceed(steps=left)
        if isinstance(stop, Interrupted):
            raise Interruption
        self._require(steps, stop)

    def _require(self, steps: int, stop: Stop) -> None:
        """HistoryError unless the machine has come to `steps`."""
        if self.position.steps != steps:
            raise HistoryError(f"the run did not repeat itself: on the way to step {steps:,} it stopped at "
                               f"{self.position.steps:,}: {stop}; this is a defect of Hartwell, please report it")

    # --- forwards in the past ---------------------------------------------------------------------------------

    def replay(self, passing: int | None, steps: int | None = None, hart: int | None = None) -> tuple[Stop | None, int]:
        """In the past, go forwards to the next hit, `steps` further (of `hart`), or to the present.

        The Stop, None at the present; and how many of the steps are left. A turn of the host is a step, too.
        """
        left = 0 if steps is None else steps
        while True:
            following = self.history.turn(self._turn + 1)
            border = self.end.steps if following is None else following.position.steps
            before = self.watched()
            stop = None
            while stop is None and self.position.steps < border:
                stop, left = self._advance(border, passing, None if steps is None else left, hart)
                passing = stop.pc if isinstance(stop, Breakpoint) else None
                if stop is not None and is_hit(stop) and not self.points.at(stop):
                    stop = None
            if stop is not None:
                return (None, left) if self.position == self.end and isinstance(stop, Stepped) else (stop, left)
            if following is None:
                return None, left
            self._enter(following)
            passing = None
            if steps is not None and hart is None:
                left -= 1
            stop = self._of_turn(following, before)
            if stop is not None:
                return stop, left
            if self.position == self.end:
                return None, left
            if steps is not None and left <= 0:
                return Stepped(), left

    def _advance(self, border: int, passing: int | None, steps: int | None,
                 hart: int | None) -> tuple[Stop | None, int]:
        """Go up to `border`: what stopped the machine before, and how many of the steps are left."""
        here, way = self.position, border - self.position.steps
        if steps is None:
            stop = self.machine.proceed(steps=way, passing=passing)
            left = 0
        elif hart is None:
            stop = self.machine.proceed(steps=min(way, steps), passing=passing)
            left = steps - (self.position.steps - here.steps)
        else:
            frame = self.record()
            stop = self.machine.proceed(steps=steps, hart=hart, passing=passing)
            left = self.machine.steps_left
            if self.position.steps > border:  # the host's turn comes first
                self._enter(frame)
                count = self.machine.harts[hart].steps
                self._run_to(border)
                return None, steps - (self.machine.harts[hart].steps - count)
        if self.machine.disturbed:
            self.again()
        if is_hit(stop) or isinstance(stop, Interrupted):
            return stop, left
        if steps is not None and left <= 0:
            return Stepped(), 0
        self._require(border, stop)
        return None, left

    def _of_turn(self, frame: Keyframe, before: dict[Watch, bytes]) -> Stop | None:
        """The hit of the host's turn that ended at `frame`, where the machine is."""
        if frame.mark is not None and self.points.wants(frame.mark):
            return Marked(frame.mark)
        return self.host_wrote(before)

    # --- backwards ------------------------------------------------------------------------------------------------

    def back_step(self, count: int, hart: int | None) -> int:
        """Take up to `count` steps back (of `hart`, if given); how many of them were."""
        self.leave_present()
        here = self.position
        frame = self._frame(here)
        if frame.position == here and frame.needed:
            if frame is self.history.first:
                return 0
            self.seek(Position(here.steps, here.turn - 1))
            return 1
        if hart is not None:
            return self._back_step_of(hart)
        back = min(count, here.steps - self._needed(frame).position.steps)
        self.seek(Position(here.steps - back, here.turn))
        return back

    def _needed(self, frame: Keyframe) -> Keyframe:
        """The keyframe that the leg begins with which `frame` is on."""
        found = self.history.turn(frame.position.turn)
        return self.history.first if found is None else found

    def _back_step_of(self, hart: int) -> int:
        """Go to just before the last step of a hart on this leg, or before the turn of the host that it follows."""
        made, limit = self.machine.harts[hart].steps, self.position
        while True:
            frame = self._frame(Position(limit.steps - 1, limit.turn))
            if frame.position.turn != limit.turn:
                frame = self._needed(frame)
            self._enter(frame)
            if (count := made - self.machine.harts[hart].steps) > 0:
                with self.machine.passing_points():
                    stop = self.machine.proceed(steps=count, hart=hart)
                if isinstance(stop, Interrupted):
                    raise Interruption
                self.seek(Position(self.position.steps - 1, limit.turn))
                return 1
            if frame.needed:
                if frame is self.history.first:
                    return 0
                self.seek(Position(frame.position.steps, frame.position.turn - 1))
                return 1
            limit = frame.position

    def back(self, wanted: Wanted) -> Stop:
        """Go back to the last hit that is `wanted`; to the beginning (HistoryBegins) if there is none.

        A breakpoint's instruction, and an access that was watched, have not been executed there.
        """
        self.leave_present()
        start = limit = self.position
        behind = False  # whether a turn of the host follows on the leg
        frame = self._frame(limit)
        while True:
            if limit.steps - frame.position.steps > LONG_WAY:
                self._enter(frame)
                self._lay(limit.steps)
                frame = self._frame(Position(limit.steps - 1, limit.turn))
            found = self._last_hit(frame, limit.steps, behind, wanted)
            if found is not None:
                stop, place = found
                self.seek(place)
                return stop
            if frame.mark is not None and frame.position < start and wanted(Marked(frame.mark)):
                self._enter(frame)
                return Marked(frame.mark)
            if frame is self.history.first:
                self._enter(frame)
                return HistoryBegins()
            behind = frame.needed
            limit = Position(frame.position.steps, frame.position.turn - frame.needed)
            if behind and self.points.watches:
                self._enter(frame)
                after = self.watched()
                self.seek(limit)
                wrote = self._changed(after, self.history.mark_before(frame.position), wanted)
                if wrote is not None:
                    return wrote
            frame = self._frame(limit if behind else Position(limit.steps - 1, limit.turn))

    def _frame(self, position: Position) -> Keyframe:
        frame = self.history.before(position)
        return self.history.first if frame is None else frame

    def _last_hit(self, frame: Keyframe, border: int, behind: bool, wanted: Wanted) -> tuple[Stop, Position] | None:
        """On the leg from `frame` to `border`: the last hit that is wanted, and the place just before it.

        A breakpoint that the leg ends at is on it if a turn of the host follows (`behind`).
        """
        if not behind and frame.position.steps >= border or not len(self.points):
            return None
        self._enter(frame)
        before, found = None, None
        if (way := border - frame.position.steps) > 0:
            stop, before = self.machine.last_hit(way)
            if isinstance(stop, Interrupted):
                raise Interruption
            if self.machine.disturbed:  # what came behind a hit may not be what happened
                self._enter(frame)
                before, found = None, self._last_wanted(border, wanted)
            else:
                self._require(border, stop)
        if behind and frame.mark is None:  # at a mark, the host's software has not done with its turn
            place, stop = self.position, self.machine.proceed(steps=1)
            if isinstance(stop, Breakpoint) and wanted(stop):
                return stop, place
        if before is None:
            return found
        place = Position(frame.position.steps + before, frame.position.turn)
        self._enter(frame)
        self._run_to(place.steps)
        stop = self.machine.proceed(steps=1)
        if wanted(stop):
            return stop, place
        self._enter(frame)
        return self._last_wanted(place.steps, wanted)

    def _last_wanted(self, border: int, wanted: Wanted) -> tuple[Stop, Position] | None:
        """From here to `border`, stopping at each: the last hit that is wanted, and the place just before it."""
        found: tuple[Stop, Position] | None = None
        passing: int | None = None
        while self.position.steps < border:
            stop = self.machine.proceed(steps=border - self.position.steps, passing=passing)
            if isinstance(stop, Interrupted):
                raise Interruption
            if self.machine.disturbed:
                self.again()
            passing = stop.pc if isinstance(stop, Breakpoint) else None
            place = Position(self.position.steps - isinstance(stop, Watchpoint), self.position.turn)
            if is_hit(stop) and place.steps < border and wanted(stop):
                found = stop, place
        return found

    # --- what the host does ------------------------------------------------------------------------------------------

    def watched(self) -> dict[Watch, bytes]:
        """What is in the bytes whose stores are watched."""
        return {watch: self.bytes_of(watch) for watch in self.points.watches if watch.stores}

    def host_wrote(self, before: dict[Watch, bytes]) -> HostWrote | None:
        """The watched bytes that are no longer as they were, though only the host had its turn."""
        return self._changed(before, self.history.mark_before(self.position), lambda stop: bool(self.points.at(stop)))

    def _changed(self, other: dict[Watch, bytes], mark: Mark | None, wanted: Wanted) -> HostWrote | None:
        for watch, contents in other.items():
            stop = HostWrote(watch, mark)
            if self.bytes_of(watch) != contents and wanted(stop):
                return stop
        return None

    def bytes_of(self, watch: Watch) -> bytes:
        """What is in watched bytes; nothing where no memory is."""
        first = watch.first
        if watch.virtual:
            found = self.machine.harts[self.machine.engine.current_hart].translate(first)
            if found is None:
                return b""
            first = found
        view = self.machine.ram.view(first, watch.size)
        return b"" if view is None else view.tobytes()
