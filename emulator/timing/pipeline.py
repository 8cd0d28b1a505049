"""The pipeline: how many cycles a block's instructions take, given all that happened to them.

`run` issues the instructions of a block one after the other. It is a pure function of the block, of
the pipeline's state before it, of how fetch came to it (`entry`) and of the events noted while it ran
(cache and TLB misses, operands of divisions); `automaton` remembers its results. Times are cycles from
the issue of the last instruction before the block; D is the issue of the one at hand:

        fetch  s0, s1, s2 = E: in the queue      decode D      execute D+1      memory D+2      write-back D+3

An instruction issues when its packet is there, the one before has issued, its operands and its
destination are ready, and its unit is free. Then it may have to start again (`replay`): a load that
meets a store not yet in the cache, a write port that is taken. A data-cache miss stops everything.

Fetch runs ahead: a packet a cycle, up to `queue` packets before the decoder, which takes at most one
packet a cycle and keeps one halfword over.

Source: the reference core's RTL, as `docs/timing.md` tells; each rule is pinned by a program of `bench/timing`.
"""

from __future__ import annotations

from typing import Final

from ..engine.native import inline, outline
from ..engine.prims import ld64, st64
from .decode import (
    AQ, ATOMIC, FP_UNIT, K_AMO, K_BRANCH, K_CSR, K_CSR_FLUSH, K_DIV, K_DIVU, K_DIVUW, K_DIVW, K_FDIV, K_FENCE,
    K_FENCE_I, K_FP_DOUBLE, K_FP_SHORT, K_FP_SINGLE, K_FP_TO_INT, K_JUMP, K_LOAD, K_LR, K_MUL, K_MULH, K_MULW, K_SC,
    K_SFENCE, K_TRAP, LOAD, MEMORY, RL, SIZE_SHIFT, STORE, WIDE, WRITES_X,
)
from .events import Stall
from .layout import (
    D_OPS, EF_QUEUE_EMPTY, EF_QUEUE_FULL, EF_RESTARTED, ENTRY_FLUSH, ENTRY_MISPREDICT, ENTRY_REDIRECT, EV_DIRTY,
    EV_FETCH_TLB, EV_FIRST_DIRTY,
    EV_MATCH_A, EV_MATCH_B, EV_MMIO, EV_STALL, EV_TLB, O_PC, O_SIZE, O_WORD, P_AMO, P_CSR, P_FENCE,
    P_FENCE_I, P_FP_DOUBLE, P_FP_LOAD, P_FP_SHORT, P_FP_SINGLE, P_FP_TO_INT, P_LINK, P_LOAD, P_LOAD_NARROW,
    P_MISPREDICT, P_MUL_LATENCY, P_MUL_PIPELINED, P_QUEUE, P_REDIRECT, P_REFETCH, P_REPLAY, P_SFENCE, P_STORE_REPLAY,
    P_WIDTH, QUEUE, STALLS, T_EVENT_COUNT, T_EVENT_LIST, T_FETCH_COUNT, T_PARAMS, T_SCRATCH, W_CAUSE, W_QUEUE, W_READY,
    W_STALLS, W_STATE,
)

BRANCH: Final = int(Stall.BRANCH)
FETCH: Final = int(Stall.FETCH)
L1I: Final = int(Stall.L1I)
L1D: Final = int(Stall.L1D)
TLB: Final = int(Stall.TLB)
LOAD_USE: Final = int(Stall.LOAD_USE)
MUL_DIV: Final = int(Stall.MUL_DIV)
FP: Final = int(Stall.FP)
STORE_WAIT: Final = int(Stall.STORE)
ATOMIC_WAIT: Final = int(Stall.ATOMIC)
FENCE: Final = int(Stall.FENCE)
CSR: Final = int(Stall.CSR)
TRAP: Final = int(Stall.TRAP)
MMIO: Final = int(Stall.MMIO)

EMPTY: Final = -(1 << 40)
"""A time that is long past."""
SETTLED: Final = 16
"""Cycles that fetch is ahead at most: after them it makes no difference any more when a packet was fetched or taken."""
FAR: Final = 250
"""More than any latency."""
UNIT_MEMORY, UNIT_MULDIV, UNIT_BRANCH, UNIT_FP, UNIT_ALONE = 1, 2, 4, 8, 16
"""Units of which there is one; UNIT_ALONE issues with nothing beside it."""


@inline
def field(s: int, number: int) -> int:
    """Byte `number` of a packed state at `s`."""
    return ld64(s + (number & ~7)) >> 8 * (number & 7) & 255


# Bytes of a packed state. A time is in cycles from the last issue; 0 is "over".
S_READY: Final = 0  # 64 registers
S_CAUSE: Final = 64  # 64 registers, 4 bits each
S_MULDIV: Final = 96  # when the multiplier is done
S_MULDIV_RD: Final = 97
S_FDIV: Final = 98
S_STORE_OLD: Final = 99  # when a store may go to the cache, + 8
S_STORE_NEW: Final = 100
S_TAG_WRITE: Final = 101
S_LAST_MEMORY: Final = 102  # cycles since the last memory access, up to 15
S_FLAGS: Final = 103
S_FETCHED: Final = 104  # when the last packet entered fetch, + 128
S_FETCH_CAUSE: Final = 105
S_SLOTS: Final = 106
S_UNITS: Final = 107
S_FP_WRITES: Final = 108  # bit i: a result is written in i cycles (two bytes)
S_QUEUE: Final = 112  # cycles since the last packets left the queue, up to SETTLED
SF_FENCE: Final = 1
SF_LOAD: Final = 2
SF_FRESH: Final = 4  # fetch starts over
SF_HALF: Final = 8  # the last instruction stood alone in the decoder's buffer
SF_QUEUE_EMPTY: Final = 16  # fewer than two packets waited when the last one was fetched
SF_QUEUE_FULL: Final = 32  # the last packet had to wait for room in the queue
SF_BLOCKED: Final = 64  # a miss has just been waited for
SF_BLOCKED_TWICE: Final = 128  # with a line written back


@inline
def wait(w: int, cause: int, cycles: int) -> None:
    """Note that `cycles` were lost to `cause`."""
    at = w + W_STALLS + 8 * cause
    st64(at, ld64(at) + cycles)


@outline
def unpack_registers(w: int, s: int) -> None:
    """Set up when each register is ready."""
    for i in range(8):
        eight = ld64(s + 8 * i)
        at = w + W_READY + 64 * i
        if eight == 0:
            for j in range(8):
                st64(at + 8 * j, 0)
        else:
            for j in range(8):
                st64(at + 8 * j, eight >> 8 * j & 255)
    for i in range(4):
        sixteen = ld64(s + S_CAUSE + 8 * i)
        at = w + W_CAUSE + 128 * i
        for j in range(16):
            st64(at + 8 * j, sixteen >> 4 * j & 15)


@outline
def pack_registers(w: int, now: int, least: int) -> None:
    """Write down when each register will be ready, from cycle `now`; what is ready by `least` is."""
    for i in range(8):
        eight = 0
        causes = 0
        for j in range(8):
            at = 64 * i + 8 * j
            left = ld64(w + W_READY + at) - now
            if left > least:
                eight |= (left if left < FAR else FAR) << 8 * j
                causes |= ld64(w + W_CAUSE + at) << 4 * j
        st64(w + W_STATE + 8 * i, eight)
        half = w + W_STATE + S_CAUSE + 8 * (i >> 1)
        if i & 1:
            st64(half, ld64(half) | causes << 32)
        else:
            st64(half, causes)


@inline
def clear_queue(w: int) -> None:
    """The fetch queue was emptied."""
    for i in range(QUEUE):
        st64(w + W_QUEUE + 8 * i, EMPTY)


@inline
def push_queue(w: int, cycle: int) -> None:
    """A packet left the queue in `cycle`."""
    for i in range(QUEUE - 1, 0, -1):
        st64(w + W_QUEUE + 8 * i, ld64(w + W_QUEUE + 8 * (i - 1)))
    st64(w + W_QUEUE, cycle)


@inline
def later(bits: int, cycles: int) -> int:
    """A bit mask of coming cycles, `cycles` later."""
    return bits >> cycles if cycles < 32 else 0


@inline
def unit_of(word: int, kind: int) -> int:
    """The units that an instruction needs for itself."""
    units = UNIT_MEMORY if word & MEMORY else 0
    if word & FP_UNIT:
        units |= UNIT_FP
    if K_MUL <= kind <= K_DIVW or kind == K_DIVU or kind == K_DIVUW:
        units |= UNIT_MULDIV
    if kind == K_BRANCH or kind == K_JUMP:
        units |= UNIT_BRANCH
    if K_CSR <= kind <= K_TRAP or word & ATOMIC:
        units |= UNIT_ALONE
    return units


@inline
def result_latency(p: int, word: int, kind: int) -> tuple[int, int]:
    """(cycles until the result can be used, what its readers wait for), multiplier and dividers aside."""
    if kind == K_LOAD:
        if word & FP_UNIT:
            return ld64(p + P_FP_LOAD), LOAD_USE
        return ld64(p + (P_LOAD if word >> SIZE_SHIFT & 3 >= 2 else P_LOAD_NARROW)), LOAD_USE
    if kind == K_AMO or kind == K_LR:
        return ld64(p + P_AMO), ATOMIC_WAIT
    if kind == K_SC:
        return ld64(p + P_LOAD_NARROW), ATOMIC_WAIT
    if kind == K_CSR or kind == K_CSR_FLUSH:
        return ld64(p + P_CSR), CSR
    if kind == K_JUMP and word >> 16 & 255:  # jalr; a jal's link is an address like any other
        return ld64(p + P_LINK), BRANCH
    if kind == K_FP_SHORT:
        return ld64(p + P_FP_SHORT), FP
    if kind == K_FP_DOUBLE:
        return ld64(p + P_FP_DOUBLE), FP
    if kind == K_FP_SINGLE:
        return ld64(p + P_FP_SINGLE), FP
    if kind == K_FP_TO_INT:
        return ld64(p + P_FP_TO_INT), FP
    return 1, 0


@inline
def fp_write(kind: int) -> int:
    """Cycles from issue to the write of a floating-point register by the pipelined units; 0 for others."""
    if kind == K_FP_DOUBLE:
        return 5
    if kind == K_FP_SINGLE:
        return 4
    return 3 if kind == K_FP_SHORT else 0


@outline
def run(t: int, d: int, n: int, s: int, entry: int) -> tuple[int, int]:
    """Issue the first `n` instructions of block `d` from state `s`: (cycles, EF_ flags).

    Leaves the state behind them in W_STATE and the cycles lost in W_STALLS.
    """
    w = t + T_SCRATCH
    p = ld64(t + T_PARAMS)
    for i in range(STALLS):
        st64(w + W_STALLS + 8 * i, 0)
    unpack_registers(w, s)
    width = ld64(p + P_WIDTH)
    refetch = ld64(p + P_REFETCH)
    again = ld64(p + P_REPLAY)
    last_in_queue = w + W_QUEUE + 8 * (ld64(p + P_QUEUE) - 1)
    muldiv = field(s, S_MULDIV)
    muldiv_rd = field(s, S_MULDIV_RD)
    fdiv = field(s, S_FDIV)
    old = stored_time(field(s, S_STORE_OLD))
    new = stored_time(field(s, S_STORE_NEW))
    tag_write = -field(s, S_TAG_WRITE)
    last_memory = -field(s, S_LAST_MEMORY)
    flags = field(s, S_FLAGS)
    fenced = flags & SF_FENCE
    loaded = flags & SF_LOAD
    fresh = flags & SF_FRESH
    half = flags & SF_HALF
    queue_empty = flags & SF_QUEUE_EMPTY
    queue_full = flags & SF_QUEUE_FULL
    blocked = 2 if flags & SF_BLOCKED_TWICE else 1 if flags & SF_BLOCKED else 0
    restarted = 0
    fetched = field(s, S_FETCHED) - 128
    fetch_cause = field(s, S_FETCH_CAUSE)
    slots = field(s, S_SLOTS)
    units_used = field(s, S_UNITS)
    fp_writes = field(s, S_FP_WRITES) | field(s, S_FP_WRITES + 1) << 8
    for i in range(QUEUE):
        st64(w + W_QUEUE + 8 * i, -field(s, S_QUEUE + i))
    if entry == ENTRY_REDIRECT:
        fetched += ld64(p + P_REDIRECT)
        fetch_cause = FETCH
    elif entry == ENTRY_MISPREDICT:
        fetched = ld64(p + P_MISPREDICT) - 2
        fetch_cause = BRANCH
        clear_queue(w)
    elif entry == ENTRY_FLUSH:
        fetched = refetch - 2
        fetch_cause = TRAP
        clear_queue(w)
    if entry != 0:
        fresh = 1

    event = t + T_EVENT_LIST
    fetch_end = event + 8 * ld64(t + T_FETCH_COUNT)
    data = fetch_end
    data_end = event + 8 * ld64(t + T_EVENT_COUNT)
    now = 0
    op = ld64(d + D_OPS)
    for i in range(n):
        word = ld64(op + O_WORD)
        pc = ld64(op + O_PC)
        kind = word & 255
        wide = word & WIDE
        # --- fetch
        here = now + 1
        available = now
        cause = fetch_cause
        new_packet = fresh or not pc & 2 or wide
        if new_packet:
            if fetched < now - SETTLED:  # at every instruction, so that it does not matter where blocks end
                fetched = now - SETTLED
            fetched += 1 if width == 1 or not pc & 4 or fresh else 0
            queue_full = 0
            if ld64(last_in_queue) + 1 > fetched:
                fetched = ld64(last_in_queue) + 1
                queue_full = 1
            while event < fetch_end and ld64(event) >> 32 == i:
                fetched += ld64(event) & 0xFFFFF
                cause = TLB if ld64(event) >> 20 & EV_FETCH_TLB else L1I
                event += 8
            available = fetched + 2
            queue_empty = 0 if ld64(w + W_QUEUE + 8) >= available else 1  # it falls in order
            if fresh and pc & 2 and wide:  # the first packet has only half of it: one cycle to take that in
                taken = available
                earliest = now if half else now + 1
                if earliest > taken:
                    taken = earliest
                push_queue(w, taken)
                fetched += 1
                if ld64(last_in_queue) + 1 > fetched:
                    fetched = ld64(last_in_queue) + 1
                available = fetched + 2
                if taken + 1 > available:
                    available = taken + 1
        # A compressed jump in a packet's lower half is all that the decoder gets of it, maybe a cycle early.
        early = half and new_packet and available <= now
        entered = fresh
        fresh = 0
        # --- issue
        units = unit_of(word, kind)
        at = here
        if width > 1 and slots < width and not (units & units_used) and not ((units | units_used) & UNIT_ALONE):
            at = now
        issue_from = at
        if available > at:
            wait(w, cause, available - at)
            at = available
        fetch_cause = FETCH
        if blocked:  # an instruction of which the queue holds one half lost its place meanwhile
            if wide and pc & 2 and new_packet and not entered:
                wait(w, L1D, blocked)
                at += blocked
            blocked = 0
        for k in range(8, 40, 8):
            register = word >> k & 255
            if register:
                ready = ld64(w + W_READY + 8 * register)
                if ready > at:
                    wait(w, ld64(w + W_CAUSE + 8 * register), ready - at)
                    at = ready
        muldiv_op = units & UNIT_MULDIV
        if muldiv_op and muldiv > at and not (ld64(p + P_MUL_PIPELINED) and kind <= K_MULW):
            wait(w, MUL_DIV, muldiv - at)
            at = muldiv
        if kind == K_FDIV and later(fp_writes, at - now):
            held = at
            while later(fp_writes, at - now):
                at += 1
            wait(w, FP, at - held)
        memory = word & MEMORY
        if memory and (fenced or word & RL) or kind == K_FENCE_I:
            earliest = last_memory + ld64(p + P_FENCE) + 1
            if earliest > at:
                wait(w, FENCE, earliest - at)
                at = earliest
            fenced = 0
        happened = 0
        happened_cycles = 0
        while data < data_end and ld64(data) >> 32 == i:
            happened |= ld64(data) >> 20 & 0xFFF
            happened_cycles += ld64(data) & 0xFFFFF
            data += 8
        # --- start again
        replayed = 0
        if memory:
            if tag_write > EMPTY and 0 < at - tag_write <= 2:
                wait(w, STORE_WAIT, again)
                at += again
                replayed = 1
        # stores go to the cache in every cycle in which no load executes
        for _ in range(2):
            if old > EMPTY // 2:
                first = old if old > now else now + 1
                if loaded and first == now + 1:
                    first += 1
                if first <= at:
                    old = new if new > first or new <= EMPTY // 2 else first + 1
                    new = EMPTY
        if memory and word & LOAD and ld64(p + P_STORE_REPLAY):
            two = new > EMPTY // 2
            one = old > EMPTY // 2
            if one and (happened & EV_MATCH_A or (two and happened & EV_MATCH_B)):
                wait(w, ATOMIC_WAIT if word & ATOMIC else STORE_WAIT, again)
                at += again
                old = EMPTY
                new = EMPTY
                replayed = 1
        if word & FP_UNIT:
            slot = fp_write(kind)
            while (slot and later(fp_writes, at - now + slot) & 1) or (kind != K_FDIV and fdiv > at + 2):
                wait(w, FP, again)
                at += again
                replayed = 1
            if kind == K_FDIV and fdiv > at:
                wait(w, FP, fdiv - at)
                at = fdiv
        if replayed:
            restarted = 1
            if wide and pc & 2:
                at += 1
                fetched = at - 2
            else:
                fetched = at - 2
            clear_queue(w)
        if new_packet:
            push_queue(w, at)
        # --- what it leaves behind
        fp_writes = later(fp_writes, at - now)
        if word & FP_UNIT:
            slot = fp_write(kind)
            if slot:
                fp_writes |= 1 << slot
        if word & WRITES_X and muldiv == at + 3 and not muldiv_op:
            muldiv += 1
            st64(w + W_READY + 8 * muldiv_rd, muldiv)
        slots = slots + 1 if at == now else 1
        units_used = units_used | units if at == now else units
        now = at
        if memory:
            last_memory = at
            if happened & EV_FIRST_DIRTY:
                tag_write = at
            if word & STORE:
                ready = at + (4 if word & ATOMIC else 3)
                if old <= EMPTY // 2:
                    old = ready
                else:
                    if new > EMPTY // 2:
                        old = new
                    new = ready
            if happened & EV_STALL:
                now = at + happened_cycles
                wait(w, TLB if happened & EV_TLB else MMIO if happened & EV_MMIO else L1D, happened_cycles)
                if not happened & (EV_MMIO | EV_TLB):
                    blocked = 2 if happened & EV_DIRTY else 1
        register = word >> 8 & 255
        if muldiv_op:
            done = at + 2 + happened_cycles
            if kind <= K_MULW and ld64(p + P_MUL_PIPELINED):
                done = at + ld64(p + P_MUL_LATENCY)
            else:
                muldiv = done
                muldiv_rd = register
            st64(w + W_READY + 8 * register, done)
            st64(w + W_CAUSE + 8 * register, MUL_DIV)
        elif kind == K_FDIV:
            fdiv = at + happened_cycles
            st64(w + W_READY + 8 * register, fdiv)
            st64(w + W_CAUSE + 8 * register, FP)
        elif register:
            latency, what = result_latency(p, word, kind)
            if happened & EV_MMIO:
                latency = 1
            st64(w + W_READY + 8 * register, now + latency)
            st64(w + W_CAUSE + 8 * register, what)
        loaded = word & LOAD
        half = 1 if not wide and (pc & 2 or early) else 0
        if kind >= K_CSR_FLUSH:
            if kind == K_CSR_FLUSH or kind == K_TRAP or kind == K_FENCE_I:
                fetched = now + refetch - 2
                fetch_cause = CSR if kind == K_CSR_FLUSH else TRAP
                if kind == K_FENCE_I:
                    fetched += ld64(p + P_FENCE_I)
                    fetch_cause = FENCE
                fresh = 1
                restarted = 1
                clear_queue(w)
            elif kind == K_SFENCE:
                fetched = now + ld64(p + P_SFENCE) - 3
                fetch_cause = FENCE
                fresh = 1
                restarted = 1
                clear_queue(w)
            elif kind == K_FENCE:
                fenced = 1
        if word & AQ:
            fenced = 1
        op += O_SIZE

    # --- the state behind the block
    pack_registers(w, now, 1 if width == 1 else 0)
    first = (muldiv - now if muldiv > now else 0) | muldiv_rd << 8 if muldiv > now else 0
    first |= (fdiv - now if fdiv > now else 0) << 16
    first |= pending_store(old, now) << 24
    first |= pending_store(new, now) << 32
    if 0 <= now - tag_write < 2:
        first |= (now - tag_write) << 40
    else:
        first |= 3 << 40
    since = now - last_memory
    first |= (since if 0 <= since < 15 else 15) << 48
    first |= (fenced & SF_FENCE | (SF_LOAD if loaded else 0) | (SF_FRESH if fresh else 0) | (SF_HALF if half else 0)
              | (SF_QUEUE_EMPTY if queue_empty else 0) | (SF_QUEUE_FULL if queue_full else 0)
              | (SF_BLOCKED if blocked == 1 else SF_BLOCKED_TWICE if blocked else 0)) << 56
    ahead = fetched - now
    if ahead < -SETTLED:
        ahead = -SETTLED
    if ahead > 127:
        ahead = 127
    second = ahead + 128
    if fresh or ahead > -2:
        second |= fetch_cause << 8
    if width > 1:
        second |= slots << 16 | units_used << 24
    second |= (fp_writes & 0xFFFE) << 32
    queue = 0
    for i in range(QUEUE):
        since = now - ld64(w + W_QUEUE + 8 * i)
        queue |= (since if since < SETTLED else SETTLED) << 8 * i
    st64(w + W_STATE + 96, first)
    st64(w + W_STATE + 104, second)
    st64(w + W_STATE + 112, queue)
    st64(w + W_STATE + 120, 0)
    return now, ((EF_QUEUE_EMPTY if queue_empty else 0) | (EF_QUEUE_FULL if queue_full else 0)
                 | (EF_RESTARTED if restarted else 0))


@inline
def stored_time(packed: int) -> int:
    """The inverse of `pending_store`, from cycle 0."""
    return packed - 8 if packed else EMPTY


@inline
def pending_store(when: int, now: int) -> int:
    """When a store may go to the cache, for the packed state; 0 for none."""
    if when <= EMPTY // 2:
        return 0
    left = when - now
    return (left if left > -7 else -7) + 8
