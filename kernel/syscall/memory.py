"""System calls about memory: brk, mmap and what belongs to it."""

from __future__ import annotations

from kernel.errno import Errno, SysError
from kernel.mm.page_table.pte import PageFlags
from kernel.mm.paging import PAGE_SIZE
from kernel.fs.open_file import RegularFile
from kernel.process.backing import InodeBacking, SharedPages
from kernel.process.address_space import page_up
from kernel.process.area import Area, Backing
from kernel.process.system import System
from kernel.process.task import Task

from .registers import signed

PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_FIXED_NOREPLACE = 1, 2, 0x10, 0x20, 0x10_0000
MADV_DONTNEED = 4


def brk(system: System, task: Task, end: int) -> int:
    """Move the heap's end; where it is."""
    return task.process.space.set_brk(end)


def mmap(system: System, task: Task, address: int, length: int, prot: int, flags: int, fd: int, offset: int) -> int:
    """Map zeroes, or a file privately."""
    space = task.process.space
    if length <= 0 or offset % PAGE_SIZE or (flags & 3) not in (MAP_SHARED, MAP_PRIVATE):
        raise SysError(Errno.EINVAL, f"mmap of {length} bytes, offset {offset:#x}, flags {flags:#x}")
    size = page_up(length)
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
        if address % PAGE_SIZE:
            raise SysError(Errno.EINVAL, f"mmap at {address:#x}")
        if flags & MAP_FIXED_NOREPLACE and space.areas.within(address, address + size):
            raise SysError(Errno.EEXIST, f"mmap at {address:#x}: something is there")
        start = address
    else:
        start = space.find_gap(size, address & -PAGE_SIZE)
    backing: Backing | None = None
    limit = 0
    if flags & MAP_ANONYMOUS:
        offset = 0
        if flags & MAP_SHARED:
            backing, limit = SharedPages(system.mm), size
    else:
        file = task.process.files.get(signed(fd, 32))
        if flags & MAP_SHARED and prot & PROT_WRITE:
            raise SysError(Errno.ENODEV, "a shared mapping of a file that may be written")
        if not isinstance(file, RegularFile):
            raise SysError(Errno.ENODEV, "only a regular file can be mapped")
        file.require_readable()
        backing, limit = InodeBacking(file.file), file.file.size
    space.map(Area(start, start + size, rights(prot), backing, offset, limit,
                   bool(flags & MAP_SHARED)))
    return start


def munmap(system: System, task: Task, address: int, length: int) -> int:
    """Unmap whole pages."""
    if address % PAGE_SIZE or length <= 0 or address + length > task.process.space.top:
        raise SysError(Errno.EINVAL, f"munmap of {length} bytes at {address:#x}")
    task.process.space.unmap(address, address + page_up(length))
    return 0


def mprotect(system: System, task: Task, address: int, length: int, prot: int) -> int:
    """Change what may be done with pages."""
    if address % PAGE_SIZE or prot & ~7:
        raise SysError(Errno.EINVAL, f"mprotect at {address:#x}, rights {prot:#x}")
    if length:
        task.process.space.protect(address, address + page_up(length), rights(prot))
    return 0


def madvise(system: System, task: Task, address: int, length: int, advice: int) -> int:
    """Only MADV_DONTNEED does something: private pages are what they were at first."""
    if address % PAGE_SIZE:
        raise SysError(Errno.EINVAL, f"madvise at {address:#x}")
    if advice == MADV_DONTNEED and length:
        task.process.space.forget(address, address + page_up(length))
    return 0


def rights(prot: int) -> PageFlags:
    """Page flags for PROT_ bits; what may be written may be read (a W page without R is reserved)."""
    flags = PageFlags.NONE
    for bit, flag in ((PROT_READ, PageFlags.R), (PROT_WRITE, PageFlags.RW), (PROT_EXEC, PageFlags.X)):
        if prot & bit:
            flags |= flag
    return flags

