"""The virtio block device: requests to read and write a disk.

A request is a header {type, reserved, sector}, data, and a status byte that the device writes.

Source: VIRTIO 1.1, section 5.2.
"""

from __future__ import annotations

from typing import Any

from .disk import SECTOR, Disk
from .virtio_mmio import Buffer, GuestMemory, RingError, VirtioBackend

F_RO, F_FLUSH = 1 << 5, 1 << 9
IN, OUT, FLUSH, GET_ID = 0, 1, 4, 8
OK, IOERR, UNSUPPORTED = 0, 1, 2
HEADER = 16


class VirtioBlk(VirtioBackend):
    """A virtio block device over `disk`."""

    device_id = 2

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.features = F_FLUSH | (F_RO if disk.read_only else 0)

    def config(self) -> bytes:
        return self.disk.sectors.to_bytes(8, "little") + bytes(52)

    def state(self) -> dict[str, Any]:
        return self.disk.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.disk.restore(state)

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
