"""The boot's record in static memory: how far it came, and where the large pieces are, for `Kernel.attach`.

    +0 magic  +8 phase  +16 satp mode  +32 boot info  +40 its size
    +64 name of the frame allocator, 32 bytes  +96 name of the heap allocator
"""

from __future__ import annotations

from enum import IntEnum

from kernel.errors import CorruptionError
from kernel.mm.paging import MODES, PagingMode
from kernel.mm.statics import Statics

MAGIC = int.from_bytes(b"BOOTREC1", "little")
AREA, AREA_SIZE, NAME_SIZE = "boot_record", 128, 32
FRAME_ALLOCATOR, HEAP_ALLOCATOR = 64, 96


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

    @property
    def frame_allocator(self) -> str:
        """The injected frame allocator's name, "" before there is one."""
        return self._name(FRAME_ALLOCATOR)

    @frame_allocator.setter
    def frame_allocator(self, name: str) -> None:
        self._set_name(FRAME_ALLOCATOR, name)

    @property
    def heap_allocator(self) -> str:
        """The injected heap allocator's name, "" before there is one."""
        return self._name(HEAP_ALLOCATOR)

    @heap_allocator.setter
    def heap_allocator(self, name: str) -> None:
        self._set_name(HEAP_ALLOCATOR, name)

    def _name(self, offset: int) -> str:
        return self._port.read(self._area + offset, NAME_SIZE).rstrip(b"\0").decode(errors="replace")

    def _set_name(self, offset: int, name: str) -> None:
        self._port.write(self._area + offset, name.encode()[:NAME_SIZE].ljust(NAME_SIZE, b"\0"))
