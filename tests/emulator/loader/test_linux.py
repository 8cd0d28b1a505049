"""Linux kernels: header, memory size, compression, and what malformed ones are told."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib

import pytest

from emulator.errors import ImageError
from emulator.loader import ImageKind, LinuxHeader
from emulator.loader import linux as linux_module
from emulator.loader.linux import load_linux

from .builders import linux_image

AT = 0x8020_0000


def refused(data: bytes, *fragments: str, address: int = AT) -> None:
    with pytest.raises(ImageError) as caught:
        load_linux(data, "Image", address)
    for fragment in ("Image: ", *fragments):
        assert fragment in str(caught.value)


def zboot(payload: bytes, method: bytes = b"gzip", size: int | None = None) -> bytes:
    length = len(payload) if size is None else size
    return struct.pack("<4s4sII8s32s8s", b"MZ\0\0", b"zimg", 64, length, b"", method, b"") + payload


def test_kernel_is_entered_at_its_first_byte() -> None:
    image = load_linux(linux_image(), "Image", AT)
    assert (image.kind, image.entry, image.start) == (ImageKind.LINUX, AT, AT)


def test_memory_is_what_the_header_says() -> None:
    assert load_linux(linux_image(0x1000, image_size=0x30_0000), "Image", AT).end == AT + 0x30_0000


def test_memory_is_at_least_the_file() -> None:
    assert load_linux(linux_image(0x1000, image_size=0), "Image", AT).end == AT + 0x1000


def test_header_is_kept() -> None:
    assert load_linux(linux_image(), "Image", AT).linux == LinuxHeader(0x20_0000, 0x20_0000, 0, (0, 2), False)


def test_either_magic_is_enough() -> None:
    assert load_linux(linux_image(magic=bytes(8)), "Image", AT).entry == AT
    assert load_linux(linux_image(magic2=bytes(4)), "Image", AT).entry == AT


def test_text_offset_does_not_move_the_kernel() -> None:
    assert load_linux(linux_image(text_offset=0), "Image", AT).start == AT


def test_compressed_kernel_is_unpacked() -> None:
    plain = linux_image(0x5000)
    image = load_linux(gzip.compress(plain), "Image", AT)
    assert image.segments[0].data == plain
    assert image.linux is not None and image.linux.compressed


def test_zboot_wrapper_is_unwrapped() -> None:
    plain = linux_image(0x5000)
    assert load_linux(zboot(gzip.compress(plain)), "Image", AT).segments[0].data == plain


def test_zboot_with_another_compression_is_refused() -> None:
    refused(zboot(b"", b"zstd22"), "zboot compression at offset 0x18", "zstd22", "gzip")


def test_zboot_payload_beyond_the_file_is_refused() -> None:
    refused(zboot(b"\x1f\x8b", size=3), "zboot payload at offset 0x8", "truncated")


def test_zboot_payload_that_is_not_gzip_is_refused() -> None:
    refused(zboot(b"abcd"), "zboot payload at offset 0x40", "6162")


def test_truncated_header_is_refused() -> None:
    refused(linux_image()[:60], "Linux header at offset 0x3c", "64 bytes")


def test_foreign_magic_is_refused() -> None:
    refused(bytes(64), "magic2 at offset 0x38", "00000000")


def test_big_endian_kernel_is_refused() -> None:
    refused(linux_image(flags=1), "flags at offset 0x18", "big-endian")


def test_unknown_major_version_is_refused() -> None:
    refused(linux_image(version=0x1_0000), "version at offset 0x20", "1.0")


@pytest.mark.parametrize("size", [1 << 56, (1 << 64) - 1])
def test_absurd_image_size_is_refused(size: int) -> None:
    refused(linux_image(image_size=size), "image_size at offset 0x10", "2**56")


def test_address_off_the_2_mib_boundary_is_refused() -> None:
    refused(linux_image(), "2 MiB boundary", address=AT + 0x1000)


def test_truncated_compressed_kernel_is_refused() -> None:
    packed = gzip.compress(bytes(linux_image(0x5000)))
    refused(packed[:-9], "truncated")


def test_damaged_compressed_kernel_is_refused() -> None:
    packed = bytearray(gzip.compress(linux_image(0x5000)))
    packed[-5] ^= 1  # the checksum
    refused(bytes(packed), "damaged gzip data")


def test_compressed_something_else_is_refused() -> None:
    refused(gzip.compress(b"hello" * 100), "no RISC-V Linux Image inside")


def test_bomb_without_a_kernel_is_not_unpacked() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    tracemalloc.start()
    try:
        refused(bomb, "no RISC-V Linux Image inside")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_unpacking_stops_at_the_largest_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux_module, "LARGEST_KERNEL", 0x1000)
    assert load_linux(gzip.compress(linux_image(0x1000)), "Image", AT).start == AT
    refused(gzip.compress(linux_image(0x1001)), "more than 4096 bytes")
