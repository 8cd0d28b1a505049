"""A disk: the virtio block device over a file or over bytes in memory.

A request is a header {type, reserved, sector}, data, and a status byte that the device writes.

Source: VIRTIO 1.1, section 5.2.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from ..errors import InputFileError
from .virtio_mmio import Buffer, GuestMemory, RingError, VirtioBackend

SECTOR = 512
F_RO, F_FLUSH = 1 << 5, 1 << 9
IN, OUT, FLUSH, GET_ID = 0, 1, 4, 8
OK, IOERR, UNSUPPORTED = 0, 1, 2
HEADER = 16


class Disk:
    """The disk's contents: `data` in memory, or the file at `path`.

    With `snapshot` the guest's writes stay in memory and the file is not touched; otherwise they go
    through to it. Raises InputFileError for a file that cannot be opened or whose size is no multiple
    of 512 bytes.
    """

    def __init__(self, data: bytes | None = None, path: str | os.PathLike[str] | None = None, *,
                 snapshot: bool = False, read_only: bool = False) -> None:
        self.read_only = read_only
        self._file: int | None = None
        if path is not None:
            data = b""
            self._open(Path(path), writable=not (snapshot or read_only))
        else:
            self.bytes: mmap.mmap | bytearray = bytearray(data or b"")
        if len(self.bytes) % SECTOR or not self.bytes:
            raise InputFileError(f"disk {path or 'in memory'}: {len(self.bytes)} bytes, "
                                 f"expected a multiple of {SECTOR}")

    def _open(self, path: Path, writable: bool) -> None:
        try:
            if writable:
                self._file = os.open(path, os.O_RDWR)
            with open(path, "rb") as source:
                self.bytes = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as why:
            reason = why.strerror if isinstance(why, OSError) else str(why)
            raise InputFileError(f"disk {path}: {reason}") from None

    @property
    def sectors(self) -> int:
        """Size in sectors of 512 bytes."""
        return len(self.bytes) // SECTOR

    def write(self, offset: int, data: bytes) -> None:
        """Change `data` at byte `offset`, in the file too if it is not a snapshot."""
        self.bytes[offset:offset + len(data)] = data
        if self._file is not None:
            os.pwrite(self._file, data, offset)

    def flush(self) -> None:
        """Make what was written durable."""
        if self._file is not None:
            os.fsync(self._file)


class VirtioBlk(VirtioBackend):
    """A virtio block device over `disk`."""

    device_id = 2

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.features = F_FLUSH | (F_RO if disk.read_only else 0)

    def config(self) -> bytes:
        return self.disk.sectors.to_bytes(8, "little") + bytes(52)

    def _store(self, offset: int, parts: list[bytes]) -> int:
        """Write to the disk; IOERR if the host cannot."""
        try:
            for part in parts:
                self.disk.write(offset, part)
                offset += len(part)
        except OSError:
            return IOERR
        return OK

    def serve(self, memory: GuestMemory, buffers: list[Buffer]) -> int:
        if len(buffers) < 2 or buffers[0].writable or buffers[0].size < HEADER or not buffers[-1].writable:
            raise RingError("a block request without header or status")
        if len({buffer.writable for buffer in buffers[1:-1]}) > 1:
            raise RingError("a block request with data in both directions")
        header = memory.read(buffers[0].address, HEADER)
        kind = int.from_bytes(header[:4], "little")
        offset = int.from_bytes(header[8:], "little") * SECTOR
        data = buffers[1:-1]
        if data and data[0].writable != (kind != OUT):
            raise RingError("a block request with data in the wrong direction")
        written = 1
        status = OK
        size = sum(buffer.size for buffer in data)
        if kind in (IN, OUT) and (offset + size > len(self.disk.bytes) or size % SECTOR):
            status = IOERR
        elif kind == IN:
            for buffer in data:
                memory.write(buffer.address, bytes(self.disk.bytes[offset:offset + buffer.size]))
                offset += buffer.size
            written += size
        elif kind == OUT and self.disk.read_only:
            status = IOERR
        elif kind == OUT:
            status = self._store(offset, [memory.read(buffer.address, buffer.size) for buffer in data])
        elif kind == FLUSH:
            self.disk.flush()
        elif kind == GET_ID and data:
            name = b"hartwell disk"[:data[0].size]
            memory.write(data[0].address, name + bytes(min(data[0].size, 20) - len(name)))
            written += min(data[0].size, 20)
        else:
            status = UNSUPPORTED
        memory.store(buffers[-1].address, 1, status)
        return written
