"""User memory: copies across pages, and faults at the exact byte."""

from __future__ import annotations

import pytest

from kernel.errors import InvalidArgs, KernelPanic, PageFault
from kernel.mm.fields import i32, u8, u32, u64
from kernel.mm.io import FallibleVmReader, FallibleVmWriter, Pod, UserWindow, VmReader, VmWriter
from kernel.mm.paging import PAGE_SIZE

from .conftest import ARENA, PATTERN, SIZE, USER_END, Arena

UART = 0x1000_0000


def test_a_copy_follows_the_pages_wherever_they_are(arena: Arena) -> None:
    arena.map(1, 4, 0, 2)
    buffer = bytearray(8000)
    assert arena.user_reader(0x1800, 8000).read_fallible(VmWriter.from_slice(buffer)) == 8000
    pages = b"".join(PATTERN[i * PAGE_SIZE:(i + 1) * PAGE_SIZE] for i in (4, 0, 2))
    assert buffer == pages[0x800:0x800 + 8000]


def test_a_write_follows_the_pages_wherever_they_are(arena: Arena) -> None:
    arena.map(1, 4, 0)
    data = bytes(range(200)) * 10
    assert arena.user_writer(0x1C00, 2000).write_fallible(VmReader.from_slice(data)) == 2000
    expected = bytearray(PATTERN)
    expected[0x4C00:0x5000] = data[:0x400]
    expected[:2000 - 0x400] = data[0x400:]
    assert arena.contents() == expected


@pytest.mark.parametrize("before", [0, 1, 7, 4095, 4096, 5000])
def test_a_read_stops_at_the_byte_that_faults(arena: Arena, before: int) -> None:
    arena.map(1, 0, 1, None)
    reader, buffer = arena.user_reader(0x3000 - before, before + 10), bytearray(b"." * (before + 10))
    writer = VmWriter.from_slice(buffer)
    with pytest.raises(PageFault) as caught:
        reader.read_fallible(writer)
    assert caught.value.copied == before
    assert (reader.cursor, reader.remain, writer.cursor) == (0x3000, 10, before)
    assert buffer == PATTERN[0x2000 - before:0x2000] + b"." * 10


@pytest.mark.parametrize("before", [0, 1, 7, 4095, 4096, 5000])
def test_a_write_stops_at_the_byte_that_faults(arena: Arena, before: int) -> None:
    arena.map(1, 0, 1, 2)
    arena.read_only.add(3)
    writer, reader = arena.user_writer(0x3000 - before, before + 10), VmReader.from_slice(b"w" * (before + 10))
    with pytest.raises(PageFault) as caught:
        writer.write_fallible(reader)
    assert caught.value.copied == before
    assert (writer.cursor, writer.avail, reader.remain) == (0x3000, 10, 10)
    assert arena.contents() == PATTERN[:0x2000 - before] + b"w" * before + PATTERN[0x2000:]


def test_after_a_fault_the_copy_can_go_on_where_it_stopped(arena: Arena) -> None:
    arena.map(1, 0, None)
    reader, buffer = arena.user_reader(0x1FFC, 8), bytearray(8)
    writer = VmWriter.from_slice(buffer)
    with pytest.raises(PageFault):
        reader.read_fallible(writer)
    arena.map(2, 5)
    assert reader.read_fallible(writer) == 4
    assert buffer == PATTERN[0xFFC:0x1000] + PATTERN[0x5000:0x5004]


def test_a_page_is_translated_once_for_each_operation(arena: Arena) -> None:
    arena.map(1, 0, 1, 2, 3, 4, 5)
    arena.user_reader(0x1FFF, 0x1002).read_fallible(arena.user_writer(0x4801, 0x1002))
    assert arena.calls == [(0x1FFF, False), (0x4801, True), (0x2000, False), (0x5000, True), (0x3000, False)]


def test_the_readers_fault_comes_before_the_writers_page_is_asked_for(arena: Arena) -> None:
    arena.map(1, 0, None)
    with pytest.raises(PageFault):
        arena.user_reader(0x2000, 8).read_fallible(arena.user_writer(0x1000, 8))
    assert arena.calls == [(0x2000, False)]


def test_nothing_beyond_a_fault_is_asked_for(arena: Arena) -> None:
    arena.map(1, 0, None, 2)
    with pytest.raises(PageFault):
        arena.user_writer(0x1000, 0x3000).fill_zeros(0x3000)
    assert arena.calls == [(0x1000, True), (0x2000, True)]


def test_translate_may_map_the_page(arena: Arena) -> None:
    free = iter((3, 1))

    def fault_in(vaddr: int, write: bool) -> int | None:
        if vaddr // PAGE_SIZE not in arena.pages:
            arena.map(vaddr // PAGE_SIZE, next(free))
        return arena.translate(vaddr, write)

    window = UserWindow(arena.port, fault_in, USER_END)
    FallibleVmWriter.from_user_space(window, 0x1FFE, 4).write_val(u32, 0x04030201)
    assert arena.pages == {1: ARENA + 0x3000, 2: ARENA + 0x1000}
    assert arena.contents()[0x3FFE:0x4000] + arena.contents()[0x1000:0x1002] == bytes([1, 2, 3, 4])


def test_an_absurd_size_is_a_fault_and_not_an_allocation(arena: Arena) -> None:
    arena.map(1, 0, None)
    reader = arena.user_reader(0x1000, 1 << 46)
    with pytest.raises(PageFault):
        reader.read_bytes(1 << 46)
    assert reader.cursor == 0x1000


def test_bytes_are_read_across_pages(arena: Arena) -> None:
    arena.map(1, 4, 0)
    reader = arena.user_reader(0x1FFE, 0x1000)
    assert reader.read_bytes(6) == PATTERN[0x4FFE:0x5000] + PATTERN[:4]
    assert (reader.cursor, arena.calls) == (0x2004, [(0x1FFE, False), (0x2000, False)])


def test_a_value_across_two_pages_is_one_value(arena: Arena) -> None:
    arena.map(1, 5, 0)
    arena.user_writer(0x1FFD, 8).write_val(u64, 0x1122334455667788)
    assert arena.user_reader(0x1FFD, 8).read_val(u64) == 0x1122334455667788


def test_read_val_rewinds_on_a_fault(arena: Arena) -> None:
    arena.map(1, 0, None)
    reader = arena.user_reader(0x1FFE, 8)
    with pytest.raises(PageFault) as caught:
        reader.read_val(u32)
    assert (reader.cursor, reader.remain, caught.value.copied) == (0x1FFE, 8, 0)


@pytest.mark.parametrize("kind, value", [(u64, (1 << 64) - 2), (i32, -2)])
def test_an_aligned_word_is_one_access(arena: Arena, kind: type[u64], value: int) -> None:
    arena.map(1, 0)
    arena.user_writer(0x1008, 8).write_val(kind, value)
    arena.calls.clear()
    reader = arena.user_reader(0x1008, 8)
    assert reader.read_val(kind) == value
    assert (reader.cursor, arena.calls) == (0x1008 + kind.SIZE, [(0x1008, False)])


def test_write_val_rewinds_on_a_fault_and_tells_what_it_wrote(arena: Arena) -> None:
    arena.map(1, 0, None)
    writer = arena.user_writer(0x1FFE, 8)
    with pytest.raises(PageFault) as caught:
        writer.write_val(u32, 0x04030201)
    assert (writer.cursor, writer.avail, caught.value.copied) == (0x1FFE, 8, 2)
    assert arena.contents() == PATTERN[:0xFFE] + b"\1\2" + PATTERN[0x1000:]


def test_a_short_window_is_invalid_before_any_page_is_asked_for(arena: Arena) -> None:
    arena.map(1, 0)
    with pytest.raises(InvalidArgs):
        arena.user_reader(0x1000, 3).read_val(u32)
    with pytest.raises(InvalidArgs):
        arena.user_writer(0x1000, 3).write_val(u32, 1)
    assert arena.calls == []


def test_fill_zeros_stops_at_the_byte_that_faults(arena: Arena) -> None:
    arena.map(1, 2, 0, None)
    writer = arena.user_writer(0x1FF0, 0x2000)
    with pytest.raises(PageFault) as caught:
        writer.fill_zeros(0x2000)
    assert (caught.value.copied, writer.cursor) == (0x1010, 0x3000)
    assert arena.contents() == bytes(0x1000) + PATTERN[0x1000:0x2FF0] + bytes(16) + PATTERN[0x3000:]


def test_fill_zeros_fills_what_is_available(arena: Arena) -> None:
    arena.map(1, 0)
    assert arena.user_writer(0x1004, 8).fill_zeros(1 << 64) == 8
    assert arena.contents() == PATTERN[:4] + bytes(8) + PATTERN[12:]


def test_copying_nothing_does_not_fault(arena: Arena) -> None:
    assert arena.user_reader(0x9000, 0).read_fallible(VmWriter.from_slice(bytearray(4))) == 0
    assert arena.user_writer(0x9000, 4).fill_zeros(0) == 0
    assert arena.user_reader(0x9000, 4).read_bytes(0) == b""
    arena.user_writer(0x9000, 4).write_bytes(b"")
    assert arena.calls == []


def test_atomics_fault_without_change(arena: Arena) -> None:
    arena.map(1, 0)
    arena.read_only.add(1)
    was = arena.user_reader(0x1000, 4).atomic_load()
    assert was == int.from_bytes(PATTERN[:4], "little")
    with pytest.raises(PageFault):
        arena.user_writer(0x1000, 4).atomic_compare_exchange(arena.user_reader(0x1000, 4), was, 1)
    with pytest.raises(PageFault):
        arena.user_reader(0x2000, 4).atomic_load()
    assert arena.contents() == PATTERN


def test_compare_exchange_works_on_user_memory(arena: Arena) -> None:
    arena.map(1, 5)
    writer, reader = arena.user_writer(0x1008, 4), arena.user_reader(0x1008, 4)
    was = reader.atomic_load()
    assert writer.atomic_compare_exchange(reader, was ^ 1, 7) == (was, False)
    assert writer.atomic_compare_exchange(reader, was, 7) == (was, True)
    assert arena.read_val(0x5008, u32) == 7


def test_compare_exchange_panics_if_the_reader_is_of_another_space(arena: Arena) -> None:
    arena.map(1, 0)
    other = Arena(arena.port)
    other.map(1, 0)
    with pytest.raises(KernelPanic):
        arena.user_writer(0x1000, 4).atomic_compare_exchange(other.user_reader(0x1000, 4), 0, 0)


def test_a_window_ends_where_user_space_ends(arena: Arena) -> None:
    assert arena.user_reader(USER_END - 4, 4).remain == 4
    for vaddr, size in ((USER_END - 4, 5), (USER_END, 1), ((1 << 64) - 1, 1), (0, 1 << 64), (-1, 1), (0x1000, -1)):
        with pytest.raises(KernelPanic, match="user space"):
            arena.user_reader(vaddr, size)
        with pytest.raises(KernelPanic, match="user space"):
            arena.user_writer(vaddr, size)


def test_a_window_can_reach_to_the_end_of_64_bits(arena: Arena) -> None:
    arena.map((1 << 52) - 1, 2)
    window = UserWindow(arena.port, arena.translate)
    reader = FallibleVmReader.from_user_space(window, (1 << 64) - 8, 8)
    assert reader.read_val(u64) == int.from_bytes(PATTERN[0x2FF8:0x3000], "little")
    assert (reader.cursor, reader.remain) == (1 << 64, 0)


def test_a_page_where_there_is_no_ram_faults(arena: Arena) -> None:
    arena.map(1, 0)
    arena.pages[2] = UART
    for size in (0x1002, 0x1010):
        reader, writer = arena.user_reader(0x1FFE, size), arena.user_writer(0x1FFE, size)
        with pytest.raises(PageFault) as caught:
            reader.read_fallible(VmWriter.from_slice(bytearray(size)))
        assert caught.value.copied == 2
        with pytest.raises(PageFault) as caught:
            writer.clone_exclusive().fill_zeros(size)
        assert caught.value.copied == 2
        with pytest.raises(PageFault) as caught:
            writer.clone_exclusive().write_fallible(arena.user_reader(0x1000, size))
        assert caught.value.copied == 2
    for attempt in (arena.user_reader(0x2000, 4).atomic_load, lambda: arena.user_reader(0x1FFE, 4).read_bytes(4)):
        with pytest.raises(PageFault):
            attempt()
    with pytest.raises(PageFault):
        arena.user_writer(0x2000, 4).atomic_compare_exchange(arena.user_reader(0x2000, 4), 0, 0)


@pytest.mark.parametrize("distance", [1, 8, 4095, 4096, 4097])
@pytest.mark.parametrize("forwards", [False, True])
def test_overlapping_copies_across_pages_are_memmoves(arena: Arena, distance: int, forwards: bool) -> None:
    arena.map(16, *range(6))
    source, target = (0x10000, 0x10000 + distance) if forwards else (0x10000 + distance, 0x10000)
    size = SIZE - distance
    assert arena.user_reader(source, size).read_fallible(arena.user_writer(target, size)) == size
    expected = bytearray(PATTERN)
    expected[target - 0x10000:target - 0x10000 + size] = PATTERN[source - 0x10000:source - 0x10000 + size]
    assert arena.contents() == expected


def test_a_copy_through_two_mappings_of_the_same_frames_is_a_memmove(arena: Arena) -> None:
    arena.map(1, 0, 1, 2)
    arena.reader().limit(8000).read_fallible(arena.user_writer(0x1100, 8000))
    assert arena.contents() == PATTERN[:0x100] + PATTERN[:8000] + PATTERN[0x100 + 8000:]


def test_a_struct_comes_from_user_space(arena: Arena) -> None:
    class TimeSpec(Pod):
        seconds = u64()
        nanoseconds = u64()

    arena.map(1, 0, 1)
    arena.user_writer(0x1FF8, 16).write_val(TimeSpec, TimeSpec(seconds=5, nanoseconds=6))
    assert arena.user_reader(0x1FF8, 16).read_val(TimeSpec) == TimeSpec(seconds=5, nanoseconds=6)
    assert arena.user_reader(0x1FF8, 1).read_val(u8) == 5
