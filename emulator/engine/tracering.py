"""The ring that native code writes events into (`tracing`), and its reader.

        record(kinds)  ── the machine runs ──>  the ring fills  ── STOP_TRACE ──>  take()  ── … ──>  record(0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from . import abi, layout, tracing
from .unicornapi import UC_HOOK_MEM_READ_AFTER, UC_HOOK_MEM_WRITE

if TYPE_CHECKING:
    from .engine import Engine

DEVICES = (0x1_0000, 0x7FFF_FFFF)
"""Physical addresses between boot ROM and RAM: where device accesses are looked for when they are traced."""


class TraceRing:
    """What `engine` has recorded (`Engine.trace`). The host's memory for it is taken when it is first used."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ring: npt.NDArray[np.int64] | None = None
        self._hooked = False

    def record(self, kinds: int, pauses: int = 0) -> None:
        """Record events of `kinds` (`tracing.TRACE_` bits) from now on; 0 ends it. `take` has them.

        The run loop stops (STOP_TRACE) when the ring is nearly full, and at the first `pauses` landmarks.
        """
        engine = self._engine
        if kinds and self._ring is None:
            self._ring = np.zeros((tracing.CAPACITY, tracing.ENTRY // 8), dtype=np.int64)
            engine.set_word(layout.M_TRACE_RING, int(self._ring.ctypes.data))
        engine.hook_code(kinds & tracing.TRACE_INSN != 0)
        if kinds & tracing.TRACE_MMIO and not self._hooked:
            engine.hook(UC_HOOK_MEM_WRITE | UC_HOOK_MEM_READ_AFTER, tracing.on_access, engine.block, DEVICES)
            self._hooked = True
        engine.set_word(layout.M_TRACE, kinds)
        engine.set_word(layout.M_TRACE_PAUSES, pauses)
        engine.set_word(layout.M_TRACE_LOWEST,
                        min(engine.read_state(hart, abi.ENV_PRIV) for hart in range(engine.harts)))
        engine.flush_translations()
        engine.flush_tlb()

    def take(self) -> npt.NDArray[np.int64]:
        """The events recorded since the last call, a row of ten words each (see `tracing`)."""
        count = self._engine.word(layout.M_TRACE_COUNT)
        self._engine.set_word(layout.M_TRACE_COUNT, 0)
        if self._ring is None:
            return np.zeros((0, tracing.ENTRY // 8), dtype=np.int64)
        return self._ring[:count].copy()
