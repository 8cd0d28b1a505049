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


from ..engine.native import inline, outline
from ..engine.prims import ld64, st64
from .decode import (
    AQ, ATOMIC, FP_UNIT, K_CSR_FLUSH, K_FDIV, K_FENCE, K_FENCE_I, K_MULW, K_SFENCE, K_TRAP, LOAD, MEMORY, RL, STORE,
    WIDE, WRITES_X,
)
from .layout import (
    D_OPS, EF_QUEUE_EMPTY, EF_QUEUE_FULL, EF_REPLAYS, EF_RESTARTED, ENTRY_FLUSH, ENTRY_MISPREDICT, ENTRY_REDIRECT,
    EV_DIRTY, EV_FETCH_TLB, EV_FIRST_DIRTY, EV_MATCH_A, EV_MATCH_B, EV_MMIO, EV_STALL, EV_TLB, O_PC, O_SIZE, O_WORD,
    P_FENCE, P_FENCE_I, P_MISPREDICT, P_MMIO, P_MUL_LATENCY, P_MUL_PIPELINED, P_QUEUE, P_REDIRECT, P_REFETCH, P_REPLAY,
    P_SFENCE, P_STORE_REPLAY, P_WIDTH, QUEUE, STALLS, T_EVENT_COUNT, T_EVENT_LIST, T_FETCH_COUNT, T_PARAMS, T_SCRATCH,
    W_CAUSE, W_QUEUE, W_READY, W_STALLS, W_STATE,
)
from .units import (
    ATOMIC_WAIT, BRANCH, CSR, FENCE, FETCH, FP, L1D, L1I, MMIO, MUL_DIV, STORE_WAIT, TLB, TRAP, UNIT_ALONE, UNIT_MULDIV,
    fp_write, result_latency, unit_of,
)
from .packed import (
    EMPTY, SETTLED, SF_BLOCKED, SF_BLOCKED_TWICE, SF_FENCE, SF_FRESH, SF_HALF, SF_LOAD, SF_QUEUE_EMPTY, SF_QUEUE_FULL,
    S_DEVICE, S_FDIV, S_FETCHED, S_FETCH_CAUSE, S_FLAGS, S_FP_WRITES, S_LAST_MEMORY, S_MULDIV, S_MULDIV_RD, S_QUEUE,
    S_SLOTS, S_STORE_NEW, S_STORE_OLD, S_TAG_WRITE, S_UNITS, field, pack_registers, pending_store, stored_time,
    unpack_registers,
)

@inline
def wait(w: int, cause: int, cycles: int) -> None:
    """Note that `cycles` were lost to `cause`."""
    at = w + W_STALLS + 8 * cause
    st64(at, ld64(at) + cycles)


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
    device = field(s, S_DEVICE)
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
    replays = 0
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
        if memory and device > at:  # no access overtakes one to a device
            wait(w, MMIO, device - at)
            at = device
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
            replays += 1
            if wide and pc & 2:
                wait(w, FETCH, 1)
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
            if happened & EV_MMIO:
                device = at + ld64(p + P_MMIO)
            if happened & EV_STALL:
                now = at + happened_cycles
                wait(w, TLB if happened & EV_TLB else L1D, happened_cycles)
                if not happened & EV_TLB:
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
                latency = device - now
                what = MMIO
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
    st64(w + W_STATE + 120, device - now if device > now else 0)
    return now, ((EF_QUEUE_EMPTY if queue_empty else 0) | (EF_QUEUE_FULL if queue_full else 0)
                 | (EF_RESTARTED if restarted else 0) | replays << EF_REPLAYS)
