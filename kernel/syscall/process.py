"""System calls about processes and tasks: their making and end, their numbers, waiting for them."""

from __future__ import annotations

import struct

from kernel.errno import Errno, SysError
from kernel.process.execute import execute
from kernel.process.fork import clone as make_child
from kernel.process.memory import read_string, read_strings, write_user, write_word
from kernel.process.signals import Signal
from kernel.process.stack import MAX_STRINGS
from kernel.process.system import System
from kernel.process.task import Call, Process, Task
from kernel.process.wait import Wait

from .registers import signed

WNOHANG, WUNTRACED, WCONTINUED = 1, 2, 8
WNOTHREAD, WALL, WCLONE = 0x2000_0000, 0x4000_0000, 0x8000_0000
RUSAGE_SIZE = 144
MAX_TASKS = 512
"""Processes and tasks that there can be (RLIMIT_NPROC)."""


def getpid(system: System, task: Task) -> int:
    """The process's number."""
    return task.process.pid


def getppid(system: System, task: Task) -> int:
    """The parent's number; 0 for the first process."""
    return task.process.parent.pid if task.process.parent is not None else 0


def gettid(system: System, task: Task) -> int:
    """The task's number."""
    return task.tid


def getuid(system: System, task: Task) -> int:
    """Everybody is root."""
    return 0


def setid(system: System, task: Task, *_ids: int) -> int:
    """Set user or group ids: nothing to do for the only one there is."""
    if any(signed(which, 32) not in (0, -1) for which in _ids):
        raise SysError(Errno.EINVAL, "there is only user 0")
    return 0


def getpgid(system: System, task: Task, pid: int) -> int:
    """The process group of `pid`, 0 for one's own."""
    return _process(system, task, pid).pgid


def setpgid(system: System, task: Task, pid: int, pgid: int) -> int:
    """Join or found a process group."""
    process = _process(system, task, pid)
    if signed(pgid, 32) < 0:
        raise SysError(Errno.EINVAL, f"process group {signed(pgid, 32)}")
    process.pgid = pgid or process.pid
    return 0


def getsid(system: System, task: Task, pid: int) -> int:
    """The session of `pid`."""
    return _process(system, task, pid).sid


def setsid(system: System, task: Task) -> int:
    """Found a session."""
    process = task.process
    if any(other.pgid == process.pid for other in system.processes.values() if other is not process):
        raise SysError(Errno.EPERM, "setsid by the leader of a process group")
    process.sid = process.pgid = process.pid
    return process.pid


def set_tid_address(system: System, task: Task, address: int) -> int:
    """Where to write 0 when the task ends."""
    task.clear_child_tid = address
    return task.tid


def clone(system: System, task: Task, flags: int, stack: int, parent_tid: int, tls: int,
          child_tid: int) -> int | Call:
    """Make a process or task."""
    if sum(max(len(process.tasks), 1) for process in system.processes.values()) >= MAX_TASKS:  # zombies count
        raise SysError(Errno.EAGAIN, f"{MAX_TASKS} tasks")
    return make_child(system, task, flags, stack, parent_tid, tls, child_tid)


def execve(system: System, task: Task, path: int, arguments: int, environment: int) -> int | None:
    """Become another program."""
    space = task.process.space
    name = read_string(space, path).decode("utf-8", "surrogateescape")
    execute(system, task, name, read_strings(space, arguments, MAX_STRINGS),
            read_strings(space, environment, MAX_STRINGS))
    return None


def exit_task(system: System, task: Task, code: int) -> int | None:
    """End this task."""
    system.finish(task, (code & 0xFF) << 8)
    return None


def exit_group(system: System, task: Task, code: int) -> int | None:
    """End the process."""
    system.finish_process(task.process, (code & 0xFF) << 8)
    return None


def wait4(system: System, task: Task, pid: int, status: int, options: int, usage: int) -> Call:
    """Wait for a child's end; its number."""
    process, which = task.process, signed(pid, 32)
    if options & 0xFFFF_FFFF & ~(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE):
        raise SysError(Errno.EINVAL, f"wait4: options {options:#x}")
    while True:
        children = [child for child in process.children.values() if _meant(process, child, which)]
        if not children:
            raise SysError(Errno.ECHILD, "no such child")
        over = min((child for child in children if child.is_zombie), key=lambda child: child.pid, default=None)
        if over is not None:
            if status:
                assert over.exit_status is not None
                write_word(process.space, status, over.exit_status, 4)
            if usage:
                write_user(process.space, usage, bytes(RUSAGE_SIZE))
            system.reap(over)
            return over.pid
        if options & WNOHANG:
            return 0
        yield Wait((process.changed,))


def getrusage(system: System, task: Task, who: int, usage: int) -> int:
    """The time that was used."""
    micros = task.time * 1_000_000 // system.kernel.machine.board.timebase_hz
    write_user(task.process.space, usage,
               struct.pack("<QQ", micros // 1_000_000, micros % 1_000_000).ljust(RUSAGE_SIZE, b"\0"))
    return 0


def sched_yield(system: System, task: Task) -> Call:
    """Let others run."""
    if not task.has_signal():
        yield Wait((), 0)
    return 0


def sched_getaffinity(system: System, task: Task, pid: int, size: int, mask: int) -> int:
    """The CPUs that tasks run on."""
    if size < 8:
        raise SysError(Errno.EINVAL, f"a CPU set of {size} bytes, expected 8 at least")
    cpus = sum(1 << cpu for cpu in system.kernel.service.online)
    write_word(task.process.space, mask, cpus)
    return 8


def prlimit64(system: System, task: Task, pid: int, resource: int, new: int, old: int) -> int:
    """What a process may use; limits cannot be set."""
    from kernel.process.address_space import STACK_SIZE
    from kernel.process.files import MAX_OPEN

    limits = {3: STACK_SIZE, 6: MAX_TASKS, 7: MAX_OPEN}
    limit = limits.get(resource, (1 << 64) - 1)
    if resource > 15:
        raise SysError(Errno.EINVAL, f"resource {resource}")
    if old:
        write_user(task.process.space, old, struct.pack("<QQ", limit, limit))
    return 0


def _process(system: System, task: Task, pid: int) -> Process:
    process = system.processes.get(signed(pid, 32)) if pid else task.process
    if process is None:
        raise SysError(Errno.ESRCH, f"no process {signed(pid, 32)}")
    return process


def _meant(process: Process, child: Process, which: int) -> bool:
    """Whether wait4's first argument means this child."""
    if which > 0:
        return child.pid == which
    return which == -1 or child.pgid == (process.pgid if which == 0 else -which)


SIGCHLD = Signal.CHLD
