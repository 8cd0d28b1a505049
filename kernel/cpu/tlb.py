"""The TLBs, as the memory manager asks for them (`mm.tlb`; OSTD `mm/tlb.rs`, `arch/riscv/mm`)."""

from __future__ import annotations

from kernel.mm.paging import PAGE_SIZE

from .abi import Command
from .smp import Smp


class Tlb:
    """The TLBs of a kernel's CPUs: its own, which is that of the CPU that Python runs as, and the others'.

    Nothing is flushed that is not asked for: a translation may be stale until then. Raises CpuError if
    the CPU goes astray, for instance because a new page table does not map the kernel's text.
    """

    def __init__(self, smp: Smp) -> None:
        self._smp = smp

    @property
    def satp(self) -> int:
        """The satp word of this CPU."""
        return self._smp.service.hart(self._smp.cpu()).satp

    def activate(self, satp: int) -> None:
        """Write satp on this CPU and flush its whole TLB. ValueError if the hart does not take that word."""
        now, _ = self._smp.call(self._smp.cpu(), Command.ACTIVATE, satp)
        if now != satp:
            raise ValueError(f"satp {satp:#x} is not what the hart can do: it has kept {now:#x}")

    def sfence_all(self) -> None:
        """Flush all of ASID 0 on this CPU; entries of global mappings may stay (`tlb_flush_all_excluding_global`)."""
        self._smp.call(self._smp.cpu(), Command.SFENCE_ASID, 0)

    def sfence_everything(self) -> None:
        """Flush all, global mappings included, on this CPU (`tlb_flush_all_including_global`)."""
        self._smp.call(self._smp.cpu(), Command.SFENCE_ALL)

    def sfence_page(self, vaddr: int) -> None:
        """Flush one page on this CPU (`tlb_flush_addr`)."""
        self._smp.call(self._smp.cpu(), Command.SFENCE_PAGE, vaddr)

    def sfence_range(self, vaddr: int, size: int) -> None:
        """Flush the pages of `size` bytes at `vaddr` on this CPU (`tlb_flush_addr_range`)."""
        first = vaddr & -PAGE_SIZE
        pages = -(-(vaddr + size - first) // PAGE_SIZE) if size > 0 else 0
        self._smp.call(self._smp.cpu(), Command.SFENCE_RANGE, first, pages)

    def remote_sfence(self, vaddr: int, size: int) -> None:
        """Flush `size` bytes at `vaddr`, everything if `size` is 0, on every other CPU; returns when it is done."""
        others = self._smp.others
        if others:
            self._smp.sbi.remote_sfence_vma(others, vaddr if size else 0, size)
