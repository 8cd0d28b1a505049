"""System calls that read and write open files."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial

from kernel.errno import Errno, SysError
from kernel.fs.open_file import Whence
from kernel.fs.stat import FileType
from kernel.fs.wait import WouldBlock
from kernel.mm import VmReader, VmWriter
from kernel.process.memory import read_user, read_word, user_reader, user_writer, write_word
from kernel.process.signals import Info, Signal
from kernel.process.system import System
from kernel.process.task import Call, Task
from kernel.process.wait import Wait

from .registers import signed

IOV_MAX = 1024
MAX_COUNT = 0x7FFF_F000
"""Bytes that one call reads or writes at most (Linux's MAX_RW_COUNT)."""
SENDFILE_PIECE = 1 << 16


def read(system: System, task: Task, fd: int, where: int, size: int) -> Call:
    """Read bytes."""
    file = task.process.files.get(fd)
    writer = user_writer(task.process.space, where, min(size, MAX_COUNT))
    return waiting(lambda: file.read(writer))


def write(system: System, task: Task, fd: int, where: int, size: int) -> Call:
    """Write bytes."""
    file = task.process.files.get(fd)
    reader = user_reader(task.process.space, where, min(size, MAX_COUNT))
    return piped(system, task, waiting(lambda: file.write(reader)))


def pread64(system: System, task: Task, fd: int, where: int, size: int, offset: int) -> int:
    """Read bytes at an offset."""
    file = task.process.files.get(fd)
    return file.pread(signed(offset), user_writer(task.process.space, where, min(size, MAX_COUNT)))


def pwrite64(system: System, task: Task, fd: int, where: int, size: int, offset: int) -> int:
    """Write bytes at an offset."""
    file = task.process.files.get(fd)
    return file.pwrite(signed(offset), user_reader(task.process.space, where, min(size, MAX_COUNT)))


def readv(system: System, task: Task, fd: int, vector: int, count: int) -> Call:
    """Read bytes to several places."""
    file = task.process.files.get(fd)
    return _each(task, vector, count, lambda where, size: partial(
        file.read, user_writer(task.process.space, where, size)))


def writev(system: System, task: Task, fd: int, vector: int, count: int) -> Call:
    """Write bytes from several places."""
    file = task.process.files.get(fd)
    return piped(system, task, _each(task, vector, count, lambda where, size: partial(
        file.write, user_reader(task.process.space, where, size))))


def lseek(system: System, task: Task, fd: int, offset: int, whence: int) -> int:
    """Set a file's offset."""
    if whence not in Whence._value2member_map_:
        raise SysError(Errno.EINVAL, f"lseek: whence {whence}")
    return task.process.files.get(fd).seek(signed(offset), Whence(whence))


def sendfile(system: System, task: Task, target: int, source: int, offset: int, size: int) -> Call:
    """Copy from one file to another within the kernel."""
    out, into = task.process.files.get(target), task.process.files.get(source)
    if into.inode is None or into.inode.type is not FileType.REGULAR:  # who copies falls back on read and write
        raise SysError(Errno.EINVAL, "sendfile copies from regular files")
    space, size = task.process.space, min(size, MAX_COUNT)
    at = read_word(space, offset) if offset else None

    def copy() -> Generator[Wait, None, int]:
        done = 0
        buffer = bytearray(SENDFILE_PIECE)
        while done < size:
            part = memoryview(buffer)[:min(size - done, SENDFILE_PIECE)]
            writer = VmWriter.from_slice(part)
            count = into.pread(at + done, writer) if at is not None else into.read(writer)
            if not count:
                break
            reader = VmReader.from_slice(part[:count])
            while reader.has_remain:
                yield from waiting(partial(out.write, reader), done + count - reader.remain)
            done += count
        if at is not None:
            write_word(space, offset, at + done)
        return done

    return piped(system, task, copy())


def fsync(system: System, task: Task, fd: int) -> int:
    """Nothing is kept back."""
    task.process.files.get(fd)
    return 0


def sync(system: System, task: Task) -> int:
    """Nothing is kept back."""
    return 0


def waiting(operation: Callable[[], int | None], before: int = 0) -> Call:
    """Do an operation that may have to wait; its result, what was done before the waits included.

    A signal while it waits ends the call with what is done, the `before` that the call has done otherwise included:
    begun anew, it would do that twice.
    """
    done = 0
    while True:
        try:
            return done + (operation() or 0)
        except WouldBlock as wait:
            done += wait.done
            queues = (wait.queue,)
        yield Wait(queues, done=before + done)


def piped(system: System, task: Task, call: Call) -> Call:
    """Send SIGPIPE when nobody reads what is written."""
    try:
        return (yield from call)
    except SysError as error:
        if error.errno is Errno.EPIPE:
            system.signal_task(task, Info(Signal.PIPE, 0, task.process.pid))
        raise


def _each(task: Task, vector: int, count: int,
          operation: Callable[[int, int], Callable[[], int]]) -> Call:
    """Do an operation for each part of an iovec, until one is not done in full."""
    count = signed(count, 32)
    if not 0 <= count <= IOV_MAX:
        raise SysError(Errno.EINVAL, f"{count} parts, expected {IOV_MAX} at most")
    raw = read_user(task.process.space, vector, 16 * count)
    parts = [(int.from_bytes(raw[at:at + 8], "little"), int.from_bytes(raw[at + 8:at + 16], "little"))
             for at in range(0, len(raw), 16)]
    done = 0
    for where, size in parts:
        if not size:
            continue
        try:
            count = yield from waiting(operation(where, size), done)
        except SysError:
            if done:
                break
            raise
        done += count
        if count < size:
            break
    return done

