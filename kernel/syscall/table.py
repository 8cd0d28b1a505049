"""The table of system calls: RISC-V Linux's numbers, and who answers them here.

A call without a handler, or that is not in the table (kernel.syscall.names), returns ENOSYS. The letters say what
arguments are, for whoever traces calls:

        d  a number              x  a number, in hex      a  a mode, in octal     p  an address
        f  a descriptor          s  a path or other string of the user's
        b  bytes, as many as the next argument says
        o  flags of open         t  flags of *at calls    m  PROT_*               M  MAP_*
        c  flags of clone        w  options of wait4      g  a signal             h  how to change a mask
        i  a request of ioctl

Source: Linux, include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kernel.errno import Errno, SysError

from . import descriptors, futex, info, io, memory, paths, polling, process, signal, time
from .names import NAMES

if TYPE_CHECKING:
    from kernel.process.system import System
    from kernel.process.task import Task

    from .strace import Strace

Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class SystemCall:
    """A system call: its number and name, its arguments' letters, and its handler, None if there is none."""

    number: int
    name: str
    arguments: str = ""
    handler: Handler | None = None


TABLE: Final = (
    SystemCall(17, "getcwd", "pd", paths.getcwd),
    SystemCall(23, "dup", "f", descriptors.dup),
    SystemCall(24, "dup3", "ffx", descriptors.dup3),
    SystemCall(25, "fcntl", "fdx", descriptors.fcntl),
    SystemCall(29, "ioctl", "fip", descriptors.ioctl),
    SystemCall(33, "mknodat", "fsax", paths.mknodat),
    SystemCall(34, "mkdirat", "fsa", paths.mkdirat),
    SystemCall(35, "unlinkat", "fst", paths.unlinkat),
    SystemCall(36, "symlinkat", "sfs", paths.symlinkat),
    SystemCall(37, "linkat", "fsfst", paths.linkat),
    SystemCall(43, "statfs", "sp", paths.statfs),
    SystemCall(44, "fstatfs", "fp", paths.fstatfs),
    SystemCall(45, "truncate", "sd", paths.truncate),
    SystemCall(46, "ftruncate", "fd", paths.ftruncate),
    SystemCall(48, "faccessat", "fsx", paths.faccessat),
    SystemCall(49, "chdir", "s", paths.chdir),
    SystemCall(50, "fchdir", "f", paths.fchdir),
    SystemCall(52, "fchmod", "fa", paths.fchmod),
    SystemCall(53, "fchmodat", "fsa", paths.fchmodat),
    SystemCall(54, "fchownat", "fsddt", paths.fchownat),
    SystemCall(55, "fchown", "fdd", paths.fchown),
    SystemCall(56, "openat", "fsoa", paths.openat),
    SystemCall(57, "close", "f", descriptors.close),
    SystemCall(59, "pipe2", "px", descriptors.pipe2),
    SystemCall(61, "getdents64", "fpd", paths.getdents64),
    SystemCall(62, "lseek", "fdd", io.lseek),
    SystemCall(63, "read", "fpd", io.read),
    SystemCall(64, "write", "fbd", io.write),
    SystemCall(65, "readv", "fpd", io.readv),
    SystemCall(66, "writev", "fpd", io.writev),
    SystemCall(67, "pread64", "fpdd", io.pread64),
    SystemCall(68, "pwrite64", "fbdd", io.pwrite64),
    SystemCall(71, "sendfile", "ffpd", io.sendfile),
    SystemCall(72, "pselect6", "dppppp", polling.pselect6),
    SystemCall(73, "ppoll", "pdppd", polling.ppoll),
    SystemCall(78, "readlinkat", "fspd", paths.readlinkat),
    SystemCall(79, "newfstatat", "fspt", paths.newfstatat),
    SystemCall(80, "fstat", "fp", paths.fstat),
    SystemCall(81, "sync", "", io.sync),
    SystemCall(82, "fsync", "f", io.fsync),
    SystemCall(83, "fdatasync", "f", io.fsync),
    SystemCall(88, "utimensat", "fspt", paths.utimensat),
    SystemCall(93, "exit", "d", process.exit_task),
    SystemCall(94, "exit_group", "d", process.exit_group),
    SystemCall(96, "set_tid_address", "p", process.set_tid_address),
    SystemCall(98, "futex", "pdxpxx", futex.futex),
    SystemCall(99, "set_robust_list", "pd"),
    SystemCall(101, "nanosleep", "pp", time.nanosleep),
    SystemCall(113, "clock_gettime", "dp", time.clock_gettime),
    SystemCall(114, "clock_getres", "dp", time.clock_getres),
    SystemCall(115, "clock_nanosleep", "dxpp", time.clock_nanosleep),
    SystemCall(123, "sched_getaffinity", "ddp", process.sched_getaffinity),
    SystemCall(124, "sched_yield", "", process.sched_yield),
    SystemCall(129, "kill", "dg", signal.kill),
    SystemCall(130, "tkill", "dg", signal.tkill),
    SystemCall(131, "tgkill", "ddg", signal.tgkill),
    SystemCall(132, "sigaltstack", "pp", signal.sigaltstack),
    SystemCall(133, "rt_sigsuspend", "pd", signal.rt_sigsuspend),
    SystemCall(134, "rt_sigaction", "gppd", signal.rt_sigaction),
    SystemCall(135, "rt_sigprocmask", "hppd", signal.rt_sigprocmask),
    SystemCall(136, "rt_sigpending", "pd", signal.rt_sigpending),
    SystemCall(139, "rt_sigreturn", "", signal.rt_sigreturn),
    SystemCall(144, "setgid", "d", process.setid),
    SystemCall(146, "setuid", "d", process.setid),
    SystemCall(147, "setresuid", "ddd", process.setid),
    SystemCall(149, "setresgid", "ddd", process.setid),
    SystemCall(153, "times", "p", time.times),
    SystemCall(154, "setpgid", "dd", process.setpgid),
    SystemCall(155, "getpgid", "d", process.getpgid),
    SystemCall(156, "getsid", "d", process.getsid),
    SystemCall(157, "setsid", "", process.setsid),
    SystemCall(160, "uname", "p", info.uname),
    SystemCall(165, "getrusage", "dp", process.getrusage),
    SystemCall(166, "umask", "a", paths.umask),
    SystemCall(169, "gettimeofday", "pp", time.gettimeofday),
    SystemCall(172, "getpid", "", process.getpid),
    SystemCall(173, "getppid", "", process.getppid),
    SystemCall(174, "getuid", "", process.getuid),
    SystemCall(175, "geteuid", "", process.getuid),
    SystemCall(176, "getgid", "", process.getuid),
    SystemCall(177, "getegid", "", process.getuid),
    SystemCall(178, "gettid", "", process.gettid),
    SystemCall(179, "sysinfo", "p", info.sysinfo),
    SystemCall(214, "brk", "p", memory.brk),
    SystemCall(215, "munmap", "pd", memory.munmap),
    SystemCall(216, "mremap", "pddxp"),
    SystemCall(220, "clone", "cpppp", process.clone),
    SystemCall(221, "execve", "spp", process.execve),
    SystemCall(222, "mmap", "pdmMfd", memory.mmap),
    SystemCall(226, "mprotect", "pdm", memory.mprotect),
    SystemCall(233, "madvise", "pdd", memory.madvise),
    SystemCall(258, "riscv_hwprobe", "pdxpx"),
    SystemCall(260, "wait4", "dpwp", process.wait4),
    SystemCall(261, "prlimit64", "ddpp", process.prlimit64),
    SystemCall(276, "renameat2", "fsfsx", paths.renameat2),
    SystemCall(278, "getrandom", "pdx", info.getrandom),
    SystemCall(291, "statx", "fsxxp"),
    SystemCall(293, "rseq", "pdxx"),
    SystemCall(435, "clone3", "pd"),
    SystemCall(439, "faccessat2", "fsxt", paths.faccessat2),
)
BY_NUMBER: Final = {call.number: call for call in TABLE}


NUMBERS: Final = 1024
"""Numbers from here on are no system call's: they are counted together, however many a program tries."""
BEYOND: Final = f"syscall_{NUMBERS:#x} or more"


def _unanswered(number: int) -> SystemCall:
    return SystemCall(number, NAMES.get(number, f"syscall_{number:#x}"), "x" * 6)


class SystemCalls:
    """Answers system calls; `strace` is told of each."""

    def __init__(self, strace: Strace | None = None) -> None:
        self._strace = strace
        self.missing: Counter[str] = Counter()
        """Calls that nobody here answers (ENOSYS), and how often they were made."""

    def begin(self, system: System, task: Task, registers: tuple[int, ...]) -> Any:
        """Answer the call that a task has made with `registers`, a0 …: its result, or what it waits in. SysError."""
        call = BY_NUMBER.get(task.number) or _unanswered(task.number)
        arguments = registers[:len(call.arguments)]
        if self._strace is not None:
            self._strace.begin(task, call, arguments)
        if call.handler is None:
            self.missing[call.name if call.number < NUMBERS else BEYOND] += 1
            raise SysError(Errno.ENOSYS, call.name)
        return call.handler(system, task, *arguments)

    def ended(self, task: Task, result: object) -> None:
        """A call is over: `result` is a0, or None for one that does not return."""
        if self._strace is not None:
            self._strace.end(task, result)

    def thread_ended(self, system: System, task: Task) -> bool:
        """A task of several is over; whether those who wait for that could be told."""
        return futex.clear_and_wake(system, task)
