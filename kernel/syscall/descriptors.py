"""System calls about descriptors themselves."""

from __future__ import annotations

import struct
from enum import IntEnum

from kernel.errno import Errno, SysError
from kernel.fs.open_file import Flags
from kernel.fs.console import ConsoleFile
from kernel.fs.terminal import TERMIOS
from kernel.process.memory import read_user, read_word, write_user, write_word
from kernel.process.system import System
from kernel.process.task import Task

from .registers import signed

FD_CLOEXEC = 1


class Fcntl(IntEnum):
    """Commands of fcntl."""

    DUPFD = 0
    GETFD = 1
    SETFD = 2
    GETFL = 3
    SETFL = 4
    GETLK = 5
    SETLK = 6
    SETLKW = 7
    DUPFD_CLOEXEC = 1030


class Ioctl(IntEnum):
    """Requests of ioctl that a terminal answers."""

    TCGETS = 0x5401
    TCSETS = 0x5402
    TCSETSW = 0x5403
    TCSETSF = 0x5404
    TIOCGPGRP = 0x540F
    TIOCSPGRP = 0x5410
    TIOCGWINSZ = 0x5413


ROWS, COLUMNS = 24, 80


def dup(system: System, task: Task, fd: int) -> int:
    """Another descriptor for an open file."""
    return task.process.files.duplicate(fd)


def dup3(system: System, task: Task, old: int, new: int, flags: int) -> int:
    """Another descriptor, with a number of the caller's choice."""
    if old == new or flags & ~Flags.CLOEXEC:
        raise SysError(Errno.EINVAL, f"dup3 of {old} to {new}, flags {flags:#x}")
    return task.process.files.replace(old, new, bool(flags & Flags.CLOEXEC))


def close(system: System, task: Task, fd: int) -> int:
    """Give up a descriptor."""
    task.process.files.close(fd)
    return 0


def fcntl(system: System, task: Task, fd: int, command: int, argument: int) -> int:
    """Look at a descriptor's flags, or change them."""
    files = task.process.files
    file = files.get(fd)
    match command:
        case Fcntl.DUPFD | Fcntl.DUPFD_CLOEXEC:
            if not 0 <= signed(argument, 32) < 1024:
                raise SysError(Errno.EINVAL, f"descriptor {signed(argument, 32)}")
            return files.duplicate(fd, argument, command == Fcntl.DUPFD_CLOEXEC)
        case Fcntl.GETFD:
            return FD_CLOEXEC if files.closes_on_exec(fd) else 0
        case Fcntl.SETFD:
            files.set_close_on_exec(fd, bool(argument & FD_CLOEXEC))
            return 0
        case Fcntl.GETFL:
            return int(file.flags) | Flags.LARGEFILE
        case Fcntl.SETFL:
            file.set_flags(Flags(argument & 0x7FFFFFFF))
            return 0
        case Fcntl.SETLK | Fcntl.SETLKW | Fcntl.GETLK:
            return 0
    raise SysError(Errno.EINVAL, f"fcntl command {command}")


def ioctl(system: System, task: Task, fd: int, request: int, argument: int) -> int:
    """What a terminal answers; ENOTTY for everything else."""
    file = task.process.files.get(fd)
    if not file.is_terminal or not isinstance(file, ConsoleFile):
        raise SysError(Errno.ENOTTY, f"ioctl {request:#x}")
    space, console = task.process.space, file.console
    match request:
        case Ioctl.TCGETS:
            write_user(space, argument, console.discipline.settings)
        case Ioctl.TCSETS | Ioctl.TCSETSW | Ioctl.TCSETSF:
            console.discipline.settings = read_user(space, argument, TERMIOS.size)
        case Ioctl.TIOCGWINSZ:
            write_user(space, argument, struct.pack("<4H", ROWS, COLUMNS, 0, 0))
        case Ioctl.TIOCGPGRP:
            write_word(space, argument, console.foreground, 4)
        case Ioctl.TIOCSPGRP:
            console.foreground = signed(read_word(space, argument, 4), 32)
        case _:
            raise SysError(Errno.ENOTTY, f"ioctl {request:#x}")
    return 0


def pipe2(system: System, task: Task, where: int, flags: int) -> int:
    """A pipe: two descriptors."""
    if flags & ~(Flags.CLOEXEC | Flags.NONBLOCK | Flags.DIRECT):
        raise SysError(Errno.EINVAL, f"pipe2: flags {flags:#x}")
    files, cloexec = task.process.files, bool(flags & Flags.CLOEXEC)
    reading, writing = system.files.pipes.create(Flags(flags))
    try:
        first = files.add(reading, cloexec)
    except SysError:
        writing.close()
        raise
    try:
        second = files.add(writing, cloexec)
    except SysError:
        files.close(first)
        raise
    try:
        write_user(task.process.space, where, struct.pack("<ii", first, second))
    except SysError:
        files.close(first)
        files.close(second)
        raise
    return 0
