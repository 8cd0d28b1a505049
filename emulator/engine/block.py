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

from .abi import ENV_MIE, ENV_MIP, ENV_MSTATUS, ENV_PRIV, HOOK_BEGIN, HOOK_END, HOOK_USER_DATA, TB_ICOUNT, TB_PC, TB_SIZE
from .clock import budget_left, calm, request_stop, spend
from .fpsingle import operands, settle
from .interrupt import pending
from .layout import (
    F_PAGE_ADDR_CODE, F_TLB_FLUSH_IDX, F_TLB_RESET_DIRTY, M_BLOCK_HOOK, M_BUDGET, M_CS, M_CURRENT, M_ENV, M_EVENT,
    M_FP_BLOCK, M_FP_HOOK, M_HAS_CODE, M_RAM_HOST, M_REBUILD, M_REBUILD_SIZE, M_RECORD_END, M_RECORD_NEXT, M_STOP, M_YIELD,
    R_COUNT, R_FLAGS, R_MACHINE, R_PC, R_SIZE, RECORD_REBUILD, STOP_RECORDS,
)
from .native import entry, inline
from .prims import call2, call3, ld8, ld16, ld64, st8, st64
from .riscv import FS, MPRV, PRV_M
from .trap import leave

NOWHERE = 1
"""An address at which no instruction starts: a hook from here to here covers nothing."""


@entry("void(i64, i64, i32, i64)")
def on_block(uc: int, pc: int, size: int, record: int) -> None:
    """UC_HOOK_BLOCK: a block is about to run."""
    m = ld64(record + R_MACHINE)
    left = ld64(m + M_BUDGET)
    count = ld64(record + R_COUNT)
    if left <= 0 or count < 0:
        consider(m, record)
        return
    st64(m + M_BUDGET, left - count)
    st64(m + M_CURRENT, record)


@inline
def consider(m: int, record: int) -> None:
    """The slow path: leave the engine if there is a reason to, else run the block after all."""
    settle(m, True)
    if ld64(record + R_FLAGS) & RECORD_REBUILD:
        note_rebuild(m, record)
        leave(m)
        return
    env = ld64(m + M_ENV)
    if budget_left(m) <= 0 or ld64(m + M_STOP) or ld64(m + M_EVENT) or ld64(m + M_YIELD) or pending(env) >= 0:
        leave(m)
        return
    spend(m, ld64(record + R_COUNT))
    st64(m + M_CURRENT, record)
    status = ld64(env + ENV_MSTATUS)
    if status & MPRV:
        if ld64(env + ENV_PRIV) == PRV_M:
            return
        st64(env + ENV_MSTATUS, status & ~MPRV)  # xRET to below M clears MPRV (3.1.6.3)
        call2(_flush(m), ld64(m + M_CS), 1 << PRV_M)
    if ld64(env + ENV_MIP) & ld64(env + ENV_MIE) == 0:
        calm(m)


@inline
def _flush(m: int) -> int:
    return ld64(m + F_TLB_FLUSH_IDX)


@inline
def note_rebuild(m: int, record: int) -> None:
    """Tell the run loop to discard this block; its next translation gets the floating-point hook."""
    pc = ld64(record + R_PC)
    offset = call2(ld64(m + F_PAGE_ADDR_CODE), ld64(m + M_ENV), pc)
    st64(m + M_REBUILD, offset)
    st64(m + M_REBUILD_SIZE, 0 if offset == -1 else 4)
    hook = ld64(m + M_FP_HOOK)
    st64(hook + HOOK_BEGIN, pc)
    st64(hook + HOOK_END, pc + 0x1000)
    st64(m + M_FP_BLOCK, pc)


@inline
def mark_code(m: int, env: int, va: int) -> int:
    """Mark the page of `va` as holding code; host address of `va`, 0 if it cannot be cached."""
    offset = call2(ld64(m + F_PAGE_ADDR_CODE), env, va)
    if offset == -1:
        return 0
    flag = ld64(m + M_HAS_CODE) + (offset >> 12)
    host = ld64(m + M_RAM_HOST) + offset
    if not ld8(flag):
        st8(flag, 1)
        call3(ld64(m + F_TLB_RESET_DIRTY), ld64(m + M_CS), host & ~0xFFF, 0x1000)
    return host


@inline
def has_single_precision(host: int, size: int, second: int, room: int) -> bool:
    """Whether the `size` bytes of code at `host` need `fpsingle`; past `room` bytes they go on at `second`."""
    at = 0
    while at < size:
        low = ld16(host + at) if at < room else ld16(second + at - room)
        if low & 3 != 3:
            at += 2
            continue
        opcode = low & 0x7F
        if opcode == 0x53 or opcode == 0x43 or opcode == 0x47 or opcode == 0x4B or opcode == 0x4F:
            high = ld16(host + at + 2) if at + 2 < room else ld16(second + at + 2 - room)
            if operands(low | high << 16):
                return True
        at += 4
    return False


@entry("void(i64, i64, i64, i64)")
def on_edge(uc: int, tb: int, previous: int, m: int) -> None:
    """UC_HOOK_EDGE_GENERATED: a block has been translated, and is about to run for the first time."""
    env = ld64(m + M_ENV)
    pc = ld64(tb + TB_PC)
    size = ld16(tb + TB_SIZE)
    count = ld16(tb + TB_ICOUNT)
    hook = ld64(m + M_BLOCK_HOOK)
    record = ld64(hook + HOOK_USER_DATA)
    flags = 0
    host = mark_code(m, env, pc)
    last = pc + size - 1
    second = 0
    if last >> 12 != pc >> 12:
        second = mark_code(m, env, last & ~0xFFF)
    if ld64(m + M_FP_BLOCK) == pc:
        fp = ld64(m + M_FP_HOOK)
        st64(fp + HOOK_BEGIN, NOWHERE)
        st64(fp + HOOK_END, NOWHERE)
        st64(m + M_FP_BLOCK, NOWHERE)
    elif host != 0 and ld64(env + ENV_MSTATUS) & FS:
        if has_single_precision(host, size, second, 0x1000 - (pc & 0xFFF)):
            flags = RECORD_REBUILD
    st64(record + R_PC, pc)
    st64(record + R_FLAGS, flags)
    st64(record + R_COUNT, -count if flags else count)
    following = record + R_SIZE
    st64(following + R_MACHINE, m)
    st64(hook + HOOK_USER_DATA, following)
    st64(m + M_RECORD_NEXT, following)
    if following >= ld64(m + M_RECORD_END):
        request_stop(m, STOP_RECORDS, 0)
