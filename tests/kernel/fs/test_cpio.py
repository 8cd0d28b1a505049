"""cpio archives: those of GNU cpio and of gzip unpacked as they are, damaged ones refused with the place."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from emulator import Board, Machine
from kernel import Kernel
from kernel.errno import Errno, SysError
from kernel.fs.cpio import ArchiveError, Entry, Source, parse
from kernel.fs.initramfs import unpack, unpack_initramfs
from kernel.fs.ramfs.ramfs import RamFs, Storage
from kernel.fs.stat import FileType, Stat, device_number
from kernel.fs.vfs import Vfs
from kernel.mm import VmWriter

from .conftest import check_vfs, free_memory

LIMIT = 32 << 20
NOISE = random.Random(1).randbytes(200_000)


def header(name: bytes, mode: int, size: int = 0, *, magic: bytes = b"070701", ino: int = 1, nlink: int = 1,
           mtime: int = 0, rdev: tuple[int, int] = (0, 0), check: int = 0) -> bytes:
    numbers = (ino, mode, 0, 0, nlink, mtime, size, 0, 0, *rdev, len(name) + 1, check)
    return magic + b"".join(b"%08x" % number for number in numbers) + name + b"\0"


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def entry(name: bytes, mode: int, contents: bytes = b"", **more: object) -> bytes:
    return pad(header(name, mode, len(contents), **more)) + pad(contents)  # type: ignore[arg-type]


TRAILER = entry(b"TRAILER!!!", 0)


def parsed(data: bytes, limit: int | None = LIMIT) -> list[Entry]:
    return list(parse(Source.of_bytes("test.cpio", data), limit))


def unpacked(vfs: Vfs, data: bytes) -> int:
    count = unpack(Source.of_bytes("test.cpio", data), LIMIT, vfs)
    check_vfs(vfs)
    return count


def contents(vfs: Vfs, path: bytes) -> bytes:
    file = vfs.open(vfs.place, path)
    buffer = bytearray(file.stat().size)
    assert file.read(VmWriter.from_slice(buffer)) == len(buffer)
    file.close()
    return bytes(buffer)


def stat(vfs: Vfs, path: bytes) -> Stat:
    return vfs.resolve(vfs.place, path, follow=False).stat()


# --- the real program ------------------------------------------------------------------------------------------------


def make_tree(root: Path) -> None:
    """Files of every kind that may be in an initramfs; devices only if one may make them."""
    for path in "bin", "dev", "empty", "home/user":
        (root / path).mkdir(parents=True)
    (root / "bin/program").write_bytes(NOISE)
    (root / "bin/program").chmod(0o4755)
    for number in range(6):
        (root / f"home/user/{'x' * number}y").write_bytes(NOISE[:number])
    os.link(root / "bin/program", root / "bin/again")
    os.link(root / "bin/program", root / "home/third")
    (root / "home/nothing").write_bytes(b"")
    os.symlink("bin/program", root / "init")
    os.symlink("/nowhere/at/all", root / "home/dangling")
    os.mkfifo(root / "dev/pipe", 0o620)
    if os.geteuid() == 0:
        os.mknod(root / "dev/console", 0o20600, os.makedev(5, 1))
    for path in (*root.rglob("*"), root):
        os.utime(path, (1_700_000_000, 1_700_000_000 + len(path.name)), follow_symlinks=False)


def same_tree(vfs: Vfs, root: Path) -> None:
    """Everything is in the RamFS as it is on the host."""
    paths = list(root.rglob("*"))
    for path in paths:
        ours, theirs = stat(vfs, os.fsencode(path.relative_to(root))), path.lstat()
        assert (ours.mode, ours.uid, ours.gid) == (theirs.st_mode, theirs.st_uid, theirs.st_gid), path
        if not path.is_symlink():
            assert ours.mtime == int(theirs.st_mtime) * 10**9, path
        kind = FileType.of(ours.mode)
        name = os.fsencode(path.relative_to(root))
        if kind is not FileType.DIRECTORY:
            assert ours.nlink == theirs.st_nlink
        if kind is FileType.REGULAR:
            assert contents(vfs, name) == path.read_bytes()
        elif kind is FileType.SYMLINK:
            assert vfs.resolve(vfs.place, name, follow=False).readlink() == os.fsencode(path.readlink())
        elif kind is FileType.CHARACTER:
            assert ours.rdev == device_number(os.major(theirs.st_rdev), os.minor(theirs.st_rdev))
    assert len(list(vfs.root.fs.inodes())) == 1 + len({path.lstat().st_ino for path in paths})  # type: ignore[attr-defined]


def cpio(root: Path, form: str = "newc") -> bytes:
    program = shutil.which("cpio")
    if program is None:
        pytest.skip("GNU cpio is not installed (apt install cpio)")
    names = "\0".join(sorted(str(path.relative_to(root)) for path in (root, *root.rglob("*"))))
    return subprocess.run([program, "-o", "-0", "-H", form], cwd=root, input=names.encode(), capture_output=True,
                          check=True).stdout


@pytest.mark.parametrize("form", ["newc", "crc"])
def test_what_gnu_cpio_packs_is_there_as_it_was(vfs: Vfs, tmp_path: Path, form: str) -> None:
    make_tree(tmp_path)
    assert unpacked(vfs, cpio(tmp_path, form)) == len(list(tmp_path.rglob("*"))) + 1
    same_tree(vfs, tmp_path)


def test_archives_of_gnu_cpio_one_behind_the_other_and_compressed(vfs: Vfs, tmp_path: Path) -> None:
    make_tree(tmp_path / "a")
    (tmp_path / "b/home").mkdir(parents=True)
    (tmp_path / "b/home/nothing").write_bytes(b"now something")
    first, second = cpio(tmp_path / "a"), cpio(tmp_path / "b")
    unpacked(vfs, gzip.compress(first) + gzip.compress(second) + bytes(3) + b"")
    assert contents(vfs, b"home/nothing") == b"now something"
    assert contents(vfs, b"home/third") == NOISE
    assert stat(vfs, b"bin/again").nlink == 3


def test_the_initramfs_of_the_device_tree(tmp_path: Path) -> None:
    """From the machine's memory, where the boot loader put it, compressed or not, to files of both storages."""
    make_tree(tmp_path)
    archive = cpio(tmp_path)
    for storage, initrd in (Storage.FRAMES, archive), (Storage.HEAP, gzip.compress(archive)):
        with Kernel.boot(Machine(Board(memory=32 << 20)), initrd=initrd) as kernel:
            free = free_memory(kernel.mm)
            vfs = Vfs(kernel.mm, RamFs.create(kernel.mm, storage))
            assert unpack_initramfs(kernel.mm, kernel.early_info.initramfs, vfs) > 15
            same_tree(vfs, tmp_path)
            check_vfs(vfs)
            vfs.root.fs.drop()  # type: ignore[attr-defined]
            assert free_memory(kernel.mm) == free


def test_without_an_initramfs_nothing_is_unpacked(vfs: Vfs) -> None:
    assert unpack_initramfs(vfs.root.fs.mm, None, vfs) == 0  # type: ignore[attr-defined]


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_names_may_begin_with_slashes_and_dots_and_lack_their_directories(vfs: Vfs) -> None:
    unpacked(vfs, entry(b".", 0o40700) + entry(b"./a/b", 0o100644, b"1") + entry(b"/c/d/", 0o40711)
             + entry(b"../../e", 0o100600, b"2") + TRAILER)
    assert contents(vfs, b"a/b") == b"1" and contents(vfs, b"e") == b"2"
    assert stat(vfs, b"c/d").mode == 0o40711 and stat(vfs, b"a").mode == 0o40755 and stat(vfs, b"/").mode == 0o40700


def test_what_comes_later_replaces_what_was_there(vfs: Vfs) -> None:
    unpacked(vfs, entry(b"a", 0o100644, b"first") + entry(b"b", 0o40755) + entry(b"l", 0o120777, b"a") + TRAILER
             + bytes(512) + entry(b"a", 0o40700) + entry(b"b", 0o100600, b"now a file") + entry(b"l", 0o100644, b"own")
             + TRAILER)
    assert stat(vfs, b"a").mode == 0o40700
    assert contents(vfs, b"b") == b"now a file" and contents(vfs, b"l") == b"own"


def test_names_of_one_file_have_the_contents_wherever_they_come(vfs: Vfs) -> None:
    """GNU cpio gives them with the last name, others with the first. Another archive's numbers are other files."""
    both = [entry(b"a", 0o100644, b"text", ino=7, nlink=2), entry(b"b", 0o100644, ino=7, nlink=2)]
    for prefix, order in (b"1", both), (b"2", both[::-1]):
        vfs.mkdir(vfs.place, prefix)
        unpacked(vfs, b"".join(order) + TRAILER)
        assert contents(vfs, b"a") == contents(vfs, b"b") == b"text"
        assert vfs.resolve(vfs.place, b"a") is vfs.resolve(vfs.place, b"b")
    unpacked(vfs, both[0] + TRAILER + entry(b"c", 0o100644, b"c", ino=7, nlink=2) + TRAILER)
    assert stat(vfs, b"c").nlink == 1


GOOD = entry(b"file", 0o100644, b"contents") + TRAILER


def packed(data: bytes) -> bytes:
    """As gzip does it, but without the time: these bytes are in the names of tests, which all workers must agree on."""
    return gzip.compress(data, mtime=0)


def damaged(at: int, what: bytes) -> bytes:
    return GOOD[:at] + what + GOOD[at + len(what):]


@pytest.mark.parametrize(("data", "message"), [
    (b"x", "an archive's magic at offset 0x0: found 'x', expected 070701 or 070702 at a multiple of 4, or gzip's "
           "1f 8b"),
    (b"\0\0" + GOOD, "an archive's magic at offset 0x2: found offset 0x2, expected 070701"),
    (damaged(0, b"070707"), "an archive's magic at offset 0x0: found '070707'"),
    (damaged(14, b"0000x1A4"), "the header's mode at offset 0xe: found '0000x1A4', expected 8 hexadecimal digits"),
    (damaged(14, b"000001A4"), "the mode of 'file' at offset 0xe: found 0o644, expected a type of file"),
    (damaged(54, b"7FFFFFFF"), "the end of 'file' at offset 0x36: found 2147483647 bytes of contents at 0x74, expected "
                               "at most 132"),
    (damaged(94, b"00000000"), "a name's size at offset 0x5e: found 0, expected 2 to 4096, with a NUL"),
    (damaged(94, b"0000FFFF"), "a name's size at offset 0x5e: found 65535"),
    (damaged(94, b"00000007"), "name at offset 0x6e: found 'file"),
    (GOOD[:60], "header at offset 0x0: found 60 bytes, expected 110"),
    (GOOD[:124], "header at offset 0x7c: found 0 bytes, expected 110, or the entry TRAILER!!! before the end"),
    (GOOD[:124] + b"070707" + GOOD[130:], "header at offset 0x7c: found '070707', expected 070701 or 070702"),
    (GOOD + b"junk", "an archive's magic at offset 0xf8: found 'junk'"),
    (entry(b"l", 0o120777) + TRAILER, "the target of 'l' at offset 0x36: found 0 bytes, expected 1 to 4095"),
    (entry(b"f", 0o100644, b"abc", magic=b"070702", check=5) + TRAILER,
     "the checksum of 'f' at offset 0x66: found 0x5, expected 0x126"),
    (packed(GOOD)[:-9], "gzip file at offset 0x0: found its end is missing at"),
    (packed(GOOD)[:20] + b"xxxx" + packed(GOOD)[24:], "gzip file at offset 0x0: found Error -3"),
    (packed(b"x"), "test.cpio, uncompressed: an archive's magic at offset 0x0: found 'x', expected 070701 or "
                  "070702 at a multiple of 4"),
    (packed(bytes(LIMIT + 1)), f"gzip file at offset 0x0: found more than {LIMIT} bytes uncompressed"),
])
def test_a_damaged_archive_is_refused_with_the_place_and_nothing_is_unpacked(
        vfs: Vfs, data: bytes, message: str) -> None:
    with pytest.raises(ArchiveError) as refused:
        unpacked(vfs, entry(b"before", 0o100644, b"x") + TRAILER + data if data[:2] != b"\0\0" else data)
    offset = len(entry(b"before", 0o100644, b"x") + TRAILER) if data[:2] != b"\0\0" else 0
    with pytest.raises(ArchiveError) as alone:
        parsed(data)
    assert message in str(alone.value), alone.value
    assert "test.cpio" in str(refused.value) and offset % 4 == 0
    assert len(list(vfs.root.fs.inodes())) == 1  # type: ignore[attr-defined]


def test_any_byte_changed_is_refused_or_gives_another_file(vfs: Vfs) -> None:
    """No exception but the typed one, whatever the damage."""
    rng, refused = random.Random(4), 0
    data = entry(b"d", 0o40755) + entry(b"d/file", 0o100644, NOISE[:50]) + entry(b"l", 0o120777, b"d/file") + TRAILER
    for _ in range(3000):
        at = rng.randrange(len(data))
        broken = data[:at] + bytes([rng.randrange(256)]) + data[at + 1:]
        if rng.random() < 0.2:
            broken = broken[:at]
        try:
            assert all(isinstance(found, Entry) for found in parsed(broken))
        except ArchiveError:
            refused += 1
    assert refused > 1000


def test_a_file_that_there_is_no_room_for(vfs: Vfs) -> None:
    with pytest.raises(SysError) as full:
        unpack(Source.of_bytes("test.cpio", entry(b"a", 0o100644, b"1")
                               + entry(b"large", 0o100644, bytes(33 << 20)) + TRAILER), LIMIT, vfs)
    assert full.value.errno is Errno.ENOSPC and "test.cpio: b'large'" in str(full.value)
    assert contents(vfs, b"a") == b"1"
    check_vfs(vfs)


def test_links_lead_nowhere_but_into_the_ramfs(vfs: Vfs) -> None:
    unpacked(vfs, entry(b"e", 0o120777, b"/../etc") + entry(b"etc", 0o40755)
             + entry(b"e/passwd", 0o100644, b"x") + TRAILER)
    assert contents(vfs, b"etc/passwd") == b"x"
    with pytest.raises(SysError, match="ELOOP"):
        unpacked(vfs, entry(b"loop", 0o120777, b"/loop") + entry(b"loop/passwd", 0o100644, b"x") + TRAILER)
