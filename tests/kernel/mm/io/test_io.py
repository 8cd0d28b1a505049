"""Readers and writers behave as upstream's tests say (OSTD `mm/test.rs`, module `io`, same names)."""

from __future__ import annotations

import contextlib

import pytest

from kernel.errors import InvalidArgs
from kernel.mm import FrameAllocOptions, Mm, Segment
from kernel.mm.fields import u8, u32, u64
from kernel.mm.frame.meta_type import Unit
from kernel.mm.io import Pod, ShortFill, VmReader, VmWriter


class PodStruct(Pod, padding=True):
    """Upstream's TestPodStruct."""

    a = u32()
    b = u64()


def test_read_write_u32_infallible() -> None:
    buffer = bytearray(8)
    writer = VmWriter.from_slice(buffer)
    writer.write_val(u32, 0xDEADBEEF)
    writer.write_val(u32, 0xFEEDC0DE)
    assert buffer == bytes.fromhex("efbeadde" "dec0edfe")
    reader = VmReader.from_slice(buffer)
    assert reader.read_val(u32) == 0xDEADBEEF
    assert reader.read_val(u32) == 0xFEEDC0DE


def test_read_write_slice_infallible() -> None:
    data, buffer, back = bytes([1, 2, 3, 4, 5]), bytearray(5), bytearray(5)
    assert VmWriter.from_slice(buffer).write(VmReader.from_slice(data)) == 5
    assert buffer == data
    assert VmReader.from_slice(buffer).read(VmWriter.from_slice(back)) == 5
    assert back == data


def test_read_write_struct_infallible() -> None:
    buffer = bytearray(PodStruct.SIZE)
    value = PodStruct(a=0x12345678, b=0xABCDEF0123456789)
    VmWriter.from_slice(buffer).write_val(PodStruct, value)
    assert len(buffer) == 16
    assert VmReader.from_slice(buffer).read_val(PodStruct) == value


def test_read_beyond_buffer_infallible() -> None:
    with pytest.raises(InvalidArgs):
        VmReader.from_slice(bytes([1, 2, 3])).read_val(u32)


def test_write_beyond_buffer_infallible() -> None:
    with pytest.raises(InvalidArgs):
        VmWriter.from_slice(bytearray(3)).write_val(u32, 0xDEADBEEF)


def test_fill_infallible() -> None:
    buffer = bytearray(b"\x7F" * 8)
    writer = VmWriter.from_slice(buffer)
    assert writer.fill_zeros(10) == 8
    assert writer.avail == 0
    assert buffer == bytes(8)


def test_skip_read_infallible() -> None:
    buffer = bytearray(3)
    VmReader.from_slice(bytes([10, 20, 30, 40, 50])).skip(2).read(VmWriter.from_slice(buffer))
    assert list(buffer) == [30, 40, 50]


def test_skip_write_infallible() -> None:
    buffer = bytearray(5)
    VmWriter.from_slice(buffer).skip(2).write(VmReader.from_slice(bytes([100, 101, 102])))
    assert list(buffer) == [0, 0, 100, 101, 102]


def test_limit_read_infallible() -> None:
    reader = VmReader.from_slice(bytes([1, 2, 3, 4, 5])).limit(3)
    assert reader.remain == 3
    buffer = bytearray(3)
    reader.read(VmWriter.from_slice(buffer))
    assert list(buffer) == [1, 2, 3]
    assert reader.read(VmWriter.from_slice(bytearray(1))) == 0


def test_limit_write_infallible() -> None:
    buffer = bytearray(5)
    writer = VmWriter.from_slice(buffer).limit(3)
    assert writer.avail == 3
    for value in (10, 20, 30, 40):
        with contextlib.suppress(InvalidArgs):
            writer.write_val(u8, value)
    assert list(buffer) == [10, 20, 30, 0, 0]


def test_read_write_slice_vmio_infallible() -> None:
    data, buffer, back = bytes([100, 101, 102, 103, 104]), bytearray(5), bytearray(5)
    VmWriter.from_slice(buffer).write(VmReader.from_slice(data))
    assert buffer == data
    VmReader.from_slice(buffer).read(VmWriter.from_slice(back))
    assert back == data


def test_read_write_once_infallible() -> None:
    buffer = bytearray(8)
    VmWriter.from_slice(buffer).write_once(u64, 0x1122334455667788)
    assert VmReader.from_slice(buffer).read_once(u64) == 0x1122334455667788


def test_write_val_infallible() -> None:
    buffer = bytearray(12)
    writer = VmWriter.from_slice(buffer)
    for value in (1, 2, 3):
        writer.write_val(u32, value)
    assert list(buffer) == [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]


def test_fallible_read_write() -> None:
    buffer = bytearray(8)
    writer = VmWriter.from_slice(buffer).to_fallible()
    assert writer.has_avail
    writer.write_val(u64, 0xAABBCCDDEEFF0011)
    reader = VmReader.from_slice(buffer).to_fallible()
    assert reader.has_remain
    assert reader.read_val(u64) == 0xAABBCCDDEEFF0011


def test_partial_read_fallible() -> None:
    buffer = bytearray(5)
    reader = VmReader.from_slice(bytes([10, 20, 30, 40, 50])).to_fallible().limit(3)
    assert reader.read_fallible(VmWriter.from_slice(buffer).to_fallible()) == 3
    assert list(buffer) == [10, 20, 30, 0, 0]


def test_partial_write_fallible() -> None:
    buffer = bytearray(5)
    writer = VmWriter.from_slice(buffer).to_fallible().limit(3)
    assert writer.write_fallible(VmReader.from_slice(bytes([10, 20, 30, 40, 50]))) == 3
    assert list(buffer) == [10, 20, 30, 0, 0]


def test_read_write_val_fallible() -> None:
    buffer = bytearray(8)
    VmWriter.from_slice(buffer).to_fallible().write_val(u64, 0xAABBCCDDEEFF0011)
    assert VmReader.from_slice(buffer).to_fallible().read_val(u64) == 0xAABBCCDDEEFF0011


def test_atomic_load_fallible() -> None:
    reader = VmReader.from_slice(bytes([1, 1, 1, 1, 2, 2, 2, 2])).to_fallible()
    assert reader.atomic_load(u32) == 0x01010101
    reader.skip(4)
    assert reader.atomic_load(u32) == 0x02020202


def test_atomic_compare_exchange_fallible(mm: Mm) -> None:
    with FrameAllocOptions(mm).zeroed(True).alloc_segment(1) as segment:
        writer = segment.writer().to_fallible().skip(4)
        reader = segment.reader().to_fallible().skip(4)
        assert writer.atomic_compare_exchange(reader, 0, 100) == (0, True)
        assert writer.atomic_compare_exchange(reader, 100, 200) == (100, True)
        assert writer.atomic_compare_exchange(reader, 100, 300) == (200, False)
        assert writer.atomic_compare_exchange(reader, 200, 300) == (200, True)
        assert reader.atomic_load(u32) == 300
        assert reader.read_val(u32) == 300


def test_fill_zeros_fallible() -> None:
    buffer = bytearray(b"\x01" * 8)
    assert VmWriter.from_slice(buffer).to_fallible().fill_zeros(8) == 8
    assert buffer == bytes(8)


def test_invalid_args_read_write_fallible() -> None:
    buffer = bytearray(3)
    with pytest.raises(InvalidArgs):
        VmWriter.from_slice(buffer).to_fallible().write_val(u32, 0xDEADBEEF)
    with pytest.raises(InvalidArgs):
        VmReader.from_slice(buffer).to_fallible().read_val(u32)
    assert buffer == bytes(3)


def test_invalid_read_write_infallible() -> None:
    buffer = bytearray(3)
    with pytest.raises(InvalidArgs):
        VmWriter.from_slice(buffer).write_val(u32, 0xDEADBEEF)
    with pytest.raises(InvalidArgs):
        VmReader.from_slice(buffer).read_val(u32)
    assert buffer == bytes(3)


def _one_page(mm: Mm) -> Segment[Unit]:
    return FrameAllocOptions(mm).alloc_segment(1)


def test_fill_zeros_segment(mm: Mm) -> None:
    with _one_page(mm) as segment:
        segment.write_slice(0, u8, [1, 2, 3, 4, 5])
        segment.fill_zeros(1, 3)
        assert list(segment.read_bytes(0, 5)) == [1, 0, 0, 0, 5]
        with pytest.raises(InvalidArgs) as caught:
            segment.fill_zeros(8192, 3)
        assert isinstance(caught.value, ShortFill)
        assert caught.value.filled == 0


def test_write_slice_segment(mm: Mm) -> None:
    with _one_page(mm) as segment:
        segment.write_slice(0, u8, [1, 2, 3, 4, 5])
        assert list(segment.read_bytes(0, 12)) == [1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0]


def test_read_val_segment(mm: Mm) -> None:
    with _one_page(mm) as segment:
        segment.write_slice(0, u32, [1, 2, 3])
        assert segment.read_val(0, u32) == 1


def test_read_slice_segment(mm: Mm) -> None:
    with _one_page(mm) as segment:
        segment.write_slice(0, u32, [1, 2, 3])
        assert segment.read_slice(0, u8, 12) == [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]
