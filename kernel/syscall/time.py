"""System calls about time: the machine's own, counted from its start."""

from __future__ import annotations

import struct
from contextlib import suppress

from kernel.errno import Errno, SysError
from kernel.errors import NoMemory
from kernel.process.memory import read_user, write_user
from kernel.process.system import System
from kernel.process.task import Call, Task
from kernel.process.wait import Wait

CLOCKS = range(12)
TIMER_ABSTIME = 1
GIGA = 1_000_000_000
LONGEST = 1 << 62
"""Ticks that a wait lasts at most: the clock has 64 bits."""


def clock_gettime(system: System, task: Task, clock: int, where: int) -> int:
    """The time of any clock: since the machine's start."""
    _require_clock(clock)
    write_user(task.process.space, where, struct.pack("<QQ", *divmod(nanoseconds(system), GIGA)))
    return 0


def clock_getres(system: System, task: Task, clock: int, where: int) -> int:
    """How fine a clock is: a tick of the timebase."""
    _require_clock(clock)
    if where:
        write_user(task.process.space, where, struct.pack("<QQ", 0, GIGA // _hz(system)))
    return 0


def gettimeofday(system: System, task: Task, where: int, zone: int) -> int:
    """The time in microseconds."""
    if where:
        seconds, rest = divmod(nanoseconds(system), GIGA)
        write_user(task.process.space, where, struct.pack("<QQ", seconds, rest // 1000))
    return 0


def times(system: System, task: Task, where: int) -> int:
    """The time used, and the time, in hundredths of a second."""
    if where:
        used = task.time * 100 // _hz(system)
        write_user(task.process.space, where, struct.pack("<QQQQ", used, 0, 0, 0))
    return nanoseconds(system) * 100 // GIGA


def nanosleep(system: System, task: Task, wanted: int, left: int) -> Call:
    """Wait for some time."""
    return _sleep(system, task, system.scheduler.now() + _ticks(system, task, wanted), left)


def clock_nanosleep(system: System, task: Task, clock: int, flags: int, wanted: int, left: int) -> Call:
    """Wait for some time, or until a time."""
    _require_clock(clock)
    ticks = _ticks(system, task, wanted)
    if flags & TIMER_ABSTIME:
        return _sleep(system, task, ticks, 0)
    return _sleep(system, task, system.scheduler.now() + ticks, left)


def _sleep(system: System, task: Task, deadline: int, left: int) -> Call:
    """Wait; if a signal ends that, the time that was left is put at `left`, unless that is 0."""
    try:
        while system.scheduler.now() < deadline:
            yield Wait((), deadline)
    except GeneratorExit:
        rest = max(deadline - system.scheduler.now(), 0) * GIGA // _hz(system)
        if left:
            with suppress(SysError, NoMemory):
                write_user(task.process.space, left, struct.pack("<QQ", *divmod(rest, GIGA)))
        raise
    return 0


def nanoseconds(system: System) -> int:
    """Since the machine's start."""
    return system.wall_clock()


def timespec(system: System, task: Task, where: int) -> int:
    """Ticks of the timebase in a timespec of the user's, rounded up; EINVAL, EFAULT."""
    return _ticks(system, task, where)


def _ticks(system: System, task: Task, where: int) -> int:
    seconds, rest = struct.unpack("<qq", read_user(task.process.space, where, 16))
    if seconds < 0 or not 0 <= rest < GIGA:
        raise SysError(Errno.EINVAL, f"a time of {seconds} seconds and {rest} nanoseconds")
    ticks: int = min(-(-(seconds * GIGA + rest) * _hz(system) // GIGA), LONGEST)
    return ticks


def _hz(system: System) -> int:
    hz: int = system.kernel.machine.board.timebase_hz
    return hz


def _require_clock(clock: int) -> None:
    if clock not in CLOCKS:
        raise SysError(Errno.EINVAL, f"clock {clock}")
