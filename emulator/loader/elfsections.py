"""Sections of an ELF file, looked up when a debugger or a trace wants them, never to boot.

Section headers are as untrusted as the rest of a file, and damage in them does not keep a program
from running: nothing here raises. Work and memory are bounded by a small multiple of the file's size
(pyelftools' own section lookup is not: names without an end make it quadratic).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from .symbols import Symbol, SymbolKind

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SHT_SYMTAB = 2
_SHT_NOBITS = 8
_SHF_COMPRESSED = 0x800
_SHN_UNDEF = 0
_SHN_XINDEX = 0xFFFF
_STB_LOCAL = 0
_KINDS = {0: SymbolKind.NOTYPE, 1: SymbolKind.OBJECT, 2: SymbolKind.FUNC, 10: SymbolKind.FUNC}  # 10: STT_GNU_IFUNC
_LONGEST_NAME = 4096


class Section(NamedTuple):
    """A section header, its contents known to lie within the file. `offset` and `size` in bytes."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int

    @property
    def compressed(self) -> bool:
        """Whether the contents are SHF_COMPRESSED."""
        return bool(self.flags & _SHF_COMPRESSED)


def read_sections(data: bytes) -> tuple[list[Section], str]:
    """The sections of an ELF file that `load_elf` accepts, and what is wrong with their table, if anything is."""
    shoff, shentsize, shnum, shstrndx = _table(data)
    if shoff == 0:
        return [], ""
    if shentsize != _SECTION.size:
        return [], f"e_shentsize at offset 0x3a is {shentsize}, expected {_SECTION.size}"
    if shoff + _SECTION.size > len(data):
        return [], f"section headers at {shoff:#x} are beyond the end of the file, {len(data):#x}"
    first = _SECTION.unpack_from(data, shoff)
    count = shnum or first[5]  # 65280 sections and more are counted in the first one's sh_size
    if shoff + count * _SECTION.size > len(data):
        return [], f"{count} section headers at {shoff:#x} reach beyond the end of the file, {len(data):#x}"
    strings_at = first[6] if shstrndx == _SHN_XINDEX else shstrndx
    headers = list(_SECTION.iter_unpack(data[shoff : shoff + count * _SECTION.size]))
    names = b""
    if strings_at < count:
        names = data[headers[strings_at][4] : headers[strings_at][4] + headers[strings_at][5]]
    sections, problem = [], ""
    for index, (name, kind, flags, address, offset, size, link, _info, _align, _entsize) in enumerate(headers):
        if kind == _SHT_NOBITS:
            offset = size = 0
        if offset + size > len(data):
            problem = problem or f"section {index} ({size:#x} bytes at {offset:#x}) reaches beyond the end of the file"
            offset = size = 0
        # Few sections are named at length; a bound keeps 65,000 endless names from costing minutes.
        end = names.find(b"\0", name, name + 256)
        text = names[name:end].decode("ascii", "replace") if end > 0 else ""
        sections.append(Section(text, kind, flags, address, offset, size, link))
    return sections, problem


def section_data(data: bytes, name: str) -> bytes | None:
    """The bytes of the first section called `name`, as they are in the file; None if there is no such section."""
    for section in read_sections(data)[0]:
        if section.name == name:
            return data[section.offset : section.offset + section.size]
    return None


def read_symbols(data: bytes) -> tuple[list[Symbol], str]:
    """The symbols of `.symtab` worth knowing (functions, objects, untyped labels), and what is wrong with it.

    A stripped file has none, which is not wrong.
    """
    sections, problem = read_sections(data)
    table = next((section for section in sections if section.type == _SHT_SYMTAB), None)
    if table is None:
        return [], problem
    if table.link >= len(sections) or not sections[table.link].size:
        return [], problem or f"the symbol table's string section, {table.link}, is missing"
    strings_section = sections[table.link]
    strings = data[strings_section.offset : strings_section.offset + strings_section.size]
    raw = data[table.offset : table.offset + table.size - table.size % _SYMBOL.size]
    symbols: list[Symbol] = []
    names: dict[int, str] = {}  # symbols of one name share one string
    budget = 4 * len(strings) + _LONGEST_NAME
    for name_at, info, _other, section, value, size in _SYMBOL.iter_unpack(raw):
        kind = _KINDS.get(info & 15)
        if kind is None or section == _SHN_UNDEF or name_at == 0:
            continue
        name = names.get(name_at)
        if name is None:
            end = strings.find(b"\0", name_at, name_at + _LONGEST_NAME)
            if end < 0:
                problem = problem or f"the symbol name at {name_at:#x} of the string table does not end"
                end = name_at
            budget -= end - name_at
            if budget < 0:
                return symbols, "the symbols' names overlap to many times the size of their string table"
            name = names[name_at] = strings[name_at:end].decode("utf-8", "replace")
        symbols.append(Symbol(name, value, size, kind, info >> 4 != _STB_LOCAL))
    return symbols, problem


def _table(data: bytes) -> tuple[int, int, int, int]:
    (shoff,) = struct.unpack_from("<Q", data, 40)
    shentsize, shnum, shstrndx = struct.unpack_from("<HHH", data, 58)
    return shoff, shentsize, shnum, shstrndx
