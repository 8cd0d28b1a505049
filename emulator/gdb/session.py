"""A session: what one debugger has told the server so far, and the answers to its packets.

What a packet asks for is found in a table, by its letter or its name. A handler gives the answer, or a Move of the
machine, which the server makes; that ends with a stop reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from ..errors import EmulatorError
from ..stop import Stop
from .memory import Memory
from .points import Wish, Wishes
from .wire import Code, PacketError, number

if TYPE_CHECKING:
    from ..debug import Point, Target
    from ..hart import Hart
    from .monitor import Monitor

_NAME = re.compile(rb"[qQvj][A-Za-z.]*\??")
TEXT = frozenset((b"Z", b"z", b"vCont", b"c", b"C", b"s", b"S", b"b", b"vRun"))
"""Packets whose errors may be text in every version of GDB."""


class Leave(Enum):
    """How a debugger goes: the machine runs on, or is ended, or has ended."""

    DETACHED = auto()
    KILLED = auto()
    ENDED = auto()


@dataclass(frozen=True)
class Move:
    """The machine is to move, as `journey` does it; `hart` is the one that steps, if one does."""

    journey: Callable[[Target], Stop]
    hart: int | None = None
    backwards: bool = False


@dataclass(frozen=True)
class Access:
    """An access that hit a watchpoint, made or unmade already, of which the debugger was told.

    GDB takes RISC-V watchpoints for ones that stop before the access: it removes them, makes a step (a step back, if it
    goes `backwards`), and only then looks at what has changed. That step is answered without a move.
    """

    hart: int
    wish: Wish
    backwards: bool


@dataclass(frozen=True)
class Goodbye:
    """The last answer, if there is one, and what becomes of the machine."""

    answer: bytes | None
    leave: Leave


Answer = bytes | Move | Goodbye
Handler = Callable[["Session", bytes], Answer]
"""Obeys a packet, given what follows its letter or name. Raises PacketError or EmulatorError."""


class Session:
    """A debugger's conversation with the server about `target`.

    `monitor` obeys its monitor commands, `say` shows text to its user.
    """

    def __init__(self, target: Target, monitor: Monitor, handlers: Mapping[bytes, Handler],
                 say: Callable[[str], None]) -> None:
        self.target, self.machine, self.monitor, self.say = target, target.machine, monitor, say
        self.memory = Memory(self.machine)
        self.wishes = Wishes(target, self.memory)
        self.marks: list[Point] = []
        """The marks of software on the host that the debugger wants to stop at."""
        self.hart = self.machine.engine.current_hart
        """The hart whose registers and memory packets are about."""
        self.moving: int | None = None
        """The hart that `s` and `bs` are about; None: any."""
        self.features: frozenset[bytes] = frozenset()
        """What the debugger says it can do, beyond what all can."""
        self.acknowledged = True
        """Whether packets are acknowledged (until QStartNoAckMode)."""
        self.extended = False
        """Whether the debugger wants to stay when the guest has ended (packet !)."""
        self.lists_threads = False
        """Whether stop replies list the threads (LLDB's QListThreadsInStopReply)."""
        self.over = False
        """Whether the debugger has been told that the guest has ended."""
        self.past_access: Access | None = None
        """The access that the machine stands behind, while the debugger believes that it stands before it."""
        self.stop_reply = b""
        """Why the machine stands still, as the debugger was told."""
        self._handlers = handlers

    @property
    def looked_at(self) -> Hart:
        """The hart whose registers and memory packets are about."""
        return self.machine.harts[self.hart]

    def forget_points(self) -> None:
        """Stop at nothing that this debugger wanted to stop at."""
        self.wishes.clear()
        for point in self.marks:
            self.target.points.remove(point)
        self.marks.clear()

    def answer(self, packet: bytes) -> Answer:
        """The answer to a packet: empty for one that this server does not know, an error packet for a wrong one."""
        named = _NAME.match(packet)
        name = named[0] if named is not None else packet[:1]
        handler = self._handlers.get(name)
        if handler is None:
            return b""
        try:
            return handler(self, packet[len(name):])
        except PacketError as why:
            return self.error(name, why.code, str(why))
        except EmulatorError as why:
            return self.error(name, Code.FAILED, str(why))

    def error(self, name: bytes, code: Code, text: str) -> bytes:
        """An error packet, with words where the debugger understands them."""
        if name in TEXT or b"error-message+" in self.features:
            return b"E." + text.encode("ascii", "replace")
        return b"E%02x" % code

    def hart_of(self, digits: bytes) -> int:
        """The hart with a thread's number; PacketError if there is none."""
        found = number(digits, "thread") - 1
        if not 0 <= found < len(self.machine.harts):
            raise PacketError(Code.NO_SUCH_THREAD, f"there is no thread {found + 1}: the machine has "
                                                   f"{len(self.machine.harts)}, from 1 on")
        return found

    def some_hart(self, digits: bytes) -> int | None:
        """The hart with a thread's number; None for 0 (any) and -1 (all)."""
        return None if digits in (b"0", b"-1") else self.hart_of(digits)
