"""Reading and writing at an offset of something that has memory (OSTD `VmIo`, `VmIoFill`, `VmIoOnce`).

    class Segment(VmIo):
        def reader(self):
            return VmReader.from_kernel_space(mm, mm.paddr_to_vaddr(paddr), size, borrow=self.require_live)
        def writer(self):
            return VmWriter.from_kernel_space(mm, mm.paddr_to_vaddr(paddr), size, borrow=self.require_live)

    segment.write_val(16, u32, 7)

Offsets and sizes are bytes. Unless it says otherwise, an operation does all of what is asked or, raising
an error, nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from kernel.errors import InvalidArgs, Overflow

from .pod import PodType, decode_slice, encode_slice, require_pod
from .reader import AnyVmReader, VmReader
from .writer import AnyVmWriter, VmWriter

V = TypeVar("V")

_ADDRESS_SPACE = 1 << 64


class ShortFill(InvalidArgs):
    """The memory ended after `filled` of the bytes that were to be zeroed (upstream `(InvalidArgs, filled)`)."""

    def __init__(self, message: str, filled: int) -> None:
        super().__init__(message)
        self.filled = filled


def _check(offset: int, size: int, limit: int) -> None:
    if offset + size >= _ADDRESS_SPACE:
        raise Overflow(f"{size} bytes at offset {offset:#x}: leaves 64 bits")
    if offset < 0 or size < 0 or offset + size > limit:
        raise InvalidArgs(f"{size} bytes at offset {offset:#x}: the memory has {limit:#x}")


class VmIo:
    """The operations, for whoever gives a `reader()` and a `writer()` of all of its memory."""

    __slots__ = ()

    def reader(self) -> VmReader:
        """A reader of all of the memory."""
        raise NotImplementedError

    def writer(self) -> VmWriter:
        """A writer to all of the memory."""
        raise NotImplementedError

    # --- any number of bytes --------------------------------------------------------------------------------

    def read(self, offset: int, writer: AnyVmWriter) -> None:
        """Fill `writer` up with what is at `offset`.

        Overflow if the end leaves 64 bits, InvalidArgs if it is beyond the memory's; PageFault of a fallible
        writer, after `.copied` bytes.
        """
        reader = self.reader()
        _check(offset, writer.avail, reader.remain)
        reader.skip(offset).read_fallible(writer)

    def write(self, offset: int, reader: AnyVmReader) -> None:
        """Write all that `reader` has left to `offset`; errors as `read`."""
        writer = self.writer()
        _check(offset, reader.remain, writer.avail)
        writer.skip(offset).write_fallible(reader)

    def read_bytes(self, offset: int, size: int) -> bytes:
        """The `size` bytes at `offset`. Overflow, InvalidArgs."""
        reader = self.reader()
        _check(offset, size, reader.remain)
        return reader.skip(offset).read_bytes(size)

    def write_bytes(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Store `data` at `offset`. Overflow, InvalidArgs."""
        writer = self.writer()
        _check(offset, len(data), writer.avail)
        writer.skip(offset).write_bytes(data)

    def fill_zeros(self, offset: int, size: int) -> None:
        """Zero `size` bytes at `offset`.

        ShortFill, an InvalidArgs, if the memory ends before: what there is of it is zeroed, `.filled` bytes.
        """
        writer = self.writer()
        inside = 0 <= offset <= writer.avail
        filled = writer.skip(offset).fill_zeros(size) if inside else 0
        if not inside or filled != size:
            raise ShortFill(f"{size} bytes at offset {offset:#x} are to be zeroed, {filled} are", filled)

    # --- values ----------------------------------------------------------------------------------------------

    def read_val(self, offset: int, kind: PodType[V]) -> V:
        """The value of the Pod type `kind` at `offset`. InvalidArgs beyond the end; PodError."""
        reader = self.reader()
        _inside(offset, reader.remain)
        return reader.skip(offset).read_val(kind)

    def write_val(self, offset: int, kind: PodType[V], value: V) -> None:
        """Store a value of the Pod type `kind` at `offset`. InvalidArgs beyond the end; PodError, ValueError."""
        writer = self.writer()
        _inside(offset, writer.avail)
        writer.skip(offset).write_val(kind, value)

    def read_slice(self, offset: int, kind: PodType[V], count: int) -> list[V]:
        """`count` values, one after the other. Overflow, InvalidArgs, PodError."""
        require_pod(kind)
        return decode_slice(kind, self.read_bytes(offset, count * kind.SIZE), count)

    def write_slice(self, offset: int, kind: PodType[V], values: Sequence[V]) -> None:
        """Store `values`, one after the other. Overflow, InvalidArgs, PodError, ValueError."""
        require_pod(kind)
        self.write_bytes(offset, encode_slice(kind, values))

    def read_once(self, offset: int, kind: PodType[V]) -> V:
        """The value of 1, 2, 4 or 8 bytes at `offset`, by one load.

        KernelPanic if `offset` is past the end or the value is not aligned; InvalidArgs if it goes beyond the end.
        """
        return self.reader().skip(offset).read_once(kind)

    def write_once(self, offset: int, kind: PodType[V], value: V) -> None:
        """Store a value of 1, 2, 4 or 8 bytes at `offset`, by one store; errors as `read_once`."""
        self.writer().skip(offset).write_once(kind, value)


def _inside(offset: int, limit: int) -> None:
    if not 0 <= offset <= limit:
        raise InvalidArgs(f"offset {offset:#x}: the memory has {limit:#x} bytes")
