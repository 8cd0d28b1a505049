"""What a loaded file is, whatever its format was."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from .symbols import SymbolTable

ADDRESS_LIMIT = 1 << 56
"""First physical address that no RV64 machine has: Sv39 to Sv57 translate to 56 bits."""


class ImageKind(Enum):
    """The format that a file was recognised as."""

    ELF = "ELF"
    LINUX = "Linux Image"
    FLAT = "flat binary"


@dataclass(frozen=True)
class Segment:
    """A run of memory that an image fills.

    `address` is physical; `size` is in bytes, at least `len(data)`, and what lies beyond the data is
    zero. `virtual` is the address that the run was linked at, which symbols and the program's own
    pointers use; it equals `address` unless the image is a higher-half kernel. `flags` holds the
    letters of what the linker meant it for, of `r`, `w` and `x`: information, enforced by nobody.
    """

    address: int
    data: bytes = field(repr=False)
    size: int
    virtual: int
    flags: str = "rwx"

    @property
    def end(self) -> int:
        """First physical address after the segment."""
        return self.address + self.size


@dataclass(frozen=True)
class LinuxHeader:
    """The boot header of a RISC-V Linux `Image`. Source: Linux, Documentation/arch/riscv/boot-image-header.rst.

    `text_offset` and `image_size` are in bytes; `version` is (major, minor); `compressed` says that
    the file was gzip-compressed around it.
    """

    text_offset: int
    image_size: int
    flags: int
    version: tuple[int, int]
    compressed: bool


@dataclass(frozen=True)
class Image:
    """A program ready to be placed in memory.

    `entry` is the physical address of its first instruction. `segments` are in ascending order of
    address and do not overlap; there is at least one. `symbols` is empty for formats that have none,
    and is read from the file when first used. `file` holds the bytes that the image was read from.
    """

    name: str
    kind: ImageKind
    entry: int
    segments: tuple[Segment, ...]
    symbols: SymbolTable = field(default_factory=SymbolTable, repr=False, compare=False)
    linux: LinuxHeader | None = None
    file: bytes = field(default=b"", repr=False, compare=False)

    @property
    def start(self) -> int:
        """Lowest physical address that the image occupies."""
        return self.segments[0].address

    @property
    def end(self) -> int:
        """First physical address after the image."""
        return self.segments[-1].end

    def linked_address(self, physical: int) -> int:
        """The address that the linker gave to the byte at `physical`; `physical` itself outside the image.

        Before a higher-half kernel has turned its MMU on, its pc is physical and its symbols are not.
        """
        for segment in self.segments:
            if segment.address <= physical < segment.end:
                return segment.virtual + physical - segment.address
        return physical
