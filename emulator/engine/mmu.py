"""Address translation: the page-table walk, and the TLB fill that the engine calls.

`tlb_fill` stands in the engine's CPU class in place of QEMU 5.0's own. It walks Sv39, Sv48 and Sv57,
sets A and D bits in memory, checks PMP, and knows the board: an access to an address with nothing
behind it is an access fault here, with the true virtual address, before the engine ever sees it.

Dirty tracking. The engine starts every TLB entry in the state "stores must look for translations"
and, where it has no better idea, leaves it there. `tlb_fill` ends that state for pages that no
translation was made from; `block.on_edge` brings it back when one is. See `block`.

Sources: privileged specification 4.3 to 4.5 (translation), 3.7 (PMP), 3.1.6.3 (MPRV, MXR, SUM).
"""

from __future__ import annotations

from .abi import (
    ACCESS_FETCH, ACCESS_LOAD, ACCESS_STORE, CS_ENV, ENV_BADADDR, ENV_LINK, ENV_MSTATUS, ENV_SATP, ENV_TLB, PAGE_EXEC,
    PAGE_READ, PAGE_WRITE, TLB_ENTRY_SHIFT, TLB_NOTDIRTY, TLB_WRITE,
)
from .layout import (
    F_RAISE, F_TLB_FLUSH_IDX, F_TLB_SET_PAGE, H_USER_PAGES, M_BANKS, M_BANK_COUNT, M_CS, M_DEVICES, M_DEVICE_COUNT,
    M_FAST_STORES, M_GUARD, M_HART, M_HAS_CODE, M_ROM_BASE, M_ROM_SIZE, M_SINK, M_WATCH_COUNT,
)
from .guard import G_SLOW, guarded, keep_out, known, suspicious
from .native import entry, inline
from .pmp import permitted
from .prims import call2, call3, call6, ld8, ld64, lshr, st64
from .riscv import (
    FETCH_ACCESS, FETCH_PAGE, LOAD_ACCESS, LOAD_PAGE, MPP_SHIFT, MPRV, MXR, PRV_M, PRV_S, PRV_U, PTE_A, PTE_D, PTE_R,
    PTE_U, PTE_V, PTE_W, PTE_X, SATP_MODE_SHIFT, SATP_PPN, STORE_ACCESS, STORE_PAGE, SUM,
)
from .watch import WATCH, may_hit, watched

PAGE = 4096
RESERVED_BITS = 54
"""PTE bits from here up belong to extensions this hart does not have: set, they are page faults."""


@inline
def flush_modes(m: int, modes: int) -> None:
    """Drop the running hart's cached translations for the privilege levels in bit mask `modes`."""
    call2(ld64(m + F_TLB_FLUSH_IDX), ld64(m + M_CS), modes)


@inline
def page_fault(access: int) -> int:
    """The page-fault cause of an access."""
    if access == ACCESS_FETCH:
        return FETCH_PAGE
    return STORE_PAGE if access == ACCESS_STORE else LOAD_PAGE


@inline
def access_fault(access: int) -> int:
    """The access-fault cause of an access."""
    if access == ACCESS_FETCH:
        return FETCH_ACCESS
    return STORE_ACCESS if access == ACCESS_STORE else LOAD_ACCESS


@inline
def bank_of(m: int, pa: int) -> int:
    """Address of the entry of the RAM bank that holds physical address `pa`, 0 if none does."""
    for i in range(ld64(m + M_BANK_COUNT)):
        at = m + M_BANKS + 32 * i
        offset = pa - ld64(at)
        if 0 <= offset < ld64(at + 8):
            return at
    return 0


@inline
def host_address(m: int, pa: int) -> int:
    """Host address of the RAM or ROM byte at `pa`, 0 if there is none."""
    bank = bank_of(m, pa)
    if bank == 0:
        return 0
    return ld64(bank + 16) + pa - ld64(bank)


@inline
def device_at(m: int, pa: int) -> int:
    """Address of the {base, size} entry of the device whose registers hold `pa`, 0 if none's do."""
    for i in range(ld64(m + M_DEVICE_COUNT)):
        at = m + M_DEVICES + 16 * i
        offset = pa - ld64(at)
        if 0 <= offset < ld64(at + 8):
            return at
    return 0


@inline
def translate(m: int, h: int, env: int, va: int, access: int, mode: int) -> tuple[int, int, int, int]:
    """Translate `va` for `mode`: (exception cause or -1, physical address, permissions, U bit)."""
    if mode == PRV_M:
        return -1, va, PAGE_READ | PAGE_WRITE | PAGE_EXEC, 0
    satp = ld64(env + ENV_SATP)
    scheme = lshr(satp, SATP_MODE_SHIFT)
    if scheme == 0:
        return -1, va, PAGE_READ | PAGE_WRITE | PAGE_EXEC, 0
    status = ld64(env + ENV_MSTATUS)
    levels = scheme - 5
    sign = va >> (11 + 9 * levels)
    if sign != 0 and sign != -1:
        return page_fault(access), 0, 0, 0
    table = (satp & SATP_PPN) << 12
    shift = 3 + 9 * levels
    while shift >= 12:
        at = table + ((va >> shift) & 0x1FF) * 8
        host = host_address(m, at)
        if host == 0:
            return access_fault(access), 0, 0, 0
        if not permitted(h, at, 8, PRV_S)[0] & PAGE_READ:
            return access_fault(access), 0, 0, 0
        pte = ld64(host)
        if not pte & PTE_V or lshr(pte, RESERVED_BITS) != 0 or (pte & PTE_W and not pte & PTE_R):
            return page_fault(access), 0, 0, 0
        ppn = (pte >> 10) & SATP_PPN
        if pte & (PTE_R | PTE_X) == 0:
            if pte & (PTE_A | PTE_D | PTE_U):  # reserved in a pointer (4.3.1)
                return page_fault(access), 0, 0, 0
            table = ppn << 12
            shift -= 9
            continue
        user = pte & PTE_U
        if user:
            if mode == PRV_S and (access == ACCESS_FETCH or not status & SUM):
                return page_fault(access), 0, 0, 0
        elif mode == PRV_U:
            return page_fault(access), 0, 0, 0
        readable = pte & PTE_R or (pte & PTE_X and status & MXR)
        if access == ACCESS_LOAD and not readable:
            return page_fault(access), 0, 0, 0
        if access == ACCESS_STORE and not pte & PTE_W:
            return page_fault(access), 0, 0, 0
        if access == ACCESS_FETCH and not pte & PTE_X:
            return page_fault(access), 0, 0, 0
        low = (1 << (shift - 12)) - 1
        if ppn & low:
            return page_fault(access), 0, 0, 0
        wanted = pte | PTE_A
        if access == ACCESS_STORE:
            wanted |= PTE_D
        if wanted != pte:
            if 0 <= at - ld64(m + M_ROM_BASE) < ld64(m + M_ROM_SIZE):  # a table in ROM cannot be updated
                return page_fault(access), 0, 0, 0
            if not permitted(h, at, 8, PRV_S)[0] & PAGE_WRITE:
                return access_fault(access), 0, 0, 0
            st64(host, wanted)
        prot = 0
        if readable:
            prot |= PAGE_READ
        if pte & PTE_X and not (user and mode == PRV_S):  # SUM never permits execution
            prot |= PAGE_EXEC
        if pte & PTE_W and wanted & PTE_D:  # a clean page faults on its first store, to set D
            prot |= PAGE_WRITE
        page = (ppn & ~low) | ((va >> 12) & low)
        return -1, (page << 12) | (va & 0xFFF), prot, user
    return page_fault(access), 0, 0, 0


@inline
def effective_mode(env: int, mode: int, access: int) -> int:
    """The privilege that an access by `mode` is made with: MPP for data under MPRV."""
    if mode == PRV_M and access != ACCESS_FETCH:
        status = ld64(env + ENV_MSTATUS)
        if status & MPRV:
            return (status >> MPP_SHIFT) & 3
    return mode


@inline
def fetch_parcel(m: int, env: int, va: int, mode: int) -> int:
    """The 16 bits of code at `va`, or -1 if they cannot be fetched; no side effect but A bits."""
    cause, pa, _, _ = translate(m, ld64(m + M_HART), env, va, ACCESS_FETCH, mode)
    if cause >= 0:
        return -1
    host = host_address(m, pa)
    if host == 0:
        return -1
    return ld8(host) | ld8(host + 1) << 8


@inline
def page_number(m: int, pa: int) -> int:
    """Number of the page of RAM or ROM at `pa`, which there is, in M_HAS_CODE."""
    bank = bank_of(m, pa)
    return (ld64(bank + 24) + pa - ld64(bank)) >> 12


@inline
def end_dirty_tracking(m: int, env: int, bank: int, va: int, pa: int, mmu: int) -> None:
    """Let stores to the page just filled run at full speed, if no translation was made from it."""
    offset = ld64(bank + 24) + (pa & ~0xFFF) - ld64(bank)
    if ld8(ld64(m + M_HAS_CODE) + (offset >> 12)):
        return
    fast = env + ENV_TLB + 16 * mmu
    at = ld64(fast + 8) + (((va >> 12) << TLB_ENTRY_SHIFT) & ld64(fast))
    page = va & ~0xFFF
    if ld64(at + TLB_WRITE) == page | TLB_NOTDIRTY:
        st64(at + TLB_WRITE, page)


@entry("i8(i64, i64, i32, i32, i32, i8, i64)")
def tlb_fill(cs: int, va: int, size: int, access: int, mmu: int, probe: int, retaddr: int) -> int:
    """CPUClass.tlb_fill: map the page of `va` for `access`, or raise the exception (not if `probe`)."""
    env = cs + CS_ENV
    m = ld64(env + ENV_LINK)
    h = ld64(m + M_HART)
    g = ld64(m + M_GUARD)
    if g and access != ACCESS_FETCH and ld64(m + M_WATCH_COUNT) == 0:
        pa = known(g, env, va, access, mmu)
        if pa != -1 and not ld8(ld64(m + M_HAS_CODE) + page_number(m, pa)):
            if suspicious(m, g, pa, size, access) and not probe:
                call3(ld64(m + F_RAISE), env, WATCH, retaddr)  # leaves by longjmp
            return 1
    mode = effective_mode(env, mmu, access)
    cause, pa, prot, user = translate(m, h, env, va, access, mode)
    whole = 1
    if cause < 0:
        room = PAGE - (pa & 0xFFF)  # what goes on behind the page is translated and checked by itself
        allowed, whole = permitted(h, pa, size if size < room else room, mode)
        prot &= allowed
        needed = PAGE_EXEC if access == ACCESS_FETCH else PAGE_WRITE if access == ACCESS_STORE else PAGE_READ
        if not prot & needed:
            cause = access_fault(access)
    if cause < 0 and ld64(m + M_WATCH_COUNT) and watched(m, pa, va):
        if access == ACCESS_FETCH:
            prot = PAGE_EXEC  # so that loads and stores come here, too
        else:
            whole = 0
            if not probe and may_hit(m, pa, va, size, access):
                call3(ld64(m + F_RAISE), env, WATCH, retaddr)  # leaves by longjmp
                return 0
    mine = g != 0 and cause < 0 and guarded(g, pa)
    if mine and access != ACCESS_FETCH and suspicious(m, g, pa, size, access) and not probe:
        call3(ld64(m + F_RAISE), env, WATCH, retaddr)  # leaves by longjmp
        return 0
    if cause < 0:
        bank = bank_of(m, pa)
        if bank != 0:
            target = pa
            if 0 <= pa - ld64(m + M_ROM_BASE) < ld64(m + M_ROM_SIZE):
                if access == ACCESS_STORE:  # the store goes to a page that nobody reads
                    target = ld64(m + M_SINK)
                    prot = PAGE_WRITE
                else:
                    prot &= ~PAGE_WRITE
            call6(ld64(m + F_TLB_SET_PAGE), cs, va & ~0xFFF, target & ~0xFFF, prot, mmu, PAGE if whole else 1)
            if prot & PAGE_WRITE and whole and ld64(m + M_FAST_STORES):
                end_dirty_tracking(m, env, bank, va, pa, mmu)
            if mine:
                if not whole:
                    st64(g + G_SLOW, 1)
                keep_out(g, env, va, pa, mmu)
            if user and mode == PRV_S:
                st64(h + H_USER_PAGES, 1)
            return 1
        device = device_at(m, pa)
        if device != 0 and access != ACCESS_FETCH:
            page = pa & ~0xFFF
            if page < ld64(device) or page + PAGE > ld64(device) + ld64(device + 8):
                whole = 0
            call6(ld64(m + F_TLB_SET_PAGE), cs, va & ~0xFFF, page, prot & ~PAGE_EXEC, mmu, PAGE if whole else 1)
            return 1
        cause = access_fault(access)
    if probe:
        return 0
    st64(env + ENV_BADADDR, va)
    call3(ld64(m + F_RAISE), env, cause, retaddr)  # leaves by longjmp
    return 0


@entry("i8(i64, i32, i64, i32, i64, i64)")
def on_unmapped(uc: int, kind: int, pa: int, size: int, value: int, m: int) -> int:
    """UC_HOOK_MEM_*_UNMAPPED: never reached, as `tlb_fill` maps nothing that is not there.

    The hook must exist all the same: with none, the engine ends dirty tracking by its own wrong rule
    (`notdirty_write` in its cputlb.c), and code goes stale.
    """
    return 0
