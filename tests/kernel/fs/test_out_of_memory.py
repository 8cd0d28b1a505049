"""Every request for memory refused in turn: an errno for the program, and all is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kernel.errno import Errno, SysError
from kernel.errors import NoMemory
from kernel.fs.open_file import Flags
from kernel.fs.procfs import ProcFs, ProcText
from kernel.fs.ramfs.ramfs import RamFs, Storage
from kernel.fs.vfs import Vfs
from kernel.mm import PAGE_SIZE, VmReader, VmWriter
from kernel.mm.heap.slot import HeapSlot
from kernel.mm.layout import Layout
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from tests.kernel.oom.failing import RefusingFrames, Trial

from .conftest import check_vfs, free_memory


class RefusingHeap(HeapAllocator):
    """The default heap allocator, which refuses small objects, too, when the trial's refusals say so."""

    __slots__ = ("refuse",)

    refuse: Callable[[], bool]

    def alloc(self, layout: Layout) -> HeapSlot:
        if layout.size <= 2048 and self.refuse():
            raise NoMemory("refused")
        return super().alloc(layout)


@pytest.fixture
def trial() -> Iterator[Trial]:
    made = Trial()
    mm = made.mm
    inner = RefusingHeap(mm)
    inner.refuse = made.refusals.refuse
    mm.heap.inner = inner
    mm.heap._alloc, mm.heap._dealloc, mm.heap._map = inner.alloc, inner.dealloc, inner.slot_map
    yield made
    made.kernel.close()


@pytest.fixture(params=list(Storage), ids=lambda storage: storage.value)
def vfs(request: pytest.FixtureRequest, trial: Trial) -> Vfs:
    made = Vfs(trial.mm, RamFs.create(trial.mm, request.param))
    made.mkdir(made.place, b"d")
    file = made.open(made.place, b"d/file", Flags.CREAT | Flags.RDWR)
    file.write(VmReader.from_slice(b"abc" * 3000))
    file.close()
    return made


def picture(vfs: Vfs) -> list[tuple[object, ...]]:
    """All inodes, and all entries of directories."""
    inodes = list(vfs.root.fs.inodes())  # type: ignore[attr-defined]
    return [(inode.stat(), list(inode.entries(0)) if inode.is_directory else None) for inode in inodes]


def fails_cleanly(trial: Trial, vfs: Vfs, act: Callable[[], object], errno: Errno, undo: Callable[[], object]) -> int:
    """Run `act` with each of its requests refused, once and for good; how many of them it cannot do without.

    The heap allocator asks for slabs to spare, and does without them.
    """
    most = 0
    for lasting in False, True:
        failed = request = 0
        while True:
            before, free = picture(vfs), free_memory(trial.mm)
            trial.refusals.after, trial.refusals.lasting = request, lasting
            try:
                act()
            except SysError as error:
                assert trial.refusals.met and error.errno is errno
                trial.refusals.after = None
                assert picture(vfs) == before
                assert free_memory(trial.mm) == free
                failed += 1
            else:
                met, trial.refusals.after = trial.refusals.met, None
                check_vfs(vfs)
                undo()
                if not met:
                    break
            check_vfs(vfs)
            request += 1
        most = max(most, failed)
    return most


def test_making_files_of_every_kind(trial: Trial, vfs: Vfs) -> None:
    """In an empty directory, which has no room for an entry yet, and none again afterwards."""
    vfs.mkdir(vfs.place, b"e")
    place, path = vfs.place, b"e/" + b"n" * 250
    for least, act, undo in (
            (2, lambda: vfs.mkdir(place, path), lambda: vfs.rmdir(place, path)),
            (3, lambda: vfs.symlink(b"x" * 3000, place, path), lambda: vfs.unlink(place, path)),
            (2, lambda: vfs.mknod(place, path, 0o20666, 0x103), lambda: vfs.unlink(place, path)),
            (2, lambda: vfs.open(place, path, Flags.CREAT).close(), lambda: vfs.unlink(place, path)),
            (1, lambda: vfs.link(place, b"d/file", place, path), lambda: vfs.unlink(place, path))):
        assert fails_cleanly(trial, vfs, act, Errno.ENOSPC, undo) >= least


def test_renaming_needs_memory_only_for_a_new_entry(trial: Trial, vfs: Vfs) -> None:
    place, path = vfs.place, b"/" + b"n" * 250
    assert fails_cleanly(trial, vfs, lambda: vfs.rename(place, b"d/file", place, path), Errno.ENOSPC,
                         lambda: vfs.rename(place, path, place, b"d/file")) >= 1
    vfs.open(place, b"other", Flags.CREAT).close()
    trial.refusals.after, trial.refusals.lasting = 0, True
    vfs.rename(place, b"other", place, b"d/file")
    vfs.unlink(place, b"d/file")
    vfs.rmdir(place, b"d")
    assert not trial.refusals.met
    trial.refusals.after = None
    check_vfs(vfs)


@pytest.mark.parametrize(("offset", "size"), [(0, 20_000), (9000, 20_000), (9000, 100_000), (100_000, 1)])
def test_writing_and_growing(trial: Trial, vfs: Vfs, offset: int, size: int) -> None:
    """One frame after the other, or many at once, the vector moving or not."""
    file = vfs.open(vfs.place, b"d/file", Flags.RDWR)
    what = b"-" * size

    def undo() -> None:
        file.truncate(0)
        file.pwrite(0, VmReader.from_slice(b"abc" * 3000))

    undo()
    least = 1 if vfs.root.fs.storage is Storage.HEAP else 3  # type: ignore[attr-defined]
    assert fails_cleanly(trial, vfs, lambda: file.pwrite(offset, VmReader.from_slice(what)), Errno.ENOSPC,
                         undo) >= least
    assert fails_cleanly(trial, vfs, lambda: file.truncate(offset + size), Errno.ENOSPC, undo) >= least
    file.close()


def test_a_pipe_and_a_text_of_proc(trial: Trial, vfs: Vfs) -> None:
    ends = []
    assert fails_cleanly(trial, vfs, lambda: ends.extend(vfs.pipes.create()), Errno.ENOMEM,
                         lambda: [ends.pop().close() for _ in range(2)]) >= 1
    reading, writing = vfs.pipes.create()
    assert fails_cleanly(trial, vfs, lambda: writing.write(VmReader.from_slice(b"x" * 100)), Errno.ENOMEM,
                         lambda: reading.read(VmWriter.from_slice(bytearray(PAGE_SIZE)))) == 1
    reading.close()
    writing.close()
    proc = ProcFs(trial.mm)
    proc.add(b"text", ProcText(lambda: b"x" * 5000))
    vfs.mkdir(vfs.place, b"proc")
    vfs.mount(vfs.resolve(vfs.place, b"proc"), proc)
    files = []

    def opens() -> None:
        files.append(vfs.open(vfs.place, b"proc/text"))
        files.pop().close()

    assert fails_cleanly(trial, vfs, opens, Errno.ENOMEM, lambda: None) == 1
    assert isinstance(trial.mm.frame_allocator.inner, RefusingFrames)


def test_making_the_file_system_itself(trial: Trial) -> None:
    free = free_memory(trial.mm)
    for failures in range(2):
        trial.refusals.after = failures
        with pytest.raises(SysError) as refused:
            RamFs.create(trial.mm)
        assert refused.value.errno is Errno.ENOSPC
        trial.refusals.after = None
        assert free_memory(trial.mm) == free
        trial.check()
