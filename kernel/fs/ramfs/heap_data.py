"""A file as bytes on the kernel heap, all in one piece: `Vec<u8>`.

Growing beyond the capacity moves all of it to a new allocation of at least twice the size; from 2049 bytes on
these are frames in a row. Cutting the file off keeps the capacity, unless nothing is left.
"""

from __future__ import annotations

from contextlib import suppress

from kernel.errno import Errno, SysError
from kernel.errors import NoMemory
from kernel.mm.io.reader import AnyVmReader, VmReader
from kernel.mm.io.writer import AnyVmWriter, VmWriter
from kernel.mm.layout import Layout

from .file_data import FileData, require_size, transfer

MIN_CAPACITY = 8
"""Bytes of the first allocation at least (RawVec::MIN_NON_ZERO_CAP for u8)."""


class HeapData(FileData):
    """Contents in one heap object; see FileData."""

    __slots__ = ()

    def resize(self, size: int) -> None:
        require_size(size)
        state = self._state
        old = state.size
        if size > old:
            self._reserve(size)
            self._port.fill(self._mm.vaddr_to_paddr(state.buffer) + old, size - old)
        state.size = size
        if not size:
            self._free()

    def to_bytes(self) -> bytes:
        """All of the contents, for the kernel's own use: names, paths."""
        state = self._state
        size = state.size
        return self._port.read(self._mm.vaddr_to_paddr(state.buffer), size) if size else b""

    def _copy_out(self, offset: int, size: int, writer: AnyVmWriter) -> tuple[int, SysError | None]:
        return transfer(VmReader.from_kernel_space(self._mm, self._state.buffer + offset, size), writer)

    def _copy_in(self, offset: int, size: int, reader: AnyVmReader) -> tuple[int, SysError | None]:
        state, capacity, old = self._state, self._state.capacity, self._state.size
        self._reserve(offset + size)
        if offset > old:
            self._port.fill(self._mm.vaddr_to_paddr(state.buffer) + old, offset - old)
        done, fault = transfer(reader, VmWriter.from_kernel_space(self._mm, state.buffer + offset, size))
        if done and offset + done > old:
            state.size = offset + done
        if fault is not None:
            self._give_back(max(capacity, state.size))
        return done, fault

    def _reserve(self, size: int) -> None:
        """Have room for `size` bytes."""
        state = self._state
        capacity = state.capacity
        if size <= capacity:
            return
        larger = max(size, 2 * capacity, MIN_CAPACITY)
        try:
            state.buffer = (self._mm.heap.realloc(state.buffer, Layout(capacity), larger) if capacity
                            else self._mm.heap.alloc(Layout(larger)))
        except NoMemory as why:
            raise SysError(Errno.ENOSPC, str(why)) from None
        state.capacity = larger

    def _give_back(self, capacity: int) -> None:
        """Have room for `capacity` bytes only, after a write that did not need more; it may stay if moving fails."""
        state = self._state
        if not capacity:
            self._free()
        elif capacity < state.capacity:
            with suppress(NoMemory):
                state.buffer = self._mm.heap.realloc(state.buffer, Layout(state.capacity), capacity)
                state.capacity = capacity

    def _free(self) -> None:
        state = self._state
        if state.capacity:
            self._mm.heap.dealloc(state.buffer, Layout(state.capacity))
            state.buffer = state.capacity = 0
