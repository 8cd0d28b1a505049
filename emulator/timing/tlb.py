"""The first-level TLBs and the page walker, as far as time is concerned.

An entry maps an aligned group of pages, its *sector*: one tag, and a valid bit and a page number for
each page. Superpages have entries of their own. Both kinds are replaced by pseudo-LRU, free entries
first. There is no second level; the walker keeps the table entries that point to tables in a small
cache, and reads the others through the data cache.

The walk here is for time alone: it sets no A or D bits and raises nothing. An address that it cannot
translate costs a walk and is not entered: the engine's own walk (`engine.mmu`) will raise the fault.

Source: privileged specification 4.3 to 4.5; the sizes are the profile's.
"""

from __future__ import annotations

from typing import Final

from ..engine.abi import ENV_SATP
from ..engine.mmu import host_address
from ..engine.native import inline, outline
from ..engine.prims import ld64, lshr, st64
from ..engine.riscv import PTE_R, PTE_V, PTE_X, SATP_MODE_SHIFT, SATP_PPN
from .caches import HIT, MISS_DIRTY, l1d_access
from .layout import (
    B_PLRU, B_PPN, B_SUPER_BASE, B_SUPER_PLRU, B_SUPER_PPN, B_SUPER_SIZE, B_TAG, B_VALID, C_MISS, C_MISS_DIRTY, P_DTLB,
    P_ITLB, P_L1D, P_WALK_PLRU, T_DATA_PAGE, T_DTLB, T_FETCH_PAGE, T_ITLB, T_PARAMS, T_WALK_KEY, T_WALK_PLRU,
    WALK_CACHE, X_ENTRIES, X_LEVEL, X_PLRU, X_SECTOR_BITS, X_SUPERPAGES, X_SUPER_PLRU, X_WALK,
)
from .plru import plru_touch, plru_way

NO_FRAME: Final = -1


@outline
def lookup(tlb: int, x: int, page: int) -> int:
    """The physical page of virtual `page` in the TLB at `tlb` (parameters at `x`), -1 if it is not there."""
    bits = ld64(x + X_SECTOR_BITS)
    sector = page >> bits
    part = page & ((1 << bits) - 1)
    entries = ld64(x + X_ENTRIES)
    for i in range(entries):
        if ld64(tlb + B_TAG + 8 * i) == sector:
            st64(tlb + B_PLRU, plru_touch(ld64(tlb + B_PLRU), x + X_PLRU, i))
            if ld64(tlb + B_VALID + 8 * i) >> part & 1:
                return ld64(tlb + B_PPN + 8 * (8 * i + part))
            break
    supers = ld64(x + X_SUPERPAGES)
    for i in range(supers):
        base = ld64(tlb + B_SUPER_BASE + 8 * i)
        if base >= 0 and 0 <= page - base < ld64(tlb + B_SUPER_SIZE + 8 * i):
            st64(tlb + B_SUPER_PLRU, plru_touch(ld64(tlb + B_SUPER_PLRU), x + X_SUPER_PLRU, i))
            return ld64(tlb + B_SUPER_PPN + 8 * i) + page - base
    return NO_FRAME


@outline
def refill(tlb: int, x: int, page: int, frame: int, size: int) -> None:
    """Enter that virtual `page` is `frame`, in a mapping of `size` pages."""
    if size > 1 and ld64(x + X_SUPERPAGES):
        supers = ld64(x + X_SUPERPAGES)
        way = plru_way(ld64(tlb + B_SUPER_PLRU), supers)
        for i in range(supers):
            if ld64(tlb + B_SUPER_BASE + 8 * i) < 0:
                way = i
                break
        base = page & ~(size - 1)
        st64(tlb + B_SUPER_BASE + 8 * way, base)
        st64(tlb + B_SUPER_SIZE + 8 * way, size)
        st64(tlb + B_SUPER_PPN + 8 * way, frame - (page - base))
        return
    bits = ld64(x + X_SECTOR_BITS)
    sector = page >> bits
    part = page & ((1 << bits) - 1)
    entries = ld64(x + X_ENTRIES)
    way = -1
    free = -1
    for i in range(entries):
        tag = ld64(tlb + B_TAG + 8 * i)
        if tag == sector:
            way = i
        elif tag == -1 and free < 0:
            free = i
    if way < 0:
        way = free if free >= 0 else plru_way(ld64(tlb + B_PLRU), entries)
        st64(tlb + B_TAG + 8 * way, sector)
        st64(tlb + B_VALID + 8 * way, 0)
    st64(tlb + B_VALID + 8 * way, ld64(tlb + B_VALID + 8 * way) | 1 << part)
    st64(tlb + B_PPN + 8 * (8 * way + part), frame)
    st64(tlb + B_PLRU, plru_touch(ld64(tlb + B_PLRU), x + X_PLRU, way))  # the access is tried again, and hits


@inline
def walk_cached(t: int, at: int) -> bool:
    """Whether the walker has the pointer at physical address `at`; if not, it has now."""
    state = ld64(t + T_WALK_PLRU)
    table = ld64(t + T_PARAMS) + P_WALK_PLRU
    free = -1
    for i in range(WALK_CACHE):
        key = ld64(t + T_WALK_KEY + 8 * i)
        if key == at:
            st64(t + T_WALK_PLRU, plru_touch(state, table, i))
            return True
        if key == -1 and free < 0:
            free = i
    way = free if free >= 0 else plru_way(state, WALK_CACHE)
    st64(t + T_WALK_KEY + 8 * way, at)
    st64(t + T_WALK_PLRU, plru_touch(state, table, way))
    return False


@outline
def walk(t: int, m: int, env: int, x: int, page: int) -> tuple[int, int, int]:
    """Walk the tables for `page`: (its frame or -1, pages of the mapping, cycles)."""
    satp = ld64(env + ENV_SATP)
    levels = lshr(satp, SATP_MODE_SHIFT) - 5
    params = ld64(t + T_PARAMS)
    cycles = ld64(x + X_WALK) - 2
    table = (satp & SATP_PPN) << 12
    shift = 9 * (levels - 1)
    while shift >= 0:
        at = table + ((page >> shift) & 0x1FF) * 8
        host = host_address(m, at)
        if host == 0:
            return NO_FRAME, 1, cycles
        pte = ld64(host)
        ppn = (pte >> 10) & SATP_PPN
        leaf = pte & (PTE_R | PTE_X) != 0
        if not pte & PTE_V:
            return NO_FRAME, 1, cycles
        if leaf or shift == 0:
            missed = l1d_access(t, at, 0)
            if missed != HIT:
                cycles += ld64(params + P_L1D + (C_MISS_DIRTY if missed == MISS_DIRTY else C_MISS))
            low = (1 << shift) - 1
            if not leaf:
                return NO_FRAME, 1, cycles
            return (ppn & ~low) | (page & low), 1 << shift, cycles
        if walk_cached(t, at):
            cycles += 1
        else:
            missed = l1d_access(t, at, 0)
            cycles += ld64(x + X_LEVEL)
            if missed != HIT:
                cycles += ld64(params + P_L1D + (C_MISS_DIRTY if missed == MISS_DIRTY else C_MISS))
        table = ppn << 12
        shift -= 9
    return NO_FRAME, 1, cycles


@inline
def forget_page(tlb: int, x: int, page: int) -> None:
    """Drop what the TLB at `tlb` knows of virtual `page`."""
    bits = ld64(x + X_SECTOR_BITS)
    for i in range(ld64(x + X_ENTRIES)):
        if ld64(tlb + B_TAG + 8 * i) == page >> bits:
            left = ld64(tlb + B_VALID + 8 * i) & ~(1 << (page & ((1 << bits) - 1)))
            st64(tlb + B_VALID + 8 * i, left)
            if left == 0:
                st64(tlb + B_TAG + 8 * i, -1)
    for i in range(ld64(x + X_SUPERPAGES)):
        base = ld64(tlb + B_SUPER_BASE + 8 * i)
        if base >= 0 and 0 <= page - base < ld64(tlb + B_SUPER_SIZE + 8 * i):
            st64(tlb + B_SUPER_BASE + 8 * i, -1)


@outline
def clear_page(t: int, page: int) -> None:
    """SFENCE.VMA of one address."""
    number = page & ((1 << 52) - 1)
    p = ld64(t + T_PARAMS)
    forget_page(t + T_ITLB, p + P_ITLB, number)
    forget_page(t + T_DTLB, p + P_DTLB, number)
    st64(t + T_FETCH_PAGE, -1)
    st64(t + T_DATA_PAGE, -1)


@inline
def forget(tlb: int) -> None:
    """Empty the TLB at `tlb`."""
    for i in range((B_VALID - B_TAG) // 8):
        st64(tlb + B_TAG + 8 * i, -1)
        st64(tlb + B_VALID + 8 * i, 0)
    for i in range((B_SUPER_SIZE - B_SUPER_BASE) // 8):
        st64(tlb + B_SUPER_BASE + 8 * i, -1)


@outline
def clear_tlbs(t: int) -> None:
    """SFENCE.VMA: both TLBs and the walker's cache are empty."""
    forget(t + T_ITLB)
    forget(t + T_DTLB)
    for i in range(WALK_CACHE):
        st64(t + T_WALK_KEY + 8 * i, -1)
    st64(t + T_FETCH_PAGE, -1)
    st64(t + T_DATA_PAGE, -1)
