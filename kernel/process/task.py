"""Tasks and processes: who runs, and with what (Linux's `task_struct`, `signal_struct`).

        kernel stack, one frame:   | FP registers … | … trap frame |
                                   0                4096 - 288     4096

A task's registers are in its trap frame whenever it is not running: the kernel's text saves them there. The
floating-point registers are saved below it, when another task wants them.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from kernel.cpu.abi import SSTATUS_SPIE, TrapFrame
from kernel.mm import Frame, FrameAllocOptions, FrameMeta
from kernel.mm.paging import PAGE_SIZE

from .signals import DEADLY, Actions, Pending
from .wait import Wait, WaitQueue

if TYPE_CHECKING:
    from kernel.mm.context import Mm

    from .address_space import AddressSpace
    from .files import Files

FS_MASK, FS_CLEAN, FS_DIRTY = 3 << 13, 2 << 13, 3 << 13
"""sstatus.FS. A task begins with it off: its first floating-point instruction traps, and it gets registers of its own,
not what somebody else has left in the CPU's."""
FP_SIZE = 33 * 8
"""Bytes of f0 … f31 and fcsr."""

Call = Generator[Wait, None, int]
"""A system call that has begun to wait."""


class KernelStackMeta(FrameMeta):
    """A frame that is a task's kernel stack."""


class State(Enum):
    """Where a task is, as ps shows it."""

    RUNNABLE = "R"
    BLOCKED = "S"
    STOPPED = "T"
    DEAD = "X"


class Process:
    """A program that runs, and all that its tasks share."""

    def __init__(self, pid: int, space: AddressSpace, files: Files, parent: Process | None) -> None:
        self.pid, self.space, self.files, self.parent = pid, space, files, parent
        self.pgid: int = pid if parent is None else parent.pgid
        self.sid: int = pid if parent is None else parent.sid
        self.children: dict[int, Process] = {}
        self.tasks: dict[int, Task] = {}
        self.actions = Actions()
        self.pending = Pending()
        self.umask = 0o022
        self.name = ""
        """The program's name, as ps shows it."""
        self.arguments: tuple[bytes, ...] = ()
        self.executable = ""
        self.exit_status: int | None = None
        """As wait4 gives it, when the process is over."""
        self.changed = WaitQueue()
        """Woken when a child's state changes."""
        self.let_go = WaitQueue()
        """Woken when it has another memory than its parent gave it, or none: it has become a program, or is over."""

    @property
    def is_zombie(self) -> bool:
        """Whether it is over, and its parent has not asked yet."""
        return self.exit_status is not None


@dataclass(eq=False)
class Task:
    """A thread of a process."""

    tid: int
    process: Process
    stack: Frame[KernelStackMeta]
    frame: TrapFrame
    frame_vaddr: int
    """Where the trap frame is, in the linear mapping."""
    state: State = State.RUNNABLE
    blocked: int = 0
    """Signals that are blocked, as a mask."""
    pending: Pending = field(default_factory=Pending)
    call: Call | None = None
    """The system call that it waits in."""
    number: int = 0
    """That call's number."""
    wait: Wait | None = None
    clear_child_tid: int = 0
    restore_mask: int | None = None
    """The signal mask to go back to when a handler has been entered (rt_sigsuspend)."""
    cpu: int | None = None
    """The CPU that it runs on."""
    time: int = 0
    """Ticks of the timebase that it has run."""
    fp_used: bool = False
    interrupted: bool = False
    """Whether a signal has ended the wait of its system call, which is to begin anew, or to end with EINTR."""
    alt_stack: tuple[int, int] = (0, 0)
    """Address and size of the stack for signal handlers."""

    @classmethod
    def create(cls, mm: Mm, tid: int, process: Process) -> Task:
        """A task with a kernel stack and an empty frame for U-mode; NoMemory."""
        stack = FrameAllocOptions(mm).alloc_frame_with(KernelStackMeta())
        at = stack.paddr + PAGE_SIZE - TrapFrame.SIZE
        frame = TrapFrame.at(mm.port, at)
        task = cls(tid, process, stack, frame, mm.paddr_to_vaddr(at))
        frame.kernel_sp = mm.paddr_to_vaddr(stack.paddr) + PAGE_SIZE
        frame.sstatus = SSTATUS_SPIE
        process.tasks[tid] = task
        return task

    @property
    def fp_paddr(self) -> int:
        """Where its floating-point registers are saved."""
        return self.stack.paddr

    def has_signal(self, deadly: bool = False) -> bool:
        """Whether a signal waits that it does not block; with `deadly`, one that nobody can do anything about."""
        blocked = ~DEADLY if deadly else self.blocked
        return self.pending.any(blocked) or self.process.pending.any(blocked)
