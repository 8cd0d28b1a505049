"""Translation blocks: counting instructions, and keeping translations true to memory.

Every block that the engine translates gets a *record* in a pool. The engine compiles the block
hook's user-data pointer into the block; `on_edge`, called after each translation, fills the record
that this block has just been given and moves the pointer on to the next. So `on_block` knows its
block's exact instruction count without looking anything up.

`on_edge` also keeps a byte per RAM page, "translations were made from this page". The engine keeps
no such record, with two consequences that the byte mends: stores into pages with code must stay on
the path that discards translations (or stale code runs), and stores into all other pages need not
be on it (or they cost six times as much). The rules are QEMU's own:

        TLB fill, page without code   stores go fast          (mmu.end_dirty_tracking)
        first translation in a page   mark it, and take the fast path away again from
                                      every TLB entry for that page  (on_edge)
"""

from __future__ import annotations

from .abi import (
    ACCESS_FETCH, ENV_MIE, ENV_MIP, ENV_MSTATUS, ENV_PRIV, HOOK_BEGIN, HOOK_END, HOOK_USER_DATA, TB_ICOUNT, TB_PC,
    TB_SIZE,
)
from .clock import attention, calm, grant_stop, note_beginning, request_stop, slice_over, spend
from .fpsingle import compressed_illegal, operands, settle
from .guard import G_GIVE, G_GIVE_TOO, G_KEEPER_END, G_KEEPER_FIRST, G_TAKE, watch_call
from .interrupt import pending
from .layout import (
    F_PAGE_ADDR_CODE, F_TLB_RESET_DIRTY, M_BLOCK_HOOK, M_BREAKS, M_BREAK_COUNT, M_BREAK_SKIP, M_BLOCK_CLOCK, M_BUDGET,
    M_CODE_BLOCK, M_CODE_FIRST, M_CODE_HOOK, M_CODE_LAST, M_CONSIDER, M_CS, M_CURRENT, M_ENV, M_EVENT, M_GUARD, M_HART,
    M_HAS_CODE, M_LAST_HIT, M_LIMIT, M_MPRV_MODE, M_NATURAL, M_PART, M_POINTS, M_RAM_HOST, M_REBUILD, M_REBUILD_SIZE,
    M_RECORD_END, M_RECORD_NEXT, M_STEP, M_STEP_LEFT, M_STOP, M_TIMING, M_TIMING_WATCHED, M_TRACE, M_XRET, M_XRET_BITS,
    M_XRET_PRIV, M_YIELD, POINTS_NOTE, POINTS_PASS, RECORD_BREAK, RECORD_CALL, RECORD_FP, RECORD_REBUILD, RECORD_XRET,
    R_BYTES, R_COUNT, R_FLAGS, R_MACHINE, R_PC, R_SIZE, R_TIMED, STOP_BREAK, STOP_RECORDS, STOP_STEP,
)
from .mmu import fetch_parcel, flush_modes, host_address, translate
from .native import entry, inline
from .prims import call2, call3, ld8, ld16, ld64, st8, st64
from .riscv import FS, MPP, MPRV, PRV_M
from .steps import stepping, steps_done, take_steps
from .tracing import TRACE_XRET, trace_return
from .trap import MRET, distance, instruction_at, leave
from .watch import pass_watch, report_watch

SRET = 0x10200073
NOWHERE = 1
"""An address at which no instruction starts: a hook from here to here covers nothing."""


@entry("void(i64, i64, i32, i64)")
def on_block(uc: int, pc: int, size: int, record: int) -> None:
    """UC_HOOK_BLOCK: a block is about to run."""
    m = ld64(record + R_MACHINE)
    left = ld64(m + M_BUDGET)
    count = ld64(record + R_COUNT)
    if left <= 0 or count < 0:
        call2(ld64(m + M_CONSIDER), m, record)  # not inlined: it would burden this path with its registers
        return
    st64(m + M_BUDGET, left - count)
    st64(m + M_CURRENT, record)


@entry("i64(i64, i64)")
def consider(m: int, record: int) -> int:
    """The slow path: leave the engine if there is a reason to (0), else run the block after all (1)."""
    settle(m, True)
    env = ld64(m + M_ENV)
    count = abs(ld64(record + R_COUNT))
    flags = ld64(record + R_FLAGS)
    trace_return(m, ld64(record + R_PC), ld64(env + ENV_PRIV))
    if flags & RECORD_REBUILD:
        note_rebuild(m, record)
        if ld64(m + M_PART):  # the limit it was translated under holds again
            st64(m + M_LIMIT, count)
        leave(m)
        return 0
    report_watch(m)
    if flags & RECORD_CALL:
        watch_call(m, ld64(record + R_PC))
    if steps_done(m):
        request_stop(m, STOP_STEP, 0)
    grant_stop(m)
    if ld64(m + M_STOP):
        leave(m)
        return 0
    if ld64(m + M_NATURAL):
        return run_part(m, record, count)
    if slice_over(m) or ld64(m + M_EVENT) or ld64(m + M_YIELD) or pending(env) >= 0:
        leave(m)
        return 0
    limit = count
    if flags & RECORD_BREAK or ld64(m + M_STEP):
        limit = next_part(m, env, ld64(record + R_PC), count)
        if limit == 0:
            leave(m)
            return 0
    if limit < count:
        note_beginning(m)
        spend(m, count)
        st64(m + M_NATURAL, count)
        split_here(m, limit)
        return 0
    st64(m + M_BLOCK_CLOCK, -1)
    spend(m, count)
    st64(m + M_CURRENT, record)
    take_steps(m, count)
    if flags & RECORD_XRET:
        expect_return(m, env, record)
    status = ld64(env + ENV_MSTATUS)
    if status & MPRV:
        if ld64(env + ENV_PRIV) == PRV_M:
            if status & MPP != ld64(m + M_MPRV_MODE):  # an MRET to M-mode changed it
                st64(m + M_MPRV_MODE, status & MPP)
                flush_modes(m, 1 << PRV_M)
            return 1
        st64(env + ENV_MSTATUS, status & ~MPRV)  # xRET to below M clears MPRV (3.1.6.3)
        flush_modes(m, 1 << PRV_M)
    if ld64(env + ENV_MIP) & ld64(env + ENV_MIE) == 0 and ld64(m + M_STEP) == 0 and ld64(m + M_XRET) == 0:
        calm(m)
    return 1


@inline
def next_part(m: int, env: int, pc: int, count: int) -> int:
    """How many of the `count` instructions from `pc` the debugger lets run: 0 at a breakpoint.

    A block with a breakpoint inside, or to be stepped through, is split. Its parts are counted as one
    block and run without looking at interrupts or the time in between, so that debugging changes
    nothing that the guest can see.
    """
    limit = count
    if stepping(m) and ld64(m + M_STEP_LEFT) < limit:
        limit = ld64(m + M_STEP_LEFT)
    points = ld64(m + M_POINTS)
    for i in range(0 if points == POINTS_PASS else ld64(m + M_BREAK_COUNT)):
        at = ld64(m + M_BREAKS + 8 * i)
        if at == pc:
            if points == POINTS_NOTE:
                st64(m + M_LAST_HIT, ld64(m + M_STEP_LEFT))
            elif at != ld64(m + M_BREAK_SKIP):
                request_stop(m, STOP_BREAK, pc)
                return 0
        elif at > pc:
            before = distance(m, env, pc, at, count)
            if 0 < before < limit:
                limit = before
    st64(m + M_BREAK_SKIP, -1)
    return limit


@inline
def split_here(m: int, limit: int) -> None:
    """Have the next `limit` instructions translated as a block of their own."""
    st64(m + M_PART, 1)
    st64(m + M_LIMIT, limit)
    leave(m)


@inline
def expect_return(m: int, env: int, record: int) -> None:
    """The block that is about to run ends with xRET: the next one shall say where it led (`trace_return`)."""
    at = ld64(record + R_PC) + ld64(record + R_BYTES) - 4
    st64(m + M_XRET, at | 1)
    st64(m + M_XRET_BITS, instruction_at(m, env, at))
    st64(m + M_XRET_PRIV, ld64(env + ENV_PRIV))
    attention(m)


@inline
def ends_with_return(m: int, env: int, pc: int, size: int, count: int) -> bool:
    """Whether the last of the `count` instructions at `pc` is MRET or SRET."""
    last = pc + size - 4
    if size < 4 or distance(m, env, pc, last, count) != count - 1:
        return False
    bits = instruction_at(m, env, last)
    return bits == MRET or bits == SRET


@inline
def run_part(m: int, record: int, count: int) -> int:
    """Within a split block: run the part that was prepared (1), or prepare the next (0)."""
    left = ld64(m + M_NATURAL)
    if not ld64(m + M_PART):
        limit = next_part(m, ld64(m + M_ENV), ld64(record + R_PC), left)
        if limit == 0:
            leave(m)
            return 0
        if limit < left or left < count:  # translated from here on, a block may go on beyond the one that was split
            split_here(m, limit)
            return 0
    st64(m + M_PART, 0)
    st64(m + M_CURRENT, record)  # that of the whole block may be gone: the debugger changes where blocks end
    st64(m + M_NATURAL, left - count if left > count else 0)
    pass_watch(m)
    take_steps(m, count)
    if ld64(record + R_FLAGS) & RECORD_XRET:
        expect_return(m, ld64(m + M_ENV), record)
    return 1


@inline
def note_rebuild(m: int, record: int) -> None:
    """Tell the run loop to discard this block; its next translation gets the code hook."""
    pc = ld64(record + R_PC)
    offset = call2(ld64(m + F_PAGE_ADDR_CODE), ld64(m + M_ENV), pc)
    st64(m + M_REBUILD, offset)
    # Its first byte only: blocks that begin a little later shall stay, or the two would drop each other for ever.
    st64(m + M_REBUILD_SIZE, 0 if offset == -1 else 1)
    env = ld64(m + M_ENV)
    first, last, _ = find_hooked(m, env, pc, ld64(record + R_BYTES))
    hook = ld64(m + M_CODE_HOOK)
    st64(hook + HOOK_BEGIN, first)
    st64(hook + HOOK_END, last + 4)  # the instruction behind the last one settles it
    st64(m + M_CODE_BLOCK, pc)


@inline
def mark_code(m: int, env: int, va: int) -> None:
    """Mark the page of `va` as holding code, unless translations of it are not kept."""
    offset = call2(ld64(m + F_PAGE_ADDR_CODE), env, va)
    if offset == -1:
        return
    flag = ld64(m + M_HAS_CODE) + (offset >> 12)
    host = ld64(m + M_RAM_HOST) + offset
    if not ld8(flag):
        st8(flag, 1)
        call3(ld64(m + F_TLB_RESET_DIRTY), ld64(m + M_CS), host & ~0xFFF, 0x1000)


@inline
def find_repairs(m: int, env: int, pc: int, size: int, enabled: int) -> tuple[int, int]:
    """The first and last instruction between `pc` and `pc` + `size` that `fpsingle` must watch; (0, -1) for none."""
    mode = ld64(env + ENV_PRIV)
    h = ld64(m + M_HART)
    first = 0
    last = -1
    page = -1
    host = 0
    va = pc
    while va < pc + size:
        if va >> 12 != page:
            page = va >> 12
            cause, pa, _, _ = translate(m, h, env, va, ACCESS_FETCH, mode)
            host = host_address(m, pa & ~0xFFF) if cause < 0 else 0
            if host == 0:
                return first, last
        low = ld16(host + (va & 0xFFF))
        wide = low & 3 == 3
        found = False
        if not wide:
            found = compressed_illegal(low, enabled)
        elif enabled:
            opcode = low & 0x7F
            if opcode == 0x53 or opcode == 0x43 or opcode == 0x47 or opcode == 0x4B or opcode == 0x4F:
                high = fetch_parcel(m, env, va + 2, mode)
                found = operands(low | high << 16) != 0
        if found:
            if last == -1:
                first = va
            last = va
        va += 4 if wide else 2
    return first, last


@inline
def find_hooked(m: int, env: int, pc: int, size: int) -> tuple[int, int, int]:
    """The first and last instruction that the code hook must see ((0, -1) for none), RECORD_FP if one needs mending."""
    first, last = find_repairs(m, env, pc, size, ld64(env + ENV_MSTATUS) & FS)
    flags = RECORD_FP if last != -1 else 0
    if ld64(m + M_TIMING):
        watched = call3(ld64(m + M_TIMING_WATCHED), m, pc, size)
        if watched >= 0:
            begin = pc + (watched & 0xFFFF)
            end = pc + (watched >> 16)
            if last == -1:
                first = begin
                last = end
            else:
                first = begin if begin < first else first
                last = end if end > last else last
    return first, last, flags


@inline
def watches_call(m: int, env: int, pc: int) -> bool:
    """Whether the guard wants to see a block that begins at `pc`: a function of its keeper, or behind a call."""
    g = ld64(m + M_GUARD)
    if pc == ld64(g + G_GIVE) or pc == ld64(g + G_TAKE) or pc == ld64(g + G_GIVE_TOO):
        return True
    if ld64(g + G_KEEPER_FIRST) <= pc < ld64(g + G_KEEPER_END):
        return False
    mode = ld64(env + ENV_PRIV)
    half = fetch_parcel(m, env, pc - 2, mode)
    if half < 0:
        return False
    if half & 0xF07F == 0x9002 and half & 0xF80:  # c.jalr
        return True
    low = fetch_parcel(m, env, pc - 4, mode)
    if low & 0x7F != 0x67 and low & 0x7F != 0x6F:  # jalr, jal
        return False
    link = low >> 7 & 31
    return link == 1 or link == 5


@entry("void(i64, i64, i64, i64)")
def on_edge(uc: int, tb: int, previous: int, m: int) -> None:
    """UC_HOOK_EDGE_GENERATED: a block has been translated, and is about to run for the first time."""
    env = ld64(m + M_ENV)
    pc = ld64(tb + TB_PC)
    size = ld16(tb + TB_SIZE)
    count = ld16(tb + TB_ICOUNT)
    hook = ld64(m + M_BLOCK_HOOK)
    record = ld64(hook + HOOK_USER_DATA)
    mark_code(m, env, pc)
    last = pc + size - 1
    if last >> 12 != pc >> 12:
        mark_code(m, env, last & ~0xFFF)
    _, last_hooked, flags = find_hooked(m, env, pc, size)
    negative = 0
    if ld64(m + M_CODE_BLOCK) == pc:
        code = ld64(m + M_CODE_HOOK)
        st64(code + HOOK_BEGIN, ld64(m + M_CODE_FIRST))
        st64(code + HOOK_END, ld64(m + M_CODE_LAST))
        st64(m + M_CODE_BLOCK, NOWHERE)
    elif last_hooked != -1 and ld64(m + M_CODE_LAST) == NOWHERE:
        flags |= RECORD_REBUILD
        negative = 1
    for i in range(ld64(m + M_BREAK_COUNT)):
        at = ld64(m + M_BREAKS + 8 * i)
        if pc <= at < pc + size:
            flags |= RECORD_BREAK
            negative = 1
    if ld64(m + M_TRACE) & TRACE_XRET and ends_with_return(m, env, pc, size, count):
        flags |= RECORD_XRET
        negative = 1
    if ld64(m + M_GUARD) and watches_call(m, env, pc):
        flags |= RECORD_CALL
        negative = 1
    st64(record + R_PC, pc)
    st64(record + R_BYTES, size)
    st64(record + R_FLAGS, flags)
    st64(record + R_COUNT, -count if negative else count)
    st64(record + R_TIMED, 0)
    following = record + R_SIZE
    st64(following + R_MACHINE, m)
    st64(hook + HOOK_USER_DATA, following)
    st64(m + M_RECORD_NEXT, following)
    if following >= ld64(m + M_RECORD_END):
        request_stop(m, STOP_RECORDS, 0)
