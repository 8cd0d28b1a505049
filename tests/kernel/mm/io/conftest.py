"""Fixtures: a piece of emulated memory, and windows on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from emulator import Board, Machine
from kernel.mm.io import FallibleVmReader, FallibleVmWriter, UserWindow, VmIo, VmReader, VmWriter
from kernel.mm.paging import PAGE_SIZE, SV48, PagingMode
from kernel.mm.port import MemoryPort

ARENA = 0x8001_0000
PAGES = 6
SIZE = PAGES * PAGE_SIZE
PATTERN = bytes(i * 7 + i // 256 & 0xFF for i in range(SIZE))
USER_END = SV48.max_user_vaddr


@dataclass
class Arena(VmIo):
    """Six pages of RAM, reached by their linear addresses, or through user pages of which some are missing."""

    port: MemoryPort
    paging: PagingMode = SV48
    pages: dict[int, int | None] = field(default_factory=dict)
    """User page number to physical address."""
    read_only: set[int] = field(default_factory=set)
    """User page numbers."""
    calls: list[tuple[int, bool]] = field(default_factory=list)
    """What `translate` was asked."""
    vaddr = SV48.linear_base + ARENA

    def translate(self, vaddr: int, write: bool) -> int | None:
        self.calls.append((vaddr, write))
        page = self.pages.get(vaddr // PAGE_SIZE)
        if page is None or write and vaddr // PAGE_SIZE in self.read_only:
            return None
        return page + vaddr % PAGE_SIZE

    def map(self, first: int, *indices: int | None) -> None:
        """Map user pages from number `first` on to the arena's pages; None is a hole."""
        for number, index in enumerate(indices, first):
            self.pages[number] = None if index is None else ARENA + index * PAGE_SIZE

    def reader(self) -> VmReader:
        return VmReader.from_kernel_space(self, self.vaddr, SIZE)

    def writer(self) -> VmWriter:
        return VmWriter.from_kernel_space(self, self.vaddr, SIZE)

    def window(self) -> UserWindow:
        return UserWindow(self.port, self.translate, USER_END)

    def user_reader(self, vaddr: int, size: int) -> FallibleVmReader:
        return FallibleVmReader.from_user_space(self.window(), vaddr, size)

    def user_writer(self, vaddr: int, size: int) -> FallibleVmWriter:
        return FallibleVmWriter.from_user_space(self.window(), vaddr, size)

    def contents(self) -> bytes:
        return self.port.read(ARENA, SIZE)

    def set_contents(self, data: bytes) -> None:
        self.port.write(ARENA, data)


@pytest.fixture(scope="session")
def port() -> Iterator[MemoryPort]:
    machine = Machine(Board(memory=1 << 20))
    yield MemoryPort(machine.bus)
    machine.close()


@pytest.fixture
def arena(port: MemoryPort) -> Arena:
    arena = Arena(port)
    arena.set_contents(PATTERN)
    return arena
