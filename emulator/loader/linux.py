"""Linux kernels: the flat RISC-V `Image`, plain, gzip-compressed (`Image.gz`) or in an EFI zboot wrapper.

     0  code0, code1     a jump over the header, or "MZ" and a jump
     8  text_offset      u64: distance of the load address from the start of RAM: 2 MiB on RV64
    16  image_size       u64: bytes of memory that the kernel needs, its BSS included
    24  flags            u64: bit 0 is the endianness, 1 = big
    32  version          u32: major << 16 | minor
    48  magic            "RISCV" 0 0 0 (deprecated since version 0.2)
    56  magic2           "RSC" 5

The kernel goes where the caller says, 0x8020_0000 by default: like QEMU, which puts it at the first 2 MiB
boundary behind the firmware, we do not look at `text_offset`.

Source: Linux, Documentation/arch/riscv/boot-image-header.rst; drivers/firmware/efi/libstub/zboot-header.S.
"""

from __future__ import annotations

import struct
import zlib

from ..errors import ImageError
from .model import ADDRESS_LIMIT, Image, ImageKind, LinuxHeader, Segment

HEADER_SIZE = 64
GZIP_MAGIC = b"\x1f\x8b"
LARGEST_KERNEL = 1 << 30
"""Bytes that a compressed kernel may unpack to; distribution kernels are about 32 MiB."""

_HEADER = struct.Struct("<IIQQQIIQ8s4sI")
_MAGIC = b"RISCV\0\0\0"
_MAGIC2 = b"RSC\x05"


def is_linux(data: bytes) -> bool:
    """Whether `data` starts with the header of an uncompressed RISC-V Linux image."""
    return data[48:56] == _MAGIC or data[56:60] == _MAGIC2


def is_zboot(data: bytes) -> bool:
    """Whether `data` is a compressed kernel in an EFI zboot wrapper (`vmlinuz.efi`)."""
    return data[:2] == b"MZ" and data[4:8] == b"zimg"


def load_linux(data: bytes, name: str, address: int) -> Image:
    """The image of a Linux kernel, compressed or not, at physical `address`, entered at its first byte.

    Its memory is `image_size` of the header, or the file's size where that is larger. Raises
    `ImageError` for a malformed header, a big-endian kernel, damaged or bottomless compressed data,
    and for an `address` that is not on a 2 MiB boundary, where Linux cannot run.
    """
    compressed = False
    if is_zboot(data):
        data, compressed = _unwrap(data, name), True
    if data[:2] == GZIP_MAGIC:
        data, compressed = _decompress(data, name), True
    if not is_linux(data):
        raise ImageError.at(name, 56, "magic2", data[56:60].hex() or "nothing", "52534305 (RISC-V Linux Image)")
    if len(data) < HEADER_SIZE:
        raise ImageError.at(name, len(data), "Linux header", "the end of the file", f"{HEADER_SIZE} bytes of header")
    _, _, text_offset, image_size, flags, version, _, _, _, _, _ = _HEADER.unpack_from(data)
    if flags & 1:
        raise ImageError.at(name, 24, "flags", f"{flags:#x} (big-endian)", "a little-endian kernel")
    if version >> 16 != 0:
        raise ImageError.at(name, 32, "version", f"{version >> 16}.{version & 0xFFFF}", "0.x")
    size = max(image_size, len(data))
    if address < 0 or address + size > ADDRESS_LIMIT:
        raise ImageError.at(name, 16, "image_size", f"{image_size:#x}", f"a kernel at {address:#x} to end below 2**56")
    if address % (2 << 20):
        raise ImageError(f"{name}: a Linux kernel at {address:#x}, expected an address on a 2 MiB boundary")
    header = LinuxHeader(text_offset, image_size, flags, (version >> 16, version & 0xFFFF), compressed)
    segment = Segment(address, data, size, virtual=address)
    return Image(name, ImageKind.LINUX, address, (segment,), linux=header, file=data)


def _unwrap(data: bytes, name: str) -> bytes:
    if len(data) < HEADER_SIZE:
        raise ImageError.at(name, len(data), "zboot header", "the end of the file", f"{HEADER_SIZE} bytes of header")
    offset, size = struct.unpack_from("<II", data, 8)
    method = data[24:56].split(b"\0")[0]
    if method != b"gzip":
        raise ImageError.at(name, 24, "zboot compression", repr(method[:16])[1:], "gzip: unpack the kernel first")
    if offset + size > len(data):
        raise ImageError.at(
            name, 8, "zboot payload", f"{size:#x} bytes at {offset:#x}",
            f"them to end by the file's end, {len(data):#x}; the file may be truncated",
        )
    payload = data[offset : offset + size]
    if payload[:2] != GZIP_MAGIC:
        raise ImageError.at(name, offset, "zboot payload", payload[:2].hex() or "nothing", "1f8b (gzip)")
    return payload


def _decompress(data: bytes, name: str) -> bytes:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        # The header first: what is not a kernel is not worth unpacking, and may be a bomb.
        head = unpacker.decompress(data, HEADER_SIZE)
        if not is_linux(head):
            raise ImageError(f"{name}: gzip-compressed, but there is no RISC-V Linux Image inside; unpack it first")
        body = unpacker.decompress(unpacker.unconsumed_tail, LARGEST_KERNEL - len(head) + 1)
    except zlib.error as error:
        raise ImageError(f"{name}: damaged gzip data ({error}), expected a compressed Linux Image") from None
    if len(head) + len(body) > LARGEST_KERNEL:
        raise ImageError(f"{name}: unpacks to more than {LARGEST_KERNEL} bytes, expected a Linux kernel")
    if not unpacker.eof:
        raise ImageError.at(name, len(data), "gzip data", "the end of the file", "more: the file may be truncated")
    return head + body
