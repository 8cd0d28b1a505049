"""The memory manager's context: what OSTD keeps in global variables, one object per kernel.

        MemoryPort ── Statics ── CpuLocals            where things are in emulated memory
            │
        MetaSlots, TypeTable                          a 64-byte slot for each frame
            │
        FrameDispatch ── (frame allocator)            frames, with our checks
            │
        AllocDispatch ── (heap allocator)             heap slots, with our checks
            │
        KernelSpace, Tlb                              the kernel's address space

The boot's stages set the attributes in this order. Every handle keeps a reference to its Mm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kernel.errors import AccessDenied, BootError

from .frame.type_table import TypeTable
from .paging import PagingMode
from .port import MemoryPort
from .statics import CpuLocals, Statics

if TYPE_CHECKING:
    from .frame.allocator import FrameDispatch
    from .frame.meta import MetaSlots
    from .heap.dispatch import AllocDispatch
    from .kspace.kernel_space import KernelSpace
    from .operations import Listener


class TlbPort(Protocol):
    """The CPUs' address-translation controls, as the memory manager sees them."""

    @property
    def satp(self) -> int:
        """The satp word of the CPU that the kernel runs on (`Mm.cpu`)."""

    def activate(self, satp: int) -> None:
        """Write satp on this CPU and flush its TLB."""

    def sfence_all(self) -> None:
        """sfence.vma for all addresses of ASID 0 on this CPU; global entries stay."""

    def sfence_everything(self) -> None:
        """sfence.vma for everything on this CPU, global entries too."""

    def sfence_page(self, vaddr: int) -> None:
        """sfence.vma for one page on this CPU."""

    def remote_sfence(self, vaddr: int, size: int) -> None:
        """sfence.vma for vaddr … vaddr + size on every other CPU; everything if `size` is 0."""


class Mm:
    """The context that every part of the memory manager gets as its first argument.

    `cpu` is the CPU as which the kernel's Python code runs: it decides which per-CPU caches are used.
    """

    slots: MetaSlots
    """The metadata slots."""
    frame_allocator: FrameDispatch
    """The injected frame allocator behind our checks."""
    heap: AllocDispatch
    """The injected heap allocator behind our checks."""
    kspace: KernelSpace
    """The kernel's page table and virtual areas."""
    tlb: TlbPort
    """The CPUs' TLBs."""

    def __init__(self, port: MemoryPort, paging: PagingMode, statics: Statics) -> None:
        self.port, self.paging, self.statics = port, paging, statics
        self.cpu_locals = CpuLocals(statics)
        self.types = TypeTable(statics, paging.kernel_code_base)
        self.cpu = 0
        self.operations: Listener | None = None
        """Is told of every operation (kernel.mm.operations); None for nobody."""
        self.stage = ""
        """The boot stage that is being run; "" when none is."""
        self.closed = False
        """Whether the kernel is gone: handles that are still around then hold nothing."""
        self._linear_base, self._linear_size = paging.linear_base, paging.linear_size

    def close(self) -> None:
        """The kernel has ended: handles hold nothing any more, and every access to its memory raises KernelClosed."""
        self.closed = True
        self.port.close()

    def switch_cpu(self, cpu: int) -> int:
        """Run the kernel's Python code as CPU `cpu` from now on; as which it did before."""
        before, self.cpu = self.cpu, cpu
        return before

    def __getattr__(self, name: str) -> object:
        if name in ("slots", "frame_allocator", "heap", "kspace", "tlb"):
            raise BootError(f"{name} is not there yet: the boot has not come to that stage")
        raise AttributeError(name)

    def paddr_to_vaddr(self, paddr: int) -> int:
        """Where the linear mapping has physical `paddr`; AccessDenied beyond its end (`paddr_to_vaddr`)."""
        if not 0 <= paddr < self._linear_size:
            raise AccessDenied(f"physical address {paddr:#x} is beyond the linear mapping's {self._linear_size:#x} "
                               "bytes")
        return paddr + self._linear_base

    def vaddr_to_paddr(self, vaddr: int) -> int:
        """The physical address that the linear mapping has at `vaddr`; AccessDenied outside of it."""
        paddr = vaddr - self._linear_base
        if not 0 <= paddr < self._linear_size:
            raise AccessDenied(f"{vaddr:#x} is not in the linear mapping, which begins at {self._linear_base:#x}")
        return paddr
