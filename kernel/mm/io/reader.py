"""Readers: a cursor that goes through memory and takes values out of it (OSTD `mm/io`, `VmReader`).

    VmReader            kernel memory; nothing faults       (upstream VmReader<Infallible>)
    FallibleVmReader    user memory, or any: may fault      (upstream VmReader<Fallible>)

A reader is cheap and owns nothing; several may read the same memory. After an error its cursor is where
it was, except after a PageFault of `read_fallible`, which tells how far it came.
"""

from __future__ import annotations

from typing import Self, TypeVar

from emulator import BusError
from kernel.errors import InvalidArgs, PageFault
from kernel.mm.fields import Integer, u32

from .cursor import Borrow, Cursor
from .pod import INTEGERS, PodError, PodType, require_pod
from .transfer import move
from .window import HostBuffer, HostMemory, KernelMemory, LinearWindow, UserWindow
from .writer import AnyVmWriter, VmWriter

V = TypeVar("V")


class AnyVmReader(Cursor):
    """What all readers can do."""

    __slots__ = ()

    @property
    def remain(self) -> int:
        """Bytes that are left to read."""
        return self._end - self._cursor

    @property
    def has_remain(self) -> bool:
        """Whether a byte is left to read."""
        return self._end > self._cursor

    def clone(self) -> Self:
        """Another reader that stands where this one does."""
        return self._copy()

    def read_fallible(self, writer: AnyVmWriter) -> int:
        """Copy until the reader or the writer is at its end; how many bytes that were.

        PageFault if either side faults: `.copied` bytes had been copied, and both cursors are past them.
        """
        size = min(self._end - self._cursor, writer._end - writer._cursor)
        if not size:
            return 0
        if self._borrow is not None:
            self._borrow()
        if writer._borrow is not None:
            writer._borrow()
        copied = move(writer._window, writer._cursor, self._window, self._cursor, size)
        self._cursor += copied
        writer._cursor += copied
        if copied < size:
            where = f"{self._cursor:#x} to {writer._cursor:#x}"
            raise PageFault(f"page fault copying {where}, after {copied} bytes", copied)
        return copied


class VmReader(AnyVmReader):
    """A reader of kernel memory: `from_kernel_space` or `from_slice`."""

    __slots__ = ()

    @classmethod
    def from_kernel_space(cls, mm: KernelMemory, vaddr: int, size: int, borrow: Borrow | None = None) -> VmReader:
        """A reader of `size` bytes at `vaddr` of the linear mapping (`mm.paddr_to_vaddr(paddr)`).

        `borrow()` is called before each access and should raise UseAfterMove once the owner of the memory
        has let go of it: what the lifetime of a Rust reader sees to. KernelPanic outside of the linear mapping.
        """
        return cls(LinearWindow.of_kernel(mm, vaddr, size), vaddr, vaddr + size, borrow)

    @classmethod
    def from_slice(cls, buffer: HostBuffer) -> VmReader:
        """A reader of a host buffer, its cursor being the offset (`VmReader::from(&[u8])`)."""
        memory = HostMemory(buffer)
        return cls(LinearWindow(memory, 0), 0, memory.view.nbytes)

    def to_fallible(self) -> FallibleVmReader:
        """A reader that stands where this one does, for functions that take user memory, too."""
        return FallibleVmReader(self._window, self._cursor, self._end, self._borrow)

    def read(self, writer: VmWriter) -> int:
        """Copy until the reader or the writer is at its end; how many bytes that were."""
        if not isinstance(writer, VmWriter):
            raise InvalidArgs("read() cannot report a fault of the writer: use read_fallible()")
        return self.read_fallible(writer)

    def read_bytes(self, size: int) -> bytes:
        """The next `size` bytes. InvalidArgs if there are not so many."""
        cursor, window = self._cursor, self._window
        assert isinstance(window, LinearWindow)
        if not 0 <= size <= self._end - cursor:
            self._short(size)
        if self._borrow is not None:
            self._borrow()
        data = bytes(window.memory.read(cursor - window.base, size))
        self._cursor = cursor + size
        return data

    def read_val(self, kind: PodType[V]) -> V:
        """The value of the Pod type `kind` that comes next: an int, a struct, or a tuple for an Array.

        InvalidArgs if fewer bytes are left; PodError if `kind` is not Pod.
        """
        word = INTEGERS.get(kind)
        if word is None:
            require_pod(kind)
            return kind.decode(self.read_bytes(kind.SIZE))
        size, sign = word
        cursor, window = self._cursor, self._window
        if cursor % size:
            return kind.decode(self.read_bytes(size))
        if size > self._end - cursor:
            self._short(size)
        if self._borrow is not None:
            self._borrow()
        assert isinstance(window, LinearWindow)
        value = window.memory.load_sized(cursor - window.base, size)
        self._cursor = cursor + size
        return value - (sign << 1) if value & sign else value  # type: ignore[return-value]

    def read_once(self, kind: PodType[V]) -> V:
        """The next value, by one load: no other access comes between its bytes.

        InvalidArgs if fewer bytes are left; KernelPanic if the cursor is not aligned to the value's size;
        PodError if that is not 1, 2, 4 or 8 bytes.
        """
        require_pod(kind)
        size = self._once_size(kind)
        if self._borrow is not None:
            self._borrow()
        window = self._window
        assert isinstance(window, LinearWindow)
        value = kind.decode(window.memory.load_sized(self._cursor - window.base, size).to_bytes(size, "little"))
        self._cursor += size
        return value


class FallibleVmReader(AnyVmReader):
    """A reader of memory that may fault: `from_user_space`, or `VmReader.to_fallible()`."""

    __slots__ = ()

    @classmethod
    def from_user_space(
            cls, window: UserWindow, vaddr: int, size: int, borrow: Borrow | None = None) -> FallibleVmReader:
        """A reader of `size` bytes at user address `vaddr`. KernelPanic beyond the window's end."""
        window.check(vaddr, size)
        return cls(window, vaddr, vaddr + size, borrow)

    def read_bytes(self, size: int) -> bytes:
        """The next `size` bytes. InvalidArgs if there are not so many; PageFault leaves the cursor alone."""
        cursor, window = self._cursor, self._window
        if not 0 <= size <= self._end - cursor:
            self._short(size)
        if self._borrow is not None:
            self._borrow()
        # Page by page, not into a buffer of `size` bytes: that may be a user's word for more than there is.
        parts, end = [], cursor + size
        while cursor < end:
            run = window.run(cursor, end - cursor, False)
            if run is None:
                raise PageFault(f"page fault reading {cursor:#x}")
            try:
                parts.append(window.memory.read(*run))
            except BusError:
                if isinstance(window, LinearWindow):
                    raise
                raise PageFault(f"page fault reading {cursor:#x}") from None
            cursor += run[1]
        self._cursor = end
        return b"".join(parts)

    def read_val(self, kind: PodType[V]) -> V:
        """The value of the Pod type `kind` that comes next.

        InvalidArgs if fewer bytes are left; PodError if `kind` is not Pod; PageFault (`.copied` is 0) if
        not all of it can be read: the cursor is then where it was.
        """
        word = INTEGERS.get(kind)
        if word is None or self._cursor % word[0]:
            require_pod(kind)
            return kind.decode(self.read_bytes(kind.SIZE))
        size, sign = word
        value = self._load(size)
        self._cursor += size
        return value - (sign << 1) if value & sign else value  # type: ignore[return-value]

    def atomic_load(self, kind: type[Integer] = u32) -> int:
        """The u32 at the cursor, by one atomic load; the cursor stays.

        InvalidArgs if fewer than 4 bytes are left; KernelPanic if the cursor is not aligned to 4; PageFault;
        PodError for any other type.
        """
        if kind is not u32:
            raise PodError(f"{kind.__name__} cannot be loaded atomically, only u32")
        if self._end - self._cursor < 4:
            self._short(4)
        self._aligned(4)
        return self._load(4)

    def _load(self, size: int) -> int:
        """The aligned word of `size` bytes at the cursor, which stays."""
        if size > self._end - self._cursor:
            self._short(size)
        if self._borrow is not None:
            self._borrow()
        run = self._window.run(self._cursor, size, False)
        if run is not None:
            try:
                return self._window.memory.load_sized(run[0], size)
            except BusError:
                if isinstance(self._window, LinearWindow):
                    raise
        raise PageFault(f"page fault reading {self._cursor:#x}")
