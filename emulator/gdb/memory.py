"""Memory as a debugger sees it: by a hart's virtual addresses now, or by physical ones.

Only RAM and ROM can be read and written. A device's register is no memory: reading one can change it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .wire import Code, PacketError

if TYPE_CHECKING:
    from ..hart import Hart
    from ..machine import Machine

PAGE = 4096
TOP = 1 << 64
MOST = 1 << 32
"""Bytes that one search or checksum goes through, at most."""
STRIDE = 1 << 20


class Memory:
    """The memory of a machine; `physical` if addresses are."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.physical = False

    def read(self, hart: Hart, address: int, size: int) -> bytes:
        """Up to `size` bytes, as far as there are any; PacketError if there is none at `address`."""
        found = b"".join(self._machine.bus.read(first, count) for first, count in self._pieces(hart, address, size))
        if size and not found:
            raise self._nothing(hart, address)
        return found

    def check(self, hart: Hart, address: int, size: int) -> None:
        """PacketError unless there is memory in all of a range."""
        there = sum(count for _, count in self._pieces(hart, address, size))
        if there < size:
            raise self._nothing(hart, address + there)

    def write(self, hart: Hart, address: int, data: bytes) -> None:
        """Write `data` where all is memory (`check`); the caller has told the target."""
        at = 0
        for first, count in self._pieces(hart, address, len(data)):
            self._machine.bus.write(first, data[at:at + count])
            at += count

    def search(self, hart: Hart, address: int, size: int, pattern: bytes) -> int | None:
        """Where in `size` bytes at `address` the pattern is first; None if nowhere before they, or memory, end."""
        self._check_length(size)
        kept = b""
        for start, data in self._strides(hart, address, size):
            at = (kept + data).find(pattern)
            if at >= 0:
                return start - len(kept) + at
            kept = (kept + data)[-(len(pattern) - 1):] if len(pattern) > 1 else b""
        return None

    def crc(self, hart: Hart, address: int, size: int) -> int:
        """The checksum of all these bytes that GDB's compare-sections wants: CRC-32, most significant bit first."""
        self._check_length(size)
        found, there = 0xFFFF_FFFF, 0
        for _, data in self._strides(hart, address, size):
            found = crc32_msb(found, data)
            there += len(data)
        if there < size:
            raise self._nothing(hart, address + there)
        return found

    def physical_of(self, hart: Hart, address: int, size: int) -> int | None:
        """Where `size` bytes of virtual addresses are in memory now, if they are in one piece."""
        pieces = list(self._pieces(hart, address, size))
        if not pieces or sum(count for _, count in pieces) < size:
            return None
        place = pieces[0][0]
        for first, count in pieces:
            if first != place:
                return None
            place += count
        return pieces[0][0]

    def _check_length(self, size: int) -> None:
        if size > MOST:
            raise PacketError(Code.MALFORMED, f"{size:#x} bytes at once: expected at most {MOST:#x}")

    def _strides(self, hart: Hart, address: int, size: int) -> Iterator[tuple[int, bytes]]:
        end = address + size
        while address < end:
            wanted = min(STRIDE, end - address)
            try:
                data = self.read(hart, address, wanted)
            except PacketError:
                return
            yield address, data
            address += len(data)
            if len(data) < wanted:
                return

    def _pieces(self, hart: Hart, address: int, size: int) -> Iterator[tuple[int, int]]:
        """The physical pieces of a range, as far as there is memory: (first byte, size)."""
        end = min(address + size, TOP)
        while address < end:
            count = min(end - address, PAGE - address % PAGE)
            first = address if self.physical else hart.translate(address)
            if first is None or self._machine.ram.view(first, count) is None:
                return
            yield first, count
            address += count

    def _nothing(self, hart: Hart, address: int) -> PacketError:
        kind = "physical" if self.physical else f"hart {hart.id}'s virtual"
        return PacketError(Code.BAD_ADDRESS, f"there is no memory at {kind} address {address:#x}")


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc32_msb(start: int, data: bytes) -> int:
    """CRC-32 with polynomial 0x04C11DB7, most significant bit first, without final inversion.

    It is zlib's, which goes the other way round, on bytes with their bits reversed.
    """
    mirrored = zlib.crc32(data.translate(_REVERSED), _mirror(start) ^ 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return _mirror(mirrored)


def _mirror(word: int) -> int:
    return int(f"{word:032b}"[::-1], 2)
