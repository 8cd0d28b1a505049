"""Character devices: what is behind /dev/null, /dev/zero and /dev/full, and a register for others."""

from __future__ import annotations

from collections.abc import Callable

from kernel.errno import Errno, SysError
from kernel.errors import PageFault
from kernel.mm.io.reader import AnyVmReader
from kernel.mm.io.writer import AnyVmWriter, FallibleVmWriter, VmWriter

from .inode import Inode
from .open_file import Flags, OpenFile, Whence
from .stat import device_number

NULL, ZERO, FULL = device_number(1, 3), device_number(1, 5), device_number(1, 7)
TTY, CONSOLE = device_number(5, 0), device_number(5, 1)
NODES = {b"null": NULL, b"zero": ZERO, b"full": FULL, b"tty": TTY, b"console": CONSOLE}
"""What /dev has."""
Opener = Callable[[Inode, Flags], OpenFile]
"""Opens a node of a device."""


class Devices:
    """The devices that there are, by number: those of the memory, and what is registered."""

    def __init__(self) -> None:
        self._openers: dict[int, Opener] = {NULL: NullFile, ZERO: ZeroFile, FULL: FullFile}

    def register(self, number: int, opener: Opener) -> None:
        """Have nodes of the device `number` opened by `opener`."""
        self._openers[number] = opener

    def open(self, inode: Inode, flags: Flags) -> OpenFile:
        """An open file of the device that `inode` is a node of; ENXIO if there is none."""
        number = inode.stat().rdev
        opener = self._openers.get(number)
        if opener is None:
            raise SysError(Errno.ENXIO, f"no device {number >> 8}:{number & 0xFF}")
        return opener(inode, flags)


class NullFile(OpenFile):
    """/dev/null: takes everything, and is always at its end."""

    def __init__(self, inode: Inode, flags: Flags) -> None:
        super().__init__(flags, inode)

    def _read(self, writer: AnyVmWriter) -> int:
        return 0

    def _write(self, reader: AnyVmReader) -> int:
        size = reader.remain
        reader.skip(size)
        return size

    def pread(self, offset: int, writer: AnyVmWriter) -> int:
        return self.read(writer)

    def pwrite(self, offset: int, reader: AnyVmReader) -> int:
        return self.write(reader)

    def seek(self, offset: int, whence: Whence) -> int:
        return 0


class ZeroFile(NullFile):
    """/dev/zero: takes everything, and has as many zeros as one wants."""

    def _read(self, writer: AnyVmWriter) -> int:
        assert isinstance(writer, VmWriter | FallibleVmWriter)
        try:
            return writer.fill_zeros(writer.avail)
        except PageFault as fault:
            if not fault.copied:
                raise SysError(Errno.EFAULT, str(fault)) from None
            return fault.copied


class FullFile(ZeroFile):
    """/dev/full: has as many zeros as one wants, and no room."""

    def _write(self, reader: AnyVmReader) -> int:
        raise SysError(Errno.ENOSPC, "/dev/full")
