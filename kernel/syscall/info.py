"""System calls that tell of the system: its name, its memory, its chance."""

from __future__ import annotations

import struct

from kernel.errno import Errno, SysError
from kernel.fs.proc_text import total_memory
from kernel.mm.paging import PAGE_SIZE
from kernel.picture import FrameMap, FrameUsage
from kernel.process.memory import write_user
from kernel.process.system import System
from kernel.process.task import Task

from .time import nanoseconds

FIELD = 65
"""Bytes of each of utsname's fields."""
RELEASE = "6.1.0-hartwell"
"""A version that C libraries find new enough."""
CHUNK = 1 << 16
GETRANDOM_MAX = (1 << 25) - 1
"""Bytes that getrandom gives at once (Linux's limit)."""


def uname(system: System, task: Task, where: int) -> int:
    """The system's name and version."""
    fields = ("Linux", "hartwell", RELEASE, "#1", "riscv64", "(none)")
    write_user(task.process.space, where, b"".join(text.encode().ljust(FIELD, b"\0") for text in fields))
    return 0


def sysinfo(system: System, task: Task, where: int) -> int:
    """Uptime, memory, processes."""
    usage = FrameUsage.of(FrameMap.read(system.mm))
    data = struct.pack("<q3Q6QHxxxxxxQQI", nanoseconds(system) // 1_000_000_000, 0, 0, 0, total_memory(usage),
                       usage.free * PAGE_SIZE, 0, 0, 0, 0, len(system.processes), 0, 0, 1)
    write_user(task.process.space, where, data.ljust(112, b"\0"))
    return 0


def getrandom(system: System, task: Task, where: int, size: int, flags: int) -> int:
    """Bytes that look like chance; the same in every run, as everything here is."""
    if flags & ~7:
        raise SysError(Errno.EINVAL, f"getrandom: flags {flags:#x}")
    size = min(size, GETRANDOM_MAX)
    for at in range(0, size, CHUNK):
        write_user(task.process.space, where + at, system.chance.randbytes(min(CHUNK, size - at)))
    return size
