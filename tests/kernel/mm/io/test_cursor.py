"""Cursors, ends, and what readers and writers of kernel memory refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernel.errors import InvalidArgs, KernelPanic, UseAfterMove
from kernel.mm import FrameAllocOptions, Mm
from kernel.mm.fields import i32, u8, u16, u32, u64
from kernel.mm.io import Array, Pod, PodError, VmReader, VmWriter
from kernel.mm.port import Access

from .conftest import ARENA, PATTERN, SIZE, Arena


class Accesses:
    """Records what a port does."""

    def __init__(self) -> None:
        self.seen: list[tuple[Access, int, int]] = []

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        self.seen.append((kind, address, size))


def test_a_cursor_is_a_kernel_virtual_address(arena: Arena) -> None:
    reader = arena.reader()
    assert (reader.cursor, reader.remain, reader.has_remain) == (arena.vaddr, SIZE, True)
    reader.skip(SIZE)
    assert (reader.cursor, reader.remain, reader.has_remain) == (arena.vaddr + SIZE, 0, False)


def test_a_writer_tells_what_is_available(arena: Arena) -> None:
    writer = arena.writer().limit(3)
    assert (writer.cursor, writer.avail, writer.has_avail) == (arena.vaddr, 3, True)
    writer.skip(3)
    assert (writer.avail, writer.has_avail) == (0, False)


@pytest.mark.parametrize("size", [SIZE + 1, 1 << 64, -1])
def test_skip_past_the_end_panics_and_moves_nothing(arena: Arena, size: int) -> None:
    for end in (arena.reader(), arena.writer(), arena.reader().to_fallible(), arena.writer().to_fallible()):
        with pytest.raises(KernelPanic):
            end.skip(size)
        assert end.cursor == arena.vaddr


def test_limit_never_lengthens(arena: Arena) -> None:
    assert arena.reader().limit(5).limit(9).remain == 5
    assert arena.writer().limit(1 << 64).avail == SIZE
    assert arena.reader().limit(0).remain == 0


def test_a_limit_is_not_negative(arena: Arena) -> None:
    with pytest.raises(KernelPanic):
        arena.reader().limit(-1)


def test_a_clone_goes_its_own_way(arena: Arena) -> None:
    reader = arena.reader().skip(4)
    clone = reader.clone()
    clone.read_val(u32)
    assert (reader.cursor, clone.cursor) == (arena.vaddr + 4, arena.vaddr + 8)


def test_writing_with_an_exclusive_clone_does_not_move_the_writer(arena: Arena) -> None:
    writer = arena.writer().skip(4)
    clone = writer.clone_exclusive()
    clone.write_val(u32, 7)
    assert (writer.cursor, clone.cursor) == (arena.vaddr + 4, arena.vaddr + 8)
    assert arena.read_val(4, u32) == 7


def test_to_fallible_stands_at_the_same_place(arena: Arena) -> None:
    reader = arena.reader().skip(4).limit(8).to_fallible()
    assert (reader.cursor, reader.remain) == (arena.vaddr + 4, 8)
    writer = arena.writer().skip(4).limit(8).to_fallible()
    assert (writer.cursor, writer.avail) == (arena.vaddr + 4, 8)


def test_reading_at_the_end_gives_nothing(arena: Arena) -> None:
    reader = arena.reader().skip(SIZE)
    assert reader.read(VmWriter.from_slice(bytearray(4))) == 0
    assert reader.read_bytes(0) == b""
    with pytest.raises(InvalidArgs):
        reader.read_val(u8)
    with pytest.raises(InvalidArgs):
        reader.read_once(u8)
    with pytest.raises(InvalidArgs):
        reader.to_fallible().atomic_load(u32)


def test_writing_at_the_end_changes_nothing(arena: Arena) -> None:
    writer = arena.writer().limit(SIZE - 8).skip(SIZE - 8)
    assert writer.write(VmReader.from_slice(b"abc")) == 0
    assert writer.fill_zeros(4) == 0
    for attempt in (lambda: writer.write_val(u8, 1), lambda: writer.write_once(u8, 1),
                    lambda: writer.write_bytes(b"a"), lambda: writer.to_fallible().write_bytes(b"a"),
                    lambda: writer.to_fallible().write_val(u8, 1)):
        with pytest.raises(InvalidArgs):
            attempt()
    assert arena.contents() == PATTERN


def test_a_copy_ends_where_either_side_ends(arena: Arena) -> None:
    reader, buffer = arena.reader().limit(10), bytearray(6)
    assert reader.read(VmWriter.from_slice(buffer)) == 6
    assert (reader.remain, bytes(buffer)) == (4, PATTERN[:6])
    writer = VmWriter.from_slice(bytearray(6))
    assert writer.write(reader) == 4
    assert (reader.remain, writer.avail) == (0, 2)


@pytest.mark.parametrize("source, target", [(0, 3), (3, 0), (0, 4097), (4097, 0), (5, 5)])
def test_overlapping_copies_in_memory_are_memmoves(arena: Arena, source: int, target: int) -> None:
    size = 9000
    assert arena.writer().skip(target).limit(size).write(arena.reader().skip(source)) == size
    expected = bytearray(PATTERN)
    expected[target:target + size] = PATTERN[source:source + size]
    assert arena.contents() == expected


@pytest.mark.parametrize("source, target", [(0, 3), (3, 0)])
def test_overlapping_copies_in_a_host_buffer_are_memmoves(source: int, target: int) -> None:
    buffer = bytearray(range(16))
    VmWriter.from_slice(buffer).skip(target).limit(10).write(VmReader.from_slice(buffer).skip(source))
    expected = bytearray(range(16))
    expected[target:target + 10] = bytes(range(16))[source:source + 10]
    assert buffer == expected


def test_an_aligned_word_is_one_access_of_its_size(arena: Arena) -> None:
    seen = Accesses()
    with arena.port.observed(seen):
        arena.reader().skip(4).read_val(u32)
        arena.writer().skip(6).write_val(u16, 1)
        arena.reader().skip(8).read_once(u64)
        arena.writer().skip(16).write_once(u64, 1)
    assert seen.seen == [(Access.LOAD, ARENA + 4, 4), (Access.STORE, ARENA + 6, 2),
                         (Access.LOAD, ARENA + 8, 8), (Access.STORE, ARENA + 16, 8)]


@pytest.mark.parametrize("fallible", [False, True])
def test_words_need_no_alignment(arena: Arena, fallible: bool) -> None:
    writer, reader = arena.writer().skip(4093), arena.reader().skip(4093)
    (writer.to_fallible() if fallible else writer).write_val(u64, 0x1122334455667788)
    assert (reader.to_fallible() if fallible else reader).read_val(u64) == 0x1122334455667788
    expected = bytearray(PATTERN)
    expected[4093:4101] = bytes.fromhex("8877665544332211")
    assert arena.contents() == expected


@pytest.mark.parametrize("kind, skip", [(u16, 1), (u32, 2), (u64, 4)])
def test_once_panics_if_misaligned(arena: Arena, kind: type[u64], skip: int) -> None:
    with pytest.raises(KernelPanic, match="not aligned"):
        arena.reader().skip(skip).read_once(kind)
    with pytest.raises(KernelPanic, match="not aligned"):
        arena.writer().skip(skip).write_once(kind, 0)
    assert arena.contents() == PATTERN


def test_once_keeps_signs_and_takes_small_structs(arena: Arena) -> None:
    class Pair(Pod):
        low = u32()
        high = i32()

    arena.writer().write_once(Pair, Pair(low=1, high=-2))
    assert arena.reader().read_once(Pair) == Pair(low=1, high=-2)
    assert arena.reader().skip(4).read_once(i32) == -2


@pytest.mark.parametrize("length", [0, 3, 16])
def test_once_refuses_what_one_instruction_cannot_do(arena: Arena, length: int) -> None:
    kind = Array(u8, length)
    with pytest.raises(PodError, match="only 1, 2, 4 or 8"):
        arena.reader().read_once(kind)
    with pytest.raises(PodError, match="only 1, 2, 4 or 8"):
        arena.writer().write_once(kind, (0,) * length)


def test_a_reader_is_confined_to_the_linear_mapping(arena: Arena) -> None:
    base, end = arena.paging.linear_base, arena.paging.kvirt_base
    for vaddr, size in ((base - 1, 1), (end - 1, 2), (end, 1), (0, 1), ((1 << 64) - 1, 1), (base, -1), (base, 1 << 64)):
        for end_of_copy in (VmReader, VmWriter):
            with pytest.raises(KernelPanic, match="linear mapping"):
                end_of_copy.from_kernel_space(arena, vaddr, size)
    assert VmReader.from_kernel_space(arena, end - 1, 1).remain == 1
    assert VmReader.from_kernel_space(arena, 0, 0).remain == 0


def test_a_reader_dies_with_its_frame(mm: Mm) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    reader, writer = frame.reader(), frame.writer()
    reader.read_val(u8)
    frame.drop()
    fallible, to_fallible = reader.to_fallible(), writer.to_fallible()
    buffer = bytearray(8)
    attempts: list[Any] = [
        lambda: reader.read_val(u8), lambda: reader.read_bytes(1), lambda: reader.clone().read_once(u8),
        lambda: reader.read(VmWriter.from_slice(buffer)), lambda: fallible.read_val(u8),
        lambda: fallible.clone().skip(3).atomic_load(u32), lambda: fallible.read_fallible(VmWriter.from_slice(buffer)),
        lambda: writer.write_val(u8, 1), lambda: writer.write_bytes(b"a"), lambda: writer.write_once(u8, 1),
        lambda: writer.fill_zeros(1), lambda: writer.write(VmReader.from_slice(b"a")),
        lambda: to_fallible.write_bytes(b"a"), lambda: to_fallible.fill_zeros(1), lambda: to_fallible.write_val(u8, 1),
        lambda: to_fallible.skip(4).atomic_compare_exchange(reader.clone().skip(3), 0, 0),
    ]
    for attempt in attempts:
        with pytest.raises(UseAfterMove):
            attempt()


def test_read_refuses_a_writer_that_may_fault(arena: Arena) -> None:
    with pytest.raises(InvalidArgs, match="read_fallible"):
        arena.reader().read(arena.user_writer(0x1000, 8))  # type: ignore[arg-type]


def test_a_read_only_buffer_is_not_written() -> None:
    with pytest.raises(InvalidArgs, match="read-only"):
        VmWriter.from_slice(b"abc")


def test_a_buffer_with_gaps_is_refused() -> None:
    with pytest.raises(InvalidArgs, match="contiguous"):
        VmReader.from_slice(memoryview(bytes(8))[::2])


def test_a_buffer_may_be_a_numpy_array() -> None:
    words = np.zeros(2, dtype=np.uint64)
    writer = VmWriter.from_slice(words)
    assert writer.avail == 16
    writer.skip(8).write_val(u64, 5)
    assert list(words) == [0, 5]


def test_compare_exchange_panics_at_another_place(arena: Arena) -> None:
    writer = arena.writer().to_fallible().skip(4)
    for reader in (arena.reader(), arena.reader().skip(8)):
        with pytest.raises(KernelPanic):
            writer.atomic_compare_exchange(reader, 0, 1)
    with pytest.raises(KernelPanic):
        VmWriter.from_slice(bytearray(8)).to_fallible().atomic_compare_exchange(VmReader.from_slice(bytearray(8)), 0, 1)
    assert arena.contents() == PATTERN


def test_compare_exchange_knows_one_buffer_in_two_views() -> None:
    buffer = bytearray(8)
    writer = VmWriter.from_slice(memoryview(buffer)[4:]).to_fallible()
    assert writer.atomic_compare_exchange(VmReader.from_slice(buffer).skip(4), 0, 9) == (0, True)
    assert buffer == bytes([0, 0, 0, 0, 9, 0, 0, 0])


def test_atomics_panic_if_misaligned(arena: Arena) -> None:
    reader, writer = arena.reader().to_fallible().skip(2), arena.writer().to_fallible().skip(2)
    with pytest.raises(KernelPanic, match="not aligned"):
        reader.atomic_load(u32)
    with pytest.raises(KernelPanic, match="not aligned"):
        writer.atomic_compare_exchange(reader, 0, 1)


def test_atomics_are_one_atomic_access_and_move_nothing(arena: Arena) -> None:
    seen = Accesses()
    reader, writer = arena.reader().to_fallible(), arena.writer().to_fallible()
    with arena.port.observed(seen):
        was = reader.atomic_load(u32)
        writer.atomic_compare_exchange(reader, was, 1)
    assert seen.seen == [(Access.LOAD, ARENA, 4), (Access.ATOMIC, ARENA, 4)]
    assert reader.cursor == writer.cursor == arena.vaddr


def test_atomics_are_for_u32_alone(arena: Arena) -> None:
    reader, writer = arena.reader().to_fallible(), arena.writer().to_fallible()
    with pytest.raises(PodError, match="only u32"):
        reader.atomic_load(u64)
    with pytest.raises(PodError, match="only u32"):
        writer.atomic_compare_exchange(reader, 0, 0, u64)


@pytest.mark.parametrize("old, new", [(1 << 32, 0), (0, 1 << 32), (-1, 0), (0, -1)])
def test_compare_exchange_refuses_values_that_are_no_u32(arena: Arena, old: int, new: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        arena.writer().to_fallible().atomic_compare_exchange(arena.reader(), old, new)
    assert arena.contents() == PATTERN


def test_compare_exchange_needs_four_bytes_on_both_sides(arena: Arena) -> None:
    with pytest.raises(InvalidArgs):
        arena.writer().limit(3).to_fallible().atomic_compare_exchange(arena.reader(), 0, 0)
    with pytest.raises(InvalidArgs):
        arena.writer().to_fallible().atomic_compare_exchange(arena.reader().limit(3), 0, 0)


def test_a_fallible_write_of_wide_items_writes_all_their_bytes(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_frame() as frame:
        frame.writer().to_fallible().write_bytes(memoryview(b"12345678").cast("I"))
        assert frame.read_bytes(0, 9) == b"12345678\0"
