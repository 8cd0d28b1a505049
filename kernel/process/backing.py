"""Files behind areas: where the pages of programs and of mapped files come from."""

from __future__ import annotations

from kernel.fs.inode import Inode
from kernel.mm import Frame, FrameAllocOptions, Unit, VmWriter
from kernel.mm.context import Mm
from kernel.mm.paging import PAGE_SIZE


class InodeBacking:
    """A regular file; whoever maps it holds it."""

    def __init__(self, inode: Inode) -> None:
        self.inode = inode

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InodeBacking) and other.inode is self.inode

    def __hash__(self) -> int:
        return id(self.inode)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes at `offset`, fewer at the end."""
        data = bytearray(size)
        return bytes(data[:self.inode.read_at(offset, VmWriter.from_slice(data))]) if size > 0 else b""

    def frame(self, offset: int) -> Frame[Unit] | None:
        """One more reference to the frame that holds the page at `offset`; None if the file is not kept in frames."""
        return self.inode.frame(offset >> 12)

    def hold_frames(self, offset: int, count: int) -> list[int]:
        """The same for `count` pages, as many as there are: physical addresses, a count on each."""
        return self.inode.hold_frames(offset >> 12, count)

    def hold(self) -> None:
        """Somebody maps the file."""
        self.inode.hold()

    def release(self) -> None:
        """Somebody does not map it any more."""
        self.inode.release()


class SharedPages:
    """Memory without a file that processes share (MAP_SHARED | MAP_ANONYMOUS): frames, made when they are touched."""

    def __init__(self, mm: Mm) -> None:
        self._mm = mm
        self._frames: dict[int, Frame[Unit]] = {}
        self._holders = 0

    def read(self, offset: int, size: int) -> bytes:
        """Nothing: what is not there yet is zero."""
        return b""

    def frame(self, offset: int) -> Frame[Unit]:
        """One more reference to the frame of the page at `offset`; NoMemory."""
        number = offset // PAGE_SIZE
        if number not in self._frames:
            self._frames[number] = FrameAllocOptions(self._mm).alloc_frame()
        return self._frames[number].clone()

    def hold_frames(self, offset: int, count: int) -> list[int]:
        """None: each comes when it is touched."""
        return []

    def hold(self) -> None:
        """One more address space has it."""
        self._holders += 1

    def release(self) -> None:
        """One address space fewer; with the last, the frames are given back."""
        self._holders -= 1
        if not self._holders:
            for frame in self._frames.values():
                frame.drop()
            self._frames.clear()
