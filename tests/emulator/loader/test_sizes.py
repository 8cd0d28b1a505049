"""Sizes as typed and as shown."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import SizeError
from emulator.loader import format_size, parse_size

M, G = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("128", 128 * M), ("128M", 128 * M), ("128m", 128 * M), ("128MB", 128 * M), ("128MiB", 128 * M),
        ("64G", 64 * G), ("1.5G", 3 * G // 2), ("512K", 512 << 10), ("1T", 1 << 40), (" 8 M ", 8 * M),
        ("4096B", 4096), ("0x8000000", 128 * M), ("0X10M", 16 * M), ("0.5", M // 2), ("+1M", M), ("007M", 7 * M),
    ],
)
def test_size_is_understood(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0", "zero"), ("0M", "zero"), ("0x0", "zero"), ("-0", "zero"), ("-1M", "negative"), ("1.3B", "whole number"),
        ("0.1K", "whole number"), ("65T", "absurd"), ("99999999999999999999", "absurd"), ("9" * 5000, "not a size"),
        ("", "not a size"), ("M", "not a size"), ("12X", "not a size"), ("1e9", "not a size"), ("1,5G", "not a size"),
        ("0x", "not a size"), ("١M", "not a size"), ("128 M B", "not a size"), ("1M\n2", "not a size"),
    ],
)
def test_senseless_size_is_refused(text: str, why: str) -> None:
    with pytest.raises(SizeError, match=why) as caught:
        parse_size(text, "RAM size")
    assert str(caught.value).startswith("RAM size '")
    assert len(str(caught.value)) < 150
    assert "\n" not in str(caught.value)


def test_maximum_is_the_callers() -> None:
    assert parse_size("64G", maximum=64 * G) == 64 * G
    with pytest.raises(SizeError, match="at most 64 GiB"):
        parse_size("65G", maximum=64 * G)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1024, "1 KiB"), (3 * M // 2, "1.5 MiB"), (64 * G, "64 GiB")],
)
def test_size_is_shown(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.text(max_size=30) | st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,3})?[kKmMgGtT]?(i?B)?", fullmatch=True))
def test_any_text_is_a_positive_size_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(SizeError):
        assert 0 < parse_size(text) <= 1 << 46


@given(st.integers(1, 1 << 46))
def test_bytes_are_exact(size: int) -> None:
    assert parse_size(f"{size}B") == parse_size(hex(size)) == size
