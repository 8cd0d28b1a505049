"""A disk's contents: a file, or bytes in memory.

        a file                    the guest's writes go to it
        a file with `snapshot`    they stay in memory, block by block, over what the file has
        bytes in memory           likewise

Snapshots of a machine. The blocks that stay in memory are in them, and are put back. What is in the file
is not: it is only known by its *fingerprint*, and a snapshot is refused by a disk with another one, since
the guest would find other things on its disk than it remembers. So whoever goes back in time needs
`snapshot`, unless the guest does not write.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import mmap
import os
import weakref
from pathlib import Path
from typing import Any

from ..errors import InputFileError, SnapshotError

SECTOR = 512
BLOCK = 4096
"""Bytes of a block that is kept over a file."""
PIECE = 1 << 20
"""Bytes of a piece that has a digest of its own."""


class Disk:
    """The disk's contents: `data` in memory, or the file at `path`.

    With `snapshot` the guest's writes stay in memory and the file is not touched; otherwise they go
    through to it. Raises InputFileError for a file that cannot be opened or whose size is no multiple
    of 512 bytes.
    """

    def __init__(self, data: bytes | None = None, path: str | os.PathLike[str] | None = None, *,
                 snapshot: bool = False, read_only: bool = False) -> None:
        self.read_only = read_only
        self.name = "in memory" if path is None else str(path)
        self._data = bytes(data or b"")
        self._file: int | None = None
        self._through = path is not None and not snapshot and not read_only
        self._written: dict[int, bytes] = {}  # blocks that stay in memory
        if path is not None:
            self._open(Path(path))
        else:
            self.bytes: mmap.mmap | bytearray = bytearray(self._data)
        if len(self.bytes) % SECTOR or not self.bytes:
            raise InputFileError(f"disk {self.name}: {len(self.bytes)} bytes, expected a multiple of {SECTOR}")
        self._digests: list[bytes | None] = [None] * -(-len(self.bytes) // PIECE)

    def _open(self, path: Path) -> None:
        try:
            with open(path, "r+b" if self._through else "rb") as source:
                self._file = os.dup(source.fileno())
            weakref.finalize(self, os.close, self._file)
            self.bytes = mmap.mmap(self._file, 0, access=mmap.ACCESS_COPY)
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
        if self._through:
            assert self._file is not None
            for piece in range(offset // PIECE, -(-(offset + len(data)) // PIECE)):
                self._digests[piece] = None
            os.pwrite(self._file, data, offset)
            return
        for block in range(offset // BLOCK, -(-(offset + len(data)) // BLOCK)):
            self._written[block] = bytes(self.bytes[block * BLOCK:(block + 1) * BLOCK])

    def flush(self) -> None:
        """Make what was written durable."""
        if self._through:
            assert self._file is not None
            os.fsync(self._file)

    # --- snapshots of the machine -------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What a snapshot must keep."""
        blocks = sorted(self._written)
        return {"size": len(self.bytes), "read_only": self.read_only, "fingerprint": self.fingerprint(),
                "blocks": blocks, "contents": [self._written[block] for block in blocks]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave. SnapshotError if this is not that disk any more."""
        if (state["size"], state["read_only"]) != (len(self.bytes), self.read_only):
            raise SnapshotError(f"disk {self.name}: {_shape(len(self.bytes), self.read_only)}, expected as in the "
                                f"snapshot {_shape(state['size'], state['read_only'])}")
        if state["fingerprint"] != self.fingerprint():
            raise SnapshotError(f"disk {self.name}: its contents are others than at the time of the snapshot; expected "
                                "the same, or a disk that keeps the guest's writes in memory (--snapshot)")
        wanted = dict(zip(state["blocks"], state["contents"], strict=True))
        if wanted and self._through:
            raise SnapshotError(f"disk {self.name}: the snapshot has {len(wanted)} blocks that were not written to the "
                                "file; expected a disk that keeps them in memory (--snapshot)")
        for block, content in wanted.items():
            if not 0 <= block < -(-len(self.bytes) // BLOCK) or len(content) != len(self._base(block * BLOCK, BLOCK)):
                raise SnapshotError(f"disk {self.name}: block {block} of the snapshot is outside of it")
        for block in sorted({*self._written, *wanted}):
            content = wanted.get(block)
            if content is None:
                content = self._base(block * BLOCK, BLOCK)
            self.bytes[block * BLOCK:block * BLOCK + len(content)] = content
        self._written = wanted

    def fingerprint(self) -> str:
        """A digest of what is below the blocks in memory, in hexadecimal. The first one reads all of it."""
        for piece, digest in enumerate(self._digests):
            if digest is None:
                self._digests[piece] = self._digest(piece * PIECE)
        return hashlib.sha256(b"".join(digest for digest in self._digests if digest is not None)).hexdigest()

    def _digest(self, offset: int) -> bytes:
        """The digest of a piece; holes of a sparse file are not read."""
        size = min(PIECE, len(self.bytes) - offset)
        if self._file is not None:
            try:
                data = os.lseek(self._file, offset, os.SEEK_DATA)
            except OSError as why:
                if why.errno != errno.ENXIO:
                    raise
                data = offset + size  # nothing but a hole up to the end
            if data >= offset + size:
                return _digest_of_zeros(size)
        return hashlib.sha256(self._base(offset, size)).digest()

    def _base(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes of the file, or of the bytes that the disk was made of."""
        if self._file is None:
            return self._data[offset:offset + size]
        return os.pread(self._file, min(size, len(self.bytes) - offset), offset)


@functools.cache
def _digest_of_zeros(size: int) -> bytes:
    return hashlib.sha256(bytes(size)).digest()


def _shape(size: int, read_only: bool) -> str:
    return f"{size} bytes{' that cannot be written' if read_only else ''}"
