"""A session: a target, what is known about its programs, and everything that a user of a debugger sets up.

    session = Session(Target(machine), Programs([image]), out=print)
    session.execute("b main")
    session.execute("c")

Front ends give it lines, and print what it says: the prompt, scripts, a gdb's `monitor` (`run_command`). It knows
none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.debug import Position, Target
from emulator.errors import BusError, EmulatorError
from emulator.stop import Stop, Watch

from .command import Again, Command, split_line
from .errors import DebugError
from .examineformat import FIRST, Format
from .numbered import NumberedPoints
from .palette import PLAIN, Palette, Role
from .programs import Programs
from .values import SessionScope, Values

if TYPE_CHECKING:
    from emulator.hart import Hart
    from emulator.machine import Machine
    from kernel.track import Tracker


@dataclass
class Display:
    """An expression that is shown at every stop, as `format` says (see `x` and `print`)."""

    number: int
    format: str
    text: str


@dataclass
class Settings:
    """What `set` sets; `context` is whether every stop shows all of it."""

    context: bool = False


class Session:
    """A user's session with `target`; `out` gets every line that is said."""

    def __init__(self, target: Target, programs: Programs, out: Callable[[str], None], *,
                 palette: Palette = PLAIN, context: bool = False, tracker: Tracker | None = None) -> None:
        self.target, self.programs, self.out, self.palette = target, programs, out, palette
        self.settings = Settings(context)
        self.tracker = tracker
        """Who allocated what, if that is recorded."""
        self.points = NumberedPoints(target.points)
        self.displays: list[Display] = []
        self.values = Values()
        self.marks: tuple[str, ...] = ()
        """Marks that the machine's program sets, besides those of our kernel."""
        self.places: dict[str, Position] = {}
        """Positions that `mark` has given a name."""
        self.hart_number = self.machine.engine.current_hart
        self.frame_number = 0
        self.previous: Position = target.position
        """Where the machine stood at the stop before this one."""
        self._seen: Position = target.position
        self.registers_before: list[dict[str, int]] = [hart.registers() for hart in self.machine.harts]
        """The registers of each hart then."""
        self.watched: dict[Watch, bytes] = {}
        """What watched memory held at the last stop."""
        self.examining: tuple[int, Format] = 0, FIRST
        """Where `x` would go on, and how."""
        self.listing: tuple[str, int] | None = None
        """The file and line where `list` would go on."""
        self.sources: list[Path] = []
        """Scripts that are being run, the outermost first."""
        self.exit_code: int | None = None
        """Set by `quit`."""
        self.last: tuple[Command, str] | None = None
        """What an empty line would do again."""

    @property
    def machine(self) -> Machine:
        return self.target.machine

    @property
    def hart(self) -> Hart:
        """The hart that is looked at."""
        return self.machine.harts[self.hart_number]

    @property
    def scope(self) -> SessionScope:
        """What names in expressions mean now."""
        return self.scope_of(self.hart_number, self.frame_number)

    def scope_of(self, hart: int, frame: int = 0) -> SessionScope:
        """The same, as a hart sees it."""
        return SessionScope(self.machine.harts[hart], self.programs, self.values, frame)

    def paint(self, role: Role, text: str) -> str:
        """`text` in the colour of what it is, where there are colours."""
        return self.palette.paint(role, text)

    # --- commands -----------------------------------------------------------------------------------------------

    def execute(self, line: str) -> None:
        """Do what a line says; nothing for an empty one, or a comment. DebugError if it cannot be done."""
        if not line.strip() or line.lstrip().startswith("#"):
            return
        from .commands import COMMANDS

        word, text = split_line(line)
        command = COMMANDS.find(word)
        self.last = (command, text) if command.again is not Again.NOTHING else None
        self.run(command, text)

    def repeat(self) -> None:
        """Do again what the last command was, as an empty line at the prompt asks for."""
        if self.last is not None:
            command, text = self.last
            if command.again is Again.ONWARDS:
                text = ""
            self.run(command, text)

    def run(self, command: Command, text: str) -> None:
        """Run a command; DebugError is all that it raises."""
        from hartwell.eyes import EyeError
        from kernel.errors import KernelError

        from .expression import ExpressionError

        try:
            command.run(self, text)
        except (EmulatorError, KernelError, EyeError, ExpressionError) as why:
            raise DebugError(str(why)) from why

    # --- moving ---------------------------------------------------------------------------------------------------

    def move(self, journey: Callable[[], Stop]) -> None:
        """Move the machine, and say where it stands then."""
        from .stopping import arrived

        self.previous = self.target.position
        self.registers_before = [hart.registers() for hart in self.machine.harts]
        arrived(self, journey())
        self._seen = self.target.position

    def follow(self) -> None:
        """Look at where somebody else has moved the machine to, if he has: the stop before is then where we were."""
        if self.target.position != self._seen:
            self.previous, self._seen = self._seen, self.target.position
            self.hart_number, self.frame_number = self.machine.engine.current_hart, 0
            self.listing = None

    # --- memory ---------------------------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes at virtual `address` of the hart; BusError where there is no memory."""
        try:
            return self.hart.read_memory(address, size)
        except BusError as why:
            if self.hart.translate(address) is None and self.machine.ram.view(address, 1) is not None:
                raise BusError(f"{why}; xp shows physical memory") from None
            raise

    def read_physical(self, address: int, size: int) -> bytes:
        """`size` bytes at physical `address`; BusError where there is no memory."""
        return self.machine.bus.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at virtual `address` of the hart: all of it, or nothing and BusError."""
        parts: list[tuple[int, bytes]] = []
        while data:
            physical = self.hart.translate(address)
            if physical is None:
                raise BusError(f"hart {self.hart_number} cannot write virtual address {address:#x}: not mapped")
            room = min(len(data), 4096 - address % 4096)
            self.machine.bus.memory(physical, room)
            parts.append((physical, data[:room]))
            address, data = address + room, data[room:]
        self.target.changing()
        for physical, part in parts:
            self.machine.bus.write(physical, part)


def run_command(session: Session, line: str) -> str:
    """What a command says, for a gdb's `monitor`: an error is a line, too. Only commands that are `remote`."""
    from .commands import COMMANDS

    said: list[str] = []
    before, session.out = session.out, said.append
    try:
        word, _ = split_line(line)
        command = COMMANDS.find(word)
        if not command.remote:
            raise DebugError(f"{command.name} is not for monitor: gdb has commands of its own for that")
        session.follow()
        session.execute(line)
    except DebugError as why:
        said.append(f"error: {why}")
    finally:
        session.out = before
    return "".join(text + "\n" for text in said)
