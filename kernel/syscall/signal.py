"""System calls about signals."""

from __future__ import annotations

import struct

from kernel.errno import Errno, SysError
from kernel.process.delivery import leave_handler
from kernel.process.memory import read_user, read_word, write_user, write_word
from kernel.process.signals import COUNT, UNSTOPPABLE, Action, Info, Signal
from kernel.process.system import System
from kernel.process.task import Call, Process, Task
from kernel.process.wait import Wait, WaitQueue

from .registers import signed

SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 0, 1, 2
SI_USER, SI_TKILL, SI_KERNEL = 0, -6, 0x80
SS_DISABLE, MINSIGSTKSZ = 2, 2048


def rt_sigaction(system: System, task: Task, signal: int, new: int, old: int, size: int) -> int:
    """Set and get what is done about a signal."""
    _require_size(size)
    space, actions = task.process.space, task.process.actions
    if not 1 <= signal <= COUNT:
        raise SysError(Errno.EINVAL, f"signal {signal}")
    was = actions[signal]
    if new:
        handler, flags, mask = struct.unpack("<QQQ", read_user(space, new, 24))
        actions.set(signal, Action(handler, flags, mask & ~UNSTOPPABLE))
    if old:
        write_user(space, old, struct.pack("<QQQ", was.handler, was.flags, was.mask))
    return 0


def rt_sigprocmask(system: System, task: Task, how: int, new: int, old: int, size: int) -> int:
    """Change which signals are blocked."""
    _require_size(size)
    space, was = task.process.space, task.blocked
    if new:
        mask = read_word(space, new)
        changed = {SIG_BLOCK: was | mask, SIG_UNBLOCK: was & ~mask, SIG_SETMASK: mask}.get(how)
        if changed is None:
            raise SysError(Errno.EINVAL, f"rt_sigprocmask: how {how}")
        task.blocked = changed & ~UNSTOPPABLE
    if old:
        write_word(space, old, was)
    return 0


def rt_sigpending(system: System, task: Task, pending: int, size: int) -> int:
    """The signals that wait."""
    _require_size(size)
    write_word(task.process.space, pending, (task.pending.mask | task.process.pending.mask) & task.blocked)
    return 0


def rt_sigsuspend(system: System, task: Task, mask: int, size: int) -> Call:
    """Wait for a signal, with another mask meanwhile."""
    _require_size(size)
    wanted = read_word(task.process.space, mask) & ~UNSTOPPABLE
    task.restore_mask, task.blocked = task.blocked, wanted
    while True:
        yield Wait((WaitQueue(),))


def rt_sigreturn(system: System, task: Task) -> int | None:
    """A handler is over. A frame that cannot be read is SIGSEGV, as in Linux."""
    at = task.frame.sp
    try:
        leave_handler(system, task)
    except SysError:
        system.fault(task, Info(Signal.SEGV, SI_KERNEL, address=at))
    return None


def sigaltstack(system: System, task: Task, new: int, old: int) -> int:
    """A stack for handlers."""
    space, (base, size) = task.process.space, task.alt_stack
    if new:
        address, flags, length = struct.unpack("<QixxxxQ", read_user(space, new, 24))
        if not flags & SS_DISABLE and length < MINSIGSTKSZ:
            raise SysError(Errno.ENOMEM, f"a signal stack of {length} bytes, expected {MINSIGSTKSZ} at least")
        task.alt_stack = (0, 0) if flags & SS_DISABLE else (address, length)
    if old:
        write_user(space, old, struct.pack("<QixxxxQ", base, 0 if size else SS_DISABLE, size))
    return 0


def kill(system: System, task: Task, pid: int, signal: int) -> int:
    """Send a signal to a process, or to the processes of a group."""
    which = signed(pid, 32)
    _require_signal(signal)
    found = [process for process in sorted(system.processes.values(), key=lambda process: process.pid)
             if _meant(task, process, which)]
    if not found:
        raise SysError(Errno.ESRCH, f"no process {which}")
    for process in found:
        if signal:
            system.signal(process, Info(signal, SI_USER, task.process.pid))
    return 0


def tkill(system: System, task: Task, tid: int, signal: int) -> int:
    """Send a signal to one task."""
    return tgkill(system, task, 0, tid, signal)


def tgkill(system: System, task: Task, pid: int, tid: int, signal: int) -> int:
    """Send a signal to one task of a process."""
    _require_signal(signal)
    for process in system.processes.values():
        other = process.tasks.get(signed(tid, 32))
        if other is not None and pid in (0, process.pid):
            if signal:
                system.signal_task(other, Info(signal, SI_TKILL, task.process.pid))
            return 0
    raise SysError(Errno.ESRCH, f"no task {signed(tid, 32)}")


def _meant(task: Task, process: Process, which: int) -> bool:
    if which > 0:
        return process.pid == which
    if which == -1:
        return process is not task.process and process.pid != 1
    return process.pgid == (-which if which else task.process.pgid)


def _require_signal(signal: int) -> None:
    if not 0 <= signal <= COUNT:
        raise SysError(Errno.EINVAL, f"signal {signal}")


def _require_size(size: int) -> None:
    if size != 8:
        raise SysError(Errno.EINVAL, f"a signal set of {size} bytes, expected 8")
