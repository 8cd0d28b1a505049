"""Fixtures: a kernel, and files of both storages in its memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from kernel.fs.ramfs.file_data import FileData, FileState
from kernel.fs.ramfs.frame_data import FrameData
from kernel.fs.ramfs.heap_data import HeapData
from kernel.fs.ramfs.ramfs import RamFs, Storage
from kernel.fs.vfs import Vfs
from kernel.mm import PAGE_SIZE, Frame, FrameAllocOptions, Mm
from kernel.mm.check import check
from kernel.mm.frame.handle import Handle
from kernel.mm.heap import HeapBox
from kernel.mm.io import FallibleVmReader, FallibleVmWriter, UserWindow
from kernel.osdk.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator import HeapAllocator
from tests.helpers.kernels import kernel, mm

__all__ = ["kernel", "mm"]


def free_memory(mm: Mm) -> int:
    """Bytes of free memory when the heap has given back what it does not need."""
    frames, heap = mm.frame_allocator.inner, mm.heap.inner
    assert isinstance(frames, FrameAllocator) and isinstance(heap, HeapAllocator)
    heap.reclaim()
    return frames.load_total_free_size()


def check_files(mm: Mm, files: list[FileData], holders: list[Handle]) -> None:
    """The invariants of all memory, with what `files` hold."""
    check(mm, holders, frames=[paddr for file in files for paddr in file.frames()],
          objects=[address for file in files for address in file.objects()])


@pytest.fixture(params=[HeapData, FrameData], ids=["heap", "frames"])
def storage(request: pytest.FixtureRequest) -> type[FileData]:
    """The kind of storage."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def data(mm: Mm, storage: type[FileData]) -> Iterator[FileData]:
    """An empty file; at the end all memory is what it was, and the invariants hold."""
    free = free_memory(mm)
    with HeapBox(mm, FileState.SIZE) as box:
        made = storage(mm, box.paddr)
        yield made
        check_files(mm, [made], [box])
        made.drop()
        check_files(mm, [made], [box])
    assert free_memory(mm) == free


@dataclass
class UserPages:
    """User addresses from 0x10000 on, of which some pages are missing."""

    mm: Mm
    pages: dict[int, Frame] = field(default_factory=dict)  # type: ignore[type-arg]
    read_only: set[int] = field(default_factory=set)
    base = 0x1_0000

    def map(self, *indices: int) -> None:
        """Give the pages of these numbers frames."""
        for index in indices:
            self.pages[index] = FrameAllocOptions(self.mm).alloc_frame()

    def translate(self, vaddr: int, write: bool) -> int | None:
        index = vaddr // PAGE_SIZE - self.base // PAGE_SIZE
        frame = self.pages.get(index)
        if frame is None or write and index in self.read_only:
            return None
        return frame.paddr + vaddr % PAGE_SIZE

    def window(self) -> UserWindow:
        return UserWindow(self.mm.port, self.translate, self.mm.paging.max_user_vaddr)

    def reader(self, offset: int, size: int) -> FallibleVmReader:
        return FallibleVmReader.from_user_space(self.window(), self.base + offset, size)

    def writer(self, offset: int, size: int) -> FallibleVmWriter:
        return FallibleVmWriter.from_user_space(self.window(), self.base + offset, size)

    def put(self, offset: int, data: bytes) -> None:
        """Store bytes, page by page where there are pages."""
        for at, byte in enumerate(data, offset):
            if (frame := self.pages.get(at // PAGE_SIZE)) is not None:
                self.mm.port.store_sized(frame.paddr + at % PAGE_SIZE, 1, byte)

    def get(self, offset: int, size: int) -> bytes:
        """Bytes that are there."""
        return bytes(self.mm.port.load_sized(self.pages[at // PAGE_SIZE].paddr + at % PAGE_SIZE, 1)
                     for at in range(offset, offset + size))

    def drop(self) -> None:
        for frame in self.pages.values():
            frame.drop()
        self.pages.clear()


@pytest.fixture
def user(mm: Mm) -> Iterator[UserPages]:
    """User memory without a page."""
    pages = UserPages(mm)
    yield pages
    pages.drop()


def check_vfs(vfs: Vfs, holders: Iterable[Handle] = ()) -> None:
    """The invariants of all memory, with what the RamFS at the root and pipes hold."""
    fs = vfs.root.fs
    assert isinstance(fs, RamFs)
    check(fs.mm, list(holders), frames=fs.frames() + vfs.pipes.frames(), objects=fs.objects() + vfs.pipes.objects())


@pytest.fixture(params=list(Storage), ids=lambda storage: storage.value)
def vfs(request: pytest.FixtureRequest, mm: Mm) -> Iterator[Vfs]:
    """An empty RamFS; at the end, when all is removed, all memory is what it was."""
    free = free_memory(mm)
    made = Vfs(mm, RamFs.create(mm, request.param))
    yield made
    check_vfs(made)
    fs = made.root.fs
    assert isinstance(fs, RamFs)
    fs.drop()
    check(mm, [], objects=[])
    assert free_memory(mm) == free
