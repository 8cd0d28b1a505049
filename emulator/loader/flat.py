"""Flat binaries: bytes with no header, run from the address they are put at."""

from __future__ import annotations

from ..errors import ImageError
from .model import ADDRESS_LIMIT, Image, ImageKind, Segment


def load_flat(data: bytes, name: str, address: int) -> Image:
    """The image of a raw binary at physical `address`, entered at its first byte.

    Raises `ImageError` if there are no bytes, if `address` is odd (no instruction starts there) or if
    the binary would reach beyond 2**56.
    """
    if not data:
        raise ImageError(f"{name}: a flat binary of 0 bytes, expected at least one instruction")
    if address < 0 or address + len(data) > ADDRESS_LIMIT:
        raise ImageError(f"{name}: a flat binary of {len(data)} bytes at {address:#x}, expected to end below 2**56")
    if address % 2:
        raise ImageError(f"{name}: a flat binary at {address:#x}, expected an even address")
    segment = Segment(address, data, len(data), virtual=address)
    return Image(name, ImageKind.FLAT, address, (segment,), file=data)
