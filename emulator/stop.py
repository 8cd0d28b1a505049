"""Why a machine stopped: one small class per reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True)
class Stop:
    """A reason to stop. `ok` tells whether the guest ended as it wanted to, and reported success."""

    @property
    def ok(self) -> bool:
        return False

    def __str__(self) -> str:
        return "stopped"


@dataclass(frozen=True)
class Exited(Stop):
    """The guest ended the machine through the test finisher, with exit code `code` (0 … 65535)."""

    code: int

    @property
    def ok(self) -> bool:
        return self.code == 0

    def __str__(self) -> str:
        return f"the guest exited with code {self.code}"


@dataclass(frozen=True)
class ResetRequested(Stop):
    """The guest asked for a reset, and the machine was told not to do it by itself."""

    def __str__(self) -> str:
        return "the guest asked for a reset"


@dataclass(frozen=True)
class Watchdog(Stop):
    """A limit was reached: `limit` of `unit` ("instructions" or "seconds"), hart 0 then at `pc`."""

    unit: str
    limit: float
    pc: int

    def __str__(self) -> str:
        return f"the limit of {self.limit:,.15g} {self.unit} was reached (hart 0 at {self.pc:#x})"


@dataclass(frozen=True)
class Deadlock(Stop):
    """Every hart waits in WFI, and nothing is left that could wake one."""

    pcs: tuple[int, ...]

    def __str__(self) -> str:
        where = ", ".join(f"hart {hart} at {pc:#x}" for hart, pc in enumerate(self.pcs))
        return f"every hart waits in WFI with no interrupt to come ({where})"


@dataclass(frozen=True)
class TrapLoop(Stop):
    """A hart traps at `pc` forever and gets nowhere; `cause` and `value` as in xcause and xtval.

    Its trap handler traps at its first instruction, or cannot do anything about a failing fetch.
    """

    hart: int
    pc: int
    cause: int
    value: int

    def __str__(self) -> str:
        return (f"hart {self.hart} is in a trap loop at {self.pc:#x} (cause {self.cause}: "
                f"{CAUSES.get(self.cause, 'reserved')}, value {self.value:#x})")


@dataclass(frozen=True)
class Breakpoint(Stop):
    """A hart reached a breakpoint; the instruction there has not run."""

    hart: int
    pc: int

    def __str__(self) -> str:
        return f"hart {self.hart} is at the breakpoint {self.pc:#x}"


@dataclass(frozen=True)
class Watch:
    """Bytes whose accesses are watched: `size` from physical address `first` on, or from a `virtual` one.

    `loads` and `stores` say which. ValueError for neither, no bytes, or bytes beyond the last address.
    """

    first: int
    size: int
    stores: bool = True
    loads: bool = False
    virtual: bool = False

    def __post_init__(self) -> None:
        if not (self.loads or self.stores) or self.size <= 0 or not 0 <= self.first <= self.last < 1 << 64:
            raise ValueError(f"{self}: expected loads or stores, of bytes below 2^64")

    @property
    def last(self) -> int:
        """The last byte."""
        return self.first + self.size - 1


@dataclass(frozen=True)
class Watchpoint(Stop):
    """The instruction at `pc` of a hart has accessed `size` bytes at `address`, some of them `watch`'s.

    `address` is physical or virtual as `watch` is. The access has been done.
    """

    hart: int
    pc: int
    watch: Watch
    address: int
    size: int
    store: bool

    def __str__(self) -> str:
        return (f"hart {self.hart} {'stored' if self.store else 'loaded'} {self.size} byte{'s' * (self.size > 1)} at "
                f"{self.address:#x}, by the instruction at {self.pc:#x}")


class Wrong(Enum):
    """What a guard has found; in the order of `engine.guard`'s numbers."""

    USER_LOAD = 1
    """A user is about to load what is not its own."""
    USER_STORE = 2
    KEEPER_STORE = 3
    """The keeper is about to store into a block that it has handed out."""
    OVERLAP = 4
    """The keeper has handed out a block part of which is handed out already."""
    TAKE_FREED = 5
    """A block is given back a second time."""
    TAKE_INSIDE = 6
    """What is given back is no block: it begins inside of one, or was never handed out."""
    TAKE_OUTSIDE = 7
    """What is given back is not the keeper's memory."""
    TAKE_SIZE = 8
    """A block is given back with another size than it has."""
    CALL = 9
    """Nothing is wrong: it is the call to stop at."""


@dataclass(frozen=True)
class Guarded(Stop):
    """The instruction at `pc` of a hart is about to do something wrong (`emulator.guard`), and has not run.

    Accesses: `size` bytes at virtual `address`, physical `paddr`. Calls of the keeper: of `size` bytes at `address`, as
    it has them; `paddr` is where the wrong bytes begin, `found` their offset (TAKE_SIZE: the size that the block has).
    `call` is the number of the last call that had begun, from 1.
    """

    what: Wrong
    hart: int
    pc: int
    address: int
    paddr: int
    size: int
    call: int
    found: int

    def __str__(self) -> str:
        return (f"hart {self.hart} at {self.pc:#x}: {self.what.name.lower().replace('_', ' ')}, {self.size} "
                f"byte{'s' * (self.size != 1)} at {self.address:#x}")


@dataclass(frozen=True)
class Mark:
    """A place that software on the host comes to: its `name`, as `stage:heap`, and what else is known of it."""

    name: str
    detail: object = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Marked(Stop):
    """Software on the host has come to a place that a debugger wanted to stop at."""

    mark: Mark

    def __str__(self) -> str:
        return f"at {self.mark.name}"


@dataclass(frozen=True)
class HistoryBegins(Stop):
    """There is nothing before here: a debugger that goes backwards has come to where its history begins."""

    def __str__(self) -> str:
        return "the beginning of the history"


@dataclass(frozen=True)
class Stepped(Stop):
    """The steps that were asked for have been made."""

    def __str__(self) -> str:
        return "stepped"


@dataclass(frozen=True)
class HostCall(Stop):
    """A hart executed a custom-0 instruction, `instruction`, at its pc, which has not moved."""

    hart: int
    instruction: int

    def __str__(self) -> str:
        return f"hart {self.hart} made host call {self.instruction:#010x}"


@dataclass(frozen=True)
class Interrupted(Stop):
    """The user ended the run (Ctrl-C, or Ctrl-A x at the console)."""

    def __str__(self) -> str:
        return "ended by the user"


@dataclass(frozen=True)
class Matched(Stop):
    """The console printed what `Machine.expect` waited for."""

    def __str__(self) -> str:
        return "the console printed the expected text"


CAUSES = {
    0: "instruction address misaligned", 1: "instruction access fault", 2: "illegal instruction", 3: "breakpoint",
    4: "load address misaligned", 5: "load access fault",
    6: "store/AMO address misaligned", 7: "store/AMO access fault",
    8: "environment call from U-mode", 9: "environment call from S-mode", 11: "environment call from M-mode",
    12: "instruction page fault", 13: "load page fault", 15: "store/AMO page fault",
}
"""Names of the exception causes (privileged specification, table 3.6)."""
INTERRUPTS = {1: "S software interrupt", 3: "M software interrupt", 5: "S timer interrupt", 7: "M timer interrupt",
              9: "S external interrupt", 11: "M external interrupt"}
"""Names of the interrupts (ibid.)."""
