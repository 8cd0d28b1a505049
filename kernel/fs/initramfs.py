"""The initramfs: the archive that the device tree announces, unpacked into the root file system, as Linux does it.

    unpack_initramfs(kernel.mm, kernel.early_info.initramfs, vfs)

A name that is there already is replaced by what the archive has; directories stay, with the new mode.
Directories that the archive does not mention, but has files in, are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.errno import Errno, SysError
from kernel.mm.io.reader import VmReader

from .cpio import ArchiveError, Entry, Source, parse
from .inode import Inode
from .namespace import Found
from .stat import NS_PER_SECOND, FileType
from .vfs import Vfs

if TYPE_CHECKING:
    from kernel.mm.context import Mm

MAX_UNCOMPRESSED: Final = 1 << 30
"""Bytes that compressed archives may have uncompressed, in all: they are on the host until they are unpacked."""


def memory_source(mm: Mm, start: int, end: int) -> Source:
    """The guest's RAM from physical `start` to `end`, as a source of archives."""
    base = mm.paddr_to_vaddr(start)
    size = end - start
    return Source("initramfs", size, lambda offset, length: mm.port.read(start + offset, min(length, size - offset)),
                  lambda offset, length: VmReader.from_kernel_space(mm, base + offset, length))


def unpack_initramfs(mm: Mm, where: tuple[int, int] | None, vfs: Vfs) -> int:
    """Unpack the archives in the RAM at `where` (start, end); how many entries, 0 if there is no initramfs.

    ArchiveError for damaged ones: nothing is unpacked then. SysError if there is no room, or two names are at odds;
    what came before is there then.
    """
    if where is None:
        return 0
    return unpack(memory_source(mm, *where), min(mm.slots.max_paddr - mm.slots.first_paddr, MAX_UNCOMPRESSED), vfs)


def unpack(source: Source, limit: int, vfs: Vfs) -> int:
    """Unpack all archives of `source`; see `unpack_initramfs`. At most `limit` bytes are uncompressed."""
    entries = list(parse(source, limit))
    links: dict[tuple[int, ...], Inode] = {}
    for entry in entries:
        try:
            _unpack(vfs, entry, links)
        except SysError as why:
            raise SysError(why.errno, f"{source.name}: {entry.name!r}: {why}") from None
    # From the end, so that the time of a directory is set after what is in it.
    for entry in reversed(entries):
        if entry.type is not FileType.SYMLINK and (path := entry.name.strip(b"/")):
            try:
                vfs.resolve(vfs.place, path, follow=False).set_times(None, entry.mtime * NS_PER_SECOND)
            except SysError:
                continue  # it was replaced by something else
    return len(entries)


def _unpack(vfs: Vfs, entry: Entry, links: dict[tuple[int, ...], Inode]) -> None:
    found = _place(vfs, entry.name)
    inode = found.inode
    if entry.type is FileType.DIRECTORY:
        if inode is not None and not inode.is_directory:
            found.parent.unlink(found.name)
            inode = None
        if inode is None:
            inode = found.parent.create(found.name, FileType.DIRECTORY, entry.mode)
    else:
        first = links.get(entry.link) if entry.link is not None else None
        if inode is not None and (first is None or inode is not first):
            if not found.is_entry:
                raise SysError(Errno.EISDIR, "no file can have that name")
            (found.parent.rmdir if inode.is_directory else found.parent.unlink)(found.name)
            inode = None
        if first is not None:
            if inode is None:
                found.parent.link(found.name, first)
            inode = first
        else:
            target = bytes(entry.contents().read_bytes(entry.size)) if entry.type is FileType.SYMLINK else b""
            inode = found.parent.create(found.name, entry.type, entry.mode, rdev=entry.rdev, target=target)
            if entry.link is not None:
                links[entry.link] = inode
        if entry.type is FileType.REGULAR and entry.size:
            inode.resize(0)
            inode.write_at(0, entry.contents())
    inode.chown(entry.uid, entry.gid)
    inode.chmod(entry.mode)


def _place(vfs: Vfs, name: bytes) -> Found:
    """Where an entry's name leads from the root; directories on the way that are missing are made."""
    path = name.strip(b"/") or b"."
    directory, place = b"", vfs.place
    for part in path.split(b"/")[:-1]:
        directory += part + b"/"
        found = vfs.walk(place, directory, follow=True)
        if found.inode is None:
            found.parent.create(found.name, FileType.DIRECTORY, 0o755)
    return vfs.walk(place, path, follow=False)


__all__ = ["ArchiveError", "memory_source", "unpack", "unpack_initramfs"]
