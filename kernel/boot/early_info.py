"""EARLY_INFO: what the kernel was booted with, kept in its static memory (`ostd::boot::EarlyBootInfo`).

    static early_info       +0 written (1)        +24 initramfs: start, end      +56 ACPI, framebuffer (0: none)
                            +8 boot loader [16]   +40 device tree: start, end    +72 length, +80 command line
    static memory_regions   +0 count              +8 count x (base u64, size u64, kind u64), at most 512

It is written once. `to_bytes` makes one piece of both, which is the copy on the heap (`boot_info()`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from kernel.errors import BootError, CorruptionError, Misuse
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.statics import Statics

from .device_tree import BootInformation
from .memory_region import MAX_REGIONS, MemoryRegion, MemoryRegionType

INFO_AREA, REGIONS_AREA = "early_info", "memory_regions"
COMMAND_LINE_SIZE = 2048
"""Bytes of the longest command line."""
_HEADER = struct.Struct("<Q16s2Q2Q2QQ")
_REGION = struct.Struct("<3Q")
INFO_SIZE = _HEADER.size + COMMAND_LINE_SIZE
REGIONS_SIZE = 8 + MAX_REGIONS * _REGION.size
_WRITTEN = 1


class AcpiArg(IntEnum):
    """What the boot loader tells of ACPI tables (`BootloaderAcpiArg`): on RISC-V, nothing."""

    NOT_PROVIDED = 0


@dataclass(frozen=True)
class EarlyInfo:
    """What the kernel was booted with.

    `initramfs` and `device_tree` are (start, end) of physical addresses or None; `regions` ascend without
    overlap. BootError for a name or command line that is too long to be kept, or holds a NUL.
    """

    regions: tuple[MemoryRegion, ...]
    command_line: str = ""
    initramfs: tuple[int, int] | None = None
    device_tree: tuple[int, int] | None = None
    bootloader_name: str = "Unknown"
    acpi: AcpiArg = AcpiArg.NOT_PROVIDED
    framebuffer: None = None

    def __post_init__(self) -> None:
        for what, text, most in (("the command line", self.command_line, COMMAND_LINE_SIZE),
                                 ("the boot loader's name", self.bootloader_name, 16)):
            raw = _encode(text)
            if len(raw) > most or b"\0" in raw:
                raise BootError(f"{what} has {len(raw)} bytes: {text[:32]!r}…; expected at most {most}, without a NUL")
        if len(self.regions) > MAX_REGIONS:
            raise BootError(f"{len(self.regions)} memory regions; expected at most {MAX_REGIONS}")

    @classmethod
    def of(cls, boot: BootInformation) -> EarlyInfo:
        """The part of `boot` that the kernel keeps."""
        return cls(boot.regions, boot.command_line, boot.initramfs, boot.device_tree)

    # --- in static memory -----------------------------------------------------------------------------------

    def store(self, statics: Statics) -> None:
        """Write it to static memory. Misuse if that has been done before."""
        port = statics.port
        info, table = statics.area(INFO_AREA, INFO_SIZE), statics.area(REGIONS_AREA, REGIONS_SIZE)
        if port.load(info):
            raise Misuse(f"EARLY_INFO at {info:#x} is written already; it is written once")
        raw = self._info()
        port.write(table, self._table())
        port.write(info + 8, raw[8:])
        port.store(info, _WRITTEN)  # last: what is marked as written is complete

    @classmethod
    def load(cls, statics: Statics) -> EarlyInfo:
        """Read it from static memory. BootError if it is not written yet, CorruptionError if it makes no sense."""
        port = statics.port
        info, table = statics.area(INFO_AREA, INFO_SIZE), statics.area(REGIONS_AREA, REGIONS_SIZE)
        if not port.load(info):
            raise BootError(f"EARLY_INFO at {info:#x} is not written yet")
        return cls._decode(port.read(info, INFO_SIZE), port.read(table, REGIONS_SIZE), f"EARLY_INFO at {info:#x}")

    # --- as one piece ---------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """All of it as one piece: the information, padded to 8 bytes, and the table of regions."""
        info = self._info()
        return info.ljust(-(-len(info) // 8) * 8, b"\0") + self._table()

    @classmethod
    def from_bytes(cls, data: bytes) -> EarlyInfo:
        """The information in what `to_bytes` made; more may follow. CorruptionError if it makes no sense."""
        name = "boot information"
        if len(data) < _HEADER.size:
            raise CorruptionError(f"{name}: {len(data)} bytes; expected {_HEADER.size} of header")
        table = _HEADER.size + -(-_HEADER.unpack_from(data)[-1] // 8) * 8
        return cls._decode(data, data[table:], name)

    def _info(self) -> bytes:
        line = _encode(self.command_line)
        return _HEADER.pack(_WRITTEN, _encode(self.bootloader_name), *(self.initramfs or (0, 0)),
                            *(self.device_tree or (0, 0)), self.acpi, 0, len(line)) + line

    def _table(self) -> bytes:
        entries = (_REGION.pack(region.base, region.size, region.kind) for region in self.regions)
        return len(self.regions).to_bytes(8, "little") + b"".join(entries)

    @classmethod
    def _decode(cls, info: bytes, table: bytes, name: str) -> EarlyInfo:
        written, loader, *numbers, length = _HEADER.unpack_from(info)
        initrd_start, initrd_end, tree_start, tree_end, acpi, framebuffer = numbers
        if (written, acpi, framebuffer) != (_WRITTEN, 0, 0) or length > COMMAND_LINE_SIZE:
            raise CorruptionError(f"{name}: state {written}, ACPI {acpi}, framebuffer {framebuffer}, a command line of "
                                  f"{length} bytes; expected {_WRITTEN}, 0, 0 and at most {COMMAND_LINE_SIZE}")
        line = info[_HEADER.size:_HEADER.size + length]
        regions = _regions(table, name)
        try:
            return cls(regions, _decoded(line), (initrd_start, initrd_end) if initrd_end else None,
                       (tree_start, tree_end) if tree_end else None, _decoded(loader.rstrip(b"\0")))
        except BootError as why:
            raise CorruptionError(f"{name}: {why}") from None


def _regions(table: bytes, name: str) -> tuple[MemoryRegion, ...]:
    count = int.from_bytes(table[:8], "little")
    if count > MAX_REGIONS or len(table) < 8 + count * _REGION.size:
        raise CorruptionError(f"{name}: {count} memory regions in {len(table)} bytes; expected at most {MAX_REGIONS}")
    regions: list[MemoryRegion] = []
    at = 0
    for number in range(count):
        base, size, kind = _REGION.unpack_from(table, 8 + number * _REGION.size)
        if base != at or not size or size % PAGE_SIZE or kind > MemoryRegionType.USABLE or base + size > 1 << 56:
            raise CorruptionError(f"{name}: memory region {number} is {size:#x} bytes at {base:#x} of kind {kind}; "
                                  f"expected whole pages from {at:#x} on of a kind from 0 to 8")
        regions.append(MemoryRegion(base, size, MemoryRegionType(kind)))
        at = base + size
    return tuple(regions)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
