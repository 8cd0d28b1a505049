"""The machine's memory: one lazily committed host buffer for all banks, the boot ROM and a sink.

        host buffer   | boot ROM | bank 0 | bank 1 | … | sink |
        RAM offset    0          60 KiB   …

Every hart, the kernel layer and numpy see these same bytes. Untouched pages cost nothing. The sink
is the page into which the MMU sends stores to ROM; no physical address leads to it.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import BoardError
from .range import Range

PAGE = 4096
MAP_NORESERVE = 0x4000
"""Linux's flag: do not count the mapping against the host's memory (mmap(2))."""
SINK_BASE = 1 << 55
"""Physical address under which the engine knows the sink; the walk refuses it (it is in no bank)."""


class Ram:
    """Memory banks over one buffer; raises BoardError when the host has no room for them."""

    def __init__(self, rom: Range, banks: Sequence[Range]) -> None:
        self.rom = rom
        self.banks = tuple(banks)
        total = rom.size + sum(bank.size for bank in banks) + PAGE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        try:
            self._mapping = mmap.mmap(-1, total, flags=flags)
        except (OSError, ValueError, OverflowError) as why:
            raise BoardError(f"the host cannot map {total} bytes of guest memory: {why}") from None
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(self._mapping, dtype=np.uint8)
        self.host = int(self.bytes.ctypes.data)
        self._placed: list[tuple[Range, int]] = []
        offset = 0
        for part in (rom, *self.banks):
            before, start = self._placed[-1] if self._placed else (None, 0)
            if before is not None and before.end == part.base:  # banks that touch are one piece of memory
                self._placed[-1] = Range(before.base, before.size + part.size), start
            else:
                self._placed.append((part, offset))
            offset += part.size
        self.sink_offset = offset

    @property
    def size(self) -> int:
        """Bytes of RAM, all banks together."""
        return sum(bank.size for bank in self.banks)

    def regions(self) -> list[tuple[Range, int]]:
        """Boot ROM and banks, each with its offset in the buffer; banks that touch are one."""
        return list(self._placed)

    def offset(self, address: int, size: int = 1) -> int | None:
        """Offset in the buffer of `size` bytes at physical `address`; None if they are not all there, in one piece."""
        for part, offset in self._placed:
            if part.contains(address, size):
                return offset + address - part.base
        return None

    def view(self, address: int, size: int) -> npt.NDArray[np.uint8] | None:
        """The bytes at physical `address` as a writable numpy array over guest memory, None as for `offset`."""
        offset = self.offset(address, size)
        return None if offset is None else self.bytes[offset:offset + size]

    def state(self) -> Any:
        """A copy of all memory."""
        return self.bytes.copy()
