"""execve: a process becomes another program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernel.cpu.abi import SSTATUS_SPIE, TrapFrame
from kernel.errno import Errno, SysError
from kernel.fs.namespace import Place
from kernel.fs.stat import FileType

from .address_space import AddressSpace
from .delivery import map_trampoline
from .executable import Executable
from .stack import initial_stack, map_stack
from .backing import InodeBacking
from .task import Process, Task

if TYPE_CHECKING:
    from .system import System

MAX_SCRIPTS = 4
"""Interpreters of interpreters."""
SHEBANG = 256
"""Bytes of a script's first line that count."""


def execute(system: System, task: Task, path: str, arguments: Sequence[bytes], environment: Sequence[bytes]) -> None:
    """Load the program at `path` in the place of the task's; the old one's memory is given back.

    ENOENT, EACCES, ENOEXEC, E2BIG, ENOMEM, ELOOP: nothing has changed then. The process's other tasks end.
    """
    process = task.process
    file, name = open_program(system, path, process)
    for _ in range(MAX_SCRIPTS):
        line = file.read(0, SHEBANG)
        if not line.startswith(b"#!"):
            break
        words = line[2:].split(b"\n")[0].split(None, 1)
        if not words:
            raise SysError(Errno.ENOEXEC, f"{path}: #! without an interpreter")
        interpreter = words[0].decode("utf-8", "surrogateescape")
        arguments = [words[0], *(word.strip() for word in words[1:]), path.encode("utf-8", "surrogateescape"),
                     *arguments[1:]]
        path = interpreter
        file, name = open_program(system, path, process)
    else:
        raise SysError(Errno.ELOOP, f"{path}: scripts that interpret each other")
    program = Executable.parse(file)
    old, fresh = process.space, AddressSpace(system.mm)
    try:
        program.load(fresh, file, name)
        map_stack(fresh)
        map_trampoline(fresh)
        fresh.space.activate()
        sp = initial_stack(fresh, program, path.encode("utf-8", "surrogateescape"), arguments, environment)
    except BaseException:
        if process.tasks and task.cpu is not None:
            old.space.activate()
        else:
            system.leave_space()
        fresh.drop()
        raise
    for other in [other for other in process.tasks.values() if other is not task]:
        system.finish(other, 0)
    task.tid, process.tasks = process.pid, {process.pid: task}  # whichever of them it was, it is the only one now
    process.space = fresh
    process.let_go.wake()
    system.drop_space(old)
    process.files.close_on_exec()
    process.actions = process.actions.after_exec()
    process.name = name.rsplit("/", 1)[-1][:15]
    process.executable = name
    process.arguments = tuple(arguments)
    start(task, program.entry, sp)


def open_program(system: System, path: str, process: Process) -> tuple[InodeBacking, str]:
    """The file at `path`, and its whole path. ENOENT, ENOTDIR, EACCES for what is no executable file."""
    place = Place(system.files.root, process.files.cwd)
    inode = system.files.resolve(place, path.encode("utf-8", "surrogateescape"))
    if inode.type is not FileType.REGULAR or not inode.stat().mode & 0o111:
        raise SysError(Errno.EACCES, f"{path} is no executable file")
    return InodeBacking(inode), path


def start(task: Task, entry: int, sp: int) -> None:
    """Set a task's registers to those that a program starts with."""
    frame = task.frame
    for field in TrapFrame.FIELDS[1:32]:
        setattr(frame, field.name, 0)
    frame.sp, frame.sepc, frame.sstatus = sp, entry, SSTATUS_SPIE
    task.fp_used = False
    task.clear_child_tid = 0
    task.alt_stack = 0, 0
