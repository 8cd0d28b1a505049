"""What programs do with paths: the system calls on names, one method each (Linux's `do_mkdirat`, …).

Errors are SysErrors, as the manual pages of the calls have them; nothing is changed then. Everybody is root:
permissions keep nobody from anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.errno import Errno, SysError

from .device import NODES, Devices
from .inode import FileSystem, Inode
from .namespace import Found, Namespace, Place
from .open_file import DirectoryFile, Flags, OpenFile, PathFile, RegularFile
from .pipe import Pipes
from .stat import FileType

if TYPE_CHECKING:
    from kernel.mm.context import Mm

RENAME_NOREPLACE: Final = 1
CREATABLE = (FileType.REGULAR, FileType.CHARACTER, FileType.BLOCK, FileType.FIFO, FileType.SOCKET)


class Vfs(Namespace):
    """The tree of files that begins with `fs`, and everything that opening a file of it needs."""

    def __init__(self, mm: Mm, fs: FileSystem) -> None:
        super().__init__(fs)
        self.devices, self.pipes = Devices(), Pipes(mm)

    @property
    def place(self) -> Place:
        """Where the first process begins."""
        return Place(self.root, self.root)

    # --- opening ----------------------------------------------------------------------------------------------

    def open(self, place: Place, path: bytes, flags: Flags = Flags.RDONLY, mode: int = 0o666) -> OpenFile:
        """Open a file, made with `mode` if there is none and Flags.CREAT says so. A FIFO may have to wait (`ready`)."""
        if flags & Flags.PATH:
            flags &= Flags.PATH | Flags.DIRECTORY | Flags.NOFOLLOW
        if flags & Flags.TMPFILE == Flags.TMPFILE:
            raise SysError(Errno.ENOTSUP, "O_TMPFILE")
        if flags & Flags.CREAT and flags & Flags.DIRECTORY:
            raise SysError(Errno.EINVAL, "O_CREAT makes no directory")
        exclusive = bool(flags & Flags.CREAT and flags & Flags.EXCL)
        found = self.walk(place, path, follow=not (exclusive or flags & Flags.NOFOLLOW))
        if not flags & Flags.CREAT:
            inode = found.require()
        elif found.slash and found.is_entry:
            raise SysError(Errno.EISDIR, repr(path))
        elif found.inode is not None and exclusive:
            raise SysError(Errno.EEXIST, repr(path))
        elif found.inode is not None and found.inode.is_directory:
            raise SysError(Errno.EISDIR, "a directory cannot be opened with O_CREAT")
        elif found.inode is None:
            return self.open_inode(found.parent.create(found.name, FileType.REGULAR, mode), flags)
        else:
            inode = found.inode
        if flags & Flags.DIRECTORY and not inode.is_directory:
            raise SysError(Errno.ENOTDIR, repr(path))
        file = self.open_inode(inode, flags)
        if flags & Flags.TRUNC and isinstance(file, RegularFile):  # even if only to be read
            inode.resize(0)
        return file

    def open_inode(self, inode: Inode, flags: Flags) -> OpenFile:
        """An open file of an inode, as its type wants it. ENXIO, EISDIR, ELOOP."""
        if flags & Flags.PATH:
            return PathFile(flags, inode)
        if (special := inode.open(flags)) is not None:
            return special
        match inode.type:
            case FileType.DIRECTORY:
                if flags.writes or flags & Flags.TRUNC:
                    raise SysError(Errno.EISDIR, "a directory cannot be written to, or cut off")
                return DirectoryFile(flags, inode)
            case FileType.SYMLINK:
                raise SysError(Errno.ELOOP, "a symbolic link, which is not to be followed")
            case FileType.CHARACTER:
                return self.devices.open(inode, flags)
            case FileType.FIFO:
                return self.pipes.open(inode, flags)
            case FileType.REGULAR:
                return RegularFile(flags, inode)
        raise SysError(Errno.ENXIO, f"nothing is behind a {inode.type.name.lower()}")

    def add_devices(self) -> None:
        """Have /dev, and the nodes of the kernel's own devices in it that are not there yet."""
        if self.walk(self.place, b"/dev", follow=True).inode is None:
            self.mkdir(self.place, b"/dev", 0o755)
        for name, number in NODES.items():
            if self.walk(self.place, b"/dev/" + name, follow=False).inode is None:
                self.mknod(self.place, b"/dev/" + name, FileType.CHARACTER.mode | 0o666, number)

    # --- names ------------------------------------------------------------------------------------------------

    def mkdir(self, place: Place, path: bytes, mode: int = 0o777) -> Inode:
        """Make a directory."""
        found = self._absent(place, path, directory=True)
        return found.parent.create(found.name, FileType.DIRECTORY, mode)

    def mknod(self, place: Place, path: bytes, mode: int, rdev: int = 0) -> Inode:
        """Make a file of the type that `mode` has, a regular one if none. EPERM for directories, EINVAL."""
        try:
            kind = FileType.of(mode or FileType.REGULAR.mode) if mode >> 12 else FileType.REGULAR
        except ValueError:
            raise SysError(Errno.EINVAL, f"mode {mode:#o}") from None
        if kind not in CREATABLE:
            raise SysError(Errno.EPERM if kind is FileType.DIRECTORY else Errno.EINVAL, f"mode {mode:#o}")
        found = self._absent(place, path)
        return found.parent.create(found.name, kind, mode, rdev=rdev)

    def symlink(self, target: bytes, place: Place, path: bytes) -> Inode:
        """Make a symbolic link to `target`, whatever that is."""
        if not target:
            raise SysError(Errno.ENOENT, "an empty target")
        found = self._absent(place, path)
        return found.parent.create(found.name, FileType.SYMLINK, 0o777, target=target)

    def link(self, place: Place, path: bytes, new_place: Place, new_path: bytes, follow: bool = False) -> None:
        """Give a file one more name."""
        inode = self.resolve(place, path, follow)
        found = self._absent(new_place, new_path)
        if inode.fs is not found.parent.fs:
            raise SysError(Errno.EXDEV, "two file systems")
        if inode.is_directory:
            raise SysError(Errno.EPERM, "a directory has one name only")
        found.parent.link(found.name, inode)

    def unlink(self, place: Place, path: bytes) -> None:
        """Take a name away; the file goes with its last name, or when nobody has it open any more."""
        found = self.walk(place, path, follow=False, entry=True)
        inode = found.require()
        if inode.is_directory or not found.is_entry:
            raise SysError(Errno.EISDIR, repr(path))
        found.parent.unlink(found.name)

    def rmdir(self, place: Place, path: bytes) -> None:
        """Take an empty directory away."""
        found = self.walk(place, path, follow=False, entry=True)
        inode = found.require()
        if not inode.is_directory:
            raise SysError(Errno.ENOTDIR, repr(path))
        if not found.is_entry:
            errno = {b".": Errno.EINVAL, b"..": Errno.ENOTEMPTY, b"": Errno.EBUSY}[found.name]
            raise SysError(errno, repr(path))
        if self._is_busy(inode, place):
            raise SysError(Errno.EBUSY, "a file system is mounted there")
        found.parent.rmdir(found.name)

    def rename(self, place: Place, path: bytes, new_place: Place, new_path: bytes, flags: int = 0) -> None:
        """Move a file or directory; what has the new name is replaced, unless RENAME_NOREPLACE forbids it."""
        if flags & ~RENAME_NOREPLACE:
            raise SysError(Errno.EINVAL, f"flags {flags:#x}")
        old = self.walk(place, path, follow=False, entry=True)
        new = self.walk(new_place, new_path, follow=False, entry=True)
        if not old.is_entry or not new.is_entry:
            raise SysError(Errno.EBUSY, "the path ends with a way to a directory, not with a name")
        inode = old.require()
        if new.slash and not inode.is_directory:
            raise SysError(Errno.ENOTDIR, repr(new_path))
        if new.inode is not None and flags & RENAME_NOREPLACE:
            raise SysError(Errno.EEXIST, repr(new_path))
        if old.parent.fs is not new.parent.fs:
            raise SysError(Errno.EXDEV, "two file systems")
        if self._is_busy(inode, place) or new.inode is not None and self._is_busy(new.inode, new_place):
            raise SysError(Errno.EBUSY, "a file system is mounted there")
        old.parent.rename(old.name, new.parent, new.name)

    def _absent(self, place: Place, path: bytes, directory: bool = False) -> Found:
        """Where a path leads that nothing is at yet. EEXIST; ENOENT for a name that only a directory could have."""
        found = self.walk(place, path, follow=False, entry=True)
        if found.inode is not None or not found.is_entry:
            raise SysError(Errno.EEXIST, repr(path))
        if found.slash and not directory:
            raise SysError(Errno.ENOENT, repr(path))
        return found

    def _is_busy(self, inode: Inode, place: Place) -> bool:
        return self.is_mount_point(inode) or inode in self._on or inode is place.root
