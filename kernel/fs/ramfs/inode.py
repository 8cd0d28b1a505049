"""The RamFS's inodes: what all have in common, regular files, and those without contents.

Python's objects are handles of the records in emulated memory, one for each record as long as the file
system lives.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from kernel.errors import UseAfterMove
from kernel.fs.inode import Inode
from kernel.fs.stat import MODE_MASK, FileType, Stat
from kernel.mm.io.reader import AnyVmReader, VmReader
from kernel.mm.io.writer import AnyVmWriter
from kernel.mm.paging import PAGE_SIZE

from .file_data import FileData
from .heap_data import HeapData
from .record import CONTENTS, InodeRecord

if TYPE_CHECKING:
    from kernel.mm.frame.frame import Frame
    from kernel.mm.frame.meta_type import Unit

    from .ramfs import RamFs

_RECORD = struct.Struct("<QIIIIQQQQQQQQQ")


class RamInode(Inode):
    """The inode whose record is at kernel virtual `address`.

    Without a name and a holder, it is gone: using it then raises UseAfterMove.
    """

    __slots__ = ("_record", "address", "ino", "type")

    fs: RamFs
    ino: int
    type: FileType

    def __init__(self, fs: RamFs, address: int, kind: FileType) -> None:
        self.fs, self.address, self.type = fs, address, kind
        self._record = InodeRecord.at(fs.mm.port, fs.mm.vaddr_to_paddr(address))
        self.ino = self._record.ino

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.ino} at {self.address:#x}>"

    @property
    def record(self) -> InodeRecord:
        """The record in memory; UseAfterMove if it is gone."""
        self.require_live()
        return self._record

    def require_live(self) -> None:
        """UseAfterMove if it is gone."""
        if not self.address:
            raise UseAfterMove(f"inode {self.ino} is gone: it had no name and no holder any more")

    @property
    def data(self) -> FileData | None:
        """What keeps the contents, of an inode that has some."""
        return None

    @property
    def nlink(self) -> int:
        """Names that it has."""
        return self.record.nlink

    def stat(self) -> Stat:
        record = self.record
        (ino, mode, nlink, uid, gid, _, rdev, size, _, capacity, length, atime, mtime, ctime) = _RECORD.unpack(
            record.memory.read(record.address, _RECORD.size))
        return Stat(self.fs.device, ino, mode, nlink, uid, gid, rdev, size, length * PAGE_SIZE or capacity,
                    atime, mtime, ctime)

    def chmod(self, mode: int) -> None:
        self.record.mode = self.type.mode | mode & MODE_MASK
        self.changed()

    def chown(self, uid: int | None, gid: int | None) -> None:
        record = self.record
        if uid is not None:
            record.uid = uid
        if gid is not None:
            record.gid = gid
        self.changed()

    def set_times(self, atime: int | None, mtime: int | None) -> None:
        record = self.record
        if atime is not None:
            record.atime = atime
        if mtime is not None:
            record.mtime = mtime
        self.changed()

    def changed(self) -> None:
        """What the inode says about itself has changed: ctime."""
        self.record.ctime = self.fs.clock()

    def written(self) -> None:
        """The contents have changed: mtime and ctime."""
        self.record.mtime = self._record.ctime = self.fs.clock()

    # --- its life ---------------------------------------------------------------------------------------------

    def hold(self) -> None:
        self.record.holders += 1

    def release(self) -> None:
        self.record.holders -= 1
        self.free_if_unused()

    def drop_name(self, count: int = 1) -> None:
        """It has `count` names less."""
        self.record.nlink -= count
        self.changed()
        self.free_if_unused()

    def free_if_unused(self) -> None:
        """Give its memory back if it has no name and no holder."""
        record = self.record
        if record.nlink or record.holders:
            return
        if (data := self.data) is not None:
            data.drop()
        self.fs.forget(self)
        self.address = 0


class RamFile(RamInode):
    """A regular file."""

    __slots__ = ("data",)

    data: FileData

    def __init__(self, fs: RamFs, address: int, kind: FileType) -> None:
        super().__init__(fs, address, kind)
        self.data = fs.storage.data(fs.mm, self._record.address + CONTENTS)

    @property
    def size(self) -> int:
        self.require_live()
        return self.data.size

    def read_at(self, offset: int, writer: AnyVmWriter) -> int:
        self.require_live()
        done = self.data.read_at(offset, writer)
        record = self._record
        if done and record.atime <= record.mtime:  # as Linux's relatime: whether it was read since it was written
            record.atime = self.fs.clock()
        return done

    def write_at(self, offset: int, reader: AnyVmReader) -> int:
        self.require_live()
        done = self.data.write_at(offset, reader)
        if done:
            self.written()
        return done

    def resize(self, size: int) -> None:
        self.require_live()
        self.data.resize(size)
        self.written()

    def frame(self, index: int) -> Frame[Unit] | None:
        self.require_live()
        return self.data.frame(index)

    def hold_frames(self, index: int, count: int) -> list[int]:
        self.require_live()
        return self.data.hold_frames(index, count)


class RamSymlink(RamInode):
    """A symbolic link; its contents are the path that it points to."""

    __slots__ = ("data",)

    data: HeapData

    def __init__(self, fs: RamFs, address: int, kind: FileType) -> None:
        super().__init__(fs, address, kind)
        self.data = HeapData(fs.mm, self._record.address + CONTENTS)

    @property
    def size(self) -> int:
        self.require_live()
        return self.data.size

    def point_to(self, target: bytes) -> None:
        """Set the path, once. ENOSPC."""
        self.data.write_at(0, VmReader.from_slice(target))

    def readlink(self) -> bytes:
        return self.data.to_bytes()


class RamNode(RamInode):
    """A device, a FIFO or a socket: a name for something that is elsewhere."""

    __slots__ = ()
