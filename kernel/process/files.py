"""Descriptors: the numbers by which a process knows its open files, and where it is in the tree of files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kernel.errno import Errno, SysError

if TYPE_CHECKING:
    from kernel.fs.inode import Inode
    from kernel.fs.open_file import OpenFile

MAX_OPEN = 1024
"""Descriptors of a process (RLIMIT_NOFILE)."""


class Files:
    """The open files of a process, by descriptor; `cwd` is its current directory."""

    def __init__(self, cwd: Inode) -> None:
        self._cwd = cwd
        cwd.hold()
        self._files: dict[int, OpenFile] = {}
        self._close_on_exec: set[int] = set()

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._files))

    @property
    def cwd(self) -> Inode:
        """The current directory."""
        return self._cwd

    @cwd.setter
    def cwd(self, directory: Inode) -> None:
        directory.hold()
        self._cwd.release()
        self._cwd = directory

    def get(self, fd: int) -> OpenFile:
        """The open file; EBADF."""
        file = self._files.get(fd)
        if file is None:
            raise SysError(Errno.EBADF, f"descriptor {fd} is not open")
        return file

    def add(self, file: OpenFile, close_on_exec: bool = False, least: int = 0) -> int:
        """Give `file`, which the caller has opened for this, the lowest free number from `least` on; EMFILE."""
        fd = least
        while fd in self._files:
            fd += 1
        if fd >= MAX_OPEN:
            file.close()
            raise SysError(Errno.EMFILE, f"{len(self._files)} files are open")
        self._files[fd] = file
        self.set_close_on_exec(fd, close_on_exec)
        return fd

    def duplicate(self, fd: int, least: int = 0, close_on_exec: bool = False) -> int:
        """Another number for the same open file; EBADF, EMFILE."""
        file = self.get(fd)
        return self.add(file.dup(), close_on_exec, least)

    def replace(self, old: int, new: int, close_on_exec: bool = False) -> int:
        """Have `new` mean what `old` does, whatever it was (dup3); EBADF."""
        file = self.get(old)
        if not 0 <= new < MAX_OPEN:
            raise SysError(Errno.EBADF, f"descriptor {new}: expected 0 to {MAX_OPEN - 1}")
        file.dup()
        if new in self._files:
            self.close(new)
        self._files[new] = file
        self.set_close_on_exec(new, close_on_exec)
        return new

    def close(self, fd: int) -> None:
        """Give up a descriptor; EBADF."""
        file = self.get(fd)
        del self._files[fd]
        self._close_on_exec.discard(fd)
        file.close()

    def closes_on_exec(self, fd: int) -> bool:
        """Whether execve closes it (FD_CLOEXEC); EBADF."""
        self.get(fd)
        return fd in self._close_on_exec

    def set_close_on_exec(self, fd: int, on: bool) -> None:
        """Say whether execve closes it."""
        if on:
            self._close_on_exec.add(fd)
        else:
            self._close_on_exec.discard(fd)

    def close_on_exec(self) -> None:
        """Close those."""
        for fd in sorted(self._close_on_exec):
            self.close(fd)

    def close_all(self) -> None:
        """Close every one, and leave the current directory."""
        for fd in list(self):
            self.close(fd)
        self._cwd.release()

    def copy(self) -> Files:
        """The same open files for a child."""
        child = Files(self._cwd)
        child._files, child._close_on_exec = dict(self._files), set(self._close_on_exec)
        for file in self._files.values():
            file.dup()
        return child
