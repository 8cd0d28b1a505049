"""The target: a machine under a debugger, and the software on the host that drives it, if any does.

    target = Target(machine)                                # what the machine has loaded runs by itself
    target = Target(machine, lambda machine: Kernel.start(machine))

The caller has the machine whenever no method of the target runs. Every method that moves it returns a Stop
that says why it stands still now; `stop` keeps the last. In the past, forwards means to see again what
happened; at its end, the run goes on.

Registers and memory may be changed at any stop, after `changing()`. In the past of a machine that runs by
itself, what was the future is then forgotten; the past of a program on the host cannot be changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

from ..errors import HistoryError
from ..stop import Breakpoint, HistoryBegins, HostCall, Interrupted, Marked, Stepped, Stop, Watch, Watchdog, Watchpoint
from .points import Points, WatchAt, is_hit
from .position import Position
from .program import Program, Wants
from .stops import HostWrote, ProgramEnded
from .travel import Interruption, Traveller

if TYPE_CHECKING:
    from ..machine import Machine
    from ..runloop import Poll
    from .history import History

EAGER, EAGER_TIMED = 1 << 28, 1 << 24
"""Instructions between two keyframes made while the machine runs, without and with a timing model: about a second."""


@dataclass(frozen=True)
class Write:
    """A change of watched bytes: the place just `before`, what they held before and `after`, and what did it.

    `stop` is a Watchpoint (an instruction of a hart) or HostWrote; `place` is the position before it.
    """

    place: Position
    stop: Stop
    before: bytes
    after: bytes
    instructions: int
    """Instructions that all harts had retired."""


class Target:
    """`machine`, held; driven by `program`, or running by itself.

    `poll` is asked for console input as `Machine.run` says; `max_insns` is where a machine that runs by itself
    ends (a Watchdog). `glance` tells whether the user wants the machine to stop: `Machine.glance`, which it is while
    the target is open; it is asked between turns of the host, too. The history begins where the machine is. Close it,
    or use a `with` block.
    """

    def __init__(self, machine: Machine, program: Callable[[Machine], object] | None = None, *,
                 poll: Poll | None = None, max_insns: int | None = None,
                 glance: Callable[[], bool] | None = None) -> None:
        self.machine = machine
        self.points = Points(machine)
        self._glance, machine.glance = glance, glance
        self.stop: Stop = Stop()
        """Why the machine stands still."""
        self._traveller = Traveller(machine, self.points)
        self._program = None if program is None else Program(machine, program)
        self._poll = poll
        self._wants: Wants | None = Wants(max_insns, None, None) if program is None else None
        self._deliver: Stop | None = None  # what the program gets as its machine's stop
        self._ended: Stop | None = None
        self._changed = False

    # --- where it is ----------------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """Where the machine is in its run."""
        return self._traveller.position

    @property
    def end(self) -> Position:
        """How far the run has come."""
        return self._traveller.end

    @property
    def end_instructions(self) -> int:
        """Instructions that all harts together had retired there."""
        present = self._traveller.present
        return self.machine.instructions if present is None else present.snapshot.instructions

    @property
    def in_past(self) -> bool:
        """Whether the machine is where it has been before."""
        return self._traveller.present is not None

    @property
    def history(self) -> History:
        """The keyframes."""
        return self._traveller.history

    @property
    def ended(self) -> Stop | None:
        """How the run ended, if it has come to its end: the machine's last stop, or ProgramEnded."""
        return self._ended

    @property
    def driven(self) -> bool:
        """Whether a program on the host drives the machine."""
        return self._program is not None

    def wanted_still(self) -> bool:
        """Whether the user wants the machine to stand still (`glance`); for those who make many moves in a row."""
        return self._glance is not None and self._glance()

    @property
    def program_frame(self) -> FrameType | None:
        """Where the code of the program is, at the present; None if there is no program, or it does not run."""
        return None if self._program is None else self._program.frame

    # --- forwards -----------------------------------------------------------------------------------------------

    def resume(self) -> Stop:
        """Go on until a point, the end, or Interrupted."""
        return self._move(lambda: self._forwards(None, None))

    def step(self, count: int = 1, hart: int | None = None) -> Stop:
        """Make steps: instructions, which may trap, and interrupts; those of `hart`, if given. Points stop it, too.

        A turn of the host, where a hart has called it, is a step of that hart.
        """
        return self._move(lambda: self._forwards(count, hart))

    # --- backwards ------------------------------------------------------------------------------------------------

    def reverse_step(self, count: int = 1, hart: int | None = None) -> Stop:
        """Take steps back; HistoryBegins if the history has not so many."""
        return self._move(lambda: self._back_steps(count, hart))

    def reverse_resume(self) -> Stop:
        """Go back to the last hit of a point before here; to the beginning (HistoryBegins) if there is none."""
        return self._move(lambda: self._traveller.back(lambda stop: bool(self.points.at(stop))))

    def goto(self, instruction: int) -> Stop:
        """Go to a place at which all harts together have retired so many instructions since reset.

        In the past, to the last such place, past all points; in the future, the run goes on until there, or a hit.
        HistoryError for a place before the history.
        """
        return self._move(lambda: self._goto(instruction))

    def seek(self, position: Position) -> Stop:
        """Go to a place up to `end`, past all points. HistoryError for one before the history, or beyond its end."""
        return self._move(lambda: self._seek(position))

    def last_write(self, first: int, size: int, *, virtual: bool = False) -> Write | None:
        """What last changed bytes at an address, and where; None if nothing did since the history began.

        Stores of what was there before count as changes do. The machine stays where it is.
        """
        watch = Watch(first, size, virtual=virtual)
        self._settle()
        here, stop = self.position, self.stop
        point = self.points.add(WatchAt(watch))
        try:
            after = self._traveller.bytes_of(watch)
            found = self._traveller.back(lambda hit: isinstance(hit, Watchpoint | HostWrote) and hit.watch == watch)
            if not isinstance(found, Watchpoint | HostWrote):
                return None
            return Write(self.position, found, self._traveller.bytes_of(watch), after, self.machine.instructions)
        except Interruption:
            return None
        finally:
            self.points.remove(point)
            self._return(here)
            self.stop = stop

    # --- changing what is there ---------------------------------------------------------------------------------

    def changing(self) -> None:
        """The caller is about to change the machine. HistoryError in the past of a program."""
        if self.in_past:
            if self._program is not None:
                raise HistoryError("the past cannot be changed: the program on the host that drives this machine "
                                   "is further on; continue to the present first")
            self._traveller.cut()
            self._ended = None
        self._changed = True

    def close(self) -> None:
        """End the program, and let go of the machine where it is."""
        if self._program is not None:
            self._traveller.return_to_present()
            self._program.kill()
        for point in list(self.points):
            self.points.remove(point)
        self.machine.glance = None
        self._traveller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    # --- how ------------------------------------------------------------------------------------------------------

    def _move(self, journey: Callable[[], Stop]) -> Stop:
        self._settle()
        here = self.position
        try:
            self.stop = journey()
        except Interruption:
            self._return(here)
            self.stop = Interrupted()
        except HistoryError:
            self._return(here)
            raise
        if self.position == self.end:
            self._traveller.return_to_present()
        return self.stop

    def _settle(self) -> None:
        """What the user has changed is a turn of the host."""
        if self._changed:
            self._changed = False
            self._traveller.turn_over()

    def _return(self, here: Position) -> None:
        if here == self.end:
            self._traveller.return_to_present()
        else:
            self._traveller.seek(here)

    def _seek(self, position: Position) -> Stop:
        if position > self.end:
            raise HistoryError(f"{position} is beyond the end of the history, {self.end}")
        self._traveller.seek(position)
        return Stop()

    def _goto(self, instruction: int) -> Stop:
        travel = self._traveller
        there = self.end_instructions
        if instruction < there:
            past = [frame for frame in travel.history
                    if frame.offset == travel.offset and frame.snapshot.instructions <= instruction]
            if not past:
                raise HistoryError(f"instruction {instruction:,} is before the history, which begins at instruction "
                                   f"{travel.history.first.snapshot.instructions:,}")
            travel.seek(past[-1].position)
            while (left := instruction - self.machine.instructions) > 0:
                travel.seek(Position(self.position.steps + left, self.position.turn))
            self._pass_traps(instruction)
            return Stop()
        travel.return_to_present()
        while (left := instruction - self.machine.instructions) > 0:
            stop = self._forwards(left, None)
            if not isinstance(stop, Stepped):
                return stop
        return Stop()

    def _pass_traps(self, instruction: int) -> None:
        """Go behind steps that retire nothing."""
        while (here := self.position).steps < self.end.steps:
            self._traveller.seek(Position(here.steps + 1, here.turn))
            if self.machine.instructions > instruction:
                self._traveller.seek(here)
                return

    def _back_steps(self, count: int, hart: int | None) -> Stop:
        while count > 0:
            made = self._traveller.back_step(count, hart)
            if not made:
                return HistoryBegins()
            count -= made
        return Stepped()

    def _forwards(self, steps: int | None, hart: int | None) -> Stop:
        passing: int | None = self._passing()
        if self.in_past:
            stop, left = self._traveller.replay(passing, steps, hart)
            if stop is not None:
                return stop
            self._traveller.return_to_present()
            if steps is not None:
                if left <= 0:
                    return Stepped() if self._ended is None else self._ended
                steps = left
            passing = None
        return self._live(passing, steps, hart)

    def _passing(self) -> int:
        """The breakpoint to be passed: the one that the machine stands at."""
        if isinstance(self.stop, Breakpoint):
            return self.stop.pc
        return self.machine.harts[self.machine.engine.current_hart].pc

    def _live(self, passing: int | None, steps: int | None, hart: int | None) -> Stop:
        """Go on where nobody has been."""
        while True:
            if self._ended is not None:
                return self._ended
            if self._wants is None:
                if self.wanted_still():
                    return Interrupted()
                before, caller = self._traveller.watched(), self._deliver
                stop, over = self._host_turn()
                wrote = self._traveller.host_wrote(before)
                if isinstance(stop, Marked) and self.points.wants(stop.mark):
                    return self._hit(stop)
                if wrote is not None:
                    return self._hit(wrote)
                if steps is not None and over and (
                        hart is None or isinstance(caller, HostCall) and caller.hart == hart):
                    steps -= 1
                    if steps <= 0:
                        return Stepped()
                continue
            stop, left = self._harts_turn(passing, steps, hart)
            if steps is not None:
                steps = left
            passing = stop.pc if isinstance(stop, Breakpoint) else None
            if is_hit(stop):
                if self.points.at(stop):
                    return self._hit(stop)
            elif isinstance(stop, Stepped | Interrupted):
                return stop
            elif self._program is None:
                self._ended = stop
            else:
                self._wants, self._deliver = None, stop

    def _hit(self, stop: Stop) -> Stop:
        for point in self.points.at(stop):
            point.hits += 1
        return stop

    def _host_turn(self) -> tuple[Stop | None, bool]:
        """Let the program go on: the mark that it has come to, if any; whether it wants the machine to run."""
        assert self._program is not None
        event = self._program.advance(self._deliver)
        self._deliver = None
        if isinstance(event, Wants):
            self._wants = event
            self._traveller.turn_over()
            return None, True
        if isinstance(event, ProgramEnded):
            self._ended = event
            self._traveller.turn_over()
            return None, False
        self._traveller.turn_over(event.mark)
        return event, False

    def _harts_turn(self, passing: int | None, steps: int | None, hart: int | None) -> tuple[Stop, int]:
        """Let the harts run: until a hit, or what the program is to hear of; how many of the steps are left then."""
        wants = self._wants
        assert wants is not None
        chunk = EAGER if self.machine.timing is None else EAGER_TIMED
        while True:
            limit = chunk if wants.max_insns is None else min(wants.max_insns, chunk)
            count = self._events()
            stop = self.machine.proceed(limit, None, self._input(wants), passing=passing, steps=steps, hart=hart)
            if wants.max_insns is not None:
                wants = replace(wants, max_insns=max(wants.max_insns - (self._events() - count), 0))
                self._wants = wants
            left = self.machine.steps_left
            if self.machine.disturbed:
                self._traveller.again()
            if not isinstance(stop, Watchdog) or wants.max_insns is not None and wants.max_insns <= 0:
                return stop, left
            self._traveller.record()
            passing = None
            if steps is not None:
                steps = left

    def _events(self) -> int:
        """What `max_insns` counts."""
        return sum(hart.instructions + hart.traps for hart in self.machine.harts)

    def _input(self, wants: Wants) -> Poll | None:
        """The console's input; every piece of it is a turn of the host."""
        poll = wants.poll or self._poll
        if poll is None:
            return None

        def ask(cycles: int) -> bytes | None:
            data = poll(cycles)
            if data:
                self.machine.feed(data)
                self._traveller.turn_over()
                return b""
            return data

        return ask
