"""The RamFS: a file system on the kernel's own memory.

    fs = RamFs.create(mm, Storage.FRAMES)
    file = fs.root.create(b"hello", FileType.REGULAR, 0o644)
    file.write_at(0, reader)

Everything is in emulated memory: records, names and links on the heap, contents of regular files there or in
frames. What is freed goes back at once, and `attach` finds all of it again from the super block alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING

from kernel.errno import Errno, SysError
from kernel.errors import CorruptionError, NoMemory
from kernel.fs.inode import FileSystem
from kernel.fs.stat import MODE_MASK, FileType, StatFs
from kernel.mm.fields import Struct
from kernel.mm.layout import Layout
from kernel.mm.paging import PAGE_SIZE

from .directory import RamDirectory
from .file_data import FileData
from .frame_data import FrameData
from .heap_data import HeapData
from .inode import RamFile, RamInode, RamNode, RamSymlink
from .record import MAGIC, InodeRecord, SuperBlock

if TYPE_CHECKING:
    from kernel.mm.context import Mm

RAMFS_MAGIC = 0x8584_58F6
"""f_type of Linux's ramfs (linux/magic.h)."""
SUPER_LAYOUT, INODE_LAYOUT = Layout(SuperBlock.SIZE, 8), Layout(InodeRecord.SIZE, 8)


class Storage(Enum):
    """How contents of regular files are kept."""

    HEAP = "heap"
    """One heap object for each file: `Vec<u8>`."""
    FRAMES = "frames"
    """A frame for each page: `Vec<Frame<()>>`."""

    def data(self, mm: Mm, state: int) -> FileData:
        """The contents with the FileState at physical `state`."""
        return FrameData(mm, state) if self is Storage.FRAMES else HeapData(mm, state)


_STORAGES = tuple(Storage)
_CLASSES: dict[FileType, type[RamInode]] = {
    FileType.REGULAR: RamFile, FileType.DIRECTORY: RamDirectory, FileType.SYMLINK: RamSymlink,
    FileType.CHARACTER: RamNode, FileType.BLOCK: RamNode, FileType.FIFO: RamNode, FileType.SOCKET: RamNode,
}


class RamFs(FileSystem):
    """The file system with the super block at kernel virtual `address`; made by `create` or `attach`.

    `clock()` tells the time in ns since the epoch.
    """

    name = "ramfs"

    def __init__(self, mm: Mm, address: int, clock: Callable[[], int] = lambda: 0) -> None:
        self.mm, self.address, self.clock = mm, address, clock
        self._block = SuperBlock.at(mm.port, mm.vaddr_to_paddr(address))
        self.storage = _STORAGES[self._block.storage]
        self._inodes: dict[int, RamInode] = {}

    @classmethod
    def create(cls, mm: Mm, storage: Storage = Storage.FRAMES, clock: Callable[[], int] = lambda: 0) -> RamFs:
        """A file system with an empty root directory. ENOSPC."""
        address = _alloc(mm, SuperBlock(magic=MAGIC, storage=_STORAGES.index(storage), next_ino=1), SUPER_LAYOUT)
        fs = cls(mm, address, clock)
        try:
            root = fs.new_inode(FileType.DIRECTORY, 0o755)
        except BaseException:
            mm.heap.dealloc(address, SUPER_LAYOUT)
            raise
        root.record.nlink, root.record.parent, fs._block.root = 2, root.address, root.address
        return fs

    @classmethod
    def attach(cls, mm: Mm, address: int, clock: Callable[[], int] = lambda: 0) -> RamFs:
        """The file system that is in memory; nothing is changed. CorruptionError if there is none."""
        block = SuperBlock.at(mm.port, mm.vaddr_to_paddr(address))
        if block.magic != MAGIC or block.storage >= len(_STORAGES):
            raise CorruptionError(f"no RamFS at {address:#x}: magic {block.magic:#x}, storage {block.storage}; "
                                  f"expected {MAGIC:#x} and 0 to {len(_STORAGES) - 1}")
        return cls(mm, address, clock)

    @property
    def root(self) -> RamDirectory:
        root = self.inode(self._block.root)
        assert isinstance(root, RamDirectory)
        return root

    def statfs(self) -> StatFs:
        """All of the machine's memory; what is free of it, files could take. Inodes are as many as there is memory."""
        slots = self.mm.slots
        count = getattr(self.mm.frame_allocator.inner, "load_total_free_size", lambda: 0)
        return StatFs(RAMFS_MAGIC, (slots.max_paddr - slots.first_paddr) // PAGE_SIZE, count() // PAGE_SIZE,
                      self._block.inodes, 0, self.device)

    def drop(self) -> None:
        """Give all memory back, whoever holds inodes; the file system is gone."""
        for inode in list(self.inodes()):
            record = inode.record
            record.nlink = record.holders = record.parent = 0
            inode.free_if_unused()
        self.mm.heap.dealloc(self.address, SUPER_LAYOUT)

    # --- inodes -----------------------------------------------------------------------------------------------

    def inode(self, address: int) -> RamInode:
        """The inode whose record is at `address`; CorruptionError if it cannot be one."""
        inode = self._inodes.get(address)
        if inode is None:
            mode = InodeRecord.at(self.mm.port, self.mm.vaddr_to_paddr(address)).mode
            try:
                kind = FileType.of(mode)
            except ValueError:
                raise CorruptionError(f"no inode at {address:#x}: its mode is {mode:#o}") from None
            inode = self._inodes[address] = _CLASSES[kind](self, address, kind)
        return inode

    def inodes(self) -> Iterator[RamInode]:
        """All inodes, the newest first."""
        address = self._block.newest
        while address:
            inode = self.inode(address)
            address = inode.record.older
            yield inode

    def new_inode(self, kind: FileType, mode: int, rdev: int = 0) -> RamInode:
        """An inode without a name, which the caller gives it, or frees it. ENOSPC."""
        block, now = self._block, self.clock()
        ino, newest = block.next_ino, block.newest
        address = _alloc(self.mm, InodeRecord(ino=ino, mode=kind.mode | mode & MODE_MASK, rdev=rdev, atime=now,
                                              mtime=now, ctime=now, older=newest), INODE_LAYOUT)
        if newest:
            self.inode(newest).record.newer = address
        block.newest, block.next_ino, block.inodes = address, ino + 1, block.inodes + 1
        return self.inode(address)

    def forget(self, inode: RamInode) -> None:
        """Free the record of an inode whose contents are gone."""
        record, block = inode.record, self._block
        newer, older = record.newer, record.older
        if newer:
            self.inode(newer).record.older = older
        else:
            block.newest = older
        if older:
            self.inode(older).record.newer = newer
        block.inodes -= 1
        del self._inodes[inode.address]
        self.mm.heap.dealloc(inode.address, INODE_LAYOUT)

    # --- what it holds ----------------------------------------------------------------------------------------

    def objects(self) -> list[int]:
        """Kernel virtual addresses of all its heap objects."""
        found = [self.address]
        for inode in self.inodes():
            found.append(inode.address)
            if (data := inode.data) is not None:
                found += data.objects()
        return found

    def frames(self) -> list[int]:
        """Physical addresses of all its frames."""
        return [paddr for inode in self.inodes() if inode.data is not None for paddr in inode.data.frames()]


def _alloc(mm: Mm, value: Struct, layout: Layout) -> int:
    """Put a struct on the heap; its address. ENOSPC."""
    try:
        address = mm.heap.alloc(layout)
    except NoMemory as why:
        raise SysError(Errno.ENOSPC, str(why)) from None
    mm.port.write(mm.vaddr_to_paddr(address), value.to_bytes())
    return address
