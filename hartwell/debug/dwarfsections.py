"""Where DWARF is in an ELF file, and reading it byte by byte: what line tables and call frame information share."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from emulator.loader.elfsections import Section, read_sections

LONGEST_STRING = 4096
"""Bytes of a file name or a producer that are read: damaged offsets make all strings one long one."""
_COMPRESSION = struct.Struct("<IIQQ")
_ZLIB, _MOST_ZLIB_GAIN = 1, 1032


class DwarfError(Exception):
    """DWARF that cannot be understood; the text says where and what. It stays within this package."""


def debug_sections(data: bytes) -> tuple[dict[str, tuple[int, bytes]], str]:
    """Address and contents of the sections that describe code, decompressed, by name, and what is wrong with them.

    Those are `.debug_*` and `.eh_frame`; of several with one name the first counts.
    """
    sections, problem = read_sections(data)
    found: dict[str, tuple[int, bytes]] = {}
    for section in sections:
        if (section.name.startswith(".debug_") or section.name == ".eh_frame") and section.name not in found:
            try:
                found[section.name] = section.address, _contents(data, section)
            except DwarfError as error:
                problem = problem or str(error)
    return found, problem


def _contents(data: bytes, section: Section) -> bytes:
    raw = data[section.offset : section.offset + section.size]
    if not section.compressed:
        return raw
    if len(raw) < _COMPRESSION.size:
        raise DwarfError(f"{section.name} is compressed, and too short to say how")
    kind, _, size, _ = _COMPRESSION.unpack_from(raw)
    if kind != _ZLIB:
        raise DwarfError(f"{section.name} is compressed by method {kind}, expected 1 (zlib): "
                         "objcopy --decompress-debug-sections helps")
    if size > _MOST_ZLIB_GAIN * len(raw):
        raise DwarfError(f"{section.name} claims {size} bytes in {len(raw)} compressed ones")
    try:
        contents = zlib.decompressobj().decompress(raw[_COMPRESSION.size :], size + 1)
    except zlib.error as error:
        raise DwarfError(f"{section.name} cannot be decompressed: {error}") from None
    if len(contents) != size:
        raise DwarfError(f"{section.name} is not the {size} bytes that it claims once it is decompressed")
    return contents


class Reader:
    """Reads numbers of `section`'s `data` from `at` up to `end`; DwarfError beyond it."""

    def __init__(self, section: str, data: bytes, at: int, end: int | None = None) -> None:
        self.section, self.data, self.at = section, data, at
        self.end = len(data) if end is None else min(end, len(data))

    def error(self, what: str) -> DwarfError:
        """The error that `what` is at the present offset."""
        return DwarfError(f"{self.section} at offset {self.at:#x}: {what}")

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > self.end - self.at:
            raise self.error(f"{size} bytes expected, {max(self.end - self.at, 0)} left")
        self.at += size
        return self.data[self.at - size : self.at]

    def unsigned(self, size: int) -> int:
        """The next `size` bytes as a number."""
        return int.from_bytes(self.take(size), "little")

    def signed(self, size: int) -> int:
        """The next `size` bytes as a number in two's complement."""
        return int.from_bytes(self.take(size), "little", signed=True)

    def uleb(self) -> int:
        """An unsigned LEB128 number."""
        return self._leb()[0]

    def sleb(self) -> int:
        """A signed LEB128 number."""
        value, bits = self._leb()
        return value - (1 << bits) if value >> bits - 1 else value

    def _leb(self) -> tuple[int, int]:
        value = shift = 0
        while shift < 70:  # as many as 64 bits take
            byte = self.unsigned(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value, shift
        raise self.error("a LEB128 number of more than 64 bits")

    def string(self) -> str:
        """A string up to its zero byte."""
        found = self.data.find(b"\0", self.at, min(self.end, self.at + LONGEST_STRING))
        if found < 0:
            raise self.error("a string that does not end")
        text = self.data[self.at : found].decode("utf-8", "replace")
        self.at = found + 1
        return text

    def length(self) -> tuple[int, int]:
        """An initial length: bytes of the unit behind it, and the size of its offsets, 4 or 8."""
        size = self.unsigned(4)
        if size < 0xFFFF_FFF0:
            return size, 4
        if size != 0xFFFF_FFFF:
            raise self.error(f"the reserved length {size:#x}")
        return self.unsigned(8), 8


def string_at(sections: Mapping[str, tuple[int, bytes]], section: str, offset: int) -> str:
    """The string at `offset` of a string section."""
    _, data = sections.get(section, (0, b""))
    if offset >= len(data):
        raise DwarfError(f"{section} has no offset {offset:#x}")
    return Reader(section, data, offset).string()
