"""Reaching user memory from system calls: a bad pointer is EFAULT, never an error of the host's."""

from __future__ import annotations

from emulator import BusError
from kernel.errno import Errno, SysError
from kernel.errors import AccessDenied
from kernel.mm import PAGE_SIZE, FallibleVmReader, FallibleVmWriter
from kernel.mm.io.window import UserWindow

from .address_space import AddressSpace

PATH_MAX = 4096


def user_reader(space: AddressSpace, vaddr: int, size: int) -> FallibleVmReader:
    """A reader of `size` bytes at user address `vaddr`; EFAULT if they are not in user space."""
    try:
        return space.space.reader(vaddr, size)
    except AccessDenied as why:
        raise SysError(Errno.EFAULT, str(why)) from None


def user_writer(space: AddressSpace, vaddr: int, size: int) -> FallibleVmWriter:
    """A writer of `size` bytes at user address `vaddr`; EFAULT if they are not in user space."""
    try:
        return space.space.writer(vaddr, size)
    except AccessDenied as why:
        raise SysError(Errno.EFAULT, str(why)) from None


def read_user(space: AddressSpace, vaddr: int, size: int) -> bytes:
    """`size` bytes at user address `vaddr`; EFAULT."""
    window = _window(space, vaddr, size)
    pieces = _pieces(window, vaddr, size, False)
    if sum(length for _, length in pieces) < size:
        raise _fault(vaddr, size)
    try:
        return b"".join([window.memory.read(paddr, length) for paddr, length in pieces])
    except BusError:
        raise _fault(vaddr, size) from None


def write_user(space: AddressSpace, vaddr: int, data: bytes) -> None:
    """Put `data` at user address `vaddr`; EFAULT, with what came before the fault written."""
    size, done = len(data), 0
    window = _window(space, vaddr, size)
    try:
        for paddr, length in _pieces(window, vaddr, size, True):
            window.memory.write(paddr, data[done:done + length])
            done += length
    except BusError:
        pass
    if done < size:
        raise _fault(vaddr + done, size - done)


def _window(space: AddressSpace, vaddr: int, size: int) -> UserWindow:
    try:
        return space.space.window(vaddr, size)
    except AccessDenied as why:
        raise SysError(Errno.EFAULT, str(why)) from None


def _pieces(window: UserWindow, vaddr: int, size: int, write: bool) -> list[tuple[int, int]]:
    """Where the bytes lie, page by page, up to the first that faults: physical addresses and lengths."""
    pieces: list[tuple[int, int]] = []
    end = vaddr + size
    while vaddr < end and (run := window.run(vaddr, end - vaddr, write)) is not None:
        pieces.append(run)
        vaddr += run[1]
    return pieces


def _fault(vaddr: int, size: int) -> SysError:
    return SysError(Errno.EFAULT, f"{size} bytes at {vaddr:#x}: a page fault, or no memory there")


def read_word(space: AddressSpace, vaddr: int, size: int = 8) -> int:
    """An unsigned word of `size` bytes; EFAULT."""
    return int.from_bytes(read_user(space, vaddr, size), "little")


def write_word(space: AddressSpace, vaddr: int, value: int, size: int = 8) -> None:
    """Store a word of `size` bytes; EFAULT."""
    write_user(space, vaddr, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))


def read_string(space: AddressSpace, vaddr: int, limit: int = PATH_MAX) -> bytes:
    """The bytes at `vaddr` up to a 0; EFAULT, ENAMETOOLONG if there is none among `limit`."""
    parts = bytearray()
    while len(parts) < limit:
        room = min(PAGE_SIZE - vaddr % PAGE_SIZE, limit - len(parts))
        piece = read_user(space, vaddr, room)
        end = piece.find(0)
        if end >= 0:
            return bytes(parts + piece[:end])
        parts += piece
        vaddr += room
    raise SysError(Errno.ENAMETOOLONG, f"a string of more than {limit} bytes")


def read_strings(space: AddressSpace, vaddr: int, limit: int) -> list[bytes]:
    """The strings whose addresses are at `vaddr`, up to a null pointer; EFAULT, E2BIG beyond `limit` bytes."""
    found: list[bytes] = []
    left = limit
    while vaddr and (at := read_word(space, vaddr)):
        text = read_string(space, at, max(left, 1))
        left -= len(text) + 9
        if left < 0:
            raise SysError(Errno.E2BIG, f"more than {limit} bytes of strings")
        found.append(text)
        vaddr += 8
    return found
