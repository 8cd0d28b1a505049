"""ELF programs: 64-bit little-endian RISC-V executables.

The headers are decoded here rather than by pyelftools: every field has to be checked before it may
be trusted anyway, and a boot then does not pay for the import (35 ms). pyelftools names what a
foreign file is, in the error, and is for debug information.

What is loaded where. Each PT_LOAD goes to its physical address, `p_paddr`. A position-independent
executable (ET_DYN, as some firmware is) is loaded where it was linked, as if its base were 0: it is
not moved and its relocations are not applied, for such programs relocate themselves. QEMU's `-kernel`
and `-bios` do the same.

Where it starts. `e_entry` is an address as linked. Where the linker gave the executable segment
around it another physical address (a higher-half kernel), it is translated, for harts start without an
MMU; an entry that is in no executable segment's virtual range, but in one's physical range, is taken
as physical already, which is how other higher-half kernels write it.

Source: System V gABI, chapters 4 and 5; RISC-V ELF psABI.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from ..errors import ImageError
from .elfsections import read_symbols
from .model import ADDRESS_LIMIT, Image, ImageKind, Segment
from .symbols import SymbolTable

MAGIC = b"\x7fELF"
MOST_SEGMENTS = 256
"""Segments that an image may have: placement looks at every pair. Real ones have two to ten."""

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")

_TYPES = {
    0: "0 (none)", 1: "1 (a relocatable object: link it first)", 2: "2 (executable)",
    3: "3 (position-independent)", 4: "4 (a core dump)",
}
_EM_RISCV = 243
_EF_RVE = 0x8
_PT_LOAD = 1
_PT_INTERP = 3
_PF_X, _PF_W, _PF_R = 1, 2, 4
_PN_XNUM = 0xFFFF


class _ProgramHeader(NamedTuple):
    at: int  # offset of this header in the file, for messages
    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int


def load_elf(data: bytes, name: str) -> Image:
    """The image of an ELF file; see the top of this file for what goes where.

    Raises `ImageError` for anything but an executable (or static position-independent executable) for
    RV64, and for one that is truncated, whose segments overlap, reach beyond the file or beyond 2**56,
    or whose entry is not in an executable segment. Symbols are read from the file when first asked for.
    """
    entry, headers = _program_headers(data, name)
    loads = [header for header in headers if header.type == _PT_LOAD and header.memsz]
    for header in headers:
        if header.type == _PT_LOAD:
            _check_segment(header, data, name)
    if not loads:
        raise ImageError(f"{name}: no PT_LOAD segment in {len(headers)} program headers, expected at least one")
    if any(header.type == _PT_INTERP for header in headers) and min(header.vaddr for header in loads) == 0:
        raise ImageError(f"{name}: asks for a dynamic loader (PT_INTERP), expected a program for the bare machine")
    if len(loads) > MOST_SEGMENTS:
        raise ImageError(f"{name}: {len(loads)} PT_LOAD segments, expected at most {MOST_SEGMENTS}")
    # A byte of the file may serve two segments, but hundreds of segments that share a large file would fill the host.
    total = sum(header.filesz for header in loads)
    if total > 2 * len(data):
        raise ImageError(f"{name}: segments hold {total} bytes of data, expected at most twice the file's {len(data)}")
    loads.sort(key=lambda header: (header.paddr, header.memsz))
    for low, high in pairwise(loads):
        if high.paddr < low.paddr + low.memsz:
            raise ImageError.at(
                name, high.at + 24, "p_paddr", f"a segment at {_span(high)} overlapping the one at {_span(low)}",
                "segments that do not overlap in physical memory",
            )
    segments = tuple(
        Segment(h.paddr, data[h.offset : h.offset + h.filesz], h.memsz, virtual=h.vaddr, flags=_letters(h.flags))
        for h in loads
    )
    ranges = _merged((h.vaddr, h.vaddr + h.memsz) for h in loads)
    symbols = SymbolTable(ranges=ranges, read=lambda: read_symbols(data))
    return Image(name, ImageKind.ELF, _physical_entry(entry, loads, name), segments, symbols, file=data)


def _program_headers(data: bytes, name: str) -> tuple[int, list[_ProgramHeader]]:
    if len(data) < _HEADER.size:
        raise ImageError.at(name, len(data), "ELF header", "the end of the file", f"{_HEADER.size} bytes of header")
    (ident, e_type, machine, version, entry, phoff, _shoff, flags, _ehsize, phentsize, phnum, _, _, _) = (
        _HEADER.unpack_from(data)
    )
    if ident[:4] != MAGIC:
        raise ImageError.at(name, 0, "magic", ident[:4].hex(), "7f454c46 (ELF)")
    if ident[4] != 2:
        raise ImageError.at(name, 4, "EI_CLASS", {1: "1 (32-bit)"}.get(ident[4], str(ident[4])), "2 (64-bit)")
    if ident[5] != 1:
        raise ImageError.at(name, 5, "EI_DATA", {2: "2 (big-endian)"}.get(ident[5], str(ident[5])), "1 (little-endian)")
    if machine != _EM_RISCV:
        raise ImageError.at(name, 18, "e_machine", _machine_name(machine), "243 (RISC-V)")
    if ident[6] != 1:
        raise ImageError.at(name, 6, "EI_VERSION", ident[6], "1")
    if e_type not in (2, 3):
        raise ImageError.at(name, 16, "e_type", _TYPES.get(e_type, str(e_type)), "2 or 3 (an executable)")
    if version != 1:
        raise ImageError.at(name, 20, "e_version", version, "1")
    if flags & _EF_RVE:
        raise ImageError.at(name, 48, "e_flags", f"{flags:#x} (RV64E, 16 registers)", "a program for RV64I")
    if phnum == 0:
        raise ImageError.at(name, 56, "e_phnum", "0: no PT_LOAD segment", "at least one program header")
    if phnum == _PN_XNUM:
        raise ImageError.at(name, 56, "e_phnum", "65535 (extended numbering)", "fewer program headers")
    if phentsize != _PROGRAM_HEADER.size:
        raise ImageError.at(name, 54, "e_phentsize", phentsize, str(_PROGRAM_HEADER.size))
    if phoff + phnum * phentsize > len(data):
        raise ImageError.at(
            name, 32, "e_phoff", f"{phnum} program headers at {phoff:#x}, beyond the end of the file",
            f"them to end by {len(data):#x}; the file may be truncated",
        )
    headers = []
    for at in range(phoff, phoff + phnum * phentsize, phentsize):
        p_type, p_flags, offset, vaddr, paddr, filesz, memsz, _align = _PROGRAM_HEADER.unpack_from(data, at)
        headers.append(_ProgramHeader(at, p_type, p_flags, offset, vaddr, paddr, filesz, memsz))
    return entry, headers


def _check_segment(header: _ProgramHeader, data: bytes, name: str) -> None:
    if header.memsz < header.filesz:
        raise ImageError.at(
            name, header.at + 40, "p_memsz", f"{header.memsz:#x}", f"at least p_filesz, {header.filesz:#x}"
        )
    if header.filesz and header.offset + header.filesz > len(data):
        raise ImageError.at(
            name, header.at + 8, "p_offset", f"{header.filesz:#x} bytes of segment at {header.offset:#x}",
            f"them to end by the file's end, {len(data):#x}; the file may be truncated",
        )
    if header.memsz and header.paddr + header.memsz > ADDRESS_LIMIT:
        raise ImageError.at(
            name, header.at + 24, "p_paddr", f"a segment of {header.memsz:#x} bytes at {header.paddr:#x}",
            "it to end below 2**56",
        )
    if header.vaddr + header.memsz > 1 << 64:
        raise ImageError.at(
            name, header.at + 16, "p_vaddr", f"a segment of {header.memsz:#x} bytes at {header.vaddr:#x}",
            "it not to wrap around 2**64",
        )


def _physical_entry(entry: int, loads: list[_ProgramHeader], name: str) -> int:
    """`e_entry` as a physical address: the rule at the top of this file."""
    physical = None
    code = [header for header in loads if header.flags & _PF_X]
    for header in code:
        if header.vaddr <= entry < header.vaddr + header.filesz:
            physical = entry - header.vaddr + header.paddr
            break
    else:
        if any(header.paddr <= entry < header.paddr + header.filesz for header in code):
            physical = entry
    if physical is None:
        spans = ", ".join(f"{h.vaddr:#x}..{h.vaddr + h.filesz:#x}" for h in code[:4]) or "none"
        raise ImageError.at(name, 24, "e_entry", f"{entry:#x}", f"an address in an executable segment ({spans})")
    if physical % 2:
        raise ImageError.at(name, 24, "e_entry", f"{entry:#x}", "an even address")
    return physical


def _span(header: _ProgramHeader) -> str:
    return f"{header.paddr:#x}..{header.paddr + header.memsz:#x}"


def _letters(flags: int) -> str:
    return "".join(letter if flags & bit else "-" for letter, bit in (("r", _PF_R), ("w", _PF_W), ("x", _PF_X)))


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Overlapping or touching ranges joined: they are one range to a symbol lookup."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _machine_name(machine: int) -> str:
    from elftools.elf.enums import ENUM_E_MACHINE

    names = [name for name, value in ENUM_E_MACHINE.items() if value == machine]
    return f"{machine} ({names[0].removeprefix('EM_')})" if names else str(machine)
