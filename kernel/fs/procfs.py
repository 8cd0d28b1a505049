"""The proc file system: files whose text is made when they are opened, from a tree of functions.

    proc = ProcFs(mm)
    proc.add(b"uptime", ProcText(lambda: b"1.00 0.00\\n"))
    proc.add(b"self", ProcLink(lambda: str(current_pid()).encode()))
    proc.add_all(lambda: {str(pid).encode(): ProcDirectory(…) for pid in pids()})   # asked at each look

The text lies on the kernel heap while the file is open. Inodes are numbered by their paths, so that the same
file has the same number in every run.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kernel.errno import Errno, SysError
from kernel.errors import NoMemory
from kernel.mm.heap.box import HeapBox
from kernel.mm.io.reader import VmReader
from kernel.mm.io.writer import AnyVmWriter

from .inode import FileSystem, Inode
from .open_file import Flags, OpenFile, Whence, require_offset
from .ramfs.file_data import transfer
from .stat import FileType, Stat, StatFs

if TYPE_CHECKING:
    from kernel.mm.context import Mm

PROC_MAGIC = 0x9FA0
"""f_type (linux/magic.h)."""
ROOT_INO = 1


@dataclass(frozen=True)
class ProcText:
    """A file: `make` gives its text, or raises the SysError that opening it gives."""

    make: Callable[[], bytes]
    mode: int = 0o444
    type = FileType.REGULAR


@dataclass(frozen=True)
class ProcLink:
    """A symbolic link to the path that `target` gives."""

    target: Callable[[], bytes]
    mode: int = 0o777
    type = FileType.SYMLINK


@dataclass(frozen=True)
class ProcDirectory:
    """A directory of `entries`, and of what each of `more` gives when one looks; the same name twice is the first's."""

    entries: dict[bytes, ProcEntry] = field(default_factory=dict)
    more: list[Callable[[], Mapping[bytes, ProcEntry]]] = field(default_factory=list)
    mode: int = 0o555
    type = FileType.DIRECTORY

    def all(self) -> dict[bytes, ProcEntry]:
        """The entries that there are now, in order."""
        found = dict(self.entries)
        for source in self.more:
            for name, entry in source().items():
                found.setdefault(name, entry)
        return found


ProcEntry = ProcText | ProcLink | ProcDirectory


class ProcFs(FileSystem):
    """The file system; `clock()` tells the time in ns since the epoch."""

    name = "proc"

    def __init__(self, mm: Mm, clock: Callable[[], int] = lambda: 0) -> None:
        self.mm, self.clock = mm, clock
        self.tree = ProcDirectory()
        self._root = ProcInode(self, None, b"", self.tree)

    @property
    def root(self) -> ProcInode:
        return self._root

    def add(self, name: bytes, entry: ProcEntry) -> None:
        """Have an entry in the root directory."""
        self.tree.entries[name] = entry

    def add_all(self, entries: Callable[[], Mapping[bytes, ProcEntry]]) -> None:
        """Have the entries in the root directory that a function gives whenever somebody looks."""
        self.tree.more.append(entries)

    def statfs(self) -> StatFs:
        return StatFs(PROC_MAGIC, device=self.device)


class ProcInode(Inode):
    """An entry at its path; equal to every other one there."""

    __slots__ = ("_parent", "entry", "ino", "path", "type")

    fs: ProcFs
    ino: int
    path: bytes
    type: FileType

    def __init__(self, fs: ProcFs, parent: ProcInode | None, name: bytes, entry: ProcEntry) -> None:
        self.fs, self.entry, self._parent = fs, entry, parent
        self.path = name if parent is None else parent.path + b"/" + name
        self.type = entry.type
        self.ino = ROOT_INO if parent is None else 1 << 32 | zlib.crc32(self.path)

    def __repr__(self) -> str:
        return f"<ProcInode {self.path!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProcInode) and other.fs is self.fs and other.path == self.path

    def __hash__(self) -> int:
        return hash((id(self.fs), self.path))

    def stat(self) -> Stat:
        now = self.fs.clock()
        return Stat(self.fs.device, self.ino, self.type.mode | self.entry.mode, 2 if self.is_directory else 1,
                    atime=now, mtime=now, ctime=now)

    @property
    def parent(self) -> ProcInode:
        if not self.is_directory:
            self._no_directory()
        return self if self._parent is None else self._parent

    def lookup(self, name: bytes) -> ProcInode | None:
        entry = self._directory().all().get(name)
        return None if entry is None else ProcInode(self.fs, self, name, entry)

    def name_of(self, child: Inode) -> bytes | None:
        self._directory()
        return child.path.rpartition(b"/")[2] if isinstance(child, ProcInode) and child.parent == self else None

    def entries(self, position: int) -> Iterator[tuple[bytes, int, FileType, int]]:
        for number, (name, entry) in enumerate(self._directory().all().items(), 1):
            if number > position:
                yield name, ProcInode(self.fs, self, name, entry).ino, entry.type, number

    def readlink(self) -> bytes:
        return self.entry.target() if isinstance(self.entry, ProcLink) else super().readlink()

    def open(self, flags: Flags) -> OpenFile | None:
        if not isinstance(self.entry, ProcText):
            return None
        if flags.writes:
            raise SysError(Errno.EACCES, f"{self!r} cannot be written to")
        return TextFile(self, flags, self.entry.make())

    def _directory(self) -> ProcDirectory:
        if not isinstance(self.entry, ProcDirectory):
            self._no_directory()
        return self.entry


class TextFile(OpenFile):
    """A text that was made when the file was opened. ENOMEM."""

    def __init__(self, inode: ProcInode, flags: Flags, text: bytes) -> None:
        self._text: HeapBox | None = None
        self._mm, self.offset, self.size = inode.fs.mm, 0, len(text)
        try:
            self._text = HeapBox(self._mm, len(text)) if text else None
        except NoMemory as why:
            raise SysError(Errno.ENOMEM, str(why)) from None
        if self._text is not None:
            self._text.write(0, text)
        super().__init__(flags, inode)

    def _read(self, writer: AnyVmWriter) -> int:
        done = self.pread(self.offset, writer)
        self.offset += done
        return done

    def pread(self, offset: int, writer: AnyVmWriter) -> int:
        self.require_readable()
        if not 0 <= require_offset(offset) < self.size or self._text is None:
            return 0
        done, fault = transfer(VmReader.from_kernel_space(self._mm, self._text.address, self.size).skip(offset), writer)
        if fault is not None and not done:
            raise fault
        return done

    def seek(self, offset: int, whence: Whence) -> int:
        if whence not in (Whence.SET, Whence.CUR, Whence.END):
            raise SysError(Errno.EINVAL, f"whence {whence}")
        self.offset = require_offset(offset + (0, self.offset, self.size)[whence])
        return self.offset

    def released(self) -> None:
        if self._text is not None:
            self._text.drop()
            self._text = None
