"""What the RamFS keeps on the kernel heap besides contents: the super block, and a record for each inode.

        SuperBlock ── newest ──► InodeRecord ──► … ──► the oldest
             └─────── root ────► InodeRecord (directory) ── contents ──► entries with addresses of InodeRecords

Addresses are kernel virtual, in the linear mapping; 0 is none.
"""

from __future__ import annotations

from kernel.mm.fields import Nested, Struct, u32, u64

from .file_data import FileState

MAGIC = 0x5346_4d41_5254_5748  # "HWTRAMFS"


class SuperBlock(Struct):
    """The file system itself. `storage` is the number of the Storage of regular files."""

    magic = u64()
    storage = u64()
    next_ino = u64()
    inodes = u64()
    newest = u64()
    root = u64()


class InodeRecord(Struct):
    """An inode. `mode` has its type, `holders` counts those who keep it open, times are ns since the epoch.

    `parent` is a directory's parent. The list of all inodes goes through `newer` and `older`.
    """

    ino = u64()
    mode = u32()
    nlink = u32()
    uid = u32()
    gid = u32()
    holders = u64()
    rdev = u64()
    contents = Nested(FileState)
    atime = u64()
    mtime = u64()
    ctime = u64()
    parent = u64()
    newer = u64()
    older = u64()


CONTENTS = InodeRecord.contents.offset
