"""Pictures as PNG files in `data:` addresses, for pages that need nothing else.

A picture is one colour, more or less of it: what is behind it shines through, in light and in dark.
Source: PNG specification (ISO/IEC 15948), 11.2.2 IHDR, 11.2.3 PLTE, 11.3.2.1 tRNS.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Final

import numpy as np
import numpy.typing as npt

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
LEVELS: Final = 16
"""Shades of a picture, four bits a pixel."""
FAINTEST: Final = 48
"""How opaque the least shade that is not nothing is, of 255."""


def shades(values: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> bytes:
    """A PNG file of `values`, rows from top to bottom: 0 is nothing, 255 the full `colour`. ValueError if empty."""
    height, width = values.shape
    if not height or not width:
        raise ValueError(f"a picture of {width} x {height} pixels")
    levels = (values.astype(np.uint16) + 16) // 17  # 0 for 0 only
    levels = np.pad(levels, ((0, 0), (0, width % 2)))
    packed = (levels[:, 0::2] << 4 | levels[:, 1::2]).astype(np.uint8)
    rows = np.zeros((height, packed.shape[1] + 1), dtype=np.uint8)  # byte 0 of a row: its filter, none
    rows[:, 1:] = packed
    opaque = bytes([0, *(FAINTEST + (255 - FAINTEST) * level // (LEVELS - 1) for level in range(1, LEVELS))])
    return SIGNATURE + b"".join((
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)),
        _chunk(b"PLTE", bytes(colour) * LEVELS), _chunk(b"tRNS", opaque),
        _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)), _chunk(b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def address(png: bytes) -> str:
    """The `data:` address of a PNG file."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
