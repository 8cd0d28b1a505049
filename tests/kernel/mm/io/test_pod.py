"""Pod types: what is one, what is refused, and how values lie in memory."""

from __future__ import annotations

from typing import ClassVar

import pytest

from kernel.errors import InvalidArgs
from kernel.mm.fields import Bytes, Field, Nested, Struct, i8, i16, i32, i64, u8, u16, u32, u64, usize
from kernel.mm.io import Array, Pod, PodError, VmReader, VmWriter


class Point(Pod):
    x = i32()
    y = i32()


class Shape(Pod):
    ORIGIN: ClassVar[int] = 0
    tag = Bytes(4)
    corners = Array(Point, 2)
    first = Nested(Point)
    weights = Array(u16, 2)


class Gaps(Pod, padding=True):
    a = u8()
    b = u32()
    c = u8()


def test_fields_lie_as_repr_c_lays_them() -> None:
    value = Shape(tag=b"abcd", corners=[Point(x=1, y=-1), Point(x=2, y=-2)], first=Point(x=3, y=4), weights=(5, 6))
    assert value.to_bytes() == (b"abcd" + b"\1\0\0\0\xff\xff\xff\xff\2\0\0\0\xfe\xff\xff\xff"
                                + b"\3\0\0\0\4\0\0\0" + b"\5\0\6\0")


def test_a_struct_survives_the_way_through_memory() -> None:
    value = Shape(tag=b"abcd", corners=[Point(x=1, y=-1), Point(x=2, y=-2)], first=Point(x=3, y=4), weights=(5, 6))
    buffer = bytearray(Shape.SIZE + 1)
    VmWriter.from_slice(buffer).skip(1).write_val(Shape, value)
    back = VmReader.from_slice(buffer).skip(1).read_val(Shape)
    assert back == value
    assert back.corners[1].y == -2
    assert back.weights == (5, 6)


def test_a_value_that_was_read_is_a_copy() -> None:
    buffer = bytearray(8)
    point = VmReader.from_slice(buffer).read_val(Point)
    point.x = 5
    assert buffer == bytes(8)


@pytest.mark.parametrize("kind, value", [
    (u8, 255), (u16, 65535), (u32, 1 << 31), (u64, (1 << 64) - 1), (usize, 1 << 63),
    (i8, -128), (i8, 127), (i16, -2), (i32, -(1 << 31)), (i64, -1), (i64, (1 << 63) - 1),
])
@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize("fallible", [False, True])
def test_integers_keep_their_value(kind: type[u64], value: int, skip: int, fallible: bool) -> None:
    writer, buffer = None, bytearray(16)
    writer = VmWriter.from_slice(buffer).skip(skip)
    (writer.to_fallible() if fallible else writer).write_val(kind, value)
    reader = VmReader.from_slice(buffer).skip(skip)
    assert (reader.to_fallible() if fallible else reader).read_val(kind) == value
    assert buffer[skip:skip + kind.SIZE] == value.to_bytes(kind.SIZE, "little", signed=value < 0)
    assert not any(buffer[skip + kind.SIZE:])


@pytest.mark.parametrize("kind, value", [(u8, 256), (u8, -1), (i8, 128), (i8, -129), (u64, 1 << 64)])
@pytest.mark.parametrize("skip", [0, 1])
def test_an_integer_that_does_not_fit_its_type_is_refused(kind: type[u64], value: int, skip: int) -> None:
    buffer = bytearray(16)
    with pytest.raises(ValueError, match="does not fit"):
        VmWriter.from_slice(buffer).skip(skip).write_val(kind, value)
    assert buffer == bytes(16)


def test_arrays_are_types_of_their_own() -> None:
    reader = VmReader.from_slice(bytes([1, 0, 2, 0, 3, 0, 4, 0]))
    assert reader.clone().read_val(Array(u16, 4)) == (1, 2, 3, 4)
    assert reader.clone().read_val(Array(Array(u16, 2), 2)) == ((1, 2), (3, 4))
    assert reader.clone().read_val(Array(Point, 1)) == (Point(x=0x20001, y=0x40003),)
    assert reader.clone().read_val(Array(Point, 0)) == ()


def test_an_array_takes_just_as_many_values_as_it_has() -> None:
    with pytest.raises(ValueError, match="3 values given, expected 2"):
        Shape(weights=(1, 2, 3))
    with pytest.raises(ValueError, match="do not|fit"):
        Shape(weights=(1, 65536))


def test_an_array_is_aligned_as_its_elements_are() -> None:
    class Mixed(Pod, padding=True):
        a = u8()
        b = Array(u32, 1)

    assert Mixed.b.offset == 4
    assert Array(Point, 3).align == 4
    assert Array(Array(u64, 1), 2).align == 8


def test_bytes_that_belong_to_no_field_are_refused() -> None:
    with pytest.raises(PodError, match="bytes 1 to 3 belong to no field"):
        class Hole(Pod):
            a = u8()
            b = u32()


def test_a_tail_that_belongs_to_no_field_is_refused() -> None:
    with pytest.raises(PodError, match="bytes 9 to 15 belong to no field"):
        class Tail(Pod):
            a = u64()
            b = u8()


def test_padding_on_demand_becomes_fields() -> None:
    assert [field.name for field in Gaps.FIELDS] == ["a", "_pad1", "b", "c", "_pad2"]
    assert (Gaps.b.offset, Gaps.c.offset, Gaps.SIZE) == (4, 8, 12)
    assert Gaps.decode(bytes(range(12)))._pad1 == b"\1\2\3"  # type: ignore[attr-defined]
    assert not Gaps.PADDED


def test_a_padded_struct_can_be_extended() -> None:
    class More(Gaps):
        d = u32()

    assert More.d.offset == 12
    assert More.SIZE == 16


def test_bool_is_not_pod() -> None:
    reader = VmReader.from_slice(bytes(8))
    with pytest.raises(PodError, match="bool is not Pod"):
        reader.read_val(bool)  # type: ignore[arg-type]
    with pytest.raises(PodError, match="bool is not Pod"):
        Array(bool, 2)  # type: ignore[arg-type]
    assert reader.remain == 8


def test_a_bool_field_is_refused() -> None:
    with pytest.raises(PodError, match="flag: bool is a type"):
        class Value(Pod):
            flag = bool

    with pytest.raises(PodError, match="flag: bool is an annotation"):
        class Annotated(Pod):
            flag: bool


def test_a_field_that_does_not_take_every_byte_pattern_is_refused() -> None:
    class Flag(Field):
        size = 1

    with pytest.raises(PodError, match="flag: Flag is not Pod"):
        class Flagged(Pod):
            flag = Flag()


def test_a_field_type_without_its_parentheses_is_refused() -> None:
    with pytest.raises(PodError, match="length: u32 is a type, not a field"):
        class Forgot(Pod):
            length = u32


def test_a_struct_that_is_not_pod_is_refused_inside_of_one() -> None:
    class Plain(Struct):
        a = u32()

    with pytest.raises(PodError, match="inner: Plain is not Pod"):
        class Outer(Pod):
            inner = Nested(Plain)

    with pytest.raises(PodError, match="Plain is not Pod"):
        VmReader.from_slice(bytes(8)).read_val(Plain)
    with pytest.raises(PodError, match="Plain is not Pod"):
        VmWriter.from_slice(bytearray(8)).to_fallible().write_val(Plain, Plain())


def test_a_value_of_another_struct_is_refused() -> None:
    class Other(Pod):
        z = u64()

    buffer = bytearray(8)
    with pytest.raises(PodError, match="Other given, expected Point"):
        VmWriter.from_slice(buffer).write_val(Point, Other(z=1))
    assert buffer == bytes(8)


def test_a_struct_is_not_made_of_too_few_bytes() -> None:
    with pytest.raises(ValueError, match="7 bytes given, expected 8"):
        Point.decode(bytes(7))


def test_a_short_buffer_is_invalid_for_a_struct() -> None:
    reader = VmReader.from_slice(bytes(7))
    with pytest.raises(InvalidArgs):
        reader.read_val(Point)
    assert reader.cursor == 0
