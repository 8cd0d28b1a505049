"""A machine that boots our kernel in order to run one program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from emulator import Board, Machine
from emulator.errors import PlacementError
from hartwell.cli.status import CommandError
from hartwell.console import QuitError
from kernel import Kernel
from kernel.cpu.errors import CpuDeadlock, CpuHung
from kernel.errno import Errno, SysError
from kernel.errors import NoMemory
from kernel.fs.console import Console as Guest
from kernel.fs.cpio import ArchiveError
from kernel.fs.ramfs.ramfs import Storage
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from kernel.picture import FrameMap, FrameUsage
from kernel.process.system import System
from kernel.process.task import Process
from kernel.process.userland import Userland as Setup
from kernel.syscall.strace import Strace
from kernel.syscall.table import SystemCalls

from .outcome import Outcome, signal_name
from .streams import LimitError, Streams, first_files
from .taken import Counting, Taken

if TYPE_CHECKING:
    from emulator.timing.profile import Profile
    from hartwell.console import Console as Host

DEFAULT_LIMIT: Final = 10**12
"""Instructions after which any run ends."""
MORE_MEMORY: Final = "give the machine more memory, with -m"
NEXT_STEPS: Final = {
    Errno.ENOEXEC: "no static RV64 Linux program; build one with: riscv64-linux-gnu-gcc -static",
    Errno.ENOENT: "no such file there; --file and --initrd bring files along",
    Errno.ENOTDIR: "no such file there; --file and --initrd bring files along",
    Errno.EACCES: "make it executable with chmod +x",
    Errno.E2BIG: "give it fewer or shorter arguments",
    Errno.ENOMEM: MORE_MEMORY,
}
"""What to do about a program that cannot be started."""


@dataclass(frozen=True)
class Job:
    """What to run: the program's path in the guest, its arguments with the name first, and its environment."""

    path: str
    arguments: Sequence[bytes]
    environment: Sequence[bytes] = ()
    shown: str = ""
    """What people call it in messages; the path by default."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.shown or self.path


@dataclass(frozen=True)
class Listeners:
    """Who is told what while it runs: output, errors, system calls as strace has them, deaths by the kernel's hand."""

    output: Callable[[bytes], None]
    errors: Callable[[bytes], None]
    strace: Callable[[str], None] | None = None
    death: Callable[[Process, str], None] | None = None
    terminals: tuple[bool, bool, bool] = (False, False, False)
    """Which of the standard streams are terminals."""


@dataclass
class Userland:
    """A machine with our kernel booted and its files in place; `close` it. CommandError for what cannot be."""

    board: Board
    profile: Profile | None
    initrd: bytes
    ramfs: str
    notice: Callable[[str], None] | None = None
    machine: Machine = field(init=False)
    kernel: Kernel = field(init=False)

    def __post_init__(self) -> None:
        self.machine = Machine(self.board, self.profile, notice=self.notice)
        try:
            self.kernel = Kernel.boot(self.machine, initrd=self.initrd)
        except PlacementError as why:
            self.machine.close()
            raise CommandError(f"{why}; {MORE_MEMORY}") from None
        except BaseException:
            self.machine.close()
            raise

    def run(self, job: Job, host: Host, listeners: Listeners, *, limit: int | None = None,
            counted: bool = False) -> Outcome:
        """Run a program until it is over, or `limit` instructions of the machine's; `counted`: count what it takes."""
        terminal = listeners.terminals[0]
        guest = Guest(self.kernel.sbi.console_write, terminal, listeners.output)
        calls = SystemCalls(Strace(listeners.strace) if listeners.strace is not None else None)
        before = self._free()
        system = self._start(guest, calls, listeners)
        self.machine.drain_console()
        self.machine.on_output = listeners.output
        system.scheduler.limit = self.machine.instructions + (limit or DEFAULT_LIMIT)
        Streams(guest, host, system)
        began = self.machine.instructions, self._cycles()
        with ExitStack() as stack:
            counting = stack.enter_context(Counting(self.kernel.mm)) if counted else None
            reason, message, status = self._until_over(system, job, guest, listeners, limit)
            taken: Taken | None = counting.taken() if counting is not None else None
        self.machine.glance = None
        done = self.machine.instructions, self._cycles()
        if status is not None:
            system.close()
        timing = self.machine.timing
        return Outcome(
            reason, message, status, self.ramfs, done[0] - began[0], done[1] - began[1],
            timing.profile.name if timing is not None else "off",
            timing.profile.accuracy if timing is not None else "one cycle per instruction",
            system.made, system.faults, before, self._free(), dict(sorted(calls.missing.items())), taken)

    def close(self) -> None:
        """Let go of the machine."""
        self.kernel.close()
        self.machine.close()

    def _start(self, guest: Guest, calls: SystemCalls, listeners: Listeners) -> System:
        """Unpack the files. CommandError for a damaged archive, and for files that there is no memory for."""
        try:
            return Setup(Storage(self.ramfs), guest, calls, listeners.death).start(self.kernel)
        except ArchiveError as why:
            raise CommandError(f"--initrd: {why}") from None
        except (SysError, NoMemory) as why:
            full = isinstance(why, NoMemory) or why.errno in (Errno.ENOMEM, Errno.ENOSPC, Errno.EFBIG)
            raise CommandError(f"the files cannot be unpacked: {why}" + f"; {MORE_MEMORY}" * full) from None

    def _until_over(self, system: System, job: Job, guest: Guest, listeners: Listeners,
                    limit: int | None) -> tuple[str, str, int | None]:
        """Run it: the reason of the end, in words, and the status if the program itself has ended."""
        try:
            status = system.run(job.path, job.arguments, job.environment,
                                first_files(system, guest, listeners.errors, listeners.terminals))
        except SysError as why:
            text = str(why).partition(": ")[2] or why.errno.name
            step = NEXT_STEPS.get(why.errno)
            raise CommandError(f"{job.name}: {text}" + (f": {step}" if step else "")) from None
        except NoMemory:
            raise CommandError(f"{job.name}: there is no memory for it; {MORE_MEMORY}") from None
        except CpuDeadlock:
            return "deadlock", "every process waits for something that cannot come", None
        except CpuHung:
            return "watchdog", f"the limit of {limit or DEFAULT_LIMIT:,} instructions was reached", None
        except LimitError:
            return "watchdog", "the limit of --timeout was reached", None
        except QuitError:
            return "quit", "ended by Ctrl-A x", None
        except KeyboardInterrupt:
            return "interrupted", "ended by Ctrl-C", None
        finally:
            self.machine.drain_console()
        if number := status & 0x7F:
            return "killed", f"killed by {signal_name(number)}", status
        return "exited", f"exited with code {status >> 8}", status

    def _cycles(self) -> int:
        return max(hart.cycles for hart in self.machine.harts)

    def _free(self) -> int:
        """Frames that are free, those of slabs to spare included."""
        heap = self.kernel.mm.heap.inner
        if isinstance(heap, HeapAllocator):
            heap.reclaim()
        return FrameUsage.of(FrameMap.read(self.kernel.mm)).free
