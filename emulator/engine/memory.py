"""What the harts see by physical address: banks of RAM, registers of devices, and which pages hold code.

        Memory(engine)
        add_bank, add_sink      ── once each, in the order of the host buffer
        seal                    ── the self-checks run; from here on, which pages hold code is known
        add_native_device, add_python_device
        discard_code, …         ── the host has changed what is in RAM

Offsets count from the start of the host buffer, not of the guest's addresses.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import EngineError
from . import layout, selfcheck
from .unicornapi import UC_PROT_ALL

if TYPE_CHECKING:
    from .engine import Engine

MANY_PAGES = 256
"""Pages with code whose translations are dropped one by one; for more, all are."""
MmioRead = Callable[[int, int], int]
MmioWrite = Callable[[int, int, int], None]

_READ = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint, ctypes.c_void_p)
_WRITE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint, ctypes.c_uint64, ctypes.c_void_p)


class Memory:
    """The physical addresses of `engine` (`Engine.memory`)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._size = 0  # of the host buffer, so far
        self._code_pages = np.zeros(0, dtype=np.uint8)
        self._keep: list[Any] = []  # what the engine calls

    # --- what is where ----------------------------------------------------------------------------

    def add_bank(self, base: int, size: int, host: int) -> None:
        """Map `size` bytes (a multiple of 4096) of host memory at `host` as RAM at physical `base`.

        Banks must be added in the order in which they lie in the host buffer, without gaps.
        """
        engine = self._engine
        number = engine.word(layout.M_BANK_COUNT)
        if number == layout.MAX_BANKS:
            raise EngineError(f"at most {layout.MAX_BANKS} memory banks")
        self._map(base, size, host)
        if number == 0:
            engine.set_word(layout.M_RAM_HOST, host)
        engine.set_words(layout.M_BANKS + 32 * number, (base, size, host, self._size))
        self._size += size
        engine.set_word(layout.M_BANK_COUNT, number + 1)

    def add_sink(self, base: int, host: int) -> None:
        """Map the page that swallows stores to ROM; in no bank, so that no guest address leads there."""
        self._map(base, 4096, host)
        self._size += 4096
        self._engine.set_word(layout.M_SINK, base)

    def _map(self, base: int, size: int, host: int) -> None:
        self._engine.call("uc_mem_map_ptr", ctypes.c_uint64(base), ctypes.c_size_t(size), UC_PROT_ALL,
                          ctypes.c_void_p(host))

    def seal(self) -> None:
        """All banks are there (12 KiB or more): make the map of pages that hold code, run the self-checks.

        The hart's registers are undefined afterwards, until `Engine.reset`.
        """
        self._code_pages = flags = np.zeros(self._size >> 12, dtype=np.uint8)
        self._engine.set_word(layout.M_HAS_CODE, int(flags.ctypes.data))
        selfcheck.run_first_blocks(self._engine)
        selfcheck.check_self_modification(self._engine)
        flags[:3] = 0  # what the checks ran in; touching all would commit the whole map

    def add_native_device(self, base: int, size: int, read: Callable[..., Any], write: Callable[..., Any],
                          state: int) -> None:
        """Map device registers served by native entries `read` and `write`, given `state` as user data."""
        code = self._engine.library.code
        self._map_mmio(base, size, ctypes.c_void_p(code.address(read)), ctypes.c_void_p(code.address(write)), state)

    def add_python_device(self, base: int, size: int, read: MmioRead, write: MmioWrite) -> None:
        """Map device registers served by Python: read(offset, size) and write(offset, size, value).

        The callbacks must not raise: the engine cannot pass an exception on.
        """
        reader = _READ(lambda _uc, offset, width, _user: read(offset, width))
        writer = _WRITE(lambda _uc, offset, width, value, _user: write(offset, width, value))
        self._keep += [reader, writer]
        self._map_mmio(base, size, reader, writer, 0)

    def _map_mmio(self, base: int, size: int, read: Any, write: Any, state: int) -> None:
        engine = self._engine
        number = engine.word(layout.M_DEVICE_COUNT)
        if number == layout.MAX_PAGES:
            raise EngineError(f"at most {layout.MAX_PAGES} devices")
        pages = (size + 0xFFF) & ~0xFFF
        engine.call("uc_mmio_map", ctypes.c_uint64(base), ctypes.c_size_t(pages), read, ctypes.c_void_p(state),
                    write, ctypes.c_void_p(state))
        engine.set_words(layout.M_DEVICES + 16 * number, (base, size))
        engine.set_word(layout.M_DEVICE_COUNT, number + 1)

    # --- code that the host has changed -----------------------------------------------------------

    def discard_code(self, offset: int, size: int) -> None:
        """Drop translations made from `size` bytes of RAM at `offset`: the host changed them."""
        self._engine.lib.tb_invalidate_phys_range_riscv64(self._engine.handle, ctypes.c_uint64(offset),
                                                          ctypes.c_uint64(offset + size))

    def discard_written(self, offset: int, size: int) -> None:
        """`discard_code`, at the cost of a look if nothing was ever translated from those pages."""
        first, last = offset >> 12, offset + size - 1 >> 12
        if self._code_pages[first] or last > first and self._code_pages[first:last + 1].any():
            self.discard_code(offset, size)

    def discard_pages(self, pages: npt.NDArray[np.int64]) -> None:
        """Drop translations made from these pages of RAM (numbers), whose contents the host has replaced.

        Cached address translations must be dropped, too (`Engine.flush_tlb`): stores to the pages are fast again.
        """
        code = pages[self._code_pages[pages] != 0]
        if len(code) > MANY_PAGES:
            self._engine.flush_translations()
        else:
            for page in code.tolist():
                self.discard_code(page << 12, 1 << 12)
        self._code_pages[code] = 0
