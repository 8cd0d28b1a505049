"""Devices, the console, and what /proc says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.errno import Errno, SysError
from kernel.fs.console import Console
from kernel.fs.device import CONSOLE, FULL, NULL, ZERO
from kernel.fs.open_file import Flags, OpenFile, Poll, Whence
from kernel.fs.proc_text import add_memory_files
from kernel.fs.procfs import ProcDirectory, ProcFs, ProcLink, ProcText
from kernel.fs.ramfs.ramfs import RamFs, Storage
from kernel.fs.stat import FileType
from kernel.fs.vfs import Vfs
from kernel.fs.wait import WouldBlock
from kernel.mm import PAGE_SIZE, FrameAllocOptions, Layout, Mm, VmReader, VmWriter
from kernel.osdk.frame_allocator import FrameAllocator

from .conftest import UserPages
from .test_like_linux import names_in


@pytest.fixture
def tree(mm: Mm) -> Iterator[Vfs]:
    """A RamFS with the devices, and proc."""
    vfs = Vfs(mm, RamFs.create(mm, Storage.FRAMES))
    vfs.mkdir(vfs.place, b"proc")
    vfs.add_devices()
    vfs.add_devices()  # which are there: nothing happens
    vfs.mknod(vfs.place, b"dev/none", FileType.CHARACTER.mode | 0o666, 0x1234)
    yield vfs
    vfs.root.fs.drop()  # type: ignore[attr-defined]


def read(file: OpenFile, size: int = 1 << 16) -> bytes:
    buffer = bytearray(b"?" * size)
    return bytes(buffer[:file.read(VmWriter.from_slice(buffer))])


def write(file: OpenFile, what: bytes) -> int:
    return file.write(VmReader.from_slice(what))


def text(vfs: Vfs, path: bytes) -> str:
    file = vfs.open(vfs.place, path)
    try:
        return read(file).decode()
    finally:
        file.close()


def errno_of(act: object, *args: object) -> Errno:
    with pytest.raises(SysError) as failed:
        act(*args)  # type: ignore[operator]
    return failed.value.errno


# --- devices ------------------------------------------------------------------------------------------------------


def test_null_zero_and_full(tree: Vfs, user: UserPages) -> None:
    null, zero, full = (tree.open(tree.place, b"dev/" + name, Flags.RDWR) for name in (b"null", b"zero", b"full"))
    assert read(null) == b"" and read(zero, 5) == read(full, 5) == bytes(5)
    assert write(null, b"abc") == write(zero, b"abc") == 3
    assert errno_of(write, full, b"abc") is Errno.ENOSPC
    assert null.seek(100, Whence.SET) == 0 and null.poll() == Poll.IN | Poll.OUT
    assert null.write(user.reader(0, 100)) == 100, "nobody looks at what is thrown away"
    user.map(0)
    user.put(PAGE_SIZE - 4, b"abcd")
    assert zero.read(user.writer(PAGE_SIZE - 4, 100)) == 4 and user.get(PAGE_SIZE - 4, 4) == bytes(4)
    assert errno_of(zero.read, user.writer(PAGE_SIZE, 1)) is Errno.EFAULT
    assert errno_of(tree.open, tree.place, b"dev/none") is Errno.ENXIO
    for file in null, zero, full:
        assert file.stat().rdev in (NULL, ZERO, FULL)
        file.close()


def test_the_console_gives_lines_and_waits_for_them(tree: Vfs, user: UserPages) -> None:
    said = bytearray()
    console = Console(said.extend)
    tree.devices.register(CONSOLE, console.open)
    file = tree.open(tree.place, b"dev/console", Flags.RDWR)
    assert not file.is_terminal and file.poll() == Poll.OUT
    with pytest.raises(WouldBlock) as wait:
        read(file)
    woken: list[int] = []
    wait.value.queue.add(lambda: woken.append(1))
    console.feed(b"first\nsec")
    assert woken == [1] and file.poll() == Poll.IN | Poll.OUT
    assert read(file, 3) == b"fir" and read(file) == b"st\n" and read(file) == b"sec"
    file.set_flags(Flags.NONBLOCK)
    assert errno_of(read, file) is Errno.EAGAIN
    console.feed(b"x")
    assert errno_of(file.read, user.writer(0, 1)) is Errno.EFAULT
    console.hang_up()
    assert read(file) == b"x" and read(file) == b"" and read(file) == b""
    user.map(0)
    user.put(0, b"y" * PAGE_SIZE)
    assert file.write(user.reader(0, 3 * PAGE_SIZE)) == PAGE_SIZE
    assert errno_of(file.write, user.reader(PAGE_SIZE, 1)) is Errno.EFAULT
    assert write(file, b"end") == 3 and said == b"y" * PAGE_SIZE + b"end"
    assert errno_of(file.seek, 0, Whence.SET) is Errno.ESPIPE
    file.close()


# --- proc ---------------------------------------------------------------------------------------------------------


def test_a_tree_of_texts_links_and_directories_that_come_and_go(tree: Vfs, mm: Mm) -> None:
    proc, pids, asked = ProcFs(mm), [1], []

    def say() -> bytes:
        asked.append(1)
        return b"x" * 10_000

    def gone() -> bytes:
        raise SysError(Errno.ESRCH)

    tree.mount(tree.resolve(tree.place, b"proc"), proc)
    proc.add(b"text", ProcText(say))
    proc.add(b"gone", ProcText(gone))
    proc.add(b"self", ProcLink(lambda: b"%d" % pids[-1]))
    proc.add_all(lambda: {
        b"%d" % pid: ProcDirectory({b"maps": ProcText(lambda pid=pid: b"of %d" % pid)}) for pid in pids})
    directory = tree.open(tree.place, b"proc")
    assert names_in(directory) == ["1", "gone", "self", "text"]
    directory.close()
    assert text(tree, b"proc/self/maps") == "of 1"
    pids.append(22)
    assert text(tree, b"proc/self/maps") == "of 22" and text(tree, b"/proc/1/../22/maps") == "of 22"
    assert tree.path_of(tree.resolve(tree.place, b"proc/22")) == b"/proc/22"
    assert tree.resolve(tree.place, b"proc/22").stat() == tree.resolve(tree.place, b"proc/self").stat()
    pids.pop()
    assert errno_of(tree.open, tree.place, b"proc/22/maps") is Errno.ENOENT
    assert errno_of(tree.open, tree.place, b"proc/gone") is Errno.ESRCH
    file = tree.open(tree.place, b"proc/text")
    assert read(file, 9_999) == b"x" * 9_999 and read(file) == b"x" and read(file) == b"" and len(asked) == 1
    assert file.seek(-1, Whence.END) == 9_999 and read(file) == b"x"
    assert file.pread(9_998, VmWriter.from_slice(bytearray(5))) == 2
    file.close()
    for act in (lambda: tree.open(tree.place, b"proc/text", Flags.RDWR), lambda: tree.open(tree.place, b"proc/new",
                                                                                         Flags.CREAT),
                lambda: tree.unlink(tree.place, b"proc/text"), lambda: tree.mkdir(tree.place, b"proc/d"),
                lambda: tree.rename(tree.place, b"proc/text", tree.place, b"proc/other")):
        assert errno_of(act) in (Errno.EACCES, Errno.EPERM)
    assert errno_of(tree.resolve, tree.place, b"proc/text/x") is Errno.ENOTDIR


def table(lines: str) -> dict[str, int]:
    """The rows of meminfo, in bytes."""
    return {name: int(value.split()[0]) * 1024 for name, _, value in (row.partition(":") for row in lines.splitlines())}


def test_meminfo_buddyinfo_and_slabinfo_say_what_the_allocators_have(tree: Vfs, mm: Mm) -> None:
    proc, fs = ProcFs(mm), tree.root.fs
    assert isinstance(fs, RamFs) and isinstance(mm.frame_allocator.inner, FrameAllocator)
    tree.mount(tree.resolve(tree.place, b"proc"), proc)
    add_memory_files(proc, tree, lambda: len(fs.frames()) * PAGE_SIZE)
    text(tree, b"proc/meminfo")  # from now on the heap has a slab for the text itself
    before, free = table(text(tree, b"proc/meminfo")), mm.frame_allocator.inner.load_total_free_size()
    assert before["MemFree"] == free
    file = tree.open(tree.place, b"file", Flags.CREAT | Flags.RDWR)
    write(file, b"x" * 100 * PAGE_SIZE)
    after = table(text(tree, b"proc/meminfo"))
    assert after["Shmem"] - before["Shmem"] == 100 * PAGE_SIZE
    assert 100 * PAGE_SIZE <= before["MemFree"] - after["MemFree"] <= 110 * PAGE_SIZE
    assert before["MemTotal"] == after["MemTotal"] > after["MemFree"]
    file.close()
    objects = [mm.heap.alloc(Layout(1500)) for _ in range(9)]
    rows = {row.split()[0]: row.split() for row in text(tree, b"proc/slabinfo").splitlines()[2:]}
    assert rows["kmalloc-2048"][1] == "9" and rows["kmalloc-2048"][3:6] == ["2048", "2", "1"]
    for address in objects:
        mm.heap.dealloc(address, Layout(1500))
    head, *counts = text(tree, b"proc/buddyinfo").rsplit("Normal", 1)
    assert head == "Node 0, zone   " and len(counts[0].split()) >= 11
    chunks = sum(int(count) * PAGE_SIZE << order for order, count in enumerate(counts[0].split()))
    free = mm.frame_allocator.inner.load_total_free_size()
    assert free - (2 << 20) < chunks <= free + 16 * PAGE_SIZE  # what CPUs keep is not in it
    assert text(tree, b"proc/mounts") == "ramfs / ramfs rw 0 0\nproc /proc proc rw 0 0\n"
    assert proc.statfs().magic == 0x9FA0 and fs.statfs().magic == 0x858458F6
    with FrameAllocOptions(mm).alloc_segment(256):
        assert fs.statfs().free <= free // PAGE_SIZE - 256
