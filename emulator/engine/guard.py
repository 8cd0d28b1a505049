"""The guard: memory that one program hands out in blocks, and others use; every access to it is judged.

A *keeper* (an allocator) owns a range of physical memory; *users* are the programs that get blocks of it. For each
granule of the range there is a shadow byte that says whose it is; `emulator.guard` is the guard's face.

        00      the users', all of it               10      the same, and a block begins here
        01..07  the users' up to so many bytes      11..17  the same, and a block begins here
        fa, fb  given back (fa: a block began here) fc      behind the end of a block
        ff      never handed out

A user may access what is the users', the keeper may store to what is not; others (a kernel, firmware) are not judged.
Who accesses is known from where the block of code began that does: code of two programs is never in one block.

Accesses. The TLB never keeps a guarded page for stores (nor for loads, if they are judged, too), so that each comes
to `mmu.tlb_fill` (see `watch`). What the TLB knew of the page is still in its entry, marked invalid: no page table is
walked again, and an access that is in order costs some ten nanoseconds. One that may not be in order abandons its
block, as for a watchpoint; the instruction is then judged by what it really accesses, and the machine stops *before*
it.

Calls. A block of code that begins at a function of the keeper, or behind a call, takes the slow path (RECORD_CALL).
An entry from elsewhere than the keeper notes the arguments; the block at its return address, with the stack pointer
it came with, is its return. So a block becomes the users' as the keeper's function returns, and is given back as it is
called.
"""

from __future__ import annotations

from typing import Final

from .abi import ACCESS_STORE, ENV_GPR, ENV_TLB, TLB_ENTRY_SHIFT, TLB_INVALID, TLB_NOTDIRTY, TLB_PADDR, TLB_WRITE
from .clock import request_stop
from .layout import H_ID, M_CURRENT, M_ENV, M_GUARD, M_HART, M_WATCH_PASS, R_PC, STOP_GUARD
from .native import inline
from .prims import ld8, ld64, st8, st64
from .watch import STORES

(G_FIRST, G_END, G_SHIFT, G_SHADOW, G_LOADS, G_KEEPER_FIRST, G_KEEPER_END, G_USERS_FIRST, G_USERS_END, G_GIVE, G_TAKE,
 G_GIVE_TOO, G_BASE, G_WHOLE, G_MARGIN, G_SLOW, G_CALLS, G_STOP_AT, G_TRACK, G_TRACKED, G_ROWS, G_WHAT, G_PC,
 G_ADDRESS, G_PADDR, G_SIZE, G_HART, G_NUMBER, G_FOUND) = range(0, 232, 8)
"""The guard's words: range, granule and shadow; whether loads are judged; where the programs' code is; functions, and
what is subtracted from the addresses they deal in to get physical ones; whether blocks are given back whole; bytes
added behind each; 1 if pages must be walked each time. Calls so far; the one to stop at; the physical address whose
blocks are written down; how many rows of them there are, and where. What was found: see `tell`."""
G_PENDING: Final = 232
"""The call under way of each hart: ROLE_, arguments, return address, stack pointer, number; PENDING bytes each."""
P_ROLE, P_FIRST, P_SECOND, P_RA, P_SP, P_NUMBER = range(0, 48, 8)
PENDING: Final = 64
WORDS: Final = (G_PENDING + 8 * PENDING) // 8
ROLE_GIVE, ROLE_TAKE = 1, 2
ROW: Final = 40
"""Bytes of a row: number of the call, role, physical address, bytes, hart."""
ROWS: Final = 4096

LIVE, BEGIN, FREED_BEGIN, FREED, MARGIN, NEVER = 0, 0x10, 0xFA, 0xFB, 0xFC, 0xFF
USER_LOAD, USER_STORE, KEEPER_STORE, OVERLAP, TAKE_FREED, TAKE_INSIDE, TAKE_OUTSIDE, TAKE_SIZE, CALL = range(1, 10)
"""What was found (G_WHAT). CALL: nothing, it is the call to stop at."""
A0, A1 = ENV_GPR + 8 * 10, ENV_GPR + 8 * 11
RA, SP = ENV_GPR + 8, ENV_GPR + 16
MOST: Final = 1 << 40


@inline
def live(state: int) -> int:
    """How many bytes of a granule in this state are the users'; 4096 for all of it."""
    if state & ~BEGIN == 0:
        return 4096
    return state & 7 if state < 0x18 else 0


@inline
def guarded(g: int, pa: int) -> bool:
    """Whether physical address `pa` is in the guard's range."""
    return ld64(g + G_FIRST) <= pa < ld64(g + G_END)


@inline
def wrong(m: int, g: int, pa: int, size: int, store: int) -> int:
    """What is wrong with an access of the code that now runs to `size` bytes at `pa`: 0, or what `tell` takes.

    Only bytes within the page of `pa` are looked at.
    """
    record = ld64(m + M_CURRENT)
    if record == 0:
        return 0
    at = ld64(record + R_PC)
    keeper = ld64(g + G_KEEPER_FIRST) <= at < ld64(g + G_KEEPER_END)
    if keeper:
        if not store:
            return 0
    elif not ld64(g + G_USERS_FIRST) <= at < ld64(g + G_USERS_END):
        return 0
    room = 0x1000 - (pa & 0xFFF)
    if size > room:
        size = room
    shift = ld64(g + G_SHIFT)
    shadow = ld64(g + G_SHADOW)
    offset = pa - ld64(g + G_FIRST)
    first = offset >> shift
    last = (offset + size - 1) >> shift
    for i in range(first, last + 1):
        mine = live(ld8(shadow + i))
        base = i << shift
        begin = offset - base if offset > base else 0
        end = offset + size - base
        if end > 1 << shift:
            end = 1 << shift
        if keeper:
            if begin < mine:
                return KEEPER_STORE
        elif end > mine:
            return USER_STORE if store else USER_LOAD
    return 0


@inline
def entry_of(env: int, va: int, mmu: int) -> int:
    """The TLB's entry for the page of `va`."""
    fast = env + ENV_TLB + 16 * mmu
    return ld64(fast + 8) + (((va >> 12) << TLB_ENTRY_SHIFT) & ld64(fast))


@inline
def known(g: int, env: int, va: int, access: int, mmu: int) -> int:
    """The physical address of `va` if the TLB has a guarded page for it that permits the access, else -1."""
    if ld64(g + G_SLOW):
        return -1
    at = entry_of(env, va, mmu)
    word = ld64(at + TLB_WRITE if access == ACCESS_STORE else at)
    if word == -1 or word & ~0xFFF != va & ~0xFFF or word & (TLB_INVALID | TLB_NOTDIRTY) != TLB_INVALID:
        return -1
    pa = ld64(at + TLB_PADDR) & ~0xFFF | va & 0xFFF
    return pa if guarded(g, pa) else -1


@inline
def keep_out(g: int, env: int, va: int, pa: int, mmu: int) -> None:
    """The TLB has just been given a guarded page: let it not use the entry for what is judged."""
    at = entry_of(env, va, mmu)
    if ld64(at + TLB_PADDR) & ~0xFFF != pa & ~0xFFF:
        st64(g + G_SLOW, 1)
    word = ld64(at + TLB_WRITE)
    if word != -1:
        st64(at + TLB_WRITE, word | TLB_INVALID)
    word = ld64(at)
    if word != -1 and (ld64(g + G_LOADS) or ld64(g + G_SLOW)):
        st64(at, word | TLB_INVALID)


@inline
def suspicious(m: int, g: int, pa: int, size: int, access: int) -> bool:
    """Whether what the engine looks for may be out of order: then it is to find out what the instruction accesses."""
    if ld64(m + M_WATCH_PASS):
        return False
    store = 1 if access == ACCESS_STORE else 0
    if not store and not ld64(g + G_LOADS):
        return False
    return wrong(m, g, pa, size, store) != 0


@inline
def tell(m: int, g: int, what: int, pc: int, address: int, pa: int, size: int, found: int) -> None:
    """Stop: `what` the instruction at `pc` is about to do to `size` bytes at `address`; `found` depends on it."""
    st64(g + G_WHAT, what)
    st64(g + G_PC, pc)
    st64(g + G_ADDRESS, address)
    st64(g + G_PADDR, pa)
    st64(g + G_SIZE, size)
    st64(g + G_HART, ld64(ld64(m + M_HART) + H_ID))
    st64(g + G_NUMBER, ld64(g + G_CALLS))
    st64(g + G_FOUND, found)
    request_stop(m, STOP_GUARD, what)


@inline
def judge_access(m: int, g: int, pc: int, va: int, size: int, low: int, high: int, kinds: int) -> None:
    """Judge what the instruction at `pc` is about to access (`watch` kinds): bytes in its page from `low` on, those
    behind it from `high` on; -1 for none."""
    store = 1 if kinds & STORES else 0
    if kinds == 0 or not store and not ld64(g + G_LOADS):
        return
    room = 0x1000 - (va & 0xFFF)
    inside = size if size < room else room
    if inside > 0 and low >= 0 and guarded(g, low):
        what = wrong(m, g, low, inside, store)
        if what:
            tell(m, g, what, pc, va, low, size, 0)
            return
    if size > inside and high >= 0 and guarded(g, high):
        what = wrong(m, g, high, size - inside, store)
        if what:
            tell(m, g, what, pc, va + inside, high, size - inside, 0)


# --- calls ------------------------------------------------------------------------------------------------------


@inline
def note(g: int, number: int, role: int, pa: int, size: int, hart: int) -> None:
    """Write down a call about a block that has the tracked address."""
    tracked = ld64(g + G_TRACK)
    if tracked < pa or tracked >= pa + size:
        return
    count = ld64(g + G_TRACKED)
    at = ld64(g + G_ROWS) + ROW * (count % ROWS)
    st64(at, number)
    st64(at + 8, role)
    st64(at + 16, pa)
    st64(at + 24, size)
    st64(at + 32, hart)
    st64(g + G_TRACKED, count + 1)


@inline
def length_of(g: int, index: int) -> int:
    """Bytes of the block that begins in granule `index`."""
    shift, shadow = ld64(g + G_SHIFT), ld64(g + G_SHADOW)
    last = (ld64(g + G_END) - ld64(g + G_FIRST)) >> shift
    size = 0
    state = ld8(shadow + index) & ~BEGIN
    while state == 0:
        size += 1 << shift
        index += 1
        if index >= last:
            return size
        state = ld8(shadow + index)
    return size + state if state < 8 else size


@inline
def give(m: int, g: int, env: int, pc: int, address: int, size: int) -> None:
    """A call has returned `address`: the block is the users'."""
    pa = address - ld64(g + G_BASE)
    if address == 0 or not guarded(g, pa) or size <= 0 or size > ld64(g + G_END) - pa:
        return  # what is no block is for whoever sees what calls return
    shift, shadow = ld64(g + G_SHIFT), ld64(g + G_SHADOW)
    offset = pa - ld64(g + G_FIRST)
    first = offset >> shift
    last = (offset + size - 1) >> shift
    for i in range(first, last + 1):
        if live(ld8(shadow + i)):
            at = i << shift if i > first else offset
            tell(m, g, OVERLAP, pc, address, ld64(g + G_FIRST) + at, size, at - offset)
            return
    for i in range(first, last + 1):
        st8(shadow + i, LIVE)
    tail = (offset + size) & ((1 << shift) - 1)
    if tail and shift == 3:
        st8(shadow + last, tail)
    st8(shadow + first, ld8(shadow + first) | BEGIN)
    if shift == 3:
        for i in range(last + 1, last + 3):
            if i < (ld64(g + G_END) - ld64(g + G_FIRST)) >> shift:
                state = ld8(shadow + i)
                if state == NEVER or ld64(g + G_MARGIN) and state >= FREED_BEGIN:
                    st8(shadow + i, MARGIN)


@inline
def take(m: int, g: int, pc: int, address: int, size: int) -> None:
    """A call gives `size` bytes at `address` back."""
    if address == 0:
        return
    pa = address - ld64(g + G_BASE)
    if not guarded(g, pa):
        tell(m, g, TAKE_OUTSIDE, pc, address, pa, size, 0)
        return
    shift, shadow = ld64(g + G_SHIFT), ld64(g + G_SHADOW)
    offset = pa - ld64(g + G_FIRST)
    first = offset >> shift
    state = ld8(shadow + first)
    if ld64(g + G_WHOLE):
        if state == FREED_BEGIN and offset & 7 == 0:
            tell(m, g, TAKE_FREED, pc, address, pa, size, 0)
            return
        if offset & 7 or not (state & BEGIN and state < 0x18):
            tell(m, g, TAKE_INSIDE, pc, address, pa, size, 0)
            return
        length = length_of(g, first)
        if length != size:
            tell(m, g, TAKE_SIZE, pc, address, pa, size, length)
            return
    if size <= 0 or size > ld64(g + G_END) - pa:
        tell(m, g, TAKE_SIZE, pc, address, pa, size, 0)
        return
    last = (offset + size - 1) >> shift
    for i in range(first, last + 1):
        state = ld8(shadow + i)
        if not live(state):
            at = i << shift if i > first else offset
            what = TAKE_FREED if state == FREED or state == FREED_BEGIN else TAKE_INSIDE
            tell(m, g, what, pc, address, ld64(g + G_FIRST) + at, size, at - offset)
            return
    for i in range(first, last + 1):
        st8(shadow + i, FREED)
    st8(shadow + first, FREED_BEGIN)
    for i in range(last + 1, last + 3):
        if i < (ld64(g + G_END) - ld64(g + G_FIRST)) >> shift and ld8(shadow + i) == MARGIN:
            st8(shadow + i, FREED if ld64(g + G_MARGIN) else NEVER)


@inline
def begin_call(m: int, g: int, env: int, pc: int, p: int, role: int) -> None:
    """A function of the keeper has been called by somebody else."""
    number = ld64(g + G_CALLS) + 1
    first, second = ld64(env + A0), ld64(env + A1)
    st64(g + G_CALLS, number)
    st64(p + P_ROLE, role)
    st64(p + P_FIRST, first)
    st64(p + P_SECOND, second)
    st64(p + P_RA, ld64(env + RA))
    st64(p + P_SP, ld64(env + SP))
    st64(p + P_NUMBER, number)
    margin = ld64(g + G_MARGIN)
    if role == ROLE_GIVE:
        if margin and 0 < first < MOST:
            st64(env + A0, first + margin)
    else:
        if ld64(g + G_TRACK):
            note(g, number, role, first - ld64(g + G_BASE), second, ld64(ld64(m + M_HART) + H_ID))
        take(m, g, pc, first, second)
        if margin and 0 < second < MOST:
            st64(env + A1, second + margin)
    if number == ld64(g + G_STOP_AT):
        tell(m, g, CALL, pc, first, 0, second, role)


@inline
def end_call(m: int, g: int, env: int, pc: int, p: int) -> None:
    """The call under way has returned."""
    role = ld64(p + P_ROLE)
    st64(p + P_ROLE, 0)
    if role == ROLE_GIVE:
        address, size = ld64(env + A0), ld64(p + P_FIRST)
        if ld64(g + G_TRACK) and address:
            note(g, ld64(p + P_NUMBER), role, address - ld64(g + G_BASE), size, ld64(ld64(m + M_HART) + H_ID))
        give(m, g, env, pc, address, size)


@inline
def watch_call(m: int, pc: int) -> None:
    """A block with RECORD_CALL, at `pc`, is about to run; more than once for one and the same time does no harm."""
    g = ld64(m + M_GUARD)
    if g == 0:
        return
    env = ld64(m + M_ENV)
    p = g + G_PENDING + PENDING * ld64(ld64(m + M_HART) + H_ID)
    if ld64(p + P_ROLE):
        if pc == ld64(p + P_RA) and ld64(env + SP) == ld64(p + P_SP):
            end_call(m, g, env, pc, p)
        return
    gives = pc == ld64(g + G_GIVE) or pc == ld64(g + G_GIVE_TOO)
    role = ROLE_GIVE if gives else ROLE_TAKE if pc == ld64(g + G_TAKE) else 0
    if role and not ld64(g + G_KEEPER_FIRST) <= ld64(env + RA) < ld64(g + G_KEEPER_END):
        begin_call(m, g, env, pc, p, role)
