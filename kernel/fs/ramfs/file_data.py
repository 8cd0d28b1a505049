"""The contents of a file: bytes in emulated memory, at offsets (the RamFS exercise).

        FileState, in the file's inode          HeapData                        FrameData
        size       bytes of the file            Vec<u8>                         Vec<Frame<()>>
        buffer     heap object, 0 for none      the bytes                       addresses of frames, a u64 each
        capacity   what it has room for         bytes                           frames
        length     frames that the file has     -                               (size + 4095) / 4096

Both grow their buffer as Rust's Vec does, by doubling; both give everything back when the file is emptied.
Python holds nothing: two objects on one state are the same file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kernel.errno import Errno, SysError
from kernel.errors import PageFault
from kernel.mm.fields import Struct, u64
from kernel.mm.io.reader import AnyVmReader
from kernel.mm.io.writer import AnyVmWriter

if TYPE_CHECKING:
    from kernel.mm.context import Mm
    from kernel.mm.frame.frame import Frame
    from kernel.mm.frame.meta_type import Unit

MAX_SIZE = (1 << 63) - 1
"""Bytes that a file may have at most (Linux's MAX_LFS_FILESIZE)."""


class FileState(Struct):
    """What a file's contents are kept with; zeros for an empty file."""

    size = u64()
    buffer = u64()
    capacity = u64()
    length = u64()


class FileData(ABC):
    """The contents whose FileState lies at physical `state` of `mm`. SysError is for what a user program causes:

        EFAULT      the first byte of a user's buffer cannot be accessed; nothing is changed
        ENOSPC      there is no memory; nothing is changed
        EFBIG       the end would be beyond MAX_SIZE
        EINVAL      a negative offset or size
    """

    __slots__ = ("_mm", "_port", "_state")

    def __init__(self, mm: Mm, state: int) -> None:
        self._mm, self._port = mm, mm.port
        self._state = FileState.at(mm.port, state)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._state.size

    def read_at(self, offset: int, writer: AnyVmWriter) -> int:
        """Copy what is at `offset` until the file or `writer` is at its end; how many bytes that were, 0 at the end.

        A fault after some bytes ends it there.
        """
        if offset < 0:
            raise SysError(Errno.EINVAL, f"offset {offset}")
        size = min(self.size - offset, writer.avail)
        if size <= 0:
            return 0
        done, fault = self._copy_out(offset, size, writer)
        if fault is not None and not done:
            raise fault
        return done

    def write_at(self, offset: int, reader: AnyVmReader) -> int:
        """Copy all that `reader` has to `offset`, growing the file; how many bytes that were.

        A gap behind the old end reads as zeros. A fault after some bytes ends it there. Nothing to write
        changes nothing, wherever `offset` is.
        """
        size = reader.remain
        if not size:
            return 0
        require_size(offset, size)
        done, fault = self._copy_in(offset, size, reader)
        if fault is not None and not done:
            raise fault
        return done

    @abstractmethod
    def resize(self, size: int) -> None:
        """Cut the file off at `size`, or let it grow to it with zeros."""

    def drop(self) -> None:
        """Give all memory back; the file is empty then."""
        self.resize(0)

    def frame(self, index: int) -> Frame[Unit] | None:
        """One more reference to the frame of page `index`, to be mapped; None if there is no such page, or no frame."""
        return None

    def hold_frames(self, index: int, count: int) -> list[int]:
        """One more holder for each of the frames of `count` pages from `index` on, as many as there are.

        Their physical addresses; the counts are the caller's to give up. Nothing if contents are not kept in frames.
        """
        return []

    def frames(self) -> list[int]:
        """Physical addresses of the frames that the file holds, in order."""
        return []

    def objects(self) -> list[int]:
        """Kernel virtual addresses of the heap objects that the file holds."""
        buffer = self._state.buffer
        return [buffer] if buffer else []

    @abstractmethod
    def _copy_out(self, offset: int, size: int, writer: AnyVmWriter) -> tuple[int, SysError | None]:
        """Copy from `offset` on to the user: how many bytes that were, and the EFAULT that ended it before."""

    @abstractmethod
    def _copy_in(self, offset: int, size: int, reader: AnyVmReader) -> tuple[int, SysError | None]:
        """The same from the user, at `offset`; room is made."""


def require_size(offset: int, size: int = 0) -> None:
    """SysError unless a file can have `size` bytes at `offset`: EINVAL for negative ones, EFBIG."""
    if offset < 0 or size < 0:
        raise SysError(Errno.EINVAL, f"{size} bytes at offset {offset}")
    if offset + size > MAX_SIZE:
        raise SysError(Errno.EFBIG, f"{size} bytes at offset {offset}: a file has at most {MAX_SIZE}")


def transfer(reader: AnyVmReader, writer: AnyVmWriter) -> tuple[int, SysError | None]:
    """Copy until either is at its end: how many bytes that were, and the EFAULT that ended it before."""
    try:
        return reader.read_fallible(writer), None
    except PageFault as fault:
        return fault.copied, SysError(Errno.EFAULT, str(fault))


def transfer_all(pairs: Iterator[tuple[AnyVmReader, AnyVmWriter]]) -> tuple[int, SysError | None]:
    """`transfer` for one pair after the other, up to the first fault."""
    done = 0
    for reader, writer in pairs:
        copied, fault = transfer(reader, writer)
        done += copied
        if fault is not None:
            return done, fault
    return done, None
