"""Telling formats apart, flat binaries, and reading files that users name."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.errors import ImageError, InputFileError
from emulator.loader import ImageKind, detect, load_image, read_file
from emulator.loader.flat import load_flat

from .builders import CODE, Elf, linux_image

AT = 0x8020_0000


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (Elf().build(), ImageKind.ELF),
        (linux_image(), ImageKind.LINUX),
        (gzip.compress(linux_image(), mtime=0), ImageKind.LINUX),
        (CODE, ImageKind.FLAT),
        (b"\x01", ImageKind.FLAT),
    ],
    ids=["elf", "linux", "linux-gzip", "flat", "one-byte"],
)
def test_format_is_told_by_its_magic(data: bytes, kind: ImageKind) -> None:
    assert load_image(data, "x", AT).kind is kind


def test_flat_binary_goes_where_it_is_told() -> None:
    image = load_image(CODE, "x.bin", 0x8000_0000)
    assert (image.entry, image.start, image.end) == (0x8000_0000, 0x8000_0000, 0x8000_0010)


def test_text_is_no_flat_binary() -> None:
    with pytest.raises(ImageError, match="README.md: contents at offset 0x0: found text, b'# A read me"):
        load_image(b"# A read me\n\n" + b"No hart can run this. " * 20, "README.md", 0x8020_0000)


def test_flat_address_does_not_move_an_elf() -> None:
    assert load_image(Elf().build(), "x", 0x1000).start == AT


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xd0\x0d\xfe\xed" + bytes(36), "--dtb"),
        (b"070701" + bytes(104), "--initrd"),
        (b"\x27\x05\x19\x56", "U-Boot legacy"),
        (b"#!/bin/sh\n", "script"),
        (bytes(0x202) + b"HdrS", "x86 Linux"),
        (bytes(56) + b"ARMd", "ARM64 Linux"),
    ],
    ids=["dtb", "cpio", "uimage", "script", "x86", "arm64"],
)
def test_known_foreign_format_is_named(data: bytes, what: str) -> None:
    with pytest.raises(ImageError, match=what):
        load_image(data, "x", AT)


@pytest.mark.parametrize("address", [-2, 1, (1 << 56) - 8])
def test_flat_binary_at_an_impossible_address_is_refused(address: int) -> None:
    with pytest.raises(ImageError, match=r"x: a flat binary"):
        load_flat(CODE, "x", address)


def test_flat_binary_of_no_bytes_is_refused() -> None:
    with pytest.raises(ImageError, match="0 bytes"):
        load_flat(b"", "x", AT)


def test_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(CODE)
    assert read_file(tmp_path / "k", "kernel") == CODE


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"^kernel .*/nope: no such file$"):
        read_file(tmp_path / "nope", "kernel")


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="is a directory"):
        read_file(tmp_path, "kernel")


def test_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(CODE)
    with pytest.raises(InputFileError, match="cannot be read: Not a directory"):
        read_file(tmp_path / "k" / "x", "kernel")


def test_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "k").write_bytes(CODE)

    def denied(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)  # tests may run as root, whom no mode bits stop
    with pytest.raises(InputFileError, match="cannot be read: Permission denied"):
        read_file(tmp_path / "k", "kernel")


def test_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k").touch()
    with pytest.raises(InputFileError, match="is empty"):
        read_file(tmp_path / "k", "initrd")


def test_pipe_without_a_writer_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    with pytest.raises(InputFileError, match="not a regular file"):
        read_file(tmp_path / "p", "kernel")


def test_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "LARGEST_FILE", 8)
    (tmp_path / "k").write_bytes(CODE)
    with pytest.raises(InputFileError, match="expected at most 8 bytes"):
        read_file(tmp_path / "k", "kernel")


def test_path_with_a_nul_is_refused() -> None:
    with pytest.raises(InputFileError, match="not a path"):
        read_file("a\0b", "kernel")


def test_loading_imports_no_file_library() -> None:
    code = "import sys, emulator.loader; print([m for m in ('elftools', 'fdt', 'capstone') if m in sys.modules])"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
