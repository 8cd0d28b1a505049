"""The RamFS's directories: a list of entries, which is their contents.

        entry, padded to 8 bytes:   inode u64 | size u32 | length u16 | type u8 | 0 u8 | name [length]

`inode` is the address of the inode's record, 0 in a hole; `size` the entry's bytes, up to the next one. An
entry stays where it is until its name goes. A new one goes into the first hole that is large enough, or to
the end. The index of names in Python is a cache, made from the entries when it is first needed.
"""

from __future__ import annotations

import struct
from bisect import bisect, insort
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from kernel.errno import Errno, SysError
from kernel.errors import CorruptionError
from kernel.fs.inode import Inode, check_name
from kernel.fs.stat import FileType
from kernel.mm.io.reader import VmReader

from .heap_data import HeapData
from .inode import RamInode, RamSymlink
from .record import CONTENTS, InodeRecord

if TYPE_CHECKING:
    from .ramfs import RamFs

_ENTRY = struct.Struct("<QIHBx")
HEADER = _ENTRY.size
ALIGN = 8
SMALLEST = HEADER + ALIGN
"""Bytes of the smallest entry: what is left over of a hole and has less goes with the entry before it."""


class _Entry(NamedTuple):
    """Where a name's entry is, how large it is, and the address of its inode's record."""

    offset: int
    size: int
    inode: int


class RamDirectory(RamInode):
    """A directory. Its `size` is that of its entries and holes, in bytes."""

    __slots__ = ("_holes", "_index", "data")

    data: HeapData

    def __init__(self, fs: RamFs, address: int, kind: FileType) -> None:
        super().__init__(fs, address, kind)
        self.data = HeapData(fs.mm, self._record.address + CONTENTS)
        self._index: dict[bytes, _Entry] | None = None
        self._holes: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        self.require_live()
        return self.data.size

    # --- looking ----------------------------------------------------------------------------------------------

    @property
    def parent(self) -> RamDirectory:
        found = self.fs.inode(self.record.parent)
        assert isinstance(found, RamDirectory)
        return found

    def lookup(self, name: bytes) -> RamInode | None:
        entry = self._names().get(name)
        return None if entry is None else self.fs.inode(entry.inode)

    def name_of(self, child: Inode) -> bytes | None:
        address = getattr(child, "address", 0)
        return next((name for name, entry in self._names().items() if entry.inode == address), None)

    def entries(self, position: int) -> Iterator[tuple[bytes, int, FileType, int]]:
        port, mm = self.fs.mm.port, self.fs.mm
        for name, entry, kind in self._read():
            if entry.offset >= position and entry.inode:
                ino = port.load(mm.vaddr_to_paddr(entry.inode) + InodeRecord.ino.offset)
                yield name, ino, FileType(kind), entry.offset + entry.size

    def _names(self) -> dict[bytes, _Entry]:
        self.require_live()
        if self._index is None:
            self._index, self._holes = {}, []
            for name, entry, _ in self._read():
                if entry.inode:
                    self._index[name] = entry
                else:
                    self._holes.append((entry.offset, entry.size))
        return self._index

    def _read(self) -> list[tuple[bytes, _Entry, int]]:
        """All entries and holes, as they are in memory; CorruptionError if they cannot be."""
        self.require_live()
        found, offset, contents = [], 0, self.data.to_bytes()
        size = len(contents)
        while offset < size:
            if offset + HEADER > size:
                raise CorruptionError(f"directory {self.ino}: half an entry at offset {offset} of {size}")
            inode, extent, length, kind = _ENTRY.unpack_from(contents, offset)
            if not SMALLEST <= extent <= size - offset or extent % ALIGN or HEADER + length > extent:
                raise CorruptionError(f"directory {self.ino}: entry at offset {offset} of {size} has {extent} bytes, "
                                      f"and a name of {length}")
            name = contents[offset + HEADER:offset + HEADER + length]
            found.append((name, _Entry(offset, extent, inode), kind))
            offset += extent
        return found

    # --- changing ---------------------------------------------------------------------------------------------

    def create(self, name: bytes, kind: FileType, mode: int = 0, *, rdev: int = 0, target: bytes = b"") -> RamInode:
        self._require_new(name)
        inode = self.fs.new_inode(kind, mode, rdev)
        try:
            if isinstance(inode, RamSymlink):
                inode.point_to(target)
            self._insert(name, inode)
        except BaseException:
            inode.free_if_unused()
            raise
        if isinstance(inode, RamDirectory):
            inode.record.nlink = 2
            inode.record.parent = self.address
            self.record.nlink += 1
        else:
            inode.record.nlink = 1
        return inode

    def link(self, name: bytes, inode: Inode) -> None:
        self._require_new(name)
        inode = self._own(inode)
        if isinstance(inode, RamDirectory):
            raise SysError(Errno.EPERM, "a directory has one name only")
        if not inode.nlink:
            raise SysError(Errno.ENOENT, f"inode {inode.ino} has lost its last name")
        self._insert(name, inode)
        inode.record.nlink += 1
        inode.changed()

    def unlink(self, name: bytes) -> None:
        inode = self._existing(name)
        if isinstance(inode, RamDirectory):
            raise SysError(Errno.EISDIR, f"{name!r} is a directory")
        self._remove(name)
        inode.drop_name()

    def rmdir(self, name: bytes) -> None:
        inode = self._existing(name)
        if not isinstance(inode, RamDirectory):
            raise SysError(Errno.ENOTDIR, f"{name!r} is no directory")
        inode.require_empty()
        self._remove(name)
        self._orphan(inode)

    def rename(self, name: bytes, directory: Inode, new_name: bytes) -> None:
        inode = self._existing(name)
        to = self._own(directory)
        assert isinstance(to, RamDirectory)
        if isinstance(inode, RamDirectory):
            above = to
            while above.address != above.parent.address:
                if above is inode:
                    raise SysError(Errno.EINVAL, "a directory cannot be moved into itself")
                above = above.parent
        there = to.lookup(new_name)
        if there is inode:
            return  # two names of one file: both stay
        if there is None:
            to._require_new(new_name)
            to._insert(new_name, inode)
        else:
            _require_replaceable(there, inode)
            to._replace(new_name, inode)
        self._remove(name)
        moved = isinstance(inode, RamDirectory)
        if moved:
            inode.record.parent = to.address
            self.record.nlink -= 1
            to.record.nlink += 1
        inode.changed()
        if isinstance(there, RamDirectory):
            to._orphan(there)
        elif there is not None:
            there.drop_name()

    def free_if_unused(self) -> None:
        parent = self.record.parent
        super().free_if_unused()
        if not self.address and parent:
            self.fs.inode(parent).release()

    def _orphan(self, child: RamDirectory) -> None:
        """A directory has lost its name in this one; while somebody holds it, it holds its parent."""
        self.record.nlink -= 1
        if child.record.holders:
            self.hold()
        else:
            child.record.parent = 0
        child.drop_name(2)

    def require_empty(self) -> None:
        """ENOTEMPTY if the directory has entries."""
        if self._names():
            raise SysError(Errno.ENOTEMPTY, f"directory {self.ino} has {len(self._names())} entries")

    def _require_new(self, name: bytes) -> None:
        check_name(name)
        if not self.nlink:
            raise SysError(Errno.ENOENT, f"directory {self.ino} is removed")
        if name in self._names():
            raise SysError(Errno.EEXIST, f"{name!r}")

    def _existing(self, name: bytes) -> RamInode:
        inode = self.lookup(name)
        if inode is None:
            raise SysError(Errno.ENOENT, f"{name!r}")
        return inode

    def _own(self, inode: Inode) -> RamInode:
        if inode.fs is not self.fs or not isinstance(inode, RamInode):
            raise SysError(Errno.EXDEV, f"inode {inode.ino} is in another file system")
        return inode

    # --- entries ----------------------------------------------------------------------------------------------

    def _insert(self, name: bytes, inode: RamInode) -> None:
        """Add an entry. ENOSPC."""
        names = self._names()
        size = HEADER + -(-len(name) // ALIGN) * ALIGN
        found = next((hole for hole in self._holes if hole[1] >= size), None)
        if found is None:
            offset = self.data.size
            self._write(offset, size, name, inode)
        else:
            offset, extent = found
            if extent - size >= SMALLEST:
                self._write(offset + size, extent - size)
                self._holes[self._holes.index(found)] = (offset + size, extent - size)
            else:
                size = extent
                self._holes.remove(found)
            self._write(offset, size, name, inode)
        names[name] = _Entry(offset, size, inode.address)
        self.written()

    def _replace(self, name: bytes, inode: RamInode) -> None:
        """Have an entry name another inode."""
        names = self._names()
        offset, size, _ = names[name]
        self._write(offset, size, name, inode)
        names[name] = _Entry(offset, size, inode.address)
        self.written()

    def _remove(self, name: bytes) -> None:
        """Make a hole of an entry, one with those beside it; a hole at the end goes."""
        offset, size, _ = self._names().pop(name)
        holes = self._holes
        at = bisect(holes, (offset, 0))
        if at < len(holes) and holes[at][0] == offset + size:
            size += holes.pop(at)[1]
        if at and sum(holes[at - 1]) == offset:
            before = holes.pop(at - 1)
            offset, size = before[0], size + before[1]
        if offset + size == self.data.size:
            self.data.resize(offset)
        else:
            self._write(offset, size)
            insort(holes, (offset, size))
        self.written()

    def _write(self, offset: int, size: int, name: bytes = b"", inode: RamInode | None = None) -> None:
        """Write an entry, or, without an inode, a hole, of which only the header is."""
        address, kind = (0, 0) if inode is None else (inode.address, int(inode.type))
        entry = _ENTRY.pack(address, size, len(name), kind) + name
        self.data.write_at(offset, VmReader.from_slice(entry if inode is None else entry.ljust(size, b"\0")))


def _require_replaceable(there: RamInode, inode: RamInode) -> None:
    """SysError unless a rename may put `inode` in the place of `there`."""
    if isinstance(there, RamDirectory):
        if not isinstance(inode, RamDirectory):
            raise SysError(Errno.EISDIR, "a directory cannot be replaced by a file")
        there.require_empty()
    elif isinstance(inode, RamDirectory):
        raise SysError(Errno.ENOTDIR, "a file cannot be replaced by a directory")
