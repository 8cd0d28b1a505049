"""poll and select: waiting for any of several files."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from kernel.errno import Errno, SysError
from kernel.fs.open_file import OpenFile, Poll
from kernel.process.memory import read_user, read_word, write_user
from kernel.process.signals import UNSTOPPABLE
from kernel.process.system import System
from kernel.process.task import Call, Task
from kernel.process.wait import Wait

from .registers import signed
from .time import timespec

ALWAYS = Poll.ERR | Poll.HUP | Poll.NVAL
MAX_FDS = 1024


def ppoll(system: System, task: Task, fds: int, count: int, timeout: int, mask: int, size: int) -> Call:
    """Wait until something can be done with one of the files."""
    if count > MAX_FDS:
        raise SysError(Errno.EINVAL, f"{count} files, expected {MAX_FDS} at most")
    deadline = system.scheduler.now() + timespec(system, task, timeout) if timeout else None
    _set_mask(task, mask)
    wanted = list(struct.iter_unpack("<ihh", read_user(task.process.space, fds, 8 * count)))
    while True:
        found = [_events(task, fd, Poll(events)) for fd, events, _ in wanted]
        ready = sum(1 for events in found if events)
        if ready or deadline is not None and system.scheduler.now() >= deadline:
            data = b"".join(struct.pack("<ihh", fd, events, int(result))
                            for (fd, events, _), result in zip(wanted, found, strict=True))
            write_user(task.process.space, fds, data)
            return ready
        yield Wait(_queues(task, [fd for fd, _, _ in wanted]), deadline)


def pselect6(system: System, task: Task, count: int, reading: int, writing: int, other: int, timeout: int,
             mask: int) -> Call:
    """The same, with a bit for each descriptor."""
    count = signed(count, 32)
    if not 0 <= count <= MAX_FDS:
        raise SysError(Errno.EINVAL, f"{count} files, expected {MAX_FDS} at most")
    space, size = task.process.space, -(-count // 64) * 8
    deadline = system.scheduler.now() + timespec(system, task, timeout) if timeout else None
    if mask:
        _set_mask(task, read_word(space, mask))
    sets: Mapping[Poll, tuple[int, int]] = {
        kind: (where, int.from_bytes(read_user(space, where, size), "little") if where else 0)
        for kind, where in ((Poll.IN, reading), (Poll.OUT, writing), (Poll.PRI, other))}
    fds = [fd for fd in range(count) if any(bits >> fd & 1 for _, bits in sets.values())]
    files = {fd: task.process.files.get(fd) for fd in fds}
    while True:
        results = {kind: sum(1 << fd for fd in fds if bits >> fd & 1 and _selected(files[fd], kind))
                   for kind, (_, bits) in sets.items()}
        ready = sum(bits.bit_count() for bits in results.values())
        if ready or deadline is not None and system.scheduler.now() >= deadline:
            for kind, (where, _) in sets.items():
                if where:
                    write_user(space, where, results[kind].to_bytes(size, "little"))
            return ready
        yield Wait(_queues(task, fds), deadline)


def _events(task: Task, fd: int, wanted: Poll) -> Poll:
    if fd < 0:
        return Poll.NONE
    try:
        file = task.process.files.get(fd)
    except SysError:
        return Poll.NVAL
    return file.poll() & (wanted | ALWAYS)


def _selected(file: OpenFile, kind: Poll) -> bool:
    found = file.poll()
    return bool(found & (kind | (Poll.HUP | Poll.ERR if kind is Poll.IN else Poll.ERR if kind is Poll.OUT else 0)))


def _queues(task: Task, fds: list[int]) -> tuple:  # type: ignore[type-arg]
    files = task.process.files
    return tuple(queue for fd in fds if fd in set(files) for queue in files.get(fd).queues())


def _set_mask(task: Task, mask: int) -> None:
    """Block other signals while the call waits."""
    if mask:
        wanted = read_word(task.process.space, mask) & ~UNSTOPPABLE
        task.restore_mask, task.blocked = task.blocked, wanted
