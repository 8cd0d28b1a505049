"""Physical memory protection: 16 entries per hart, 4-byte grain.

pmpcfg and pmpaddr are kept as written; beside them every entry's first and last byte, decoded when
either changes. An access must lie within the first entry that touches any of its bytes. Pages that
an entry covers in part are never cached by the TLB: each access is checked by itself.

Source: privileged specification 3.7. As there, with no entry matching M-mode may do everything and
S- and U-mode nothing; and an access that the matching entry covers in part only fails in every mode.
"""

from __future__ import annotations

from .layout import H_PMP_ACTIVE, H_PMP_ADDR, H_PMP_CFG, H_PMP_FIRST, H_PMP_LAST
from .native import inline
from .prims import ctz, ld64, st64
from .riscv import PRV_M

ENTRIES = 16
LOCKED = 0x80
OFF, TOR, NA4, NAPOT = 0, 1, 2, 3
ADDRESS_BITS = (1 << 54) - 1
ALL = 7
"""Read, write and execute: PMP's bits are the TLB's."""


@inline
def permitted(h: int, pa: int, size: int, mode: int) -> tuple[int, int]:
    """What `mode` may do to `size` bytes at `pa`: (R=1|W=2|X=4, whether the whole page is alike)."""
    page = pa & ~0xFFF
    page_last = page | 0xFFF
    end = pa + size - 1 if size > 0 else pa
    whole = 1
    for i in range(ld64(h + H_PMP_ACTIVE)):
        first = ld64(h + H_PMP_FIRST + 8 * i)
        last = ld64(h + H_PMP_LAST + 8 * i)
        if first > last or page_last < first or page > last:
            continue
        if first > page or last < page_last:
            whole = 0
        if end < first or pa > last:
            continue
        if first > pa or last < end:
            return 0, whole
        cfg = ld64(h + H_PMP_CFG + 8 * i)
        if mode == PRV_M and not cfg & LOCKED:
            return ALL, whole
        return cfg & ALL, whole
    return (ALL if mode == PRV_M else 0), whole


@inline
def decode(h: int) -> None:
    """Recompute the decoded half after pmpcfg or pmpaddr changed."""
    active = 0
    for i in range(ENTRIES):
        cfg = ld64(h + H_PMP_CFG + 8 * i)
        addr = ld64(h + H_PMP_ADDR + 8 * i)
        mode = (cfg >> 3) & 3
        first = 1
        last = 0
        if mode == TOR:
            first = ld64(h + H_PMP_ADDR + 8 * (i - 1)) << 2 if i > 0 else 0
            last = (addr << 2) - 1
        elif mode == NA4:
            first = addr << 2
            last = first + 3
        elif mode == NAPOT:
            ones = ctz(~addr)
            if ones >= 54:
                first = 0
                last = (1 << 57) - 1
            else:
                first = (addr & ~((1 << ones) - 1)) << 2
                last = first + (8 << ones) - 1
        if mode != OFF:
            active = i + 1
        st64(h + H_PMP_FIRST + 8 * i, first)
        st64(h + H_PMP_LAST + 8 * i, last)
    st64(h + H_PMP_ACTIVE, active)


@inline
def write_config(h: int, index: int, value: int) -> None:
    """Write byte `value` to the configuration of entry `index`; a locked entry keeps its own."""
    if ld64(h + H_PMP_CFG + 8 * index) & LOCKED:
        return
    value &= 0x9F
    if value & 3 == 2:  # W without R is reserved: WARL, W reads back 0
        value &= ~2
    st64(h + H_PMP_CFG + 8 * index, value)


@inline
def write_address(h: int, index: int, value: int) -> None:
    """Write pmpaddr `index`, unless its entry is locked or is the bottom of a locked TOR entry."""
    if ld64(h + H_PMP_CFG + 8 * index) & LOCKED:
        return
    if index + 1 < ENTRIES:
        above = ld64(h + H_PMP_CFG + 8 * (index + 1))
        if above & LOCKED and (above >> 3) & 3 == TOR:
            return
    st64(h + H_PMP_ADDR + 8 * index, value & ADDRESS_BITS)
