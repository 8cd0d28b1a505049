"""Fault-around: a load from a file's page maps its neighbours that are in memory, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from kernel.fs.open_file import Flags
from kernel.fs.ramfs.inode import RamFile
from kernel.fs.ramfs.ramfs import RamFs, Storage
from kernel.fs.vfs import Vfs
from kernel.mm import Mm, PageFlags, VmReader
from kernel.mm.paging import PAGE_SIZE as P
from kernel.mm.vm_space.cursors import MappedRam
from kernel.mm.vm_space.vm_space import deactivate
from kernel.process.address_space import FAULT_AROUND, AddressSpace
from kernel.process.area import Area
from kernel.process.backing import InodeBacking
from kernel.process.memory import read_user
from tests.kernel.mm.page_table.scarce import census

BASE = 0x10_0000
WHOLE, TAIL = 40, 100
"""Pages that the file fills, and bytes of one more."""
CONTENTS = b"".join(bytes([i % 251 + 1]) * P for i in range(WHOLE)) + b"t" * TAIL


@dataclass
class Mapped:
    """An address space, and the file behind its areas."""

    space: AddressSpace
    file: RamFile

    def map(self, start: int, pages: int, prot: PageFlags, first: int = 0, shared: bool = False) -> None:
        """Map `pages` pages of the file from page `first` on, at page `start` behind BASE."""
        at = BASE + start * P
        self.space.map(Area(at, at + pages * P, prot, InodeBacking(self.file), first * P, len(CONTENTS), shared))

    def pages(self) -> dict[int, tuple[int, PageFlags]]:
        """Frames and flags of what is mapped, by page behind BASE."""
        found = {}
        with self.space.space.cursor(range(BASE, BASE + 128 * P)) as cursor:
            for page in range(128):
                cursor.jump(BASE + page * P)
                _, item = cursor.query()
                if item is not None:
                    assert isinstance(item, MappedRam)
                    found[page] = item.frame.paddr, item.prop.flags
        return found

    def load(self, page: int) -> bool:
        return self.space.fault(BASE + page * P + 5, PageFlags.R)

    def store(self, page: int) -> bool:
        return self.space.fault(BASE + page * P + 5, PageFlags.W)


def _mapped(mm: Mm, storage: Storage) -> Iterator[Mapped]:
    fs = RamFs.create(mm, storage)
    vfs = Vfs(mm, fs)
    opened = vfs.open(vfs.place, b"file", Flags.RDWR | Flags.CREAT)
    assert opened.write(VmReader.from_slice(CONTENTS)) == len(CONTENTS)
    opened.close()
    file = vfs.resolve(vfs.place, b"file")
    assert isinstance(file, RamFile)
    before = census(mm)
    space = AddressSpace(mm)
    yield Mapped(space, file)
    deactivate(mm)
    space.drop()
    assert census(mm) == before
    fs.drop()


@pytest.fixture
def mapped(mm: Mm) -> Iterator[Mapped]:
    yield from _mapped(mm, Storage.FRAMES)


@pytest.fixture
def on_the_heap(mm: Mm) -> Iterator[Mapped]:
    yield from _mapped(mm, Storage.HEAP)


def test_a_load_maps_the_files_own_frames_of_its_64_kib(mapped: Mapped) -> None:
    mapped.map(0, 32, PageFlags.RW)
    frames = mapped.file.data.frames()
    assert mapped.load(21)
    assert mapped.pages() == {page: (frames[page], PageFlags.R) for page in range(16, 32)}
    assert mapped.space.faults == 1
    assert mapped.space._mm.slots.state(frames[21]).count == 2  # the file, and the page


def test_it_stays_within_the_area_and_the_files_whole_pages(mapped: Mapped) -> None:
    mapped.map(3, 2, PageFlags.R, first=3)
    mapped.map(5, 1, PageFlags.RX, first=20)
    mapped.map(32, 16, PageFlags.R, first=32)
    assert mapped.load(4) and set(mapped.pages()) == {3, 4}
    assert mapped.load(33) and set(mapped.pages()) == {3, 4, *range(32, WHOLE)}
    assert mapped.load(WHOLE)  # the last bytes of the file: a copy, with zeros behind
    assert mapped.pages()[WHOLE][0] not in mapped.file.data.frames()
    assert set(mapped.pages()) == {3, 4, *range(32, WHOLE + 1)}


def test_a_page_of_ones_own_is_left_alone(mapped: Mapped) -> None:
    mapped.map(0, 16, PageFlags.RW)
    assert mapped.store(7)
    own = mapped.pages()
    assert list(own) == [7] and own[7][1] & PageFlags.W and own[7][0] not in mapped.file.data.frames()
    assert mapped.load(2)
    assert mapped.pages()[7] == own[7] and len(mapped.pages()) == 16
    assert mapped.store(2)  # a copy, now that it is written to
    assert mapped.pages()[2][0] not in mapped.file.data.frames() and len(mapped.pages()) == 16


def test_shared_pages_may_be_written_at_once_if_the_area_may(mapped: Mapped) -> None:
    mapped.map(0, 16, PageFlags.RW, shared=True)
    assert mapped.load(0)
    assert {flags for _, flags in mapped.pages().values()} == {PageFlags.RW} and len(mapped.pages()) == 16


def test_what_is_not_allowed_maps_nothing(mapped: Mapped) -> None:
    mapped.map(0, 16, PageFlags.R)
    assert not mapped.store(1)
    assert not mapped.space.fault(BASE, PageFlags.X)
    assert not mapped.load(16)
    assert not mapped.pages() and not mapped.space.faults


def test_files_on_the_heap_and_memory_without_a_file_come_page_by_page(on_the_heap: Mapped) -> None:
    on_the_heap.map(0, 16, PageFlags.R)
    on_the_heap.space.map(Area(BASE + 16 * P, BASE + 32 * P, PageFlags.RW))
    assert on_the_heap.load(3) and on_the_heap.load(20)
    assert set(on_the_heap.pages()) == {3, 20}


@pytest.mark.parametrize("storage", list(Storage))
def test_programs_see_the_file(mm: Mm, storage: Storage) -> None:
    for mapped in _mapped(mm, storage):
        mapped.map(0, WHOLE + 1, PageFlags.R)
        mapped.space.space.activate()
        assert read_user(mapped.space, BASE, (WHOLE + 1) * P) == CONTENTS.ljust((WHOLE + 1) * P, b"\0")
        faults = -(-WHOLE * P // FAULT_AROUND) + 1 if storage is Storage.FRAMES else WHOLE + 1
        assert mapped.space.faults == faults


@pytest.mark.parametrize("storage", list(Storage))
def test_holding_frames_is_what_holding_each_is(mm: Mm, storage: Storage) -> None:
    for mapped in _mapped(mm, storage):
        frames = mapped.file.data.frames()
        for first, count in (0, 3), (WHOLE - 1, 9), (WHOLE + 1, 2), (-1, 2), (5, 0):
            held = mapped.file.hold_frames(first, count)
            assert held == (frames[first:first + count] if first >= 0 else [])
            for paddr in held:
                assert mm.slots.state(paddr).count == 2
                mm.slots.drop_holder(paddr)
