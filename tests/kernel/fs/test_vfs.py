"""Paths, open files and the tree: what programs rely on, and the RamFS found again in memory alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kernel.errno import Errno, SysError
from kernel.errors import CorruptionError, KernelPanic, UseAfterMove
from kernel.fs.inode import Inode
from kernel.fs.namespace import MAX_LINKS, Place
from kernel.fs.open_file import DirectoryFile, Flags, OpenFile, Whence
from kernel.fs.ramfs.directory import RamDirectory
from kernel.fs.ramfs.inode import RamFile
from kernel.fs.ramfs.ramfs import RamFs, Storage
from kernel.fs.stat import FileType, Stat, StatFs
from kernel.fs.vfs import Vfs
from kernel.mm import PAGE_SIZE, Mm, VmReader, VmWriter

from .conftest import UserPages, check_vfs, free_memory
from .test_like_linux import names_in


def fs_of(vfs: Vfs) -> RamFs:
    fs = vfs.root.fs
    assert isinstance(fs, RamFs)
    return fs


def make(vfs: Vfs, path: bytes, what: bytes = b"", flags: Flags = Flags.RDWR) -> OpenFile:
    file = vfs.open(vfs.place, path, flags | Flags.CREAT)
    assert file.write(VmReader.from_slice(what)) == len(what)
    return file


def read(file: OpenFile, size: int = 1 << 16) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[:file.read(VmWriter.from_slice(buffer))])


def fails(errno: Errno, act: object, *args: object, **options: object) -> None:
    with pytest.raises(SysError) as failed:
        act(*args, **options)  # type: ignore[operator]
    assert failed.value.errno is errno, failed.value


# --- paths ---------------------------------------------------------------------------------------------------


def test_links_up_to_the_root_and_absolute_ones_stay_inside(vfs: Vfs) -> None:
    place = vfs.place
    for path in b"a", b"a/b", b"c":
        vfs.mkdir(place, path)
    make(vfs, b"c/file", b"text").close()
    for target, name in (b"../../../../../c", b"a/b/up"), (b"/c/file", b"a/absolute"), (b"..", b"a/b/parent"):
        vfs.symlink(target, place, name)
    assert vfs.resolve(place, b"a/b/up/file") is vfs.resolve(place, b"c/file")
    assert vfs.resolve(place, b"a/b/parent/absolute") is vfs.resolve(place, b"c/file")
    jail = Place(vfs.resolve(place, b"a"), vfs.resolve(place, b"a/b"))
    assert vfs.resolve(jail, b"../../..") is vfs.resolve(place, b"a")
    fails(Errno.ENOENT, vfs.resolve, jail, b"/absolute")
    fails(Errno.ENOENT, vfs.resolve, jail, b"up/file")
    fails(Errno.ENOTDIR, vfs.resolve, place, b"a/absolute/x")
    fails(Errno.ENOTDIR, vfs.resolve, place, b"a/absolute/")
    assert vfs.path_of(vfs.resolve(place, b"a/b/parent/b")) == b"/a/b"
    assert vfs.path_of(vfs.root) == b"/"


def test_loops_of_links_and_too_many_of_them(vfs: Vfs) -> None:
    place = vfs.place
    vfs.symlink(b"loop", place, b"loop")
    fails(Errno.ELOOP, vfs.resolve, place, b"loop")
    assert vfs.resolve(place, b"loop", follow=False).type is FileType.SYMLINK
    make(vfs, b"0").close()
    for number in range(MAX_LINKS + 1):
        vfs.symlink(b"%d" % number, place, b"%d" % (number + 1))
    assert vfs.resolve(place, b"%d" % MAX_LINKS).type is FileType.REGULAR
    fails(Errno.ELOOP, vfs.resolve, place, b"%d" % (MAX_LINKS + 1))
    fails(Errno.ELOOP, vfs.open, place, b"1", Flags.NOFOLLOW)


def test_names_and_paths_of_every_length(vfs: Vfs) -> None:
    place = vfs.place
    make(vfs, b"n" * 255).close()
    assert vfs.resolve(place, b"n" * 255).type is FileType.REGULAR
    fails(Errno.ENAMETOOLONG, vfs.open, place, b"n" * 256, Flags.CREAT)
    fails(Errno.ENAMETOOLONG, vfs.resolve, place, b"n" * 256)
    assert vfs.resolve(place, b"/" * 4095) is vfs.root
    fails(Errno.ENAMETOOLONG, vfs.resolve, place, b"/" * 4096)
    fails(Errno.ENOENT, vfs.resolve, place, b"")
    fails(Errno.EINVAL, vfs.mkdir, place, b"nul\0byte")


def test_a_mounted_file_system_hides_the_directory_and_is_left_by_dot_dot(vfs: Vfs, mm: Mm) -> None:
    place = vfs.place
    vfs.mkdir(place, b"mnt")
    vfs.mkdir(place, b"mnt/below")
    other = RamFs.create(mm, Storage.HEAP)
    vfs.mount(vfs.resolve(place, b"mnt"), other)
    assert vfs.resolve(place, b"mnt") is other.root and vfs.resolve(place, b"mnt/..") is vfs.root
    fails(Errno.ENOENT, vfs.resolve, place, b"mnt/below")
    make(vfs, b"mnt/inside").close()
    make(vfs, b"outside").close()
    assert vfs.resolve(place, b"outside").stat().device != vfs.resolve(place, b"mnt/inside").stat().device
    fails(Errno.EXDEV, vfs.rename, place, b"outside", place, b"mnt/outside")
    fails(Errno.EXDEV, vfs.link, place, b"outside", place, b"mnt/outside")
    fails(Errno.EBUSY, vfs.rmdir, place, b"mnt")
    fails(Errno.EBUSY, vfs.rename, place, b"mnt", place, b"elsewhere")
    fails(Errno.EBUSY, vfs.mount, other.root, other)
    assert vfs.path_of(vfs.mkdir(place, b"mnt/d")) == b"/mnt/d"
    assert [path for path, _ in vfs.file_systems()] == [b"/", b"/mnt"]
    vfs.unmount(other.root)
    fails(Errno.EINVAL, vfs.unmount, other.root)
    assert vfs.resolve(place, b"mnt/below").is_directory
    other.drop()


# --- open files -------------------------------------------------------------------------------------------------


def test_descriptors_of_one_open_file_share_its_offset(vfs: Vfs) -> None:
    file = make(vfs, b"f", b"0123456789")
    again = file.dup()
    other = vfs.open(vfs.place, b"f")
    assert again is file and file.seek(2, Whence.SET) == 2
    assert read(file, 3) == b"234" and read(again, 3) == b"567" and read(other, 3) == b"012"
    file.close()
    assert read(again, 9) == b"89"
    again.close()
    with pytest.raises(KernelPanic):
        again.close()
    other.close()


def test_appending_seeking_and_what_is_not_allowed(vfs: Vfs) -> None:
    file = make(vfs, b"f", b"abc", Flags.WRONLY | Flags.APPEND)
    file.seek(0, Whence.SET)
    file.write(VmReader.from_slice(b"def"))
    assert file.pwrite(0, VmReader.from_slice(b"g")) == 1  # appends, too, as Linux does
    fails(Errno.EBADF, read, file)
    file.close()
    file = vfs.open(vfs.place, b"f")
    assert read(file) == b"abcdefg"
    assert file.seek(-2, Whence.END) == 5 and file.seek(10, Whence.CUR) == 15 and read(file) == b""
    fails(Errno.EINVAL, file.seek, -16, Whence.CUR)
    fails(Errno.EINVAL, file.seek, (1 << 63) - 1, Whence.END)
    assert file.seek(3, Whence.DATA) == 3 and file.seek(3, Whence.HOLE) == 7
    fails(Errno.ENXIO, file.seek, 7, Whence.DATA)
    fails(Errno.EBADF, file.write, VmReader.from_slice(b"x"))
    fails(Errno.EINVAL, file.truncate, 0)
    fails(Errno.EINVAL, file.pread, -1, VmWriter.from_slice(bytearray(1)))
    fails(Errno.ENOTDIR, file.getdents, VmWriter.from_slice(bytearray(100)))
    file.set_flags(Flags.APPEND | Flags.RDWR | Flags.CREAT)
    assert file.flags == Flags.APPEND
    file.close()
    path = vfs.open(vfs.place, b"f", Flags.PATH | Flags.RDWR)
    for act in (lambda: read(path), lambda: path.write(VmReader.from_slice(b"x")), lambda: path.seek(0, Whence.SET),
                lambda: path.truncate(0)):
        fails(Errno.EBADF, act)
    assert path.stat().size == 7
    path.close()


def test_a_count_that_is_larger_than_what_can_be_read_does_not_take_memory(vfs: Vfs, mm: Mm, user: UserPages) -> None:
    """write(fd, buffer, 1 GiB) with one page behind the buffer."""
    user.map(0)
    file, free = make(vfs, b"f"), free_memory(mm)
    assert file.write(user.reader(0, 1 << 30)) == PAGE_SIZE
    assert free_memory(mm) >= free - 2 * PAGE_SIZE
    fails(Errno.EFAULT, file.write, user.reader(PAGE_SIZE, 1 << 30))
    assert file.stat().size == PAGE_SIZE
    file.close()


def test_a_write_that_memory_ends_in_is_as_long_as_what_was_written(vfs: Vfs, mm: Mm) -> None:
    file = make(vfs, b"f")
    data = bytes(range(256)) * (1 << 17)  # 32 MiB, which is all memory
    done = file.write(VmReader.from_slice(data))
    assert 0 < done < len(data) and done % (1 << 20) == 0
    fails(Errno.ENOSPC, file.write, VmReader.from_slice(data))
    check_vfs(vfs)
    assert file.stat().size == done
    file.seek(done - 5, Whence.SET)
    assert read(file) == data[done - 5:done]
    assert file.inode is not None and file.inode.read_bytes(done - 5, 1 << 40) == data[done - 5:done]
    file.close()


def test_a_file_without_a_name_lives_until_it_is_closed(vfs: Vfs, mm: Mm) -> None:
    free = free_memory(mm)
    file = make(vfs, b"f", b"x" * 50_000)
    inode = file.inode
    vfs.unlink(vfs.place, b"f")
    assert file.stat().nlink == 0 and file.stat().size == 50_000
    file.seek(0, Whence.SET)
    assert read(file) == b"x" * 50_000
    check_vfs(vfs)
    file.close()
    assert free_memory(mm) == free
    assert isinstance(inode, RamFile)
    with pytest.raises(UseAfterMove):
        inode.stat()
    with pytest.raises(UseAfterMove):
        inode.read_at(0, VmWriter.from_slice(bytearray(1)))


def test_a_removed_directory_that_somebody_is_in(vfs: Vfs) -> None:
    place = vfs.place
    vfs.mkdir(place, b"a")
    inner = vfs.mkdir(place, b"a/b")
    inner.hold()
    here = Place(vfs.root, inner)
    vfs.rmdir(place, b"a/b")
    vfs.rmdir(place, b"a")
    check_vfs(vfs)
    fails(Errno.ENOENT, vfs.mkdir, here, b"c")
    fails(Errno.ENOENT, vfs.open, here, b"c", Flags.CREAT)
    fails(Errno.ENOENT, vfs.path_of, inner)
    assert vfs.resolve(here, b"../..") is vfs.root
    file = vfs.open(here, b".")
    fails(Errno.ENOENT, file.getdents, VmWriter.from_slice(bytearray(100)))
    file.close()
    inner.release()
    assert len(list(fs_of(vfs).inodes())) == 1


# --- directories ----------------------------------------------------------------------------------------------------


def test_a_listing_goes_on_while_names_come_and_go(vfs: Vfs) -> None:
    """As rm -r does: what was there all the time is listed once."""
    place = vfs.place
    names = [b"%d" % number * (number % 7 + 1) for number in range(200)]
    for name in names:
        make(vfs, name).close()
    file = vfs.open(place, b".")
    assert isinstance(file, DirectoryFile)
    listed: list[bytes] = []
    buffer = bytearray(300)
    while size := file.getdents(VmWriter.from_slice(buffer)):
        at, seen = 0, []
        while at < size:
            length = int.from_bytes(buffer[at + 16:at + 18], "little")
            seen.append(bytes(buffer[at + 19:at + length]).split(b"\0")[0])
            at += length
        listed += seen
        for name in seen:
            if name not in (b".", b".."):
                vfs.unlink(place, name)
        make(vfs, b"new" + b"%d" % len(listed)).close()
    assert [name for name in listed if not name.startswith((b".", b"new"))] == names
    file.seek(0, Whence.SET)
    for name in names_in(file):
        vfs.unlink(place, name.encode())
    root = fs_of(vfs).root
    assert root.size == 0 and fs_of(vfs).objects() == [fs_of(vfs).address, root.address]
    file.close()


def test_places_in_a_directory_that_no_entry_begins_at(vfs: Vfs) -> None:
    for name in b"a", b"b" * 50, b"c":
        make(vfs, name).close()
    file = vfs.open(vfs.place, b".")
    whole = names_in(file)
    for position in range(300):
        file.seek(position, Whence.SET)
        buffer = bytearray(1000)
        file.getdents(VmWriter.from_slice(buffer))
    file.seek(0, Whence.SET)
    assert names_in(file) == whole == ["a", "b" * 50, "c"]
    file.seek(1 << 62, Whence.SET)
    assert file.getdents(VmWriter.from_slice(bytearray(100))) == 0
    file.seek(0, Whence.SET)
    fails(Errno.EINVAL, file.getdents, VmWriter.from_slice(bytearray(23)))
    fails(Errno.EISDIR, read, file)
    file.close()
    fails(Errno.EISDIR, vfs.open, vfs.place, b".", Flags.RDWR)


def test_holes_are_used_again_and_joined(vfs: Vfs) -> None:
    place, root = vfs.place, vfs.root
    for number in range(50):
        make(vfs, b"%02d" % number + b"x" * 30).close()
    size = root.size
    for number in range(10, 40):
        vfs.unlink(place, b"%02d" % number + b"x" * 30)
    for number in range(7):
        make(vfs, b"%02d" % number + b"y" * 150).close()
    assert root.size == size
    again = RamFs.attach(fs_of(vfs).mm, fs_of(vfs).address).root
    assert list(again.entries(0)) == list(root.entries(0))


# --- in memory ------------------------------------------------------------------------------------------------------


def tree_of(directory: Inode) -> dict[bytes, object]:
    """All that can be seen of a tree."""
    found: dict[bytes, object] = {b".": directory.stat()}
    for name, ino, kind, _ in directory.entries(0):
        inode = directory.lookup(name)
        assert inode is not None and inode.ino == ino and inode.type is kind
        if inode.is_directory:
            found[name] = tree_of(inode)
        else:
            buffer = bytearray(inode.size)
            if kind is FileType.REGULAR:
                inode.read_at(0, VmWriter.from_slice(buffer))
            found[name] = inode.stat(), inode.readlink() if kind is FileType.SYMLINK else bytes(buffer)
    return found


def test_everything_is_found_again_in_memory_and_goes_on(vfs: Vfs) -> None:
    """A second object for the file system sees the same, and what it changes, the first one's successor sees."""
    place, fs = vfs.place, fs_of(vfs)
    vfs.mkdir(place, b"d")
    make(vfs, b"d/file", b"text" * 5000).close()
    vfs.link(place, b"d/file", place, b"again")
    vfs.symlink(b"d/file", place, b"link")
    vfs.mknod(place, b"null", FileType.CHARACTER.mode | 0o666, 0x103)
    make(vfs, b"gone").close()
    vfs.unlink(place, b"gone")
    second = RamFs.attach(fs.mm, fs.address)
    second.device = fs.device
    assert second.storage is fs.storage and tree_of(second.root) == tree_of(fs.root)
    other = Vfs(fs.mm, second)
    second.device = fs.device
    other.rename(other.place, b"d/file", other.place, b"d/renamed")
    make(other, b"new", b"x").close()
    third = RamFs.attach(fs.mm, fs.address)
    third.device = second.device
    assert tree_of(third.root) == tree_of(second.root) and b"new" in tree_of(third.root)
    assert sorted(third.objects()) == sorted(second.objects())
    check_vfs(other)
    fs._inodes.clear()
    assert isinstance(fs.root, RamDirectory)
    vfs.root = fs.root


def test_attaching_to_what_is_no_ramfs(vfs: Vfs) -> None:
    fs = fs_of(vfs)
    with pytest.raises(CorruptionError, match="no RamFS"):
        RamFs.attach(fs.mm, fs.root.address)
    with pytest.raises(CorruptionError, match="no inode"):
        fs.inode(fs.address + 8)


def test_a_directory_that_was_scribbled_over_is_reported(vfs: Vfs) -> None:
    fs = fs_of(vfs)
    make(vfs, b"name").close()
    vfs.root.hold()
    paddr = fs.mm.vaddr_to_paddr(fs.root.data.objects()[0])
    for offset, size, value, message in ((8, 4, 7, "has 7 bytes"), (8, 4, 1 << 20, "entry at offset 0 of 24"),
                                         (12, 2, 99, "a name of 99")):
        before = fs.mm.port.load_sized(paddr + offset, size)
        fs.mm.port.store_sized(paddr + offset, size, value)
        with pytest.raises(CorruptionError, match=message):
            list(RamFs.attach(fs.mm, fs.address).root.entries(0))
        fs.mm.port.store_sized(paddr + offset, size, before)


def test_times_are_the_clocks(mm: Mm) -> None:
    now = [5 * 10**9 + 7]
    fs = RamFs.create(mm, clock=lambda: now[0])
    vfs = Vfs(mm, fs)
    file = make(vfs, b"f")
    now[0] += 10**9
    file.write(VmReader.from_slice(b"x"))
    found = file.stat()
    assert (found.atime, found.mtime, found.ctime) == (5 * 10**9 + 7, 6 * 10**9 + 7, 6 * 10**9 + 7)
    now[0] += 10**9
    file.seek(0, Whence.SET)
    read(file)
    fs.root.lookup(b"f").chmod(0o7123)  # type: ignore[union-attr]
    found = file.stat()
    assert (found.atime, found.mtime, found.ctime) == (7 * 10**9 + 7, 6 * 10**9 + 7, 7 * 10**9 + 7)
    assert found.mode == 0o107123
    fs.root.lookup(b"f").set_times(1, None)  # type: ignore[union-attr]
    fs.root.lookup(b"f").chown(None, 9)  # type: ignore[union-attr]
    assert (file.stat().atime, file.stat().uid, file.stat().gid) == (1, 0, 9)
    file.close()
    fs.drop()


# --- layouts ----------------------------------------------------------------------------------------------------------

PROGRAM = r"""
#include <stddef.h>
#include <stdio.h>
#include <asm-generic/stat.h>
#include <asm-generic/statfs.h>
#define S(f) printf(#f " %zu %zu\n", offsetof(struct stat, st_##f), sizeof(((struct stat *)0)->st_##f))
#define F(f) printf("f_" #f " %zu %zu\n", offsetof(struct statfs, f_##f), sizeof(((struct statfs *)0)->f_##f))
int main(void) {
    S(dev); S(ino); S(mode); S(nlink); S(uid); S(gid); S(rdev); S(size); S(blksize); S(blocks);
    S(atime); S(atime_nsec); S(mtime); S(mtime_nsec); S(ctime); S(ctime_nsec);
    F(type); F(bsize); F(blocks); F(bfree); F(bavail); F(files); F(ffree); F(namelen); F(frsize);
    printf("structs %zu %zu\n", sizeof(struct stat), sizeof(struct statfs));
}
"""


def test_the_structs_are_those_of_linuxs_headers(tmp_path: Path) -> None:
    """RISC-V has the generic ones, whose types have the same sizes on every 64-bit host."""
    compiler = shutil.which("gcc")
    if compiler is None or not Path("/usr/include/asm-generic/statfs.h").exists():
        pytest.skip("a C compiler and Linux's headers are needed (apt install gcc linux-libc-dev)")
    (tmp_path / "layout.c").write_text(PROGRAM)
    subprocess.run([compiler, "-o", tmp_path / "layout", tmp_path / "layout.c"], check=True)
    said = subprocess.run([tmp_path / "layout"], capture_output=True, text=True, check=True).stdout
    fields = {name: (int(at), int(size)) for name, at, size in map(str.split, said.splitlines())}
    stat = Stat(1, 2, 0o100644, 4, 5, 6, 7, 8, 9 * 512, 10 * 10**9 + 11, 12 * 10**9 + 13, 14 * 10**9 + 15).to_bytes()
    statfs = StatFs(16, 17, 18, 19, 20).to_bytes()
    assert fields.pop("structs") == (len(stat), len(statfs))
    values = {"dev": 1, "ino": 2, "mode": 0o100644, "nlink": 4, "uid": 5, "gid": 6, "rdev": 7, "size": 8,
              "blksize": 4096, "blocks": 9, "atime": 10, "atime_nsec": 11, "mtime": 12, "mtime_nsec": 13, "ctime": 14,
              "ctime_nsec": 15, "f_type": 16, "f_bsize": 4096, "f_blocks": 17, "f_bfree": 18, "f_bavail": 18,
              "f_files": 19, "f_ffree": 20, "f_namelen": 255, "f_frsize": 4096}
    for name, (at, size) in fields.items():
        data = statfs if name.startswith("f_") else stat
        assert int.from_bytes(data[at:at + size], "little") == values[name], name
