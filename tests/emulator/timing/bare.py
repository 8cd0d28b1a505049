"""One hart's timing state without a machine: native functions run on it as ordinary Python."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from emulator.timing import load_profile
from emulator.timing.events import Event
from emulator.timing.layout import (
    B_SUPER_BASE, B_TAG, D_SIZE, MAX_SUPER, MAX_TLB, RAS_SAME, SCRATCH_SIZE, T_DTLB, T_EVENTS, T_ITLB, T_L1D_SHIFT,
    T_L1I_SHIFT, T_PARAMS, T_RAS_BEFORE, T_SIZE,
)
from emulator.timing.model import UNCACHED, UNKNOWN, parameters
from emulator.timing.profile import Profile


def address(array: npt.NDArray[Any]) -> int:
    """Host address of an array."""
    return int(array.ctypes.data)


def rocket(table: str, **changes: Any) -> Profile:
    """The reference core with other values in one table."""
    profile = load_profile("rocket")
    return replace(profile, name="changed", error=None, **{table: replace(getattr(profile, table), **changes)})


@dataclass
class Bare:
    """A hart's T_ state as after reset, at `t`; its parameters at `p`."""

    profile: Profile = field(default_factory=lambda: load_profile("rocket"))

    def __post_init__(self) -> None:
        self.words = np.zeros((T_SIZE + SCRATCH_SIZE) // 8, dtype=np.int64)
        self.counted = np.zeros(32, dtype=np.int64)
        self.parameters = parameters(self.profile)
        self.blocks = np.zeros((64, D_SIZE // 8), dtype=np.int64)
        self.t, self.p = address(self.words), address(self.parameters)
        self[T_PARAMS], self[T_EVENTS] = self.p, address(self.counted)
        for at, count in (*UNKNOWN, *UNCACHED, *((tlb + first, size) for tlb in (T_ITLB, T_DTLB)
                                      for first, size in ((B_TAG, MAX_TLB), (B_SUPER_BASE, MAX_SUPER)))):
            self.words[at >> 3:(at >> 3) + count] = -1
        self[T_RAS_BEFORE] = RAS_SAME
        self[T_L1I_SHIFT] = self[T_L1D_SHIFT] = 1

    def __getitem__(self, at: int) -> int:
        return int(self.words[at >> 3])

    def __setitem__(self, at: int, value: int) -> None:
        self.words[at >> 3] = value

    def count(self, event: Event) -> int:
        """How often `event` was counted."""
        return int(self.counted[event])
