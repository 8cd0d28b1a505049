"""Files made of sections: each packed and with a checksum, all of them with another, written as a whole or not at all.

        MAGIC 1\\n         what it is, and the version
        sections, each    | tag, 4 bytes | size, 8 | packed size, 8 | CRC-32, 4 | packed bytes, zlib |
        the last          DONE: SHA-256 of all that stands before it in the file

Numbers are little-endian. A section's CRC is over its header, too, with 0 in its own place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .errors import MalformedFileError
from .loader.detect import read_file

HEADER = struct.Struct("<4sQQI")
DONE = b"DONE"
DIGEST = 32


@dataclass(frozen=True)
class SectionFile:
    """A format of such files. `first` is the tag that a file begins with."""

    what: str
    """What such a file is, as one says it."""
    hint: str
    """How one gets one."""
    magic: bytes
    version: int
    first: bytes
    largest: Mapping[bytes, int]
    """The tags that there are, DONE apart, and how many bytes a section of each has at most."""
    error: type[MalformedFileError]

    def write(self, path: Path, sections: Iterable[tuple[bytes, bytes]]) -> int:
        """Write (tag, bytes) each to the file at `path`; its size. OSError, and the file is as it was."""
        digest, size = hashlib.sha256(), 0
        with self._replacing(path) as out:
            for data in self._packed(sections, digest):
                size += out.write(data)
        return size

    def read(self, name: str) -> Iterator[tuple[bytes, int, bytes]]:
        """(tag, offset, bytes) of each section. InputFileError, or `error` at the first thing that is not right."""
        data = read_file(name, self.what)
        at = self._check_magic(data, name)
        begin = at
        while True:
            tag, body, end = self._section(data, at, name)
            if (tag == self.first) != (at == begin):
                raise self.error.at(name, at, "section", tag.decode(), f"{self.first.decode()} once, at the beginning")
            if tag == DONE:
                if body != hashlib.sha256(memoryview(data)[:at]).digest():
                    raise self.error.at(name, at, "section DONE", "another SHA-256", "that of what stands before it")
                if end != len(data):
                    raise self.error.at(name, end, "end of the file", f"{len(data) - end} more bytes", "none")
                return
            yield tag, at, body
            at = end

    def _packed(self, sections: Iterable[tuple[bytes, bytes]], digest: hashlib._Hash) -> Iterator[bytes]:
        start = b"%s %d\n" % (self.magic, self.version)
        digest.update(start)
        yield start
        for tag, body in sections:
            data = _pack(tag, body)
            digest.update(data)
            yield data
        yield _pack(DONE, digest.digest())

    def _check_magic(self, data: bytes, name: str) -> int:
        """Where the first section is."""
        first, newline, _ = data[:64].partition(b"\n")
        magic, _, version = first.partition(b" ")
        if magic != self.magic:
            raise self.error.at(name, 0, self.what, repr(data[:len(self.magic)]), f"{self.magic!r}: {self.hint}")
        if not newline or version != str(self.version).encode():
            newer = version.isdigit() and int(version) > self.version
            raise self.error.at(name, len(magic) + 1, "version", repr(version.decode("ascii", "replace")),
                                f"{self.version}{': a newer Hartwell wrote it' if newer else ''}")
        return len(first) + 1

    def _section(self, data: bytes, at: int, name: str) -> tuple[bytes, bytes, int]:
        """Tag and bytes of the section at `at`, and where it ends."""
        begin = at + HEADER.size
        if begin > len(data):
            raise self.error.at(name, at, "section", f"{len(data) - at} bytes", f"at least {HEADER.size}: the file is "
                                "cut short")
        tag, size, packed_size, crc = HEADER.unpack_from(data, at)
        what, end = f"section {tag.decode('ascii', 'backslashreplace')}", begin + packed_size
        if end > len(data):
            raise self.error.at(name, at, what, f"{len(data) - begin} bytes", f"{packed_size}: the file is cut short "
                                "or damaged")
        packed = memoryview(data)[begin:end]
        actual = _crc(tag, size, packed)
        if actual != crc:
            raise self.error.at(name, at, what, f"the checksum {actual:#010x}", f"{crc:#010x}: the file is damaged")
        largest = {**self.largest, DONE: DIGEST}
        if size > largest.get(tag, -1):
            tags = ", ".join(f"{known.decode()} up to {most}" for known, most in largest.items())
            raise self.error.at(name, at, what, f"{size} bytes", f"one of {tags}")
        body = _unpack(packed, size)
        if body is None:
            raise self.error.at(name, begin, what, "something else", f"{size} bytes packed by zlib")
        return tag, body, end

    @contextlib.contextmanager
    def _replacing(self, path: Path) -> Iterator[BinaryIO]:
        """A file that stands at `path` when the `with` block ends well; if not, what was there before does."""
        target = Path(os.path.realpath(path))
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(target.stat().st_mode):
                raise self.error(f"{path}: not a regular file, expected one or none")
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with open(beside, "wb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            os.replace(beside, target)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise


def _pack(tag: bytes, body: bytes) -> bytes:
    packed = zlib.compress(body, 1)
    return HEADER.pack(tag, len(body), len(packed), _crc(tag, len(body), packed)) + packed


def _crc(tag: bytes, size: int, packed: bytes | memoryview) -> int:
    return zlib.crc32(packed, zlib.crc32(HEADER.pack(tag, size, len(packed), 0)))


def _unpack(packed: memoryview, size: int) -> bytes | None:
    """The `size` bytes that were packed; None if they are not there."""
    unpacker = zlib.decompressobj()
    try:
        body = unpacker.decompress(packed, size + 1)
    except zlib.error:
        return None
    return body if len(body) == size and unpacker.eof and not unpacker.unused_data else None
