"""The boot's record in static memory: how far it came, and where the large pieces are, for `Kernel.attach`.

    +0 magic  +8 phase  +16 satp mode  +24 cpus  +32 boot info  +40 its size
"""

from __future__ import annotations

from enum import IntEnum

from kernel.errors import CorruptionError
from kernel.mm.paging import MODES, PagingMode
from kernel.mm.statics import Statics

MAGIC = int.from_bytes(b"BOOTREC1", "little")
AREA, AREA_SIZE = "boot_record", 64


class Phase(IntEnum):
    """How much of the kernel's memory management is there."""

    EARLY = 0
    METADATA = 1
    FRAMES = 2
    HEAP = 3
    PAGE_TABLE = 4
    READY = 5


class BootRecord:
    """The record in `statics`; CorruptionError if there is none."""

    __slots__ = ("_area", "_port")

    def __init__(self, statics: Statics) -> None:
        self._port, self._area = statics.port, statics.area(AREA, AREA_SIZE)
        if self._port.load(self._area) != MAGIC:
            raise CorruptionError(f"no boot record at {self._area:#x}: {self._port.load(self._area):#x} is not its "
                                  "magic")

    @classmethod
    def create(cls, statics: Statics, paging: PagingMode) -> BootRecord:
        """A record of a boot that has just begun."""
        area = statics.area(AREA, AREA_SIZE)
        statics.port.store(area, MAGIC)
        statics.port.store(area + 16, paging.satp_mode)
        return cls(statics)

    @property
    def phase(self) -> Phase:
        """How far the boot came."""
        word = self._port.load(self._area + 8)
        if word > Phase.READY:
            raise CorruptionError(f"boot record at {self._area:#x}: phase {word}, expected 0 to {int(Phase.READY)}")
        return Phase(word)

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._port.store(self._area + 8, phase)

    @property
    def paging(self) -> PagingMode:
        """The paging mode."""
        word = self._port.load(self._area + 16)
        for mode in MODES.values():
            if mode.satp_mode == word:
                return mode
        raise CorruptionError(f"boot record at {self._area:#x}: satp mode {word} is not one that the kernel knows")

    @property
    def cpus(self) -> int:
        """CPUs that have local storage."""
        return self._port.load(self._area + 24)

    @cpus.setter
    def cpus(self, count: int) -> None:
        self._port.store(self._area + 24, count)

    @property
    def boot_info(self) -> int:
        """Kernel virtual address of the boot information in the heap, 0 before it is there."""
        return self._port.load(self._area + 32)

    @boot_info.setter
    def boot_info(self, address: int) -> None:
        self._port.store(self._area + 32, address)

    @property
    def boot_info_size(self) -> int:
        """Its bytes."""
        return self._port.load(self._area + 40)

    @boot_info_size.setter
    def boot_info_size(self, size: int) -> None:
        self._port.store(self._area + 40, size)
