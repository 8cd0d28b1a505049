"""Inodes and file systems as the rest of the kernel sees them (Linux's `struct inode`, `struct super_block`).

        FileSystem ── root ──► Inode ── lookup(name) ──► Inode …

What a file system cannot do raises the SysError that a program gets for it: here, for everything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from kernel.errno import Errno, SysError
from kernel.mm.io.reader import AnyVmReader
from kernel.mm.io.writer import AnyVmWriter, VmWriter

from .stat import NAME_MAX, FileType, Stat, StatFs

if TYPE_CHECKING:
    from kernel.mm.frame.frame import Frame
    from kernel.mm.frame.meta_type import Unit

    from .open_file import Flags, OpenFile


class FileSystem(ABC):
    """A tree of inodes. `device` is its number (st_dev), `name` what /proc/mounts calls it."""

    name = ""
    device = 0

    @property
    @abstractmethod
    def root(self) -> Inode:
        """The directory that everything is in."""

    @abstractmethod
    def statfs(self) -> StatFs:
        """How full it is."""


class Inode(ABC):
    """A file of any type. Names are bytes, without a slash; offsets and sizes bytes; times ns since the epoch.

    Whoever keeps an inode beyond one operation (an open file, a working directory, a mount) holds it: a
    file whose last name goes stays until nobody does.
    """

    __slots__ = ("fs",)

    fs: FileSystem

    # --- what it is -------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def ino(self) -> int:
        """Its number, never that of another inode of the file system."""

    @property
    @abstractmethod
    def type(self) -> FileType:
        """What it is."""

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.type is FileType.DIRECTORY

    @abstractmethod
    def stat(self) -> Stat:
        """All about it."""

    def chmod(self, mode: int) -> None:
        """Set the permissions, set-id bits and sticky bit."""
        self._read_only("chmod")

    def chown(self, uid: int | None, gid: int | None) -> None:
        """Set the owners that are not None."""
        self._read_only("chown")

    def set_times(self, atime: int | None, mtime: int | None) -> None:
        """Set the times that are not None."""
        self._read_only("set_times")

    # --- holding ----------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Somebody keeps it from now on."""

    def release(self) -> None:
        """Somebody does not keep it any more."""

    # --- directories ------------------------------------------------------------------------------------------

    @property
    def parent(self) -> Inode:
        """The directory that a directory is in; the root's is itself."""
        self._no_directory()

    def lookup(self, name: bytes) -> Inode | None:
        """What the directory has under `name`, which is not "." or ".."; None if nothing."""
        self._no_directory()

    def name_of(self, child: Inode) -> bytes | None:
        """The name that the directory has `child`, a directory, under; None if it does not have it."""
        self._no_directory()

    def entries(self, position: int) -> Iterator[tuple[bytes, int, FileType, int]]:
        """Names, inode numbers, types, and positions behind each entry, from a position on: 0 or one given here.

        "." and ".." are not among them. Entries that come or go meanwhile may be left out, no other one is.
        """
        self._no_directory()

    def create(self, name: bytes, kind: FileType, mode: int = 0, *, rdev: int = 0, target: bytes = b"") -> Inode:
        """Make an inode and give it the name. EEXIST, ENOSPC, ENOENT in a directory that is removed."""
        self._read_only("create")

    def link(self, name: bytes, inode: Inode) -> None:
        """Give an inode that is no directory one more name."""
        self._read_only("link")

    def unlink(self, name: bytes) -> None:
        """Take a name away: EISDIR for a directory, ENOENT."""
        self._read_only("unlink")

    def rmdir(self, name: bytes) -> None:
        """Take an empty directory away: ENOTDIR, ENOTEMPTY, ENOENT."""
        self._read_only("rmdir")

    def rename(self, name: bytes, directory: Inode, new_name: bytes) -> None:
        """Move `name` to `directory`, in the place of what has `new_name` there, if it can be replaced."""
        self._read_only("rename")

    # --- contents ---------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes of the contents."""
        return 0

    def readlink(self) -> bytes:
        """What a symbolic link points to."""
        raise SysError(Errno.EINVAL, "no symbolic link")

    def read_at(self, offset: int, writer: AnyVmWriter) -> int:
        """Read a regular file: `FileData.read_at`."""
        self._no_contents()

    def read_bytes(self, offset: int, size: int) -> bytes:
        """What is at `offset`, `size` bytes at most, for the kernel's own use: programs, pages."""
        buffer = bytearray(max(min(size, self.size - offset), 0))
        return bytes(buffer[:self.read_at(offset, VmWriter.from_slice(buffer))])

    def write_at(self, offset: int, reader: AnyVmReader) -> int:
        """Write to a regular file: `FileData.write_at`."""
        self._no_contents()

    def resize(self, size: int) -> None:
        """Cut a regular file off, or let it grow: `FileData.resize`."""
        self._no_contents()

    def frame(self, index: int) -> Frame[Unit] | None:
        """One more reference to the frame of page `index` of a regular file; None if it is not kept in frames."""
        return None

    def hold_frames(self, index: int, count: int) -> list[int]:
        """`frame` for `count` pages from `index` on, as many as there are: physical addresses, a count on each."""
        return []

    def open(self, flags: Flags) -> OpenFile | None:
        """An open file of a kind of its own; None if it is to be opened as its type is."""
        return None

    # --- errors -----------------------------------------------------------------------------------------------

    def _no_directory(self) -> NoReturn:
        raise SysError(Errno.ENOTDIR, f"inode {self.ino} is no directory")

    def _no_contents(self) -> NoReturn:
        raise SysError(Errno.EISDIR if self.is_directory else Errno.EINVAL, f"inode {self.ino} has no contents")

    def _read_only(self, operation: str) -> NoReturn:
        if operation in _OF_DIRECTORIES and not self.is_directory:
            self._no_directory()
        raise SysError(Errno.EPERM, f"{operation}: {self.fs.name} cannot be changed")


_OF_DIRECTORIES = frozenset(("create", "link", "unlink", "rmdir", "rename"))


def check_name(name: bytes) -> None:
    """SysError unless a new entry can have the name: ENAMETOOLONG, EINVAL."""
    if len(name) > NAME_MAX:
        raise SysError(Errno.ENAMETOOLONG, f"a name of {len(name)} bytes; expected at most {NAME_MAX}")
    if not name or b"/" in name or b"\0" in name or name in (b".", b".."):
        raise SysError(Errno.EINVAL, f"the name {name!r}")
