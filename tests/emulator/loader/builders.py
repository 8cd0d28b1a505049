"""Builders of small valid files, for tests to break."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from emulator.loader import Image, ImageKind, Segment

R, W, X = 4, 2, 1
CODE = b"\x6f\x00\x00\x00" * 4  # j . four times


@dataclass
class Load:
    """A PT_LOAD (or another type) of an ELF under construction; `filesz` and `offset` can be made to lie."""

    paddr: int = 0x8020_0000
    data: bytes = CODE
    memsz: int | None = None
    vaddr: int | None = None
    flags: int = R | X
    type: int = 1
    offset: int | None = None
    filesz: int | None = None


@dataclass
class Sym:
    """A symbol of an ELF under construction."""

    name: bytes
    value: int
    type: int = 2
    bind: int = 1
    size: int = 0
    section: int = 1


@dataclass
class Elf:
    """An ELF under construction; every header field can be made to lie."""

    loads: Sequence[Load] = field(default_factory=lambda: [Load()])
    entry: int = 0x8020_0000
    symbols: Sequence[Sym] = ()
    ident: bytes = b"\x7fELF\x02\x01\x01" + bytes(9)
    type: int = 2
    machine: int = 243
    version: int = 1
    flags: int = 0
    phoff: int = 64
    phentsize: int = 56
    phnum: int | None = None

    def build(self) -> bytes:
        body = bytearray()
        start = 64 + 56 * len(self.loads)
        table = bytearray()
        for load in self.loads:
            offset = start + len(body) if load.offset is None else load.offset
            filesz = len(load.data) if load.filesz is None else load.filesz
            memsz = filesz if load.memsz is None else load.memsz
            vaddr = load.paddr if load.vaddr is None else load.vaddr
            table += struct.pack("<IIQQQQQQ", load.type, load.flags, offset, vaddr, load.paddr, filesz, memsz, 1)
            body += load.data
        sections, shoff = b"", 0
        if self.symbols:
            strings, entries = bytearray(1), bytearray(24)
            for sym in self.symbols:
                entries += struct.pack(
                    "<IBBHQQ", len(strings), sym.bind << 4 | sym.type, 0, sym.section, sym.value, sym.size
                )
                strings += sym.name + b"\0"
            names = b"\0.symtab\0.strtab\0"
            at = start + len(body)
            sections = bytes(64)
            sections += struct.pack("<IIQQQQIIQQ", 1, 2, 0, 0, at, len(entries), 2, 0, 8, 24)
            sections += struct.pack("<IIQQQQIIQQ", 9, 3, 0, 0, at + len(entries), len(strings), 0, 0, 1, 0)
            sections += struct.pack(
                "<IIQQQQIIQQ", 9, 3, 0, 0, at + len(entries) + len(strings), len(names), 0, 0, 1, 0
            )
            body += entries + strings + names
            shoff = start + len(body)
        header = struct.pack(
            "<16sHHIQQQIHHHHHH", self.ident, self.type, self.machine, self.version, self.entry, self.phoff, shoff,
            self.flags, 64, self.phentsize, len(self.loads) if self.phnum is None else self.phnum, 64,
            4 if shoff else 0, 3 if shoff else 0,
        )
        return bytes(header + table + body + sections)


def linux_image(
    size: int = 0x1000, image_size: int = 0x20_0000, flags: int = 0, version: int = 2,
    magic: bytes = b"RISCV\0\0\0", magic2: bytes = b"RSC\x05", text_offset: int = 0x20_0000,
) -> bytes:
    """The header of a RISC-V Linux Image and zeros up to `size`."""
    header = struct.pack("<IIQQQIIQ8s4sI", 0x5A4D, 0, text_offset, image_size, flags, version, 0, 0, magic, magic2, 0)
    return header.ljust(size, b"\0")


def image(name: str, *spans: tuple[int, int]) -> Image:
    """An image of (address, size) spans, each with a byte of data."""
    segments = tuple(Segment(address, b"\x6f", size, virtual=address) for address, size in spans)
    return Image(name, ImageKind.ELF, spans[0][0], segments)
