"""Recording what happens: instructions, traps, returns from them, device accesses and more, into a ring.

Costs nothing while M_TRACE is 0: instructions and device accesses have hooks of their own, which
are installed for a trace only; blocks that end with xRET take the slow path (`block.consider`) only if
they were translated for a trace; the others ask one word. Python drains the ring (`trace`, `timeline`)
whenever the run loop stops because it is nearly full.

An entry is ten words: kind | hart << 8 | privilege << 16, pc, six that depend on the kind, and when it
was: the instructions that the hart has retired, and its clock.

        INSN    instruction bits
        TRAP    cause (with bit 63 for interrupts), tval, new pc, new privilege; a7 and a6, which say
                what an environment call asks for
        MMIO    physical address, size, value, 1 for a store
        CSR     number, old value, new value
        XRET    instruction bits (MRET or SRET), new pc, new privilege
        WAIT    the clock at which the hart began to wait for an interrupt; it has one now
        OUTPUT  a byte that the console's UART sent
        SATP    old value, new value: a write to satp that changed it

Within a block the count of instructions has all of the block's, and with a timing model the clock none
of it. Traps, xRETs and CSR accesses end their blocks; theirs are exact.

Landmarks are changes of satp, and the first time that any hart goes to a privilege lower than all before.
The first M_TRACE_PAUSES of them stop the run loop right behind them, so that Python sees the machine there.
"""

from __future__ import annotations

from .abi import ENV_GPR, ENV_PC, ENV_PRIV
from .clock import now, request_stop, retired
from .layout import (
    F_PAGE_ADDR_CODE, H_ID, H_INSNS, M_ENV, M_HART, M_RAM_HOST, M_TRACE, M_TRACE_COUNT, M_TRACE_LOWEST, M_TRACE_PAUSES,
    M_TRACE_RING, M_XRET, M_XRET_BITS, M_XRET_PRIV, STOP_TRACE,
)
from .native import entry, inline
from .prims import call2, ld16, ld64, st64
from .riscv import ILLEGAL

TRACE_INSN, TRACE_TRAP, TRACE_MMIO, TRACE_CSR, TRACE_XRET, TRACE_WAIT, TRACE_OUTPUT, TRACE_SATP = (
    1 << n for n in range(8))
ENTRY = 80
A6, A7 = ENV_GPR + 8 * 16, ENV_GPR + 8 * 17
CAPACITY = 1 << 15
MARGIN = 2048
"""Entries kept free: what one block may still add after the stop was asked for."""
UC_MEM_WRITE = 17


@inline
def push_at(m: int, h: int, insns: int, clock: int, kind: int, priv: int, pc: int, a: int, b: int, c: int, d: int,
            e: int, f: int) -> None:
    """Add an entry of hart `h` to the ring."""
    count = ld64(m + M_TRACE_COUNT)
    if count >= CAPACITY:
        return
    at = ld64(m + M_TRACE_RING) + ENTRY * count
    st64(at, kind | ld64(h + H_ID) << 8 | priv << 16)
    st64(at + 8, pc)
    st64(at + 16, a)
    st64(at + 24, b)
    st64(at + 32, c)
    st64(at + 40, d)
    st64(at + 48, e)
    st64(at + 56, f)
    st64(at + 64, insns)
    st64(at + 72, clock)
    st64(m + M_TRACE_COUNT, count + 1)
    if count + 1 >= CAPACITY - MARGIN:
        request_stop(m, STOP_TRACE, 0)


@inline
def push(m: int, kind: int, priv: int, pc: int, a: int, b: int, c: int, d: int) -> None:
    """Add an entry of the running hart, now."""
    push_at(m, ld64(m + M_HART), retired(m), now(m), kind, priv, pc, a, b, c, d, 0, 0)


@inline
def landmark(m: int) -> None:
    """Stop the run loop here if it shall still stop at landmarks."""
    left = ld64(m + M_TRACE_PAUSES)
    if left > 0:
        st64(m + M_TRACE_PAUSES, left - 1)
        request_stop(m, STOP_TRACE, 0)


@inline
def trace_return(m: int, target: int, priv: int) -> None:
    """Record the xRET that the last block ended with, if it did: it has led to `target` at privilege `priv`."""
    at = ld64(m + M_XRET)
    if at:
        st64(m + M_XRET, 0)
        push(m, TRACE_XRET, ld64(m + M_XRET_PRIV), at & ~1, ld64(m + M_XRET_BITS), target, priv, 0)
        if priv < ld64(m + M_TRACE_LOWEST):
            st64(m + M_TRACE_LOWEST, priv)
            landmark(m)


@inline
def trace_trap(m: int, env: int, cause: int, tval: int, epc: int, priv: int) -> None:
    """Record a trap that has just been taken from privilege `priv`."""
    at = ld64(m + M_XRET)
    if at:  # the xRET before it led to what cannot be fetched, or has itself trapped
        if cause == ILLEGAL and epc == at & ~1:
            st64(m + M_XRET, 0)
        else:
            trace_return(m, epc, priv)
    if ld64(m + M_TRACE) & TRACE_TRAP:
        push_at(m, ld64(m + M_HART), retired(m), now(m), TRACE_TRAP, priv, epc, cause, tval, ld64(env + ENV_PC),
                ld64(env + ENV_PRIV), ld64(env + A7), ld64(env + A6))


@inline
def trace_wait(m: int, h: int, env: int, began: int, until: int) -> None:
    """Record that hart `h` waited from clock `began` to `until`."""
    if ld64(m + M_TRACE) & TRACE_WAIT and began < until:
        push_at(m, h, ld64(h + H_INSNS), until, TRACE_WAIT, ld64(env + ENV_PRIV), ld64(env + ENV_PC), began,
                0, 0, 0, 0, 0)


@inline
def trace_output(m: int, value: int) -> None:
    """Record a byte that the console sent."""
    if ld64(m + M_TRACE) & TRACE_OUTPUT:
        env = ld64(m + M_ENV)
        push(m, TRACE_OUTPUT, ld64(env + ENV_PRIV), ld64(env + ENV_PC), value & 0xFF, 0, 0, 0)


@inline
def trace_satp(m: int, env: int, old: int, new: int) -> None:
    """Record a change of satp."""
    if ld64(m + M_TRACE) & TRACE_SATP:
        push(m, TRACE_SATP, ld64(env + ENV_PRIV), ld64(env + ENV_PC), old, new, 0, 0)
        landmark(m)


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
