"""Writers: a cursor that goes through memory and puts values into it (OSTD `mm/io`, `VmWriter`).

    VmWriter            kernel memory; nothing faults       (upstream VmWriter<Infallible>)
    FallibleVmWriter    user memory, or any: may fault      (upstream VmWriter<Fallible>)

After an error the cursor is where it was, except after a PageFault of `write_fallible` and `fill_zeros`,
which tells how far it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from emulator import BusError
from kernel.errors import InvalidArgs, KernelPanic, PageFault
from kernel.mm.fields import Integer, u32

from .cursor import Borrow, Cursor
from .pod import INTEGERS, PodError, PodType, require_pod
from .transfer import fill, move
from .window import HostBuffer, HostMemory, KernelMemory, LinearWindow, UserWindow

if TYPE_CHECKING:
    from .reader import AnyVmReader, VmReader

V = TypeVar("V")


class AnyVmWriter(Cursor):
    """What all writers can do."""

    __slots__ = ()

    @property
    def avail(self) -> int:
        """Bytes that can still be written."""
        return self._end - self._cursor

    @property
    def has_avail(self) -> bool:
        """Whether a byte can still be written."""
        return self._end > self._cursor

    def clone_exclusive(self) -> Self:
        """Another writer that stands where this one does; writing with it does not move this one."""
        return self._copy()

    def write_fallible(self, reader: AnyVmReader) -> int:
        """Copy until the reader or the writer is at its end; how many bytes that were.

        PageFault if either side faults: `.copied` bytes had been copied, and both cursors are past them.
        """
        return reader.read_fallible(self)


class VmWriter(AnyVmWriter):
    """A writer of kernel memory: `from_kernel_space` or `from_slice`."""

    __slots__ = ()

    @classmethod
    def from_kernel_space(cls, mm: KernelMemory, vaddr: int, size: int, borrow: Borrow | None = None) -> VmWriter:
        """A writer of `size` bytes at `vaddr` of the linear mapping (`mm.paddr_to_vaddr(paddr)`).

        `borrow()` is called before each access and should raise UseAfterMove once the owner of the memory
        has let go of it: what the lifetime of a Rust writer sees to. KernelPanic outside of the linear mapping.
        """
        return cls(LinearWindow.of_kernel(mm, vaddr, size), vaddr, vaddr + size, borrow)

    @classmethod
    def from_slice(cls, buffer: HostBuffer) -> VmWriter:
        """A writer to a host buffer, its cursor being the offset (`VmWriter::from(&mut [u8])`).

        InvalidArgs if the buffer is read-only.
        """
        memory = HostMemory(buffer)
        if memory.view.readonly:
            raise InvalidArgs("the buffer is read-only")
        return cls(LinearWindow(memory, 0), 0, memory.view.nbytes)

    def to_fallible(self) -> FallibleVmWriter:
        """A writer that stands where this one does, for functions that take user memory, too."""
        return FallibleVmWriter(self._window, self._cursor, self._end, self._borrow)

    def write(self, reader: VmReader) -> int:
        """Copy until the reader or the writer is at its end; how many bytes that were."""
        return reader.read(self)

    def write_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Put `data` next. InvalidArgs if it does not fit; nothing is then written."""
        cursor, window = self._cursor, self._window
        assert isinstance(window, LinearWindow)
        if len(data) > self._end - cursor:
            self._short(len(data))
        if self._borrow is not None:
            self._borrow()
        window.memory.write(cursor - window.base, data)
        self._cursor = cursor + len(data)

    def write_val(self, kind: PodType[V], value: V) -> None:
        """Put a value of the Pod type `kind` next.

        InvalidArgs if it does not fit into what is left, ValueError if it is not one of the type's;
        PodError if `kind` is not Pod.
        """
        word = INTEGERS.get(kind)
        if word is None:
            require_pod(kind)
            data = kind.encode(value)
            self.write_bytes(data)
            return
        size, sign = word
        cursor, window = self._cursor, self._window
        if cursor % size or type(value) is not int or not -sign <= value < (  # type: ignore[operator]
                sign or 1 << 8 * size):
            self.write_bytes(kind.encode(value))
            return
        if size > self._end - cursor:
            self._short(size)
        if self._borrow is not None:
            self._borrow()
        assert isinstance(window, LinearWindow)
        window.memory.store_sized(cursor - window.base, size, value)  # type: ignore[arg-type]
        self._cursor = cursor + size

    def write_once(self, kind: PodType[V], value: V) -> None:
        """Put a value next, by one store: no other access comes between its bytes.

        InvalidArgs if it does not fit into what is left; KernelPanic if the cursor is not aligned to
        the value's size; PodError if that is not 1, 2, 4 or 8 bytes.
        """
        require_pod(kind)
        size = self._once_size(kind)
        word = int.from_bytes(kind.encode(value), "little")
        if self._borrow is not None:
            self._borrow()
        window = self._window
        assert isinstance(window, LinearWindow)
        window.memory.store_sized(self._cursor - window.base, size, word)
        self._cursor += size

    def fill_zeros(self, size: int) -> int:
        """Zero the next `size` bytes, or as many as there are; how many that were."""
        size = min(size, self._end - self._cursor)
        if size <= 0:
            return 0
        if self._borrow is not None:
            self._borrow()
        fill(self._window, self._cursor, size)
        self._cursor += size
        return size


class FallibleVmWriter(AnyVmWriter):
    """A writer of memory that may fault: `from_user_space`, or `VmWriter.to_fallible()`."""

    __slots__ = ()

    @classmethod
    def from_user_space(
            cls, window: UserWindow, vaddr: int, size: int, borrow: Borrow | None = None) -> FallibleVmWriter:
        """A writer of `size` bytes at user address `vaddr`. KernelPanic beyond the window's end."""
        window.check(vaddr, size)
        return cls(window, vaddr, vaddr + size, borrow)

    def write_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Put `data` next. InvalidArgs if it does not fit; for a PageFault see `write_val`."""
        cursor, source = self._cursor, HostMemory(data)
        size = source.view.nbytes
        if size > self._end - cursor:
            self._short(size)
        if not size:
            return
        if self._borrow is not None:
            self._borrow()
        copied = move(self._window, cursor, LinearWindow(source, 0), 0, size)
        if copied < size:
            raise PageFault(f"page fault writing {cursor + copied:#x}", copied)
        self._cursor = cursor + copied

    def write_val(self, kind: PodType[V], value: V) -> None:
        """Put a value of the Pod type `kind` next.

        InvalidArgs if it does not fit into what is left; PodError if `kind` is not Pod; PageFault if not
        all of it can be written: the cursor is then where it was, but the first `.copied` bytes are written.
        """
        require_pod(kind)
        self.write_bytes(kind.encode(value))

    def fill_zeros(self, size: int) -> int:
        """Zero the next `size` bytes, or as many as there are; how many that were.

        PageFault after `.copied` bytes, with the cursor past them.
        """
        size = min(size, self._end - self._cursor)
        if size <= 0:
            return 0
        if self._borrow is not None:
            self._borrow()
        filled = fill(self._window, self._cursor, size)
        self._cursor += filled
        if filled < size:
            raise PageFault(f"page fault filling {self._cursor:#x}, after {filled} bytes", filled)
        return filled

    def atomic_compare_exchange(
            self, reader: AnyVmReader, old: int, new: int, kind: type[Integer] = u32) -> tuple[int, bool]:
        """Set the u32 at the cursor to `new` if it is `old`, atomically: what it was, and whether it was set.

        `reader` must stand at the same place, as the permission to read it; cursors stay where they are.
        InvalidArgs if either has fewer than 4 bytes left; KernelPanic if they stand at different places, or
        not aligned to 4; PageFault, with the word unchanged; PodError for any other type than u32, ValueError for a
        value that does not fit it.
        """
        if kind is not u32:
            raise PodError(f"{kind.__name__} cannot be exchanged atomically, only u32")
        u32.encode(old)
        u32.encode(new)
        if self._end - self._cursor < 4:
            self._short(4)
        if reader._end - reader._cursor < 4:
            reader._short(4)
        if self._window.place(self._cursor) != reader._window.place(reader._cursor):
            raise KernelPanic(f"the writer is at {self._cursor:#x}, the reader at {reader._cursor:#x} or elsewhere")
        self._aligned(4)
        if self._borrow is not None:
            self._borrow()
        if reader._borrow is not None:
            reader._borrow()
        run = self._window.run(self._cursor, 4, True)
        if run is not None:
            try:
                was = self._window.memory.compare_exchange(run[0], old, new, 4)
                return was, was == old
            except BusError:
                if isinstance(self._window, LinearWindow):
                    raise
        raise PageFault(f"page fault writing {self._cursor:#x}")
