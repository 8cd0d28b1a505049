"""An object on the kernel heap that frees itself (Rust's `Box<[u8]>`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.errors import InvalidArgs
from kernel.mm.frame.handle import Handle
from kernel.mm.layout import Layout

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class HeapBox(Handle):
    """`size` zeroed bytes on the heap at a multiple of `align`; `drop()` or a `with` block frees them.

        with HeapBox(mm, 100) as box:
            box.write(0, b"hello")

    Raises what `AllocDispatch.alloc` raises. Offsets beyond the end raise InvalidArgs, before anything is done.
    """

    __slots__ = ("_address", "_layout")

    def __init__(self, mm: Mm, size: int, align: int = 8) -> None:
        self._held = False
        self._mm, self._layout = mm, Layout(size, align)
        self._address = mm.heap.alloc_zeroed(self._layout)
        self._held = True

    def __repr__(self) -> str:
        return f"<HeapBox {self._address:#x} ({self._layout.size} bytes){'' if self._held else ', gone'}>"

    def _release(self) -> None:
        self._mm.heap.dealloc(self._address, self._layout)

    @property
    def address(self) -> int:
        """Kernel virtual address of the first byte, in the linear mapping."""
        self._check()
        return self._address

    @property
    def paddr(self) -> int:
        """Physical address of the first byte."""
        return self._mm.vaddr_to_paddr(self.address)

    @property
    def size(self) -> int:
        """Bytes that were asked for."""
        return self._layout.size

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """`size` bytes from `offset` on; the rest if it is None."""
        if size is None:
            size = self.size - offset
        return self._mm.port.read(self._place(offset, size), size)

    def write(self, offset: int, data: bytes) -> None:
        """Store `data` from `offset` on."""
        self._mm.port.write(self._place(offset, len(data)), data)

    def resize(self, size: int) -> None:
        """Make it `size` bytes; new ones are zero. On an error it is as it was; the address may change."""
        self._check()
        old = self._layout.size
        self._address = self._mm.heap.realloc(self._address, self._layout, size)
        self._layout = Layout(size, self._layout.align)
        if size > old:
            self._mm.port.fill(self.paddr + old, size - old)

    def into_raw(self) -> tuple[int, Layout]:
        """Give up the handle but not the memory: what `mm.heap.dealloc` takes (`Box::into_raw`)."""
        self._take()
        return self._address, self._layout

    def _place(self, offset: int, size: int) -> int:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise InvalidArgs(f"bytes {offset} to {offset + size} of {self!r}")
        return self.paddr + offset
