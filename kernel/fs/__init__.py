"""Files: the RamFS on the kernel's memory, and what programs open, list, pipe and name (Linux's VFS).

        descriptors ──► OpenFile ──► Inode ◄── entries ── directories ◄── Vfs: mounts, paths
                          │            │
                          │            ├── RamFs      records, names, contents: all in emulated memory
                          │            └── ProcFs     texts that are made when they are opened
                          └── pipes, devices, the console

    vfs = Vfs(kernel.mm, RamFs.create(kernel.mm, Storage.FRAMES))
    unpack_initramfs(kernel.mm, kernel.early_info.initramfs, vfs)
    file = vfs.open(vfs.place, b"/hello", Flags.CREAT | Flags.RDWR)

What a user program causes raises kernel.errno.SysError, with Linux's errno; operations that wait raise
WouldBlock (kernel.fs.wait). Names are bytes. `Vfs.pipes`, `RamFs` and `FileData` say in `frames()` and
`objects()` what they hold without a handle, for kernel.mm.check.
"""

from .console import Console
from .cpio import ArchiveError
from .initramfs import unpack_initramfs
from .inode import FileSystem, Inode
from .namespace import Place
from .open_file import Flags, OpenFile, Poll, Whence
from .procfs import ProcDirectory, ProcFs, ProcLink, ProcText
from .ramfs.ramfs import RamFs, Storage
from .stat import FileType, Stat, StatFs, device_number
from .vfs import Vfs
from .wait import WaitQueue, WouldBlock

__all__ = [
    "ArchiveError", "Console", "FileSystem", "FileType", "Flags", "Inode", "OpenFile", "Place", "Poll", "ProcDirectory",
    "ProcFs", "ProcLink", "ProcText", "RamFs", "Stat", "StatFs", "Storage", "Vfs", "WaitQueue", "Whence", "WouldBlock",
    "device_number", "unpack_initramfs",
]
