"""clone: another process with a copy of everything, or another task of the same one.

Source: clone(2); Linux, include/uapi/linux/sched.h.
"""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

from kernel.errno import Errno, SysError
from kernel.errors import NoMemory

from .memory import write_word
from .task import FP_SIZE, Call, Process, State, Task
from .wait import Wait

if TYPE_CHECKING:
    from .system import System


class CloneFlags(IntFlag):
    """What the two share; the low byte is the signal that the parent gets at the child's end."""

    VM = 0x100
    FS = 0x200
    FILES = 0x400
    SIGHAND = 0x800
    VFORK = 0x4000
    PARENT = 0x8000
    THREAD = 0x1_0000
    NEWNS = 0x2_0000
    SYSVSEM = 0x4_0000
    SETTLS = 0x8_0000
    PARENT_SETTID = 0x10_0000
    CHILD_CLEARTID = 0x20_0000
    DETACHED = 0x40_0000
    CHILD_SETTID = 0x100_0000


THREAD_FLAGS = (CloneFlags.VM | CloneFlags.FS | CloneFlags.FILES | CloneFlags.SIGHAND | CloneFlags.THREAD
                | CloneFlags.SYSVSEM)
SHARED_BY_THREADS = CloneFlags.VM | CloneFlags.FILES | CloneFlags.SIGHAND
REFUSED = CloneFlags.NEWNS | 0xFE00_0000 & ~int(CloneFlags.CHILD_SETTID)
"""Namespaces, which there are none of."""


def clone(system: System, task: Task, flags: int, stack: int, parent_tid: int, tls: int,
          child_tid: int) -> int | Call:
    """Make a child; its number. EINVAL for what cannot be shared alone, ENOMEM.

    vfork: the child has its parent's memory, and the task that made it waits until the child ends or becomes
    another program.
    """
    wanted = CloneFlags(flags & ~0xFF & 0xFFFF_FFFF)
    if wanted & REFUSED:
        raise SysError(Errno.EINVAL, f"clone flags {int(wanted & REFUSED):#x}: there are no namespaces")
    thread = bool(wanted & CloneFlags.THREAD)
    if thread and wanted & SHARED_BY_THREADS != SHARED_BY_THREADS:
        raise SysError(Errno.EINVAL, "clone: a thread that shares not everything")
    if not thread and wanted & CloneFlags.VM and not wanted & CloneFlags.VFORK:
        raise SysError(Errno.EINVAL, "clone: a process that shares its parent's memory")
    process = task.process if thread else _child_process(system, task, bool(wanted & CloneFlags.VM))
    number = system.next_id() if thread else process.pid
    try:
        child = Task.create(system.mm, number, process)
    except BaseException:
        if not thread:
            process.files.close_all()
            process.space.drop()
        raise
    if not thread:
        system.processes[process.pid] = process
        task.process.children[process.pid] = process
    _copy_registers(system, task, child)
    child.frame.a0 = 0
    if stack:
        child.frame.sp = stack
    if wanted & CloneFlags.SETTLS:
        child.frame.tp = tls
    if wanted & CloneFlags.CHILD_CLEARTID:
        child.clear_child_tid = child_tid
    system.scheduler.add(child)
    if wanted & CloneFlags.PARENT_SETTID:
        _tell(system, task, task.process, parent_tid, number)
    if wanted & CloneFlags.CHILD_SETTID and child.state is not State.DEAD:
        _tell(system, task, process, child_tid, number)
    if not wanted & CloneFlags.VFORK or thread or task.state is State.DEAD:
        return number
    return _until_let_go(process, number)


def _until_let_go(child: Process, number: int) -> Call:
    """Wait until a child of vfork does not use its first memory any more."""
    space = child.space
    while child.space is space and not child.is_zombie:
        yield Wait((child.let_go,), killable=True)
    return number


def _child_process(system: System, task: Task, shares_memory: bool) -> Process:
    parent = task.process
    space = parent.space.share() if shares_memory else parent.space.fork()
    child = Process(system.next_id(), space, parent.files.copy(), parent)
    child.actions, child.umask = parent.actions.copy(), parent.umask
    child.name, child.arguments, child.executable = parent.name, parent.arguments, parent.executable
    return child


def _copy_registers(system: System, task: Task, child: Task) -> None:
    """The child goes on where its parent is, with the same registers and signal mask."""
    kernel_sp = child.frame.kernel_sp
    size = type(task.frame).SIZE
    port = system.mm.port
    system.scheduler.save_fp(task)
    port.copy(child.fp_paddr, task.fp_paddr, FP_SIZE)
    port.copy(child.stack.paddr + 4096 - size, task.stack.paddr + 4096 - size, size)
    child.frame.kernel_sp = kernel_sp
    child.fp_used, child.blocked = task.fp_used, task.blocked


def _tell(system: System, task: Task, process: Process, where: int, number: int) -> None:
    """Write the child's number into the memory of its parent, or its own, which may be active on no CPU yet.

    As in Linux the child is there whether that can be done or not; without memory for it the process is killed.
    """
    process.space.space.activate()
    try:
        write_word(process.space, where, number, 4)
    except SysError:
        pass
    except NoMemory:
        system.kill_by_oom(process)
    finally:
        if task.state is not State.DEAD:
            task.process.space.space.activate()
