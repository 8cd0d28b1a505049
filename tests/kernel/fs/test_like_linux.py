"""The namespace against the host's: the same calls on a RamFS and on a directory of Linux give the same.

Errors are compared by errno, files by what stat, readlink, listing and reading tell. Paths go up with ".."
at most as far as the directory is deep; links point to names beside them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from kernel.errno import SysError
from kernel.fs.namespace import Place
from kernel.fs.open_file import DirectoryFile, Flags, OpenFile
from kernel.fs.ramfs.ramfs import RamFs, Storage
from kernel.fs.stat import FileType, Stat
from kernel.fs.vfs import Vfs
from kernel.mm import Mm, VmReader, VmWriter

from .conftest import check_vfs, free_memory

DEPTH = 4
NAMES = st.sampled_from(["a", "b", "c", "d"])
PARTS = st.lists(st.one_of(NAMES, NAMES, NAMES, st.sampled_from([".", ".."])), min_size=1, max_size=DEPTH)
PATHS = st.builds(lambda parts, slash: "/".join(parts) + slash, PARTS, st.sampled_from(["", "", "", "/"]))
TARGETS = st.builds("/".join, st.lists(NAMES, min_size=1, max_size=2))
OPEN_FLAGS = st.builds(lambda mode, more: mode | sum(more), st.sampled_from([0, 1, 2]), st.sets(st.sampled_from(
    [os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND, os.O_DIRECTORY, os.O_NOFOLLOW]))).filter(
    lambda flags: not (flags & os.O_CREAT and flags & os.O_DIRECTORY))  # which is EINVAL since Linux 6.4
HOST_DIRECTORY, HOST_NOFOLLOW = os.O_DIRECTORY, os.O_NOFOLLOW


def flags_of(host: int) -> Flags:
    """The host's flags as ours: O_DIRECTORY and O_NOFOLLOW differ between architectures."""
    flags = Flags(host & ~(HOST_DIRECTORY | HOST_NOFOLLOW))
    flags |= Flags.DIRECTORY if host & HOST_DIRECTORY else Flags.RDONLY
    return flags | (Flags.NOFOLLOW if host & HOST_NOFOLLOW else Flags.RDONLY)


def host_stat(found: os.stat_result) -> tuple[object, ...]:
    directory = FileType.of(found.st_mode) is FileType.DIRECTORY
    return found.st_mode, None if directory else (found.st_nlink, found.st_size)


def our_stat(found: Stat) -> tuple[object, ...]:
    directory = FileType.of(found.mode) is FileType.DIRECTORY
    return found.mode, None if directory else (found.nlink, found.size)


def names_in(file: OpenFile) -> list[str]:
    """What getdents tells, through a small buffer, without "." and ".."."""
    names = []
    while True:
        buffer = bytearray(80)
        size = file.getdents(VmWriter.from_slice(buffer))
        if not size:
            break
        at = 0
        while at < size:
            length = int.from_bytes(buffer[at + 16:at + 18], "little")
            names.append(bytes(buffer[at + 19:at + length]).split(b"\0")[0].decode())
            at += length
    assert names[:2] == [".", ".."]
    return sorted(names[2:])


class Twins(RuleBasedStateMachine):
    """A RamFS and a host's directory; each rule does one thing to both."""

    def __init__(self, mm: Mm, storage: Storage, where: Path) -> None:
        super().__init__()
        self.free = free_memory(mm)
        self.vfs, self.mm = Vfs(mm, RamFs.create(mm, storage)), mm
        base, self.place = self.vfs.root, self.vfs.place
        self.where = where = Path(tempfile.mkdtemp(dir=where))
        self.files: list[tuple[int, OpenFile]] = []
        where.chmod(0o755)
        for _ in range(DEPTH):
            where = where / "w"
            where.mkdir(0o755)
            base = self.vfs.mkdir(Place(self.vfs.root, base), b"w", 0o755)
        self.fd = os.open(where, os.O_RDONLY)
        self.place = Place(self.vfs.root, base)
        base.hold()
        self.bases = [(self.fd, base)]
        for path in "a", "a/b", "a/b/c":
            self.mkdir(path)
        self.open("a/d", os.O_CREAT | os.O_RDWR)
        self.symlink("b", "a/b")
        self.link("a/d", "c", False)

    def teardown(self) -> None:
        for fd, _ in (*self.files, *self.bases):
            os.close(fd)
        shutil.rmtree(self.where)
        fs = self.vfs.root.fs
        assert isinstance(fs, RamFs)
        try:
            check_vfs(self.vfs)
            for _, file in self.files:
                file.close()
            for _, base in self.bases:
                base.release()
            check_vfs(self.vfs)
            assert len(list(fs.inodes())) == len({inode.address for inode in fs.inodes() if inode.nlink})
        finally:
            fs.drop()
        assert free_memory(self.mm) == self.free

    def both(self, host: Callable[[], Any], ours: Callable[[], Any]) -> tuple[Any, Any] | None:
        """Do it to both; the results if it worked, None if both failed alike."""
        try:
            left = host()
        except OSError as error:
            with pytest.raises(SysError) as failed:
                ours()
            assert failed.value.errno == error.errno, f"{failed.value}; the host says {error}"
            return None
        return left, ours()

    @rule(path=PATHS)
    def mkdir(self, path: str) -> None:
        self.both(lambda: os.mkdir(path, 0o755, dir_fd=self.fd),
                  lambda: self.vfs.mkdir(self.place, path.encode(), 0o755))

    @rule(path=PATHS)
    def mkfifo(self, path: str) -> None:
        self.both(lambda: os.mkfifo(path, 0o600, dir_fd=self.fd),
                  lambda: self.vfs.mknod(self.place, path.encode(), 0o10600))

    @rule(path=PATHS, to=TARGETS)
    def symlink(self, path: str, to: str) -> None:
        self.both(lambda: os.symlink(to, path, dir_fd=self.fd),
                  lambda: self.vfs.symlink(to.encode(), self.place, path.encode()))

    @rule(path=PATHS)
    def unlink(self, path: str) -> None:
        self.both(lambda: os.unlink(path, dir_fd=self.fd), lambda: self.vfs.unlink(self.place, path.encode()))

    @rule(path=PATHS)
    def rmdir(self, path: str) -> None:
        self.both(lambda: os.rmdir(path, dir_fd=self.fd), lambda: self.vfs.rmdir(self.place, path.encode()))

    @rule(old=PATHS, new=PATHS, follow=st.booleans())
    def link(self, old: str, new: str, follow: bool) -> None:
        self.both(lambda: os.link(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=follow),
                  lambda: self.vfs.link(self.place, old.encode(), self.place, new.encode(), follow))

    @rule(old=PATHS, new=PATHS)
    def rename(self, old: str, new: str) -> None:
        self.both(lambda: os.rename(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd),
                  lambda: self.vfs.rename(self.place, old.encode(), self.place, new.encode()))

    @rule(path=PATHS, follow=st.booleans())
    def stat(self, path: str, follow: bool) -> None:
        found = self.both(lambda: os.stat(path, dir_fd=self.fd, follow_symlinks=follow),
                          lambda: self.vfs.resolve(self.place, path.encode(), follow).stat())
        if found is not None:
            assert our_stat(found[1]) == host_stat(found[0])

    @rule(path=PATHS)
    def readlink(self, path: str) -> None:
        found = self.both(lambda: os.readlink(path, dir_fd=self.fd),
                          lambda: self.vfs.resolve(self.place, path.encode(), follow=False).readlink())
        assert found is None or found[0].encode() == found[1]

    @rule(path=PATHS, flags=OPEN_FLAGS)
    def open(self, path: str, flags: int) -> None:
        flags |= os.O_NONBLOCK  # for FIFOs
        opened = self.both(lambda: os.open(path, flags, 0o644, dir_fd=self.fd),
                           lambda: self.vfs.open(self.place, path.encode(), flags_of(flags), 0o644))
        if opened is not None:
            self.files.append(opened)

    @precondition(lambda self: self.files)
    @rule(data=st.data(), what=st.binary(max_size=20))
    def write(self, data: st.DataObject, what: bytes) -> None:
        fd, file = data.draw(st.sampled_from(self.files))
        done = self.both(lambda: os.write(fd, what), lambda: file.write(VmReader.from_slice(what)))
        assert done is None or done[0] == done[1]

    @precondition(lambda self: self.files)
    @rule(data=st.data(), offset=st.integers(0, 5000))
    def read(self, data: st.DataObject, offset: int) -> None:
        fd, file = data.draw(st.sampled_from(self.files))

        def ours() -> bytes:
            buffer = bytearray(100)
            return bytes(buffer[:file.pread(offset, VmWriter.from_slice(buffer))])

        found = self.both(lambda: os.pread(fd, 100, offset), ours)
        assert found is None or found[0] == found[1]

    @precondition(lambda self: self.files)
    @rule(data=st.data(), size=st.integers(0, 10_000))
    def truncate(self, data: st.DataObject, size: int) -> None:
        fd, file = data.draw(st.sampled_from(self.files))
        self.both(lambda: os.ftruncate(fd, size), lambda: file.truncate(size))
        assert our_stat(file.stat()) == host_stat(os.fstat(fd))

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.files))
        self.files.remove(chosen)
        os.close(chosen[0])
        chosen[1].close()

    @precondition(lambda self: any(isinstance(file, DirectoryFile) for _, file in self.files))
    @rule(data=st.data())
    def go_to_an_open_directory(self, data: st.DataObject) -> None:
        """Which may have been removed."""
        fd, file = data.draw(st.sampled_from([pair for pair in self.files if isinstance(pair[1], DirectoryFile)]))
        if file.inode is not None and self.depth(file) >= DEPTH:
            file.inode.hold()
            self.fd, self.place = os.dup(fd), Place(self.vfs.root, file.inode)
            self.bases.append((self.fd, file.inode))

    def depth(self, file: OpenFile) -> int:
        inode, depth = file.inode, 0
        while inode is not None and inode is not self.vfs.root:
            inode, depth = inode.parent, depth + 1
        return depth

    @rule()
    def go_back(self) -> None:
        self.fd, base = self.bases[0]
        self.place = Place(self.vfs.root, base)

    @rule(path=PATHS)
    def list(self, path: str) -> None:
        def ours() -> list[str]:
            file = self.vfs.open(self.place, path.encode(), Flags.DIRECTORY)
            try:
                return names_in(file)
            finally:
                file.close()

        def host() -> list[str]:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.fd)
            try:
                return sorted(os.listdir(fd))
            finally:
                os.close(fd)

        found = self.both(host, ours)
        assert found is None or found[0] == found[1]


@pytest.mark.slow
@pytest.mark.parametrize("storage", list(Storage), ids=lambda storage: storage.value)
def test_random_calls_give_what_linux_gives(mm: Mm, storage: Storage, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            lambda: Twins(mm, storage, tmp_path),
            settings=settings(max_examples=30, stateful_step_count=60, deadline=None, derandomize=True,
                              phases=[Phase.generate],  # finding a smaller failure would take minutes
                              suppress_health_check=list(HealthCheck)))
    finally:
        os.umask(umask)
