"""Open files: what a file descriptor stands for (Linux's `struct file`), and those of regular files and directories.

        descriptors ── dup ──► OpenFile: flags, offset ──► Inode

Blocking operations raise WouldBlock (kernel.fs.wait), or EAGAIN with O_NONBLOCK. An error that comes after
some bytes were transferred ends the operation with their number; the error comes the next time.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Self

from kernel.errno import Errno, SysError
from kernel.errors import KernelPanic, PageFault
from kernel.mm.io.reader import AnyVmReader, FallibleVmReader, VmReader
from kernel.mm.io.writer import AnyVmWriter, FallibleVmWriter, VmWriter

from .dirent import encode_entry
from .inode import Inode
from .stat import FileType, Stat
from .wait import WaitQueue

MAX_OFFSET = (1 << 63) - 1
PIECE = 1 << 20
"""Bytes that are written at once: a count is a user's word for more than there may be."""


class Flags(IntFlag):
    """How a file is opened (O_…, asm-generic/fcntl.h)."""

    RDONLY = 0
    WRONLY = 1
    RDWR = 2
    ACCMODE = 3
    CREAT = 0o100
    EXCL = 0o200
    NOCTTY = 0o400
    TRUNC = 0o1000
    APPEND = 0o2000
    NONBLOCK = 0o4000
    DIRECT = 0o40000
    LARGEFILE = 0o100000
    DIRECTORY = 0o200000
    NOFOLLOW = 0o400000
    NOATIME = 0o1000000
    CLOEXEC = 0o2000000
    PATH = 0o10000000
    TMPFILE = 0o20000000

    @property
    def reads(self) -> bool:
        """Whether the file may be read."""
        return self & Flags.ACCMODE in (Flags.RDONLY, Flags.RDWR) and not self & Flags.PATH

    @property
    def writes(self) -> bool:
        """Whether the file may be written to."""
        return self & Flags.ACCMODE in (Flags.WRONLY, Flags.RDWR) and not self & Flags.PATH


CHANGEABLE = Flags.APPEND | Flags.NONBLOCK | Flags.DIRECT | Flags.NOATIME
"""What fcntl(F_SETFL) can change."""


class Whence(IntEnum):
    """What lseek counts from."""

    SET = 0
    CUR = 1
    END = 2
    DATA = 3
    HOLE = 4


class Poll(IntFlag):
    """What poll finds, and asks for (POLL…)."""

    NONE = 0
    IN = 0x1
    PRI = 0x2
    OUT = 0x4
    ERR = 0x8
    HUP = 0x10
    NVAL = 0x20


class OpenFile:
    """An open file; `inode` is what was opened, None for a pipe without a name.

    It is closed when `close` was called once more than `dup`. Whether it may be read or written is checked here.
    """

    is_terminal = False

    def __init__(self, flags: Flags, inode: Inode | None = None) -> None:
        self.flags, self.inode = flags & ~(Flags.CREAT | Flags.EXCL | Flags.NOCTTY | Flags.TRUNC | Flags.CLOEXEC), inode
        self.users = 1
        if inode is not None:
            inode.hold()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.inode!r} {self.flags!r}, {self.users} users>"

    # --- its life ---------------------------------------------------------------------------------------------

    def dup(self) -> Self:
        """One more descriptor stands for it."""
        self.users += 1
        return self

    def close(self) -> None:
        """One descriptor less stands for it; KernelPanic if none did."""
        if self.users <= 0:
            raise KernelPanic(f"{self!r} is closed")
        self.users -= 1
        if not self.users:
            self.released()
            if self.inode is not None:
                self.inode.release()

    def released(self) -> None:
        """The last descriptor is closed."""

    def ready(self) -> None:
        """Called after opening, until it does not raise WouldBlock: a FIFO waits for its other end."""

    @property
    def nonblock(self) -> bool:
        """Whether operations that cannot go on give EAGAIN."""
        return bool(self.flags & Flags.NONBLOCK)

    def set_flags(self, flags: Flags) -> None:
        """fcntl(F_SETFL): those of CHANGEABLE are set, the others stay."""
        self.flags = self.flags & ~CHANGEABLE | flags & CHANGEABLE

    # --- what programs call -----------------------------------------------------------------------------------

    def read(self, writer: AnyVmWriter) -> int:
        """Read to `writer`; how many bytes, 0 at the end."""
        self.require_readable()
        return self._read(writer)

    def write(self, reader: AnyVmReader) -> int:
        """Write what `reader` has; how many bytes."""
        self.require_writable()
        return self._write(reader)

    def pread(self, offset: int, writer: AnyVmWriter) -> int:
        """`read` at an offset, leaving the file's own alone."""
        raise SysError(Errno.ESPIPE)

    def pwrite(self, offset: int, reader: AnyVmReader) -> int:
        """`write` at an offset, leaving the file's own alone."""
        raise SysError(Errno.ESPIPE)

    def seek(self, offset: int, whence: Whence) -> int:
        """Set the offset; what it is."""
        raise SysError(Errno.ESPIPE)

    def truncate(self, size: int) -> None:
        """ftruncate."""
        raise SysError(Errno.EINVAL, "only a regular file has a size that can be set")

    def getdents(self, writer: AnyVmWriter) -> int:
        """getdents64: as many entries as fit; bytes of them, 0 at the end."""
        raise SysError(Errno.ENOTDIR)

    def stat(self) -> Stat:
        """fstat."""
        assert self.inode is not None
        return self.inode.stat()

    def poll(self) -> Poll:
        """What can be done without waiting."""
        return Poll.IN | Poll.OUT

    def queues(self) -> tuple[WaitQueue, ...]:
        """Woken when `poll` may have changed."""
        return ()

    # --- for those below --------------------------------------------------------------------------------------

    def _read(self, writer: AnyVmWriter) -> int:
        raise SysError(Errno.EINVAL)

    def _write(self, reader: AnyVmReader) -> int:
        raise SysError(Errno.EINVAL)

    def require_readable(self) -> None:
        """EBADF unless it was opened for reading."""
        if not self.flags.reads:
            raise SysError(Errno.EBADF, "not open for reading")

    def require_writable(self) -> None:
        """EBADF unless it was opened for writing."""
        if not self.flags.writes:
            raise SysError(Errno.EBADF, "not open for writing")


class PathFile(OpenFile):
    """Opened with O_PATH: it stands for an inode, and cannot be read, written or listed."""

    def seek(self, offset: int, whence: Whence) -> int:
        raise SysError(Errno.EBADF)

    def getdents(self, writer: AnyVmWriter) -> int:
        raise SysError(Errno.EBADF)

    def truncate(self, size: int) -> None:
        raise SysError(Errno.EBADF)

    def pread(self, offset: int, writer: AnyVmWriter) -> int:
        raise SysError(Errno.EBADF)

    def pwrite(self, offset: int, reader: AnyVmReader) -> int:
        raise SysError(Errno.EBADF)


class RegularFile(OpenFile):
    """A regular file, with an offset that all its descriptors share."""

    def __init__(self, flags: Flags, inode: Inode) -> None:
        super().__init__(flags, inode)
        self.file, self.offset = inode, 0

    def _read(self, writer: AnyVmWriter) -> int:
        done = self.file.read_at(self.offset, writer)
        self.offset += done
        return done

    def _write(self, reader: AnyVmReader) -> int:
        if self.flags & Flags.APPEND:
            self.offset = self.file.size
        done = self._write_at(self.offset, reader)
        self.offset += done
        return done

    def pread(self, offset: int, writer: AnyVmWriter) -> int:
        self.require_readable()
        return self.file.read_at(offset, writer)

    def pwrite(self, offset: int, reader: AnyVmReader) -> int:
        self.require_writable()
        if offset < 0:
            raise SysError(Errno.EINVAL, f"offset {offset}")
        return self._write_at(self.file.size if self.flags & Flags.APPEND else offset, reader)

    def _write_at(self, offset: int, reader: AnyVmReader) -> int:
        done = 0
        while reader.has_remain:
            part = reader.clone().limit(PIECE)
            size = part.remain
            try:
                written = self.file.write_at(offset + done, part)
            except SysError:
                if done:
                    break
                raise
            reader.skip(written)
            done += written
            if written < size:
                break
        return done

    def seek(self, offset: int, whence: Whence) -> int:
        size = self.file.size
        if whence in (Whence.DATA, Whence.HOLE):
            if not 0 <= offset < size:
                raise SysError(Errno.ENXIO, f"offset {offset} of {size}")
            self.offset = offset if whence is Whence.DATA else size
            return self.offset
        self.offset = require_offset(offset + {Whence.SET: 0, Whence.CUR: self.offset, Whence.END: size}[whence])
        return self.offset

    def truncate(self, size: int) -> None:
        if not self.flags.writes:
            raise SysError(Errno.EINVAL, "not open for writing")
        self.file.resize(size)


class DirectoryFile(OpenFile):
    """A directory. Positions: 0 is before ".", 8 before "..", and DOTS + those of `Inode.entries`."""

    DOTS = 16

    def __init__(self, flags: Flags, inode: Inode) -> None:
        super().__init__(flags, inode)
        self.directory, self.position = inode, 0

    def _read(self, writer: AnyVmWriter) -> int:
        raise SysError(Errno.EISDIR)

    def pread(self, offset: int, writer: AnyVmWriter) -> int:
        raise SysError(Errno.EISDIR)

    def seek(self, offset: int, whence: Whence) -> int:
        if whence not in (Whence.SET, Whence.CUR):
            raise SysError(Errno.EINVAL, "only a position that getdents gave")
        self.position = require_offset(offset + (self.position if whence is Whence.CUR else 0))
        return self.position

    def getdents(self, writer: AnyVmWriter) -> int:
        directory, entries, position, room = self.directory, b"", self.position, writer.avail
        if not directory.stat().nlink:
            raise SysError(Errno.ENOENT, "the directory is removed")
        found = [] if position >= self.DOTS else [
            (name, ino, FileType.DIRECTORY, behind - self.DOTS) for name, ino, behind in (
                (b".", directory.ino, 8), (b"..", directory.parent.ino, self.DOTS))[-(-position // 8):]]
        for name, ino, kind, behind in (*found, *directory.entries(max(position - self.DOTS, 0))):
            entry = encode_entry(ino, behind + self.DOTS, kind, name)
            if len(entries) + len(entry) > room:
                if not entries:
                    raise SysError(Errno.EINVAL, f"room for {room} bytes; the next entry has {len(entry)}")
                break
            entries += entry
            position = behind + self.DOTS
        put_bytes(writer, entries)
        self.position = position
        return len(entries)


def require_offset(offset: int) -> int:
    """`offset`, if a file can have one there; else EINVAL."""
    if not 0 <= offset <= MAX_OFFSET:
        raise SysError(Errno.EINVAL, f"offset {offset}")
    return offset


def put_bytes(writer: AnyVmWriter, data: bytes) -> None:
    """Write all of `data`; EFAULT if that cannot be."""
    assert isinstance(writer, VmWriter | FallibleVmWriter)
    try:
        writer.write_bytes(data)
    except PageFault as fault:
        raise SysError(Errno.EFAULT, str(fault)) from None


def take_bytes(reader: AnyVmReader, size: int) -> bytes:
    """The next bytes, `size` at most, up to a fault; EFAULT if that is the first byte."""
    buffer = bytearray(min(size, reader.remain))
    assert isinstance(reader, VmReader | FallibleVmReader)
    try:
        return bytes(buffer[:reader.read_fallible(VmWriter.from_slice(buffer))])
    except PageFault as fault:
        if not fault.copied:
            raise SysError(Errno.EFAULT, str(fault)) from None
        return bytes(buffer[:fault.copied])
