"""Page-table entries, and what is said of a mapped page (OSTD `mm/page_prop.rs`, `arch/riscv/mm`).

        63 NAPOT  62 61 PBMT  53…10 physical page number  9 RSV2  8 RSV1  7 D  6 A  5 G  4 U  3 X  2 W  1 R  0 V

An entry with V = 0 is absent; this kernel writes 0 for it. At level 1 every other entry is a leaf. Above,
an entry is a leaf if any of R, W and X is set, and points to a table of the next lower level otherwise.
RSV1 and RSV2 are for software: PageFlags and PrivilegedPageFlags call them AVAIL2 and AVAIL1.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, IntFlag
from functools import cache
from typing import TypeAlias

from kernel.errors import KernelPanic
from kernel.mm.paging import PAGE_SIZE

VALID, READ, WRITE, EXECUTE, USER, GLOBAL, ACCESSED, DIRTY = (1 << i for i in range(8))
RSV1, RSV2 = 1 << 8, 1 << 9
PBMT_NC, PBMT_IO, NAPOT = 1 << 61, 1 << 62, 1 << 63
RWX = READ | WRITE | EXECUTE
PPN_MASK = 0x003f_ffff_ffff_fc00
"""The physical page number's bits; shifted left by 2 they are the physical address."""
MAX_PADDR = 1 << 56
"""End of the physical addresses that an entry can hold."""
PROPERTY_MASK = RWX | USER | GLOBAL | ACCESSED | DIRTY | RSV1 | RSV2 | PBMT_IO
"""The bits that a PageProperty decides."""
SHIFT = (0, 12, 21, 30, 39, 48)
"""Bits of a virtual address below an entry of a table of each level."""
SIZE = (0, *(1 << shift for shift in SHIFT[1:]))
"""Bytes that an entry of a table of each level maps."""


class PageFlags(IntFlag):
    """What may be done with a page, and what was."""

    NONE = 0
    R, W, X = 1, 2, 4
    RW, RX, RWX = 3, 5, 7
    ACCESSED, DIRTY = 8, 16
    AVAIL2 = 128


class PrivilegedPageFlags(IntFlag):
    """Flags that only the kernel's own memory management sets."""

    NONE = 0
    USER, GLOBAL = 1, 2
    AVAIL1 = 64


class PageTableFlags(IntFlag):
    """Software's flags on an entry that points to a table."""

    NONE = 0
    AVAIL1, AVAIL2 = 64, 128


class CachePolicy(Enum):
    """How a page may be cached. On RISC-V there are two: WRITEBACK, and UNCACHEABLE for I/O (with Svpbmt)."""

    UNCACHEABLE = "uncacheable"
    WRITE_COMBINING = "write-combining"
    WRITE_PROTECTED = "write-protected"
    WRITETHROUGH = "write-through"
    WRITEBACK = "write-back"


@dataclass(frozen=True, slots=True)
class PageProperty:
    """What is said of a mapped page: `flags`, `cache` policy, and the kernel's own `priv_flags`.

    Values do not change; `with_flags` and `with_cache` make others.
    """

    flags: PageFlags
    cache: CachePolicy = CachePolicy.WRITEBACK
    priv_flags: PrivilegedPageFlags = PrivilegedPageFlags.NONE
    bits: int = field(init=False, repr=False, compare=False)
    """The entry's bits for it, without V; -1 for a cache policy that RISC-V does not have."""

    def __post_init__(self) -> None:
        flags, private = int(self.flags), int(self.priv_flags)
        bits = ((flags & 7) << 1 | (flags & 0x18) << 3 | (flags & 0x80) << 2
                | (private & 3) << 4 | (private & 0x40) << 2)
        if self.cache is CachePolicy.UNCACHEABLE:
            bits |= PBMT_IO
        elif self.cache is not CachePolicy.WRITEBACK:
            bits = -1
        object.__setattr__(self, "bits", bits)

    @classmethod
    def new_user(cls, flags: PageFlags, cache: CachePolicy = CachePolicy.WRITEBACK) -> PageProperty:
        """A page that user mode can reach."""
        return _user_property(int(flags)) if cache is CachePolicy.WRITEBACK else cls(flags, cache,
                                                                                     PrivilegedPageFlags.USER)

    @classmethod
    def new_kernel(cls, flags: PageFlags, cache: CachePolicy = CachePolicy.WRITEBACK) -> PageProperty:
        """A page of kernel space, the same in every address space."""
        return cls(flags, cache, PrivilegedPageFlags.GLOBAL)

    def with_flags(self, flags: PageFlags) -> PageProperty:
        """The same with other flags."""
        return replace(self, flags=flags)

    def without(self, flags: PageFlags) -> PageProperty:
        """The same less some flags."""
        return replace(self, flags=self.flags & ~flags)

    def with_cache(self, cache: CachePolicy) -> PageProperty:
        """The same with another cache policy."""
        return replace(self, cache=cache)


@cache
def _user_property(flags: int) -> PageProperty:
    return PageProperty(PageFlags(flags), CachePolicy.WRITEBACK, PrivilegedPageFlags.USER)


@cache
def property_of(bits: int) -> PageProperty:
    """The property that an entry's bits (those of PROPERTY_MASK) say."""
    flags = bits >> 1 & 7 | bits >> 3 & 0x18 | bits >> 2 & 0x80
    private = bits >> 4 & 3 | bits >> 2 & 0x40
    cache = CachePolicy.UNCACHEABLE if bits & PBMT_IO else CachePolicy.WRITEBACK
    return PageProperty(PageFlags(flags), cache, PrivilegedPageFlags(private))


# --- entries as values -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Absent:
    """An entry that maps nothing."""


@dataclass(frozen=True, slots=True)
class TableEntry:
    """An entry that points to the table at `paddr`."""

    paddr: int
    flags: PageTableFlags = PageTableFlags.NONE


@dataclass(frozen=True, slots=True)
class LeafEntry:
    """An entry that maps the page at `paddr`."""

    paddr: int
    prop: PageProperty


PteScalar: TypeAlias = Absent | TableEntry | LeafEntry
"""What an entry says (`PteScalar`)."""


def is_table(pte: int, level: int) -> bool:
    """Whether `pte`, in a table of `level`, points to a table."""
    return level > 1 and pte & (VALID | RWX) == VALID


def to_repr(pte: int, level: int) -> PteScalar:
    """What the entry `pte` of a table of `level` says."""
    if not pte & VALID:
        return Absent()
    paddr = (pte & PPN_MASK) << 2
    if is_table(pte, level):
        return TableEntry(paddr, PageTableFlags(pte >> 2 & 0xc0))
    return LeafEntry(paddr, property_of(pte & PROPERTY_MASK))


def from_repr(entry: PteScalar, level: int, *, svpbmt: bool = False) -> int:
    """The entry of a table of `level` that says `entry`. KernelPanic if none can.

    Without Svpbmt, UNCACHEABLE is silently lost: the memory's own attributes decide.
    """
    if isinstance(entry, Absent):
        return 0
    if isinstance(entry, TableEntry):
        return table_pte(entry.paddr) | (int(entry.flags) & 0xc0) << 2
    bits = require_encodable(entry.paddr, level, entry.prop)
    return entry.paddr >> 2 | VALID | (bits if svpbmt else bits & ~PBMT_IO)


def table_pte(paddr: int) -> int:
    """The entry that points to the table at `paddr`."""
    return paddr >> 2 | VALID


def require_encodable(paddr: int, level: int, prop: PageProperty) -> int:
    """The bits of `prop`; KernelPanic unless a leaf of `level` at `paddr` can have them.

    Upstream writes a leaf above level 1 without R, W and X, which then reads as a pointer to a table.
    """
    if paddr & PAGE_SIZE - 1 or not 0 <= paddr < MAX_PADDR:
        raise KernelPanic(f"physical address {paddr:#x} does not fit a page-table entry")
    if prop.bits < 0:
        raise KernelPanic(f"unsupported cache policy: {prop.cache.value}")
    if level > 1 and not prop.bits & RWX:
        raise KernelPanic(f"a page of level {level} without R, W and X would read as a page table")
    return prop.bits
