"""System calls that name files by paths."""

from __future__ import annotations

import struct

from kernel.errno import Errno, SysError
from kernel.fs.namespace import Place
from kernel.fs.open_file import Flags, OpenFile
from kernel.fs.stat import Stat
from kernel.process.memory import read_string, read_user, user_writer, write_user
from kernel.process.system import System
from kernel.process.task import Call, Task

from .io import waiting
from .registers import signed

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x100, 0x200, 0x400, 0x1000
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
X_OK = 1


def openat(system: System, task: Task, fd: int, path: int, flags: int, mode: int) -> Call:
    """Open a file."""
    wanted = Flags(flags & 0x7FFF_FFFF)
    file = system.files.open(place(system, task, fd), string(task, path), wanted, mode & ~task.process.umask & 0o7777)

    def opened() -> Call:
        try:
            yield from waiting(file.ready)
        except BaseException:
            file.close()
            raise
        return task.process.files.add(file, bool(wanted & Flags.CLOEXEC))

    return opened()


def mkdirat(system: System, task: Task, fd: int, path: int, mode: int) -> int:
    """Make a directory."""
    system.files.mkdir(place(system, task, fd), string(task, path), mode & ~task.process.umask & 0o7777)
    return 0


def mknodat(system: System, task: Task, fd: int, path: int, mode: int, device: int) -> int:
    """Make a file of any type."""
    system.files.mknod(place(system, task, fd), string(task, path), mode & ~task.process.umask, device)
    return 0


def unlinkat(system: System, task: Task, fd: int, path: int, flags: int) -> int:
    """Take a name away."""
    if flags & ~AT_REMOVEDIR:
        raise SysError(Errno.EINVAL, f"unlinkat: flags {flags:#x}")
    remove = system.files.rmdir if flags & AT_REMOVEDIR else system.files.unlink
    remove(place(system, task, fd), string(task, path))
    return 0


def symlinkat(system: System, task: Task, target: int, fd: int, path: int) -> int:
    """Make a symbolic link."""
    system.files.symlink(string(task, target), place(system, task, fd), string(task, path))
    return 0


def linkat(system: System, task: Task, fd: int, path: int, new_fd: int, new_path: int, flags: int) -> int:
    """Give a file one more name."""
    system.files.link(place(system, task, fd), string(task, path), place(system, task, new_fd), string(task, new_path),
                      bool(flags & AT_SYMLINK_FOLLOW))
    return 0


def renameat2(system: System, task: Task, fd: int, path: int, new_fd: int, new_path: int, flags: int) -> int:
    """Move a name."""
    system.files.rename(place(system, task, fd), string(task, path), place(system, task, new_fd),
                        string(task, new_path), flags)
    return 0


def readlinkat(system: System, task: Task, fd: int, path: int, where: int, size: int) -> int:
    """What a symbolic link points to."""
    if signed(size, 32) <= 0:
        raise SysError(Errno.EINVAL, f"room for {signed(size, 32)} bytes")
    target = system.files.resolve(place(system, task, fd), string(task, path), follow=False).readlink()[:size]
    write_user(task.process.space, where, target)
    return len(target)


def newfstatat(system: System, task: Task, fd: int, path: int, where: int, flags: int) -> int:
    """All about a file."""
    name = string(task, path)
    if not name and flags & AT_EMPTY_PATH:
        found = task.process.files.get(fd).stat() if signed(fd, 32) != AT_FDCWD else task.process.files.cwd.stat()
    else:
        found = system.files.resolve(place(system, task, fd), name, follow=not flags & AT_SYMLINK_NOFOLLOW).stat()
    return put_stat(task, where, found)


def fstat(system: System, task: Task, fd: int, where: int) -> int:
    """All about an open file."""
    return put_stat(task, where, task.process.files.get(fd).stat())


def statfs(system: System, task: Task, path: int, where: int) -> int:
    """How full the file system of a file is."""
    inode = system.files.resolve(_here(system, task), string(task, path))
    write_user(task.process.space, where, inode.fs.statfs().to_bytes())
    return 0


def fstatfs(system: System, task: Task, fd: int, where: int) -> int:
    """How full the file system of an open file is."""
    inode = task.process.files.get(fd).inode
    if inode is None:
        raise SysError(Errno.ENOSYS, "a pipe is in no file system")
    write_user(task.process.space, where, inode.fs.statfs().to_bytes())
    return 0


def truncate(system: System, task: Task, path: int, size: int) -> int:
    """Set a file's size."""
    if signed(size) < 0:
        raise SysError(Errno.EINVAL, f"size {signed(size)}")
    system.files.resolve(_here(system, task), string(task, path)).resize(size)
    return 0


def ftruncate(system: System, task: Task, fd: int, size: int) -> int:
    """Set an open file's size."""
    if signed(size) < 0:
        raise SysError(Errno.EINVAL, f"size {signed(size)}")
    task.process.files.get(fd).truncate(size)
    return 0


def faccessat(system: System, task: Task, fd: int, path: int, mode: int) -> int:
    """Whether a file is there; root may do everything but execute what nobody may."""
    found = system.files.resolve(place(system, task, fd), string(task, path)).stat()
    if mode & X_OK and not found.mode & 0o111:
        raise SysError(Errno.EACCES, "not executable")
    return 0


def faccessat2(system: System, task: Task, fd: int, path: int, mode: int, flags: int) -> int:
    """The same, with flags that change nothing for root."""
    return faccessat(system, task, fd, path, mode)


def chdir(system: System, task: Task, path: int) -> int:
    """Go to a directory."""
    inode = system.files.resolve(_here(system, task), string(task, path))
    if not inode.is_directory:
        raise SysError(Errno.ENOTDIR, "chdir")
    task.process.files.cwd = inode
    return 0


def fchdir(system: System, task: Task, fd: int) -> int:
    """Go to an open directory."""
    inode = task.process.files.get(fd).inode
    if inode is None or not inode.is_directory:
        raise SysError(Errno.ENOTDIR, "fchdir")
    task.process.files.cwd = inode
    return 0


def getcwd(system: System, task: Task, where: int, size: int) -> int:
    """The path of the current directory."""
    path = system.files.path_of(task.process.files.cwd) + b"\0"
    if len(path) > size:
        raise SysError(Errno.ERANGE, f"{len(path)} bytes do not fit into {size}")
    write_user(task.process.space, where, path)
    return len(path)


def fchmodat(system: System, task: Task, fd: int, path: int, mode: int) -> int:
    """Set permissions."""
    system.files.resolve(place(system, task, fd), string(task, path)).chmod(mode & 0o7777)
    return 0


def fchmod(system: System, task: Task, fd: int, mode: int) -> int:
    """Set an open file's permissions."""
    if (inode := task.process.files.get(fd).inode) is not None:
        inode.chmod(mode & 0o7777)
    return 0


def fchownat(system: System, task: Task, fd: int, path: int, uid: int, gid: int, flags: int) -> int:
    """Set owners."""
    inode = system.files.resolve(place(system, task, fd), string(task, path), follow=not flags & AT_SYMLINK_NOFOLLOW)
    inode.chown(_id(uid), _id(gid))
    return 0


def fchown(system: System, task: Task, fd: int, uid: int, gid: int) -> int:
    """Set an open file's owners."""
    if (inode := task.process.files.get(fd).inode) is not None:
        inode.chown(_id(uid), _id(gid))
    return 0


def utimensat(system: System, task: Task, fd: int, path: int, times: int, flags: int) -> int:
    """Set a file's times."""
    if path:
        inode = system.files.resolve(place(system, task, fd), string(task, path),
                                     follow=not flags & AT_SYMLINK_NOFOLLOW)
    else:
        found = task.process.files.get(fd).inode
        if found is None:
            raise SysError(Errno.EINVAL, "a pipe's times")
        inode = found
    now = system.wall_clock()
    raw = struct.unpack("<qqqq", read_user(task.process.space, times, 32)) if times else (0, UTIME_NOW, 0, UTIME_NOW)
    atime, mtime = (_time(raw[0], raw[1], now), _time(raw[2], raw[3], now))
    inode.set_times(atime, mtime)
    return 0


def getdents64(system: System, task: Task, fd: int, where: int, size: int) -> int:
    """The next entries of a directory."""
    return task.process.files.get(fd).getdents(user_writer(task.process.space, where, size))


def umask(system: System, task: Task, mask: int) -> int:
    """Set which permissions new files do not get; what it was."""
    was, task.process.umask = task.process.umask, mask & 0o777
    return was


def string(task: Task, where: int) -> bytes:
    """A path of the user's."""
    return read_string(task.process.space, where)


def place(system: System, task: Task, fd: int) -> Place:
    """Where a relative path begins: at a descriptor, or in the current directory. EBADF, ENOTDIR."""
    number = signed(fd, 32)
    if number == AT_FDCWD:
        return _here(system, task)
    file: OpenFile = task.process.files.get(number)
    return Place(system.files.root, file.inode if file.inode is not None else system.files.root)


def put_stat(task: Task, where: int, found: Stat) -> int:
    """Give a program what it asked about a file."""
    write_user(task.process.space, where, found.to_bytes())
    return 0


def _here(system: System, task: Task) -> Place:
    return Place(system.files.root, task.process.files.cwd)


def _id(value: int) -> int | None:
    """A user or group number; None for -1, which changes nothing."""
    number = value & 0xFFFF_FFFF
    return None if number == 0xFFFF_FFFF else number


def _time(seconds: int, nanoseconds: int, now: int) -> int | None:
    if nanoseconds == UTIME_OMIT:
        return None
    if nanoseconds == UTIME_NOW:
        return now
    if not 0 <= nanoseconds < 10**9:
        raise SysError(Errno.EINVAL, f"a time of {nanoseconds} nanoseconds")
    return seconds * 10**9 + nanoseconds

