"""Paging modes, and the kernel's address space under each (OSTD `mm/kspace/mod.rs`).

        Sv48                    Sv39
        0000_0000_0000_0000     0000_0000_0000_0000     user space, root entries 0 … 255
        ffff_8000_0000_0000     ffff_ffc0_0000_0000     linear mapping of physical memory, 256 … 383
        ffff_c000_0000_0000     ffff_ffe0_0000_0000     KVirtAreas, 384 … 447
        ffff_e000_0000_0000     ffff_fff0_0000_0000     frame metadata, 448, 449
        ffff_e100_0000_0000     ffff_fff0_8000_0000     (nothing)
        ffff_ffff_0000_0000     ffff_ffff_0000_0000     kernel code: this plus the physical address, 511
        ffff_ffff_ffff_0000     ffff_ffff_ffff_0000     the end

The bases are those for 39 bits, shifted left by the address width less 39; the kernel code's is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

PAGE_SIZE = 4096
PAGE_SHIFT = 12
ENTRIES = 512
"""Entries of a page table."""
ROOT_KERNEL_FIRST = 256
"""First root entry of kernel space; those below are user space."""
META_SLOT_SIZE = 64
MASK64 = (1 << 64) - 1


@dataclass(frozen=True)
class PagingMode:
    """A paging mode: its `name`, `satp_mode` (satp's MODE field), `levels` of tables, `width` of addresses in bits."""

    name: str
    satp_mode: int
    levels: int
    width: int

    def _shifted(self, base_for_39_bits: int) -> int:
        return (base_for_39_bits << (self.width - 39)) & MASK64

    @cached_property
    def linear_base(self) -> int:
        """Start of the linear mapping (`LINEAR_MAPPING_BASE_VADDR`)."""
        return self._shifted(0xffff_ffc0_0000_0000)

    @cached_property
    def kvirt_base(self) -> int:
        """Start of the KVirtAreas (`VMALLOC_VADDR_RANGE`); the linear mapping ends here."""
        return self._shifted(0xffff_ffe0_0000_0000)

    @cached_property
    def meta_base(self) -> int:
        """Start of the frame metadata (`FRAME_METADATA_RANGE`); the KVirtAreas end here."""
        return self._shifted(0xffff_fff0_0000_0000)

    @cached_property
    def meta_end(self) -> int:
        """End of the frame metadata, exclusive."""
        return self._shifted(0xffff_fff0_8000_0000)

    kernel_code_base = 0xffff_ffff_0000_0000
    """What is added to a physical address of the kernel image to get the virtual one (`KERNEL_CODE_BASE_VADDR`)."""
    kernel_end = 0xffff_ffff_ffff_0000
    """End of kernel space, exclusive (`KERNEL_END_VADDR`)."""

    @cached_property
    def max_user_vaddr(self) -> int:
        """End of user space, exclusive (`MAX_USERSPACE_VADDR`): a page below the top of the lower half."""
        return (1 << (self.width - 1)) - PAGE_SIZE

    @cached_property
    def linear_size(self) -> int:
        """Bytes of the linear mapping: the most physical address space that the kernel can manage."""
        return self.kvirt_base - self.linear_base

    @property
    def highest_leaf_level(self) -> int:
        """The highest level at which the kernel maps a leaf: below the root, whose kernel entries are shared tables."""
        return self.levels - 1

    def page_size(self, level: int) -> int:
        """Bytes that an entry of a table of `level` (1 is the lowest) maps."""
        return PAGE_SIZE << 9 * (level - 1)

    def index(self, vaddr: int, level: int) -> int:
        """The entry of a table of `level` that translates `vaddr`."""
        return vaddr >> (PAGE_SHIFT + 9 * (level - 1)) & (ENTRIES - 1)

    def satp(self, root: int) -> int:
        """The satp word for the root table at physical `root`, ASID 0."""
        return self.satp_mode << 60 | root >> PAGE_SHIFT


SV39 = PagingMode("sv39", 8, 3, 39)
SV48 = PagingMode("sv48", 9, 4, 48)
MODES = {mode.name: mode for mode in (SV48, SV39)}
"""The modes that the kernel knows, by name; it prefers the first."""
