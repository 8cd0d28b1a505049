"""cpio archives in the "newc" format, of which an initramfs is made; parsed, and nothing else.

        header, 110 characters: magic 070701 (or 070702: with checksums), 13 numbers of 8 hexadecimal digits
        name, NUL | padding to 4 bytes | contents | padding to 4 bytes        … and so on, up to TRAILER!!!

Several archives may follow each other, with zeros between them, each as it is or compressed by gzip. Padding
counts from the beginning of what an archive lies in: the memory, or the uncompressed bytes.

Sources: Linux's Documentation/driver-api/early-userspace/buffer-format.rst; cpio(5).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, NoReturn

from kernel.errors import KernelError
from kernel.mm.io.reader import VmReader

from .stat import PATH_MAX, FileType, device_number

HEADER_SIZE: Final = 110
NEWC, NEWC_CHECKSUM, GZIP = b"070701", b"070702", b"\x1f\x8b"
TRAILER: Final = b"TRAILER!!!"
_DIGITS = frozenset(b"0123456789abcdefABCDEF")
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_INPUT = 1 << 16


class ArchiveError(KernelError):
    """An archive is damaged, or none; the message says where, what was found, and what was expected."""


class Header(NamedTuple):
    """The numbers of a header, in their order."""

    ino: int
    mode: int
    uid: int
    gid: int
    nlink: int
    mtime: int
    file_size: int
    dev_major: int
    dev_minor: int
    rdev_major: int
    rdev_minor: int
    name_size: int
    checksum: int


@dataclass(frozen=True)
class Source:
    """Bytes that archives lie in: `name` for messages, `size`, `read(offset, size)`, and `reader` for bulk copies."""

    name: str
    size: int
    read: Callable[[int, int], bytes]
    reader: Callable[[int, int], VmReader]

    @classmethod
    def of_bytes(cls, name: str, data: bytes) -> Source:
        """Bytes in Python."""
        view = memoryview(data)
        return cls(name, len(data), lambda offset, size: data[offset:offset + size],
                   lambda offset, size: VmReader.from_slice(view[offset:offset + size]))


@dataclass(frozen=True)
class Entry:
    """A file of an archive. `link` is the same for all names of one file, None if there is one name only.

    `size` bytes of contents are at `offset` of `source`; mtime is in seconds since the epoch.
    """

    name: bytes
    type: FileType
    mode: int
    uid: int
    gid: int
    mtime: int
    rdev: int
    link: tuple[int, ...] | None
    source: Source
    offset: int
    size: int

    def contents(self) -> VmReader:
        """Reads them."""
        return self.source.reader(self.offset, self.size)


def parse(source: Source, limit: int | None) -> Iterator[Entry]:
    """The entries of all archives in `source`, in order. ArchiveError.

    `limit` is how many bytes may be uncompressed in all; None if nothing may be compressed.
    """
    offset, number = 0, 0
    while (offset := _skip_zeros(source, offset)) < source.size:
        magic = source.read(offset, 6)
        if magic[:2] == GZIP and limit is not None:
            data, offset = _uncompress(source, offset, limit)
            limit -= len(data)
            yield from parse(Source.of_bytes(f"{source.name}, uncompressed", data), None)
        elif magic in (NEWC, NEWC_CHECKSUM) and offset % 4 == 0:
            number += 1
            offset = yield from _archive(source, offset, number)
        else:
            _refuse(source, "an archive's magic", offset, _quoted(magic) if offset % 4 == 0 else f"offset {offset:#x}",
                    "070701 or 070702 at a multiple of 4" + (", or gzip's 1f 8b" if limit is not None else ""))


def _archive(source: Source, offset: int, number: int) -> Generator[Entry, None, int]:
    """The entries of one archive, the source's `number`th; returns what is behind it."""
    while True:
        header = _header(source, offset)
        name = _name(source, offset, header)
        data = _aligned(offset + HEADER_SIZE + header.name_size)
        if data + header.file_size > source.size:
            _refuse(source, f"the end of {_quoted(name)}", offset + 54, f"{header.file_size} bytes of contents at "
                    f"{data:#x}", f"at most {max(source.size - data, 0)}")
        behind = _aligned(data + header.file_size)
        if name == TRAILER:
            return min(behind, source.size)
        yield _entry(source, offset, header, name, data, number)
        offset = behind


def _header(source: Source, offset: int) -> Header:
    raw = source.read(offset, HEADER_SIZE)
    if len(raw) < HEADER_SIZE:
        _refuse(source, "header", offset, f"{len(raw)} bytes", f"{HEADER_SIZE}, or the entry TRAILER!!! before the end")
    if raw[:6] not in (NEWC, NEWC_CHECKSUM):
        _refuse(source, "header", offset, _quoted(raw[:6]), "070701 or 070702")
    for at in range(6, HEADER_SIZE, 8):
        if not _DIGITS.issuperset(raw[at:at + 8]):
            _refuse(source, f"the header's {Header._fields[at // 8]}", offset + at, _quoted(raw[at:at + 8]),
                    "8 hexadecimal digits")
    return Header(*(int(raw[at:at + 8], 16) for at in range(6, HEADER_SIZE, 8)))


def _name(source: Source, offset: int, header: Header) -> bytes:
    at, size = offset + HEADER_SIZE, header.name_size
    if not 2 <= size <= PATH_MAX:
        _refuse(source, "a name's size", offset + 94, size, f"2 to {PATH_MAX}, with a NUL")
    raw = source.read(at, size)
    if len(raw) < size or raw.find(b"\0") != size - 1:
        _refuse(source, "name", at, _quoted(raw[:64]), f"{size - 1} characters and a NUL")
    return raw[:-1]


def _entry(source: Source, offset: int, header: Header, name: bytes, data: int, number: int) -> Entry:
    try:
        kind = FileType.of(header.mode)
    except ValueError:
        kind = None
    if kind is None or header.mode >> 16:
        _refuse(source, f"the mode of {_quoted(name)}", offset + 14, f"{header.mode:#o}",
                "a type of file and permissions")
    if kind is FileType.SYMLINK and not 1 <= header.file_size < PATH_MAX:
        _refuse(source, f"the target of {_quoted(name)}", offset + 54, f"{header.file_size} bytes",
                f"1 to {PATH_MAX - 1}")
    if source.read(offset, 6) == NEWC_CHECKSUM and kind is FileType.REGULAR:
        found = sum(source.read(data, header.file_size)) & 0xFFFF_FFFF
        # Of several names of a file, all have the checksum and only one has the contents.
        if found != header.checksum and (header.file_size or header.nlink < 2):
            _refuse(source, f"the checksum of {_quoted(name)}", offset + 102, f"{header.checksum:#x}",
                    f"{found:#x}, the sum of its bytes")
    linked = header.nlink > 1 and kind is not FileType.DIRECTORY
    return Entry(name, kind, header.mode & 0o7777, header.uid, header.gid, header.mtime,
                 device_number(header.rdev_major, header.rdev_minor),
                 (number, header.dev_major, header.dev_minor, header.ino, kind) if linked else None,
                 source, data, header.file_size)


def _uncompress(source: Source, offset: int, limit: int) -> tuple[bytes, int]:
    """What a gzip file at `offset` holds, and what is behind it."""
    engine = zlib.decompressobj(_GZIP_WINDOW)
    parts, size, at = [], 0, offset
    while not engine.eof:
        piece = engine.unconsumed_tail or source.read(at, _INPUT)
        if not engine.unconsumed_tail:
            at += len(piece)
        if not piece:
            _refuse(source, "gzip file", offset, f"its end is missing at {at:#x}", "a whole one")
        try:
            part = engine.decompress(piece, limit - size + 1)
        except zlib.error as why:
            _refuse(source, "gzip file", offset, str(why), "what gzip has made")
        size += len(part)
        if size > limit:
            _refuse(source, "gzip file", offset, f"more than {limit} bytes uncompressed",
                    "what the memory has room for")
        parts.append(part)
    return b"".join(parts), at - len(engine.unused_data)


def _skip_zeros(source: Source, offset: int) -> int:
    while piece := source.read(offset, _INPUT):
        if rest := piece.lstrip(b"\0"):
            return offset + len(piece) - len(rest)
        offset += len(piece)
    return source.size


def _aligned(offset: int) -> int:
    return -(-offset // 4) * 4


def _quoted(raw: bytes) -> str:
    return repr(raw)[1:]


def _refuse(source: Source, what: str, offset: int, found: object, expected: str) -> NoReturn:
    raise ArchiveError(f"{source.name}: {what} at offset {offset:#x}: found {found}, expected {expected}")
