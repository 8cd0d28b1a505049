"""Fuzzers: whatever the bytes, an image or a typed error comes out, in bounded time and memory."""

from __future__ import annotations

import gzip
import struct
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from emulator.errors import EmulatorError
from emulator.loader import Image, load_image
from emulator.loader.elf import load_elf
from emulator.loader.elfsections import read_sections

from .builders import Elf, Load, R, Sym, W, linux_image

BASE = 0x8020_0000
SAMPLE = Elf(
    [Load(memsz=0x1000), Load(BASE + 0x1000, bytes(40), 0x2000, flags=R | W), Load(type=0x7000_0003)],
    symbols=[Sym(b"_start", BASE), Sym(b"main", BASE + 4), Sym(b"$x", BASE), Sym(b"data", BASE + 0x1000, type=1)],
).build()
LINUX = linux_image(0x400)
PACKED = gzip.compress(LINUX, mtime=0)

# What breaks parsers: field-sized values at the edges of everything.
EDGES = st.sampled_from([
    0, 1, 7, 8, 55, 56, 63, 64, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 56, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
    len(SAMPLE), len(SAMPLE) - 1,
])
VALUES = EDGES | st.integers(0, (1 << 64) - 1)
WIDTHS = st.sampled_from(["<B", "<H", "<I", "<Q"])
PATCHES = st.lists(st.tuples(st.integers(0, 2000), WIDTHS, VALUES), min_size=1, max_size=4)


def patched(data: bytes, patches: list[tuple[int, str, int]]) -> bytes:
    buffer = bytearray(data)
    for at, width, value in patches:
        size = struct.calcsize(width)
        at %= max(len(buffer) - size, 1)
        struct.pack_into(width, buffer, at, value & ((1 << 8 * size) - 1))
    return bytes(buffer)


def judge(load: Callable[[], Image], size: int) -> None:
    """Load and use everything: an image that keeps its promises or a typed one-line error, within bounds."""
    begun = time.monotonic()
    tracemalloc.start()
    try:
        image = load()
        list(image.symbols)
        image.symbols.format(image.entry)
        assert image.segments
        assert sum(len(s.data) for s in image.segments) <= max(2 * size, 0x1000)
        for segment in image.segments:
            assert len(segment.data) <= segment.size
            assert 0 <= segment.address < segment.end <= 1 << 56
        assert all(low.end <= high.address for low, high in pairwise(image.segments))
        assert any(s.address <= image.entry < s.end for s in image.segments)
    except EmulatorError as error:
        assert str(error).startswith("x: ")
        assert "\n" not in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 20 * size + (2 << 20)  # imports on first use are in it
    assert time.monotonic() - begun < 2


@settings(max_examples=600, deadline=None)
@given(PATCHES)
@example([(40, "<Q", 64), (60, "<H", 0)])
@example([(60, "<H", 0xFFFF)])
@example([(56, "<H", 0xFFFE)])
def test_mutated_elf(patches: list[tuple[int, str, int]]) -> None:
    data = patched(SAMPLE, patches)
    judge(lambda: load_elf(data, "x"), len(data))
    read_sections(data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SAMPLE)), PATCHES)
def test_truncated_mutated_elf(length: int, patches: list[tuple[int, str, int]]) -> None:
    data = patched(SAMPLE, patches)[:length]
    judge(lambda: load_elf(data, "x"), len(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600))
def test_random_bytes_behind_an_elf_header(body: bytes) -> None:
    data = SAMPLE[:64] + body
    judge(lambda: load_elf(data, "x"), len(data))


@settings(max_examples=300, deadline=None)
@given(PATCHES, st.integers(0, len(LINUX)))
def test_mutated_linux_header(patches: list[tuple[int, str, int]], length: int) -> None:
    data = patched(LINUX, patches)[:length]
    judge(lambda: load_image(data, "x", BASE), len(data))


@settings(max_examples=200, deadline=None)
@given(PATCHES)
def test_mutated_compressed_kernel(patches: list[tuple[int, str, int]]) -> None:
    data = patched(PACKED, patches)
    judge(lambda: load_image(data, "x", BASE), len(LINUX))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\x7fELF", b"\x1f\x8b", b"MZ\0\0zimg", b"\xd0\x0d\xfe\xed"]))
def test_random_bytes(body: bytes, magic: bytes) -> None:
    judge(lambda: load_image(magic + body, "x", BASE), len(body))
