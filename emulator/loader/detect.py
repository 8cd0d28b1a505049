"""From a path to an image: reading files that users name, and telling formats apart by their magic."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import ImageError, InputFileError
from .elf import MAGIC as ELF_MAGIC
from .elf import load_elf
from .flat import load_flat
from .linux import GZIP_MAGIC, is_linux, is_zboot, load_linux
from .model import Image
from .sizes import format_size

LARGEST_FILE = 4 << 30
"""Bytes of the largest file that is read."""

_FOREIGN = (
    (0, b"\xd0\x0d\xfe\xed", "a flattened device tree (or FIT image); a device tree goes to --dtb"),
    (0, b"\x27\x05\x19\x56", "a U-Boot legacy image; unpack it first"),
    (0, b"070701", "a cpio archive; an initramfs goes to --initrd"),
    (0, b"\xfd7zXZ\0", "xz-compressed; unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "zstd-compressed; unpack it first"),
    (0, b"BZh", "bzip2-compressed; unpack it first"),
    (0, b"!<arch>\n", "an archive of objects; link it first"),
    (0, b"#!/", "a script"),
    (0x202, b"HdrS", "an x86 Linux kernel"),
    (56, b"ARM\x64", "an ARM64 Linux kernel"),
)
"""Formats that are certainly not RISC-V machine code: (offset, magic, what it is)."""


def load_image(data: bytes, name: str, flat_address: int) -> Image:
    """The image in `data`: an ELF, a RISC-V Linux `Image` (also `Image.gz`), else a flat binary.

    ELF files say themselves where they go; the others go to physical `flat_address`. `name` is what
    errors call the file. Raises `ImageError` if the file is malformed, or is of a known format that
    no hart can run.
    """
    if data[:4] == ELF_MAGIC:
        return load_elf(data, name)
    if is_linux(data) or is_zboot(data) or data[:2] == GZIP_MAGIC:
        return load_linux(data, name, flat_address)
    for offset, magic, what in _FOREIGN:
        if data[offset : offset + len(magic)] == magic:
            raise ImageError.at(name, offset, "magic", f"{magic.hex()}: {what}", "an ELF, a Linux Image or RISC-V code")
    if _is_text(data):
        raise ImageError.at(name, 0, "contents", f"text, {data[:24]!r} …", "an ELF, a Linux Image or RISC-V code")
    return load_flat(data, name, flat_address)


def _is_text(data: bytes) -> bool:
    """Whether a file's beginning is printable; code has opcodes, such as 0x13 and 0x73's operands, that are not."""
    start = data[:256]
    return len(start) >= 64 and all(byte >= 0x20 and byte != 0x7F or byte in b"\t\n\r\f" for byte in start)


def read_file(path: str | os.PathLike[str], what: str, largest: int | None = None) -> bytes:
    """The bytes of a regular file; `what` says in errors what the file was to be ("kernel", "initrd").

    Raises `InputFileError` if it is missing, a directory or a device, unreadable, empty, or larger
    than `largest` bytes (4 GiB).
    """
    shown = f"{what} {os.fspath(path)}"
    largest = LARGEST_FILE if largest is None else largest
    try:
        info = os.stat(path)
        if stat.S_ISDIR(info.st_mode):
            raise InputFileError(f"{shown}: is a directory, expected a file")
        if not stat.S_ISREG(info.st_mode):
            # A pipe without a writer would hang, /dev/zero never ends.
            raise InputFileError(f"{shown}: is not a regular file")
        if info.st_size > largest:
            size, most = format_size(info.st_size), format_size(largest)
            raise InputFileError(f"{shown}: is {size}, expected at most {most}")
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputFileError(f"{shown}: no such file") from None
    except OSError as error:
        raise InputFileError(f"{shown}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a path with a NUL in it
        raise InputFileError(f"{what} {os.fspath(path)!r}: is not a path: {error}") from None
    if not data:
        raise InputFileError(f"{shown}: is empty")
    return data
