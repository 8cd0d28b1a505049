"""Programs: static RV64 ELF files, as Linux's execve takes them.

Sources: System V ABI (gABI), chapters 4 and 5; RISC-V ELF psABI, chapter 8.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kernel.errno import Errno, SysError
from kernel.mm.page_table.pte import PageFlags

from .address_space import AddressSpace, page_down, page_up
from .area import Area, Backing

HEADER = struct.Struct("<4sBBBB8xHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
ET_EXEC, ET_DYN, EM_RISCV = 2, 3, 243
PT_LOAD, PT_INTERP, PT_PHDR = 1, 3, 6
PF_X, PF_W, PF_R = 1, 2, 4
MAX_HEADERS = 64
PIE_BASE = 0x20_0000_0000
"""Where a static position-independent program goes."""


@dataclass(frozen=True)
class Segment:
    """A PT_LOAD: `memory_size` bytes at `vaddr`, of which `file_size` at `offset` of the file."""

    vaddr: int
    memory_size: int
    offset: int
    file_size: int
    flags: PageFlags


@dataclass(frozen=True)
class Executable:
    """A program file: where it is entered, its segments, ascending, and where its program headers will be."""

    entry: int
    segments: tuple[Segment, ...]
    headers_vaddr: int
    headers: int

    @classmethod
    def parse(cls, file: Backing) -> Executable:
        """The program in a file. ENOEXEC, with what was found and expected, for anything else."""
        data = file.read(0, HEADER.size)
        if len(data) < HEADER.size or data[:4] != b"\x7fELF":
            raise _refuse("magic", data[:4].hex(" ") or "nothing", "an ELF file")
        (_, bits, order, version, _, kind, machine, _, entry, at, _, _, _, entry_size, count, _, _, _) = (
            HEADER.unpack(data))
        for what, found, expected in (("class", bits, (2,)), ("byte order", order, (1,)), ("version", version, (1,)),
                                      ("type", kind, (ET_EXEC, ET_DYN)), ("machine", machine, (EM_RISCV,)),
                                      ("size of a program header", entry_size, (PROGRAM_HEADER.size,)),
                                      ("number of program headers", count, range(1, MAX_HEADERS + 1))):
            if found not in expected:
                raise _refuse(what, found, " or ".join(map(str, expected)) if len(expected) < 4 else str(expected))
        table = file.read(at, count * PROGRAM_HEADER.size)
        if len(table) < count * PROGRAM_HEADER.size:
            raise _refuse(f"program headers at {at:#x}", f"{len(table)} bytes", f"{count * PROGRAM_HEADER.size}")
        base = PIE_BASE if kind == ET_DYN else 0
        segments: list[Segment] = []
        headers_vaddr = 0
        for index, (kind_, flags, offset, vaddr, _, file_size, memory_size, _) in enumerate(
                PROGRAM_HEADER.iter_unpack(table)):
            if kind_ == PT_INTERP:
                raise _refuse(f"program header {index}", "an interpreter: the program is dynamically linked",
                              "a static program (link with -static)")
            if kind_ == PT_PHDR:
                headers_vaddr = base + vaddr
            if kind_ != PT_LOAD or not memory_size:
                continue
            if file_size > memory_size or (vaddr - offset) % 4096 or vaddr + memory_size >= 1 << 63:
                raise _refuse(f"program header {index}", f"{file_size:#x} of {memory_size:#x} bytes at {vaddr:#x}, "
                              f"offset {offset:#x}", "no more in the file than in memory, at a like place in a page")
            if segments and base + vaddr < page_up(segments[-1].vaddr + segments[-1].memory_size):
                raise _refuse(f"program header {index}", f"address {vaddr:#x}",
                              "ascending segments on pages of their own")
            segments.append(Segment(base + vaddr, memory_size, offset, file_size, _rights(flags)))
            if not headers_vaddr and offset <= at < offset + file_size:
                headers_vaddr = base + vaddr + at - offset
        if not segments:
            raise _refuse("segments", "none to load", "at least one PT_LOAD")
        return cls(base + entry, tuple(segments), headers_vaddr, count)

    def load(self, space: AddressSpace, file: Backing, name: str) -> None:
        """Put the segments into an address space, which is empty; the heap begins behind them. ENOMEM."""
        for segment in self.segments:
            start, end = page_down(segment.vaddr), page_up(segment.vaddr + segment.memory_size)
            offset = segment.offset - (segment.vaddr - start)
            filled = page_up(segment.vaddr + segment.file_size)
            limit = segment.offset + segment.file_size
            if filled > start and segment.file_size:
                space.map(Area(start, min(filled, end), segment.flags, file, offset, limit, name=name))
            if end > max(filled, start):
                space.map(Area(max(filled, start) if segment.file_size else start, end, segment.flags, name=name))
            space.brk_start = space.brk = end


def _rights(flags: int) -> PageFlags:
    rights = PageFlags.NONE
    for bit, right in ((PF_R, PageFlags.R), (PF_W, PageFlags.RW), (PF_X, PageFlags.X)):
        if flags & bit:
            rights |= right
    return rights


def _refuse(what: str, found: object, expected: str) -> SysError:
    return SysError(Errno.ENOEXEC, f"{what}: found {found}, expected {expected}")
