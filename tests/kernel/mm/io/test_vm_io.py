"""VmIo: offsets, ends, and all or nothing."""

from __future__ import annotations

import pytest

from kernel.errors import AccessDenied, InvalidArgs, KernelPanic, Overflow, PageFault
from kernel.mm.fields import i16, u8, u16, u32, u64
from kernel.mm.io import Array, Pod, PodError, ShortFill, VmIo, VmReader, VmWriter

from .conftest import PATTERN, SIZE, Arena

TOP = (1 << 64) - 1


class Point(Pod):
    x = u32()
    y = u32()


def test_bytes_go_to_their_offset_and_nowhere_else(arena: Arena) -> None:
    arena.write_bytes(4000, b"x" * 200)
    assert arena.contents() == PATTERN[:4000] + b"x" * 200 + PATTERN[4200:]
    assert arena.read_bytes(3999, 202) == PATTERN[3999:4000] + b"x" * 200 + PATTERN[4200:4201]


def test_the_whole_memory_can_be_read_and_written(arena: Arena) -> None:
    assert arena.read_bytes(0, SIZE) == PATTERN
    arena.write_bytes(0, PATTERN[::-1])
    assert arena.contents() == PATTERN[::-1]


def test_nothing_can_be_read_at_the_end(arena: Arena) -> None:
    assert arena.read_bytes(SIZE, 0) == b""
    arena.write_bytes(SIZE, b"")
    arena.fill_zeros(SIZE, 0)


@pytest.mark.parametrize("offset, size", [
    (SIZE, 1), (SIZE - 1, 2), (SIZE + 1, 0), (0, SIZE + 1), (TOP - 8, 8), (-1, 4)])
def test_beyond_the_end_is_invalid_and_changes_nothing(arena: Arena, offset: int, size: int) -> None:
    buffer = bytearray(size)
    reader, writer = VmReader.from_slice(bytes(size)), VmWriter.from_slice(buffer)
    for attempt in (lambda: arena.read_bytes(offset, size), lambda: arena.write_bytes(offset, bytes(size)),
                    lambda: arena.read_slice(offset, u8, size), lambda: arena.write_slice(offset, u8, [0] * size),
                    lambda: arena.read(offset, writer), lambda: arena.write(offset, reader)):
        with pytest.raises(InvalidArgs):
            attempt()
    assert arena.contents() == PATTERN
    assert (writer.avail, reader.remain) == (size, size)


@pytest.mark.parametrize("offset, size", [(TOP, 1), (TOP - 7, 8), (TOP - 3, 5)])
def test_an_end_that_leaves_64_bits_is_an_overflow(arena: Arena, offset: int, size: int) -> None:
    for attempt in (lambda: arena.read_bytes(offset, size), lambda: arena.write_bytes(offset, bytes(size)),
                    lambda: arena.read_slice(offset, u8, size), lambda: arena.write_slice(offset, u8, [0] * size),
                    lambda: arena.read(offset, VmWriter.from_slice(bytearray(size))),
                    lambda: arena.write(offset, VmReader.from_slice(bytes(size)))):
        with pytest.raises(Overflow):
            attempt()


def test_the_last_offset_of_64_bits_is_merely_invalid(arena: Arena) -> None:
    with pytest.raises(InvalidArgs):
        arena.read_bytes(TOP, 0)
    with pytest.raises(InvalidArgs):
        arena.read_bytes(TOP - 7, 7)


def test_a_size_that_is_negative_is_invalid(arena: Arena) -> None:
    with pytest.raises(InvalidArgs):
        arena.read_bytes(8, -1)
    with pytest.raises(InvalidArgs):
        arena.read_slice(8, u32, -1)


@pytest.mark.parametrize("offset", [SIZE - 3, SIZE, SIZE + 1, TOP, TOP - 2, -1])
def test_a_value_beyond_the_end_is_invalid_never_an_overflow(arena: Arena, offset: int) -> None:
    with pytest.raises(InvalidArgs):
        arena.read_val(offset, u32)
    with pytest.raises(InvalidArgs):
        arena.write_val(offset, u32, 0)
    assert arena.contents() == PATTERN


def test_values_of_all_kinds_have_an_offset(arena: Arena) -> None:
    arena.write_val(3, Point, Point(x=1, y=2))
    assert arena.read_val(3, Point) == Point(x=1, y=2)
    assert arena.read_val(7, u32) == 2
    assert arena.read_val(3, Array(u16, 2)) == (1, 0)


def test_slices_hold_any_pod_type(arena: Arena) -> None:
    arena.write_slice(1, i16, [-1, 2, -3])
    assert arena.read_slice(1, i16, 3) == [-1, 2, -3]
    points = [Point(x=i, y=-i & 0xFFFF_FFFF) for i in range(5)]
    arena.write_slice(100, Point, points)
    assert arena.read_slice(100, Point, 5) == points
    assert arena.read_slice(100, u32, 10) == [word for p in points for word in (p.x, p.y)]
    arena.write_slice(200, u8, b"bytes")
    assert arena.read_slice(200, u8, 5) == list(b"bytes")


def test_a_slice_with_a_value_that_does_not_fit_is_not_begun(arena: Arena) -> None:
    with pytest.raises(ValueError, match="fit"):
        arena.write_slice(0, u8, [0, 256])
    with pytest.raises(ValueError, match="fit"):
        arena.write_slice(0, i16, [0, 40000])
    assert arena.contents() == PATTERN


def test_slices_are_of_pod_types_only(arena: Arena) -> None:
    with pytest.raises(PodError):
        arena.read_slice(0, bool, 1)  # type: ignore[arg-type]
    with pytest.raises(PodError):
        arena.write_slice(0, bool, [True])  # type: ignore[arg-type]


def test_fill_zeros_tells_how_much_of_it_there_was(arena: Arena) -> None:
    with pytest.raises(ShortFill) as caught:
        arena.fill_zeros(SIZE - 5, 8)
    assert caught.value.filled == 5
    assert arena.contents() == PATTERN[:-5] + bytes(5)


@pytest.mark.parametrize("offset, size", [(SIZE + 1, 0), (SIZE, 1), (TOP, 1), (TOP, TOP), (-1, 4), (4, -1)])
def test_fill_zeros_beyond_the_end_fills_nothing(arena: Arena, offset: int, size: int) -> None:
    with pytest.raises(ShortFill) as caught:
        arena.fill_zeros(offset, size)
    assert caught.value.filled == 0
    assert arena.contents() == PATTERN


def test_fill_zeros_without_end_fills_all(arena: Arena) -> None:
    with pytest.raises(ShortFill) as caught:
        arena.fill_zeros(1, TOP)
    assert caught.value.filled == SIZE - 1
    assert arena.contents() == PATTERN[:1] + bytes(SIZE - 1)


def test_once_past_the_end_panics(arena: Arena) -> None:
    with pytest.raises(KernelPanic):
        arena.read_once(SIZE + 8, u64)
    with pytest.raises(KernelPanic):
        arena.write_once(SIZE + 8, u64, 0)


def test_once_across_the_end_is_invalid(arena: Arena) -> None:
    with pytest.raises(InvalidArgs):
        arena.read_once(SIZE, u64)
    with pytest.raises(InvalidArgs):
        arena.write_once(SIZE - 4, u64, 0)


def test_once_reads_what_it_wrote(arena: Arena) -> None:
    arena.write_once(16, u64, 1 << 63)
    assert arena.read_once(16, u64) == 1 << 63


def test_read_and_write_take_user_memory(arena: Arena) -> None:
    arena.map(1, 3, None)
    arena.read(8, arena.user_writer(0x1000, 16))
    assert arena.contents()[0x3000:0x3010] == PATTERN[8:24]
    arena.write(100, arena.user_reader(0x1000, 16))
    assert arena.contents()[100:116] == PATTERN[8:24]


def test_a_fault_of_user_memory_is_passed_on_with_its_count(arena: Arena) -> None:
    arena.map(1, 3, None)
    writer, reader = arena.user_writer(0x1FF0, 32), arena.user_reader(0x1FF8, 32)
    with pytest.raises(PageFault) as caught:
        arena.read(0, writer)
    assert (caught.value.copied, writer.cursor) == (16, 0x2000)
    with pytest.raises(PageFault) as caught:
        arena.write(100, reader)
    assert (caught.value.copied, reader.cursor) == (8, 0x2000)
    assert arena.contents()[100:108] == PATTERN[8:16]


def test_memory_that_cannot_be_read_says_so() -> None:
    class ToDevice(VmIo):
        def reader(self) -> VmReader:
            raise AccessDenied("the device only")

    with pytest.raises(AccessDenied):
        ToDevice().read_val(0, u8)
