"""Contents of files, both storages: against a bytearray, with faults of user memory, and what is given back."""

from __future__ import annotations

import random

import pytest

from kernel.errno import Errno, SysError
from kernel.fs.ramfs.file_data import MAX_SIZE, FileData, FileState
from kernel.fs.ramfs.frame_data import FrameData
from kernel.fs.ramfs.heap_data import HeapData
from kernel.mm import PAGE_SIZE, Mm, VmReader, VmWriter
from kernel.mm.heap import HeapBox
from tests.helpers.effort import rounds

from .conftest import UserPages, free_memory

OPERATIONS = rounds(100_000, 25_000)
NOISE = random.Random(1).randbytes(1 << 17)


def write(data: FileData, offset: int, what: bytes) -> int:
    return data.write_at(offset, VmReader.from_slice(what))


def read(data: FileData, offset: int, size: int) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[:data.read_at(offset, VmWriter.from_slice(buffer))])


def contents(data: FileData) -> bytes:
    return read(data, 0, data.size + 1)


@pytest.mark.slow
def test_random_operations_give_what_a_bytearray_gives(data: FileData) -> None:
    """Sizes and offsets are drawn around multiples of the page."""
    rng, model = random.Random(2), bytearray()
    largest = 0

    def near_a_page(pages: int) -> int:
        return max(0, rng.randrange(pages) * PAGE_SIZE + rng.choice((0, 0, 1, -1, 8, -8, rng.randrange(PAGE_SIZE))))

    for number in range(OPERATIONS):
        kind, offset = rng.random(), near_a_page(12)
        if kind < 0.45:
            size = rng.choice((1, 8, 100, PAGE_SIZE, near_a_page(4)))
            assert read(data, offset, size) == model[offset:offset + size]
        elif kind < 0.9:
            start, size = rng.randrange(1 << 16), rng.choice((0, 1, 8, 100, PAGE_SIZE, near_a_page(4)))
            what = NOISE[start:start + size]
            assert write(data, offset, what) == size
            if size:
                model.extend(bytes(max(0, offset - len(model))))
                model[offset:offset + size] = what
        else:
            size = 0 if kind > 0.995 else offset
            data.resize(size)
            model[size:] = bytes(max(0, size - len(model)))
        largest = max(largest, len(model))
        assert data.size == len(model)
        if number % 1000 == 0:
            assert contents(data) == model
    assert contents(data) == model
    assert largest > 12 * PAGE_SIZE


@pytest.mark.parametrize("size", [1, 100, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE + 7])
def test_a_gap_reads_as_zeros_and_so_does_what_was_cut_off(data: FileData, size: int) -> None:
    write(data, 0, NOISE[:size])
    data.resize(size // 2)
    write(data, 2 * size + 5, b"end")
    assert contents(data) == NOISE[:size // 2] + bytes(2 * size + 5 - size // 2) + b"end"
    data.resize(1)
    data.resize(4 * PAGE_SIZE)
    assert contents(data) == (NOISE[:size // 2] + b"\0")[:1] + bytes(4 * PAGE_SIZE - 1)


def test_nothing_written_changes_nothing_and_behind_the_end_nothing_is_read(data: FileData) -> None:
    assert write(data, 10_000, b"") == 0
    assert data.size == 0 and data.objects() == [] and data.frames() == []
    write(data, 0, b"abc")
    assert read(data, 3, 10) == read(data, 1 << 62, 10) == b""
    assert read(data, 2, 10) == b"c"


@pytest.mark.parametrize(("offset", "errno"), [(-1, Errno.EINVAL), (MAX_SIZE, Errno.EFBIG), (1 << 64, Errno.EFBIG),
                                               (1 << 40, Errno.ENOSPC), (100 << 20, Errno.ENOSPC)])
def test_offsets_that_no_file_or_memory_has(data: FileData, offset: int, errno: Errno) -> None:
    write(data, 0, b"abc")
    free = free_memory(data._mm)
    for act in (lambda: write(data, offset, b"x"), lambda: data.resize(offset + 1 if offset > 0 else offset)):
        with pytest.raises(SysError) as failed:
            act()
        assert failed.value.errno is errno
        assert contents(data) == b"abc"
        assert free_memory(data._mm) == free


def test_a_file_as_large_as_memory_allows_and_one_byte_of_a_page_more(mm: Mm, storage: type[FileData]) -> None:
    """Until ENOSPC; the file is then what it was, and can be read, cut and written on."""
    free = free_memory(mm)
    with HeapBox(mm, FileState.SIZE) as box:
        data = storage(mm, box.paddr)
        written = 0
        with pytest.raises(SysError) as full:
            while True:
                written += write(data, written, NOISE[:1 << 16])
        assert full.value.errno is Errno.ENOSPC
        assert data.size == written >= free // 4
        assert read(data, written - (1 << 16), 1 << 17) == NOISE[:1 << 16]
        data.resize(10)
        assert write(data, 10, b"goes on") == 7
        data.drop()
    assert free_memory(mm) == free


def test_a_fault_ends_a_write_where_it_comes(data: FileData, user: UserPages) -> None:
    user.map(0, 1)  # and not 2
    user.put(0, NOISE[:2 * PAGE_SIZE])
    write(data, 0, b"-" * 100)
    assert data.write_at(50, user.reader(0, 3 * PAGE_SIZE)) == 2 * PAGE_SIZE
    assert contents(data) == b"-" * 50 + NOISE[:2 * PAGE_SIZE]
    assert len(data.frames()) in (0, 3)
    data.resize(4 * PAGE_SIZE)
    assert contents(data)[50 + 2 * PAGE_SIZE:] == bytes(2 * PAGE_SIZE - 50), "what was not written is zero"


def test_a_fault_at_the_first_byte_changes_nothing(data: FileData, user: UserPages) -> None:
    mm = data._mm
    for before in (b"", b"abc", NOISE[:5000]):
        data.resize(0)
        write(data, 0, before)
        free, held = free_memory(mm), (data.frames(), len(data.objects()))
        for offset in 0, 1, 10_000:
            with pytest.raises(SysError) as fault:
                data.write_at(offset, user.reader(0, 20_000))
            assert fault.value.errno is Errno.EFAULT
            assert contents(data) == before
            assert (data.frames(), len(data.objects())) == held
            assert free_memory(mm) == free


def test_a_fault_ends_a_read_where_it_comes(data: FileData, user: UserPages) -> None:
    user.map(0, 2, 3)
    user.read_only.add(3)
    write(data, 0, NOISE[:5 * PAGE_SIZE])
    assert data.read_at(7, user.writer(100, 3 * PAGE_SIZE)) == PAGE_SIZE - 100
    assert user.get(100, PAGE_SIZE - 100) == NOISE[7:7 + PAGE_SIZE - 100]
    assert data.read_at(0, user.writer(2 * PAGE_SIZE, 2 * PAGE_SIZE)) == PAGE_SIZE
    for page in 1, 3:
        with pytest.raises(SysError) as fault:
            data.read_at(0, user.writer(page * PAGE_SIZE, 10))
        assert fault.value.errno is Errno.EFAULT


def test_user_memory_and_files_at_any_place_in_their_pages(data: FileData, user: UserPages) -> None:
    rng, model = random.Random(3), bytearray()
    user.map(0, 1, 2, 3)
    user.put(0, NOISE[:4 * PAGE_SIZE])
    for _ in range(300):
        at, offset = rng.randrange(3 * PAGE_SIZE), rng.randrange(3 * PAGE_SIZE)
        size = rng.randrange(1, 4 * PAGE_SIZE - at)
        assert data.write_at(offset, user.reader(at, size)) == size
        model.extend(bytes(max(0, offset - len(model))))
        model[offset:offset + size] = NOISE[at:at + size]
    assert contents(data) == model


def test_two_objects_on_one_state_are_one_file(data: FileData) -> None:
    """Nothing is kept in Python."""
    write(data, 0, NOISE[:10_000])
    again = type(data)(data._mm, data._state.address)
    assert contents(again) == NOISE[:10_000]
    again.resize(5)
    assert contents(data) == NOISE[:5]


def test_a_vec_doubles_and_frames_stay_where_they_are(mm: Mm) -> None:
    with HeapBox(mm, FileState.SIZE) as box, HeapBox(mm, FileState.SIZE) as other:
        vec, frames = HeapData(mm, box.paddr), FrameData(mm, other.paddr)
        capacities, places = [], []
        for page in range(40):
            write(vec, page * 1000, NOISE[:1000])
            capacities.append(FileState.at(mm.port, box.paddr).capacity)
            write(frames, page * PAGE_SIZE, NOISE[:PAGE_SIZE])
            places.append(frames.frames())
        assert sorted(set(capacities)) == [1000 << n for n in range(7)][:len(set(capacities))]
        assert all(after[:len(before)] == before for before, after in zip(places, places[1:], strict=False))
        vec.drop()
        frames.drop()


def test_a_frame_of_the_file_can_be_shared(mm: Mm) -> None:
    with HeapBox(mm, FileState.SIZE) as box:
        data = FrameData(mm, box.paddr)
        write(data, 0, NOISE[:5000])
        assert data.frame(2) is None and data.frame(-1) is None
        shared = data.frame(1)
        assert shared is not None and shared.reference_count == 2
        data.drop()
        assert shared.read_bytes(0, 5000 - PAGE_SIZE) == NOISE[PAGE_SIZE:5000]
        assert shared.reference_count == 1
        shared.drop()
