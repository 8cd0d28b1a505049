"""Recording what happens: instructions, traps, device accesses and CSR writes, into a ring.

Costs nothing while M_TRACE is 0: instructions and device accesses have hooks of their own, which
are installed for a trace only; traps and CSR writes ask one word. Python drains the ring (`trace.py`)
whenever the run loop stops because it is nearly full.

An entry is six words: kind | hart << 8 | privilege << 16, pc, and four that depend on the kind:

        INSN   instruction bits
        TRAP   cause (with bit 63 for interrupts), tval, new pc, new privilege
        MMIO   physical address, size, value, 1 for a store
        CSR    number, old value, new value
"""

from __future__ import annotations

from .abi import ENV_PC, ENV_PRIV
from .clock import request_stop
from .layout import F_PAGE_ADDR_CODE, H_ID, M_ENV, M_HART, M_RAM_HOST, M_TRACE, M_TRACE_COUNT, M_TRACE_RING, STOP_TRACE
from .native import entry, inline
from .prims import call2, ld16, ld64, st64

TRACE_INSN, TRACE_TRAP, TRACE_MMIO, TRACE_CSR = 1, 2, 4, 8
ENTRY = 48
CAPACITY = 1 << 15
MARGIN = 2048
"""Entries kept free: what one block may still add after the stop was asked for."""
UC_MEM_WRITE = 17


@inline
def push(m: int, kind: int, priv: int, pc: int, a: int, b: int, c: int, d: int) -> None:
    """Add an entry to the ring."""
    count = ld64(m + M_TRACE_COUNT)
    if count >= CAPACITY:
        return
    at = ld64(m + M_TRACE_RING) + ENTRY * count
    st64(at, kind | ld64(ld64(m + M_HART) + H_ID) << 8 | priv << 16)
    st64(at + 8, pc)
    st64(at + 16, a)
    st64(at + 24, b)
    st64(at + 32, c)
    st64(at + 40, d)
    st64(m + M_TRACE_COUNT, count + 1)
    if count + 1 >= CAPACITY - MARGIN:
        request_stop(m, STOP_TRACE, 0)


@inline
def trace_trap(m: int, env: int, cause: int, tval: int, epc: int, priv: int) -> None:
    """Record a trap that has just been taken from privilege `priv`."""
    if ld64(m + M_TRACE) & TRACE_TRAP:
        push(m, TRACE_TRAP, priv, epc, cause, tval, ld64(env + ENV_PC), ld64(env + ENV_PRIV))


@inline
def trace_csr(m: int, env: int, number: int, old: int, new: int) -> None:
    """Record a CSR write."""
    if ld64(m + M_TRACE) & TRACE_CSR:
        push(m, TRACE_CSR, ld64(env + ENV_PRIV), ld64(env + ENV_PC), number, old, new, 0)


@inline
def trace_instruction(m: int, pc: int) -> None:
    """Record the instruction at `pc`, which is about to run."""
    env = ld64(m + M_ENV)
    bits = 0
    offset = call2(ld64(m + F_PAGE_ADDR_CODE), env, pc)
    if offset != -1:
        host = ld64(m + M_RAM_HOST) + offset
        bits = ld16(host)
        if bits & 3 == 3:
            if pc & 0xFFF == 0xFFE:
                host = ld64(m + M_RAM_HOST) + call2(ld64(m + F_PAGE_ADDR_CODE), env, pc + 2) - 2
            bits |= ld16(host + 2) << 16
    push(m, TRACE_INSN, ld64(env + ENV_PRIV), pc, bits, 0, 0, 0)


@entry("void(i64, i32, i64, i32, i64, i64)")
def on_access(uc: int, kind: int, address: int, size: int, value: int, m: int) -> None:
    """UC_HOOK_MEM_WRITE and _READ_AFTER, below RAM: a device register was accessed."""
    if ld64(m + M_TRACE) & TRACE_MMIO:
        env = ld64(m + M_ENV)
        store = 1 if kind == UC_MEM_WRITE else 0
        push(m, TRACE_MMIO, ld64(env + ENV_PRIV), ld64(env + ENV_PC), address, size, value, store)
