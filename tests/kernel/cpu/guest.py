"""A machine with the kernel's text in service, and page tables built by hand."""

from __future__ import annotations

from typing import Any

from emulator import Board, Machine
from kernel.cpu.probe import Probe
from kernel.cpu.entry import Entry
from kernel.cpu.service import Service
from kernel.cpu.smp import Smp
from kernel.cpu.tlb import Tlb
from kernel.mm.paging import PAGE_SIZE, SV48, PagingMode
from kernel.mm.port import MemoryPort
from kernel.text.image import firmware_image, kernel_image
from tests.helpers.assembler import assemble

V, R, W, X, U, G = 1, 2, 4, 8, 16, 32
FREE = 0x8400_0000
"""Memory that nothing else uses, from here on."""


class Guest:
    """A machine with the kernel's text in service, and what the tests use it by."""

    def __init__(self, board: Board, mode: int | None, **options: Any) -> None:
        self.machine = Machine(board)
        self.machine.boot(kernel=kernel_image(), firmware=firmware_image(), **options)
        self.service = Service(self.machine)
        self.entry: Entry = self.service.start(mode)
        self.smp = Smp(self.service)
        self.tlb = Tlb(self.smp)
        self.probe = Probe(self.smp)
        self.port = MemoryPort(self.machine.bus)
        self.free = FREE

    def page(self) -> int:
        """A fresh zeroed page."""
        self.free += PAGE_SIZE
        self.port.fill(self.free, PAGE_SIZE)
        return self.free

    def code(self, source: str, base: int | None = None) -> int:
        """Physical address of a fresh page with `source` in it, assembled for `base` (by default that address)."""
        page = self.page()
        self.machine.bus.write(page, assemble(source, page if base is None else base))
        return page

    def tables(self) -> Tables:
        """A page table like the boot one, to add to."""
        root = self.page()
        self.port.copy(root, self.service.header.boot_root_sv48, PAGE_SIZE)
        return Tables(self, root)


class Tables:
    """An Sv48 page table at physical `root`."""

    def __init__(self, guest: Guest, root: int, paging: PagingMode = SV48) -> None:
        self.guest, self.root, self.paging = guest, root, paging

    @property
    def satp(self) -> int:
        return self.paging.satp(self.root)

    def map(self, vaddr: int, paddr: int, flags: int) -> int:
        """Map one page; the address of its entry."""
        port, table = self.guest.port, self.root
        for level in range(self.paging.levels, 1, -1):
            at = table + 8 * self.paging.index(vaddr, level)
            if not port.load(at) & V:
                port.store(at, self.guest.page() >> 2 | V)
            table = port.load(at) >> 10 << 12
        at = table + 8 * self.paging.index(vaddr, 1)
        port.store(at, paddr >> 2 | flags | V)
        return at
