"""Declared layouts lie in memory as repr(C) says."""

from __future__ import annotations

import struct

import pytest

from emulator import Board, Machine
from kernel.errors import MetaTypeError
from kernel.mm.fields import Bytes, Nested, Struct, i16, i64, u8, u16, u32
from kernel.mm.frame.meta_type import FrameMeta
from kernel.mm.port import MemoryPort


class Mixed(Struct):
    a = u8()
    b = u32()
    c = u16()
    d = i64()


class Outer(Struct):
    name = Bytes(3)
    inner = Nested(Mixed)
    last = i16()


def test_fields_are_aligned_to_their_sizes() -> None:
    assert [field.offset for field in Mixed.FIELDS] == [0, 4, 8, 16]
    assert (Mixed.SIZE, Mixed.ALIGN, Mixed.PADDED) == (24, 8, True)
    assert [field.offset for field in Outer.FIELDS] == [0, 8, 32]
    assert Outer.SIZE == 40


def test_a_value_has_the_bytes_that_c_would_give_it() -> None:
    value = Mixed(a=1, b=2, c=3, d=-4)
    assert value.to_bytes() == struct.pack("<BxxxIHxxxxxxq", 1, 2, 3, -4)
    assert Mixed.decode(value.to_bytes()) == value
    assert repr(value) == "Mixed(a=1, b=2, c=3, d=-4)"


def test_a_view_reads_and_writes_the_memory_that_it_lies_in() -> None:
    port = MemoryPort(Machine(Board(memory=1 << 20)).bus)
    view = Outer.at(port, 0x8000_0100)
    view.inner.d = -1  # type: ignore[attr-defined]
    view.name = b"abc"
    assert port.load(0x8000_0100 + 8 + 16) == (1 << 64) - 1
    assert port.read(0x8000_0100, 3) == b"abc"
    port.store_sized(0x8000_0100 + 32, 2, 0xFFFE)
    assert view.last == -2


@pytest.mark.parametrize(("field", "value"), [
    ("a", 256), ("a", -1), ("b", 1 << 32), ("d", 1 << 63), ("d", -(1 << 63) - 1),
])
def test_values_that_do_not_fit_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field}: {value} does not fit"):
        Mixed(**{field: value})


def test_names_and_lengths_that_are_wrong_are_refused() -> None:
    with pytest.raises(TypeError, match="has no field x"):
        Mixed(x=1)
    with pytest.raises(ValueError, match="4 bytes given, expected 3"):
        Outer(name=b"four")
    with pytest.raises(ValueError, match="Outer given, expected Mixed"):
        Outer(inner=Outer())


def test_metadata_has_at_most_forty_bytes() -> None:
    class Fits(FrameMeta):
        data = Bytes(40)

    assert Fits.SIZE == 40
    with pytest.raises(MetaTypeError, match="TooLarge has 41 bytes; a slot stores 40"):
        class TooLarge(FrameMeta):
            data = Bytes(41)
