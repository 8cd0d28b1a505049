"""Signals: what a process does about each, and what waits for it (signal(7), RISC-V's numbers are the generic ones)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from kernel.errno import Errno, SysError

COUNT = 64
"""Signals are 1 … 64."""


class Signal(IntEnum):
    """The signals that have names."""

    HUP = 1
    INT = 2
    QUIT = 3
    ILL = 4
    TRAP = 5
    ABRT = 6
    BUS = 7
    FPE = 8
    KILL = 9
    USR1 = 10
    SEGV = 11
    USR2 = 12
    PIPE = 13
    ALRM = 14
    TERM = 15
    STKFLT = 16
    CHLD = 17
    CONT = 18
    STOP = 19
    TSTP = 20
    TTIN = 21
    TTOU = 22
    URG = 23
    XCPU = 24
    XFSZ = 25
    VTALRM = 26
    PROF = 27
    WINCH = 28
    IO = 29
    PWR = 30
    SYS = 31


class Default(Enum):
    """What a signal does that nobody handles."""

    TERMINATE = "terminate"
    CORE = "core"
    IGNORE = "ignore"
    STOP = "stop"
    CONTINUE = "continue"


DEFAULTS = {
    **dict.fromkeys((Signal.QUIT, Signal.ILL, Signal.TRAP, Signal.ABRT, Signal.BUS, Signal.FPE, Signal.SEGV,
                     Signal.XCPU, Signal.XFSZ, Signal.SYS), Default.CORE),
    **dict.fromkeys((Signal.CHLD, Signal.URG, Signal.WINCH), Default.IGNORE),
    **dict.fromkeys((Signal.STOP, Signal.TSTP, Signal.TTIN, Signal.TTOU), Default.STOP),
    Signal.CONT: Default.CONTINUE,
}
"""Those that do not terminate."""
DEADLY = 1 << Signal.KILL - 1
"""SIGKILL, as a mask."""
UNSTOPPABLE = 1 << Signal.KILL - 1 | 1 << Signal.STOP - 1
"""Signals that cannot be handled, ignored or blocked, as a mask."""

SIG_DFL, SIG_IGN = 0, 1
SA_NOCLDWAIT, SA_SIGINFO, SA_RESTART, SA_NODEFER, SA_RESETHAND = 2, 4, 0x1000_0000, 0x4000_0000, 0x8000_0000
SA_ONSTACK = 0x0800_0000


@dataclass(frozen=True, slots=True)
class Action:
    """What is done about a signal: `handler` is an address, SIG_DFL or SIG_IGN; `mask` is blocked meanwhile."""

    handler: int = SIG_DFL
    flags: int = 0
    mask: int = 0


@dataclass(frozen=True, slots=True)
class Info:
    """Where a signal comes from (siginfo_t): `code`, the sender's `pid`, or the `address` of a fault."""

    signal: int
    code: int = 0
    pid: int = 0
    address: int = 0
    status: int = 0


@dataclass
class Pending:
    """Signals that have come and were not delivered yet, each once, lowest number first."""

    waiting: dict[int, Info] = field(default_factory=dict)

    def add(self, info: Info) -> None:
        """A signal has come; the same again is one."""
        self.waiting.setdefault(info.signal, info)

    def take(self, blocked: int) -> Info | None:
        """The first that is not blocked."""
        if not self.waiting:
            return None
        for signal in sorted(self.waiting):
            if not blocked >> signal - 1 & 1:
                return self.waiting.pop(signal)
        return None

    def any(self, blocked: int) -> bool:
        """Whether there is one that is not blocked."""
        return any(not blocked >> signal - 1 & 1 for signal in self.waiting)

    @property
    def mask(self) -> int:
        """All that wait, as a mask."""
        return sum(1 << signal - 1 for signal in self.waiting)


class Actions:
    """A process's actions."""

    def __init__(self, actions: Iterable[tuple[int, Action]] = ()) -> None:
        self._actions = dict(actions)

    def __getitem__(self, signal: int) -> Action:
        return self._actions.get(signal, Action())

    def set(self, signal: int, action: Action) -> None:
        """Set one; EINVAL for SIGKILL, SIGSTOP and what is no signal."""
        if not 1 <= signal <= COUNT or UNSTOPPABLE >> signal - 1 & 1:
            raise SysError(Errno.EINVAL, f"signal {signal}")
        self._actions[signal] = action

    def copy(self) -> Actions:
        """The same actions, for a child."""
        return Actions(self._actions.items())

    def after_exec(self) -> Actions:
        """Handlers are gone with the program that had them; what was ignored stays ignored."""
        return Actions((signal, Action(SIG_IGN)) for signal, action in self._actions.items()
                       if action.handler == SIG_IGN)

    def default(self, signal: int) -> Default | None:
        """What happens without a handler; None if there is one."""
        action = self[signal]
        if action.handler == SIG_IGN:
            return Default.IGNORE
        if action.handler == SIG_DFL:
            return DEFAULTS.get(Signal(signal), Default.TERMINATE) if signal < 32 else Default.TERMINATE
        return None
