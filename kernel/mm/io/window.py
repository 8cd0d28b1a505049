"""Windows: what an address means to a reader or writer.

        window          addresses                       memory              can fault
        LinearWindow    kernel virtual, linear mapping  the memory port     no
        LinearWindow    offsets in a host buffer        the buffer          no
        UserWindow      user virtual, page by page      the memory port     yes

A host buffer (bytes, bytearray, memoryview, numpy array) stands for a buffer on the kernel's own stack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kernel.errors import InvalidArgs, KernelPanic
from kernel.mm.paging import PAGE_SIZE, PagingMode
from kernel.mm.port import MemoryPort

HostBuffer = bytes | bytearray | memoryview | npt.NDArray[Any]
"""What can stand for memory on the kernel's stack."""
Translate = Callable[[int, bool], int | None]
"""`translate(vaddr, write)`: the physical address that `vaddr` has, or None if an access faults there."""


class KernelMemory(Protocol):
    """What a kernel-space window needs of the kernel; an Mm is one."""

    @property
    def port(self) -> MemoryPort: ...

    @property
    def paging(self) -> PagingMode: ...


class Memory(Protocol):
    """Something that bytes lie in; a MemoryPort is one."""

    def read(self, address: int, size: int) -> bytes | memoryview: ...

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None: ...

    def fill(self, address: int, size: int, byte: int = 0) -> None: ...

    def copy(self, target: int, source: int, size: int) -> None: ...

    def load_sized(self, address: int, size: int) -> int: ...

    def store_sized(self, address: int, size: int, value: int) -> None: ...

    def compare_exchange(self, address: int, old: int, new: int, size: int = 8) -> int: ...


class HostMemory:
    """A host buffer as memory. Address 0 is its first byte, and counts as aligned.

    InvalidArgs if the bytes are not contiguous.
    """

    __slots__ = ("view",)

    def __init__(self, buffer: HostBuffer) -> None:
        try:
            self.view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        except TypeError as error:
            raise InvalidArgs(f"a buffer of contiguous bytes is needed: {error}") from None

    def read(self, address: int, size: int) -> memoryview:
        """A view of `size` bytes, not a copy."""
        return self.view[address:address + size]

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        self.view[address:address + len(data)] = data

    def fill(self, address: int, size: int, byte: int = 0) -> None:
        self.view[address:address + size] = bytes((byte,)) * size

    def copy(self, target: int, source: int, size: int) -> None:
        self.view[target:target + size] = self.view[source:source + size]  # a memmove

    def load_sized(self, address: int, size: int) -> int:
        return int.from_bytes(self.view[address:address + size], "little")

    def store_sized(self, address: int, size: int, value: int) -> None:
        self.view[address:address + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def compare_exchange(self, address: int, old: int, new: int, size: int = 8) -> int:
        was = self.load_sized(address, size)
        if was == old:
            self.store_sized(address, size, new)
        return was

    def host_address(self) -> int:
        """Where the buffer is in this process: the same for two views of the same bytes."""
        return int(np.frombuffer(self.view, dtype=np.uint8).ctypes.data) if self.view.nbytes else 0


class LinearWindow:
    """Addresses that are `base` above those of `memory`; nothing in it faults."""

    __slots__ = ("base", "memory")

    def __init__(self, memory: Memory, base: int) -> None:
        self.memory, self.base = memory, base

    @classmethod
    def of_kernel(cls, mm: KernelMemory, vaddr: int, size: int) -> LinearWindow:
        """The window on the linear mapping; KernelPanic if `size` bytes at `vaddr` are not in that."""
        paging = mm.paging
        base = paging.linear_base
        if size < 0 or size and not base <= vaddr <= paging.kvirt_base - size:
            raise KernelPanic(f"{size} bytes at {vaddr:#x} are not in the linear mapping "
                              f"{base:#x}-{paging.kvirt_base:#x}")
        return cls(mm.port, base)

    def run(self, vaddr: int, size: int, write: bool) -> tuple[int, int] | None:
        """Where in `memory` the bytes at `vaddr` are, and how many of `size` lie there together."""
        return vaddr - self.base, size

    def place(self, vaddr: int) -> tuple[object, int]:
        """Something that is equal for equal places."""
        if isinstance(self.memory, HostMemory):
            return HostMemory, self.memory.host_address() + vaddr
        return self.memory, vaddr - self.base


class UserWindow:
    """User addresses 0 … `end`-1, translated page by page.

        window = UserWindow(mm.port, space.translate, mm.paging.max_user_vaddr)
        reader = FallibleVmReader.from_user_space(window, vaddr, size)

    `translate(vaddr, write)` gives the physical address of the byte at `vaddr`, or None if the page is
    not mapped, not allowed to users, or not to be written (or has no D bit, where the hardware does not set it).
    An operation calls it once for each page it touches, on each side, in the order of the bytes and
    with the reader's side first, and not beyond the first fault; so it may itself map the page. Pages that it
    has given must stay where they are until the operation is over. A physical address where there is
    no RAM (a device's) is a fault, too.
    """

    __slots__ = ("end", "memory", "translate")

    def __init__(self, port: Memory, translate: Translate, end: int = 1 << 64) -> None:
        self.memory, self.translate, self.end = port, translate, end

    def check(self, vaddr: int, size: int) -> None:
        """KernelPanic unless `size` bytes at `vaddr` are in the window (upstream asserts `is_in_user_space`)."""
        if vaddr < 0 or size < 0 or vaddr + size > self.end:
            raise KernelPanic(f"{size} bytes at {vaddr:#x} are not in user space, which ends at {self.end:#x}")

    def run(self, vaddr: int, size: int, write: bool) -> tuple[int, int] | None:
        """Where in `memory` the byte at `vaddr` is, and how many of `size` are in its page; None for a fault."""
        address = self.translate(vaddr, write)
        if address is None:
            return None
        return address, min(size, PAGE_SIZE - vaddr % PAGE_SIZE)

    def place(self, vaddr: int) -> tuple[object, int]:
        """Something that is equal for equal places."""
        return self.translate, vaddr


Window = LinearWindow | UserWindow
