"""The tree of all files: what is mounted where, and what a path leads to (Linux's fs/namei.c).

        Place(root, base), b"../a/link/b" ── walk ──► Found(parent, name, inode, …)

Sources: path_resolution(7); POSIX.1-2017, 4.13.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from kernel.errno import Errno, SysError

from .inode import FileSystem, Inode
from .stat import NAME_MAX, PATH_MAX, FileType, device_number

MAX_LINKS = 40
"""Symbolic links that one path may lead through."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where paths begin: absolute ones at `root`, others at `base` (a working directory, or a descriptor's)."""

    root: Inode
    base: Inode


@dataclass(frozen=True, slots=True)
class Found:
    """Where a path's last name leads: `inode` is what is there, None if nothing.

    `name` is "." or ".." if the path ends so, empty for the root; `slash` tells that a directory must be meant.
    """

    parent: Inode
    name: bytes
    inode: Inode | None
    slash: bool

    def require(self) -> Inode:
        """What is there; ENOENT, or ENOTDIR if the path ends with a slash and it is no directory."""
        if self.inode is None:
            raise SysError(Errno.ENOENT, repr(self.name))
        if self.slash and not self.inode.is_directory:
            raise SysError(Errno.ENOTDIR, repr(self.name))
        return self.inode

    @property
    def is_entry(self) -> bool:
        """Whether the path ends with a name, and not with a way to a directory."""
        return self.name not in (b"", b".", b"..")


class Namespace:
    """The tree that begins with the root directory of `fs`."""

    def __init__(self, fs: FileSystem) -> None:
        self._mounted: dict[Inode, Inode] = {}
        self._on: dict[Inode, Inode] = {}
        self._devices = 0
        self.root = self._take(fs)

    # --- mounts -----------------------------------------------------------------------------------------------

    def mount(self, directory: Inode, fs: FileSystem) -> None:
        """Have the file system in the place of a directory. ENOTDIR, EBUSY if one is there already."""
        if not directory.is_directory:
            raise SysError(Errno.ENOTDIR, "only a directory can be mounted on")
        if self.is_mount_point(directory) or directory in self._on or directory is self.root:
            raise SysError(Errno.EBUSY, "a file system is mounted there")
        directory.hold()
        root = self._take(fs)
        self._mounted[directory], self._on[root] = root, directory

    def unmount(self, root: Inode) -> None:
        """Take a mounted file system away, given by its root directory. EINVAL if it is none."""
        directory = self._on.pop(root, None)
        if directory is None:
            raise SysError(Errno.EINVAL, "nothing is mounted there")
        del self._mounted[directory]
        root.release()
        directory.release()

    def is_mount_point(self, inode: Inode) -> bool:
        """Whether a file system is mounted on it."""
        return inode in self._mounted

    def file_systems(self) -> list[tuple[bytes, FileSystem]]:
        """The file systems and the paths where they are, the root's first."""
        return [(b"/", self.root.fs), *((self.path_of(root), root.fs) for root in self._on)]

    def _take(self, fs: FileSystem) -> Inode:
        self._devices += 1
        fs.device = device_number(0, self._devices)
        root = fs.root
        root.hold()
        return root

    # --- up and down ------------------------------------------------------------------------------------------

    def down(self, inode: Inode) -> Inode:
        """What one sees at `inode`: the root of what is mounted there."""
        while (root := self._mounted.get(inode)) is not None:
            inode = root
        return inode

    def up(self, inode: Inode, root: Inode) -> Inode:
        """The directory above a directory; `root` is above itself."""
        while inode is not root:
            below = self._on.get(inode)
            if below is None:
                return self.down(inode.parent)
            inode = below
        return inode

    def path_of(self, directory: Inode, root: Inode | None = None) -> bytes:
        """The path of a directory from `root` on. ENOENT if it is not below it any more."""
        root = self.root if root is None else root
        names: list[bytes] = []
        while directory is not root:
            child = directory
            while (below := self._on.get(child)) is not None:
                child = below
            name = child.parent.name_of(child) if child.parent is not child else None
            if name is None:
                raise SysError(Errno.ENOENT, "the directory has no path from the root")
            names.append(name)
            directory = self.up(directory, root)
        return b"/" + b"/".join(reversed(names))

    # --- paths ------------------------------------------------------------------------------------------------

    def resolve(self, place: Place, path: bytes, follow: bool = True) -> Inode:
        """What a path leads to; a symbolic link at its end is gone through if `follow`, or if a slash is behind it.

        ENOENT, ENOTDIR, ENAMETOOLONG, ELOOP.
        """
        return self.walk(place, path, follow).require()

    def walk(self, place: Place, path: bytes, follow: bool, *, entry: bool = False) -> Found:
        """`resolve`, but there need not be anything under the path's last name.

        With `entry`, that name's entry is meant, to be made or taken away: even with a slash behind it, a
        symbolic link is not gone through.
        """
        if not path:
            raise SysError(Errno.ENOENT, "an empty path")
        if len(path) >= PATH_MAX:
            raise SysError(Errno.ENAMETOOLONG, f"a path of {len(path)} bytes; expected fewer than {PATH_MAX}")
        current = self.down(place.root if path.startswith(b"/") else place.base)
        names, slash, links = _split(path), path.endswith(b"/"), 0
        parent, name, inode = current, b"", current
        while names:
            parent, name = current, names.popleft()
            if not parent.is_directory:
                raise SysError(Errno.ENOTDIR, f"what {name!r} is looked up in")
            if name in (b".", b".."):
                current = inode = self.up(parent, self.down(place.root)) if name == b".." else parent
                continue
            if len(name) > NAME_MAX:
                raise SysError(Errno.ENAMETOOLONG, f"a name of {len(name)} bytes; expected at most {NAME_MAX}")
            there = parent.lookup(name)
            if there is None:
                if names:
                    raise SysError(Errno.ENOENT, repr(name))
                return Found(parent, name, None, slash)
            inode = self.down(there)
            if inode.type is FileType.SYMLINK and (names or follow or slash and not entry):
                links += 1
                if links > MAX_LINKS:
                    raise SysError(Errno.ELOOP, f"more than {MAX_LINKS} symbolic links")
                target = inode.readlink()
                slash |= not names and target.endswith(b"/")
                names.extendleft(reversed(_split(target)))
                if target.startswith(b"/"):
                    current = self.down(place.root)
                inode = current
                if not names:
                    parent, name = current, b""
                continue
            current = inode
        return Found(parent, name, inode, slash)


def _split(path: bytes) -> deque[bytes]:
    return deque(name for name in path.split(b"/") if name)
