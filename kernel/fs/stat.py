"""What a program can ask about a file and a file system: the structs `stat` and `statfs` of RISC-V Linux.

Layouts: asm-generic/stat.h (128 bytes) and asm-generic/statfs.h (120 bytes), 64 bits.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

BLOCK = 4096
"""Bytes that are read or written best together (st_blksize)."""
NAME_MAX = 255
"""Bytes of the longest name in a directory."""
PATH_MAX = 4096
"""Bytes of the longest path, its NUL included."""
MODE_MASK = 0o7777
"""The part of a mode that is permissions, set-id bits and the sticky bit."""
NS_PER_SECOND = 10**9
_STAT = struct.Struct("<QQIIIIQQqiiq6qII")
_STATFS = struct.Struct("<7Q2i2Q5Q")


class FileType(IntEnum):
    """What an inode is: bits 12 to 15 of a mode (S_IFMT), and a directory entry's type (DT_…)."""

    FIFO = 1
    CHARACTER = 2
    DIRECTORY = 4
    BLOCK = 6
    REGULAR = 8
    SYMLINK = 10
    SOCKET = 12

    @classmethod
    def of(cls, mode: int) -> FileType:
        """The type that is in a mode; ValueError if there is none."""
        return cls(mode >> 12 & 0xF)

    @property
    def mode(self) -> int:
        """The type's bits of a mode."""
        return self << 12


def device_number(major: int, minor: int) -> int:
    """The number of a device, as a program sees it (makedev)."""
    return (minor & 0xFF) | (major & 0xFFF) << 8 | (minor & ~0xFF) << 12


@dataclass(frozen=True, slots=True)
class Stat:
    """What there is to know about a file; times in ns since the epoch, sizes in bytes."""

    device: int
    ino: int
    mode: int
    nlink: int
    uid: int = 0
    gid: int = 0
    rdev: int = 0
    size: int = 0
    allocated: int = 0
    """Bytes of memory that the contents take."""
    atime: int = 0
    mtime: int = 0
    ctime: int = 0

    def to_bytes(self) -> bytes:
        """The `struct stat`."""
        times = [part for time in (self.atime, self.mtime, self.ctime) for part in divmod(time, NS_PER_SECOND)]
        return _STAT.pack(self.device, self.ino, self.mode, self.nlink, self.uid, self.gid, self.rdev, 0, self.size,
                          BLOCK, 0, -(-self.allocated // 512), *times, 0, 0)


@dataclass(frozen=True, slots=True)
class StatFs:
    """What there is to know about a file system; blocks are BLOCK bytes. `magic` says which it is (linux/magic.h)."""

    magic: int
    blocks: int = 0
    free: int = 0
    files: int = 0
    files_free: int = 0
    device: int = 0

    def to_bytes(self) -> bytes:
        """The `struct statfs`."""
        return _STATFS.pack(self.magic, BLOCK, self.blocks, self.free, self.free, self.files, self.files_free,
                            self.device & 0x7FFF_FFFF, 0, NAME_MAX, BLOCK, 0, 0, 0, 0, 0)
