"""futex: waiting for a word of memory to change (futex(2))."""

from __future__ import annotations

from kernel.errno import Errno, SysError
from kernel.errors import NoMemory
from kernel.process.futexes import FutexKey
from kernel.process.memory import read_word, write_word
from kernel.process.system import System
from kernel.process.task import Call, Task
from kernel.process.wait import Wait

from .time import timespec

WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAIT_BITSET, WAKE_BITSET = 0, 1, 3, 4, 9, 10
COMMAND = 0x7F
"""The operation without PRIVATE and CLOCK_REALTIME."""


def futex(system: System, task: Task, address: int, operation: int, value: int, timeout: int, other: int,
          third: int) -> int | Call:
    """Wait for a word to change, or wake those who do."""
    command = operation & COMMAND
    if address % 4:
        raise SysError(Errno.EINVAL, f"futex at {address:#x}")
    key = system.futexes.key(task.process.space, address)
    value &= 0xFFFF_FFFF
    if command in (WAKE, WAKE_BITSET):
        return system.futexes.wake(key, value)
    if command in (REQUEUE, CMP_REQUEUE):
        if command == CMP_REQUEUE and read_word(task.process.space, address, 4) != third & 0xFFFF_FFFF:
            raise SysError(Errno.EAGAIN, "the futex has changed")
        return system.futexes.wake(key, value) + system.futexes.wake(key, timeout & 0xFFFF_FFFF)
    if command not in (WAIT, WAIT_BITSET):
        raise SysError(Errno.ENOSYS, f"futex operation {command}")
    if read_word(task.process.space, address, 4) != value:
        raise SysError(Errno.EAGAIN, "the futex has changed")
    deadline = None
    if timeout:
        ticks = timespec(system, task, timeout)
        deadline = ticks if command == WAIT_BITSET else system.scheduler.now() + ticks
    return _wait(system, key, deadline)


def _wait(system: System, key: FutexKey, deadline: int | None) -> Call:
    try:
        yield Wait((system.futexes.queue(key),), deadline)
    finally:
        system.futexes.tidy(key)
    if deadline is not None and system.scheduler.now() >= deadline:
        raise SysError(Errno.ETIMEDOUT, "futex")
    return 0


def clear_and_wake(system: System, task: Task) -> bool:
    """A task is over that wanted the word at `clear_child_tid` to say so (CLONE_CHILD_CLEARTID).

    False if there is no memory for that: whoever waits for it would wait for ever.
    """
    try:
        write_word(task.process.space, task.clear_child_tid, 0, 4)
        key = system.futexes.key(task.process.space, task.clear_child_tid)
    except SysError:
        return True
    except NoMemory:
        return False
    system.futexes.wake(key, 1)
    return True
