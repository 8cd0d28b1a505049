"""The control and status registers that Hartwell implements itself.

The engine's CSR table is one per process, so each entry we install serves every engine in it: for
an engine that is not ours (its ENV_LINK holds no machine block) the saved original entry is used.

What is ours, and why: see the table in `docs/privileged.md`. In short: all but fcsr with its two
parts, and the constant identity registers, which are the engine's own.

Source: privileged specification 20211203, chapters 2 to 4; the section is named at each register.
"""

from __future__ import annotations

from .abi import (
    ENV_LINK, ENV_MCAUSE, ENV_MCOUNTEREN, ENV_MEDELEG, ENV_MEPC, ENV_MHARTID, ENV_MIDELEG, ENV_MIE, ENV_MISA,
    ENV_MSCRATCH, ENV_MSTATUS, ENV_MTVAL, ENV_MTVEC, ENV_PC, ENV_PRIV, ENV_SATP, ENV_SCAUSE, ENV_SCOUNTEREN, ENV_SEPC,
    ENV_SSCRATCH, ENV_STVAL, ENV_STVEC,
)
from .clock import attention, now_at_end, ticks
from .counters import counter_allowed, read_counter, read_event, write_counter, write_event, write_inhibit
from .interrupt import refresh_mip
from .layout import (
    F_TLB_FLUSH, H_COUNTINHIBIT, H_MENVCFG, H_MIP_LINES, H_MIP_SOFT, H_PMP_ADDR, H_PMP_CFG, H_SENVCFG, H_USER_PAGES,
    MAGIC, M_CS, M_HART, M_HOST_ACCESS, M_MAGIC, M_MPRV_MODE, M_WIDEST,
)
from .mmu import fetch_parcel, flush_modes
from .native import entry, inline
from .pmp import decode, write_address, write_config
from .prims import call1, call2, call3, call5, ld64, lshr, shared, st64
from .riscv import (
    ALL_INTERRUPTS, COUNTERS, CSR_CYCLE, CSR_HPMCOUNTER3, CSR_INSTRET, CSR_MCAUSE, CSR_MCONFIGPTR, CSR_MCOUNTEREN,
    CSR_MCOUNTINHIBIT, CSR_MCYCLE, CSR_MEDELEG, CSR_MENVCFG, CSR_MEPC, CSR_MHARTID, CSR_MHPMCOUNTER3, CSR_MHPMEVENT3,
    CSR_MIDELEG, CSR_MIE, CSR_MINSTRET, CSR_MIP, CSR_MISA, CSR_MSCRATCH, CSR_MSTATUS, CSR_MTVAL, CSR_MTVEC,
    CSR_MVENDORID, CSR_PMPADDR0, CSR_PMPCFG0, CSR_SATP, CSR_SCAUSE, CSR_SCOUNTEREN, CSR_SENVCFG, CSR_SEPC, CSR_SIE,
    CSR_SIP, CSR_SSCRATCH, CSR_SSTATUS, CSR_STVAL, CSR_STVEC, CSR_TDATA1, CSR_TDATA3, CSR_TIME, CSR_TSELECT,
    DELEGABLE, FS, HPM_COUNTERS, HPM_REGISTERS, MPP, MPRV, MSTATUS_WRITABLE, MXR, PRV_M, PRV_S, PRV_U, SATP_MODE_SHIFT,
    SATP_PPN, SATP_SV39, SD, SSIP, SSTATUS_WRITABLE, SUM, SXL_64, S_INTERRUPTS, TSR, TVM, TW, UXL_64,
)
from .tracing import trace_csr, trace_satp

OURS = (
    CSR_MSTATUS, CSR_SSTATUS, CSR_MISA, CSR_MIE, CSR_SIE, CSR_MIP, CSR_SIP, CSR_MIDELEG, CSR_MEDELEG,
    CSR_MTVEC, CSR_STVEC, CSR_MEPC, CSR_SEPC, CSR_SATP, CSR_MCOUNTEREN, CSR_SCOUNTEREN, CSR_MCOUNTINHIBIT,
    CSR_MENVCFG, CSR_SENVCFG, CSR_MSCRATCH, CSR_MCAUSE, CSR_MTVAL, CSR_SSCRATCH, CSR_SCAUSE, CSR_STVAL,
    *range(CSR_MVENDORID, CSR_MCONFIGPTR + 1), CSR_CYCLE, CSR_TIME, CSR_INSTRET, CSR_MCYCLE, CSR_MINSTRET, CSR_TSELECT,
    *range(CSR_TDATA1, CSR_TDATA3 + 1), *range(CSR_PMPCFG0, CSR_PMPCFG0 + 4), *range(CSR_PMPADDR0, CSR_PMPADDR0 + 16),
    *range(CSR_HPMCOUNTER3, CSR_HPMCOUNTER3 + HPM_REGISTERS),
    *range(CSR_MHPMCOUNTER3, CSR_MHPMCOUNTER3 + HPM_REGISTERS),
    *range(CSR_MHPMEVENT3 - 2, CSR_MHPMEVENT3 + HPM_REGISTERS),  # from 0x321: the engine has two of 1.9.1 there
)
"""Numbers of the CSRs that `access` implements."""

ENGINE_TW = 1 << 29
ENGINE_TSR = 1 << 30
"""Where QEMU 5.0's wfi and sret helpers look for TW and TSR: shadows of bits 21 and 22, never shown."""
OP_PREDICATE, OP_READ, OP_WRITE, OP_COMBINED = 0, 8, 16, 24
"""Byte offsets in a CSR table entry (four pointers), and in its saved copy in the shared table."""
ASID = 0xFFFF << 44
READ_ONLY = 0xC00
"""First number of the read-only registers (2.1)."""


@inline
def flush(m: int) -> None:
    """Drop every cached translation."""
    call1(ld64(m + F_TLB_FLUSH), ld64(m + M_CS))


@inline
def read_status(env: int) -> int:
    """mstatus (3.1.6): SD derived, UXL and SXL fixed at 64 bits."""
    value = ld64(env + ENV_MSTATUS) & MSTATUS_WRITABLE | UXL_64 | SXL_64
    return value | SD if value & FS == FS else value


@inline
def write_status(m: int, h: int, env: int, value: int) -> None:
    """Write the writable fields of mstatus, and drop the translations they made untrue."""
    old = ld64(env + ENV_MSTATUS)
    new = value & MSTATUS_WRITABLE
    if new & MPP == 2 << 11:  # MPP is WARL and 2 no privilege level: keep the old one
        new = new & ~MPP | old & MPP
    stored = new
    if new & TW:
        stored |= ENGINE_TW
    if new & TSR:
        stored |= ENGINE_TSR
    if new & FS == FS:
        stored |= SD
    st64(env + ENV_MSTATUS, stored)
    gone = old & ~new
    if gone & SUM and ld64(h + H_USER_PAGES):
        flush_modes(m, 1 << PRV_S)
        st64(h + H_USER_PAGES, 0)
    if gone & MXR:
        flush_modes(m, 1 << PRV_S | 1 << PRV_U)
    changed = old ^ new
    st64(m + M_MPRV_MODE, new & MPP)
    if changed & MPRV or (new & MPRV and changed & (MPP | SUM | MXR)):
        flush_modes(m, 1 << PRV_M)
    attention(m)


@inline
def write_satp(m: int, h: int, env: int, value: int) -> None:
    """satp (4.1.11): a write with a mode that does not exist has no effect at all."""
    mode = lshr(value, SATP_MODE_SHIFT)
    if mode != 0 and (mode < SATP_SV39 or mode > ld64(m + M_WIDEST)):
        return
    new = mode << SATP_MODE_SHIFT | value & (ASID | SATP_PPN)
    if new != ld64(env + ENV_SATP):
        trace_satp(m, env, ld64(env + ENV_SATP), new)
        st64(env + ENV_SATP, new)
        flush(m)
        st64(h + H_USER_PAGES, 0)


@inline
def plain(number: int) -> int:
    """The place in the engine's state of a register without rules of its own, -1 for others."""
    if number == CSR_MSCRATCH:
        return ENV_MSCRATCH
    if number == CSR_SSCRATCH:
        return ENV_SSCRATCH
    if number == CSR_MCAUSE:
        return ENV_MCAUSE
    if number == CSR_SCAUSE:
        return ENV_SCAUSE
    if number == CSR_MTVAL:
        return ENV_MTVAL
    return ENV_STVAL if number == CSR_STVAL else -1


@inline
def read(m: int, h: int, env: int, number: int) -> tuple[bool, int]:
    """(whether the register can be read, its value)."""
    if number == CSR_SSTATUS:
        value = read_status(env)
        return True, value & (SSTATUS_WRITABLE | UXL_64 | SD)
    if number == CSR_MSTATUS:
        return True, read_status(env)
    if number == CSR_TIME:
        return counter_allowed(env, 1), ticks(m, now_at_end(m))
    if number == CSR_CYCLE or number == CSR_INSTRET:
        return counter_allowed(env, number - CSR_CYCLE), read_counter(m, h, number - CSR_CYCLE)
    if number == CSR_MIE:
        return True, ld64(env + ENV_MIE)
    if number == CSR_SIE:
        return True, ld64(env + ENV_MIE) & ld64(env + ENV_MIDELEG)
    if number == CSR_MIP:
        return True, ld64(h + H_MIP_LINES) | ld64(h + H_MIP_SOFT)
    if number == CSR_SIP:
        return True, (ld64(h + H_MIP_LINES) | ld64(h + H_MIP_SOFT)) & ld64(env + ENV_MIDELEG)
    if number == CSR_SATP:
        refused = ld64(env + ENV_PRIV) == PRV_S and ld64(env + ENV_MSTATUS) & TVM
        return not refused, ld64(env + ENV_SATP)
    if number == CSR_MISA:
        return True, ld64(env + ENV_MISA)
    if number == CSR_MIDELEG:
        return True, ld64(env + ENV_MIDELEG)
    if number == CSR_MEDELEG:
        return True, ld64(env + ENV_MEDELEG)
    if number == CSR_MTVEC:
        return True, ld64(env + ENV_MTVEC)
    if number == CSR_STVEC:
        return True, ld64(env + ENV_STVEC)
    if number == CSR_MEPC:
        return True, ld64(env + ENV_MEPC)
    if number == CSR_SEPC:
        return True, ld64(env + ENV_SEPC)
    if number == CSR_MCOUNTEREN:
        return True, ld64(env + ENV_MCOUNTEREN)
    if number == CSR_SCOUNTEREN:
        return True, ld64(env + ENV_SCOUNTEREN)
    if number == CSR_MCOUNTINHIBIT:
        return True, ld64(h + H_COUNTINHIBIT)
    if number == CSR_MENVCFG:
        return True, ld64(h + H_MENVCFG)
    if number == CSR_SENVCFG:
        return True, ld64(h + H_SENVCFG)
    if number == CSR_MCYCLE or number == CSR_MINSTRET:
        return True, read_counter(m, h, number - CSR_MCYCLE)
    if CSR_PMPCFG0 <= number < CSR_PMPCFG0 + 4:
        if number & 1:  # odd ones exist on RV32 only (3.7.1)
            return False, 0
        value = 0
        for i in range(8):
            value |= ld64(h + H_PMP_CFG + 8 * (4 * (number - CSR_PMPCFG0) + i)) << 8 * i
        return True, value
    if CSR_PMPADDR0 <= number < CSR_PMPADDR0 + 16:
        return True, ld64(h + H_PMP_ADDR + 8 * (number - CSR_PMPADDR0))
    if CSR_HPMCOUNTER3 <= number < CSR_HPMCOUNTER3 + HPM_REGISTERS:
        index = number - CSR_CYCLE
        return counter_allowed(env, index), read_counter(m, h, index)
    if CSR_MHPMCOUNTER3 <= number < CSR_MHPMCOUNTER3 + HPM_REGISTERS:
        return True, read_counter(m, h, number - CSR_MCYCLE)
    if CSR_MHPMEVENT3 <= number < CSR_MHPMEVENT3 + HPM_REGISTERS:
        return True, read_event(h, number - CSR_MCOUNTINHIBIT)
    if number == CSR_MHARTID:
        return True, ld64(env + ENV_MHARTID)
    if CSR_MVENDORID <= number <= CSR_MCONFIGPTR:
        return True, 0  # not a commercial implementation (3.1.2); no configuration structure
    if number == CSR_TSELECT or CSR_TDATA1 <= number <= CSR_TDATA3:
        return True, 0  # no triggers
    place = plain(number)
    if place >= 0:
        return True, ld64(env + place)
    return False, 0


@inline
def write(m: int, h: int, env: int, number: int, value: int) -> None:
    """Write a register that `read` allowed to be read; fields that do not exist stay as they are."""
    if number == CSR_SSTATUS:
        old = ld64(env + ENV_MSTATUS)
        write_status(m, h, env, old & ~SSTATUS_WRITABLE | value & SSTATUS_WRITABLE)
    elif number == CSR_MSTATUS:
        write_status(m, h, env, value)
    elif number == CSR_MIE:
        st64(env + ENV_MIE, value & ALL_INTERRUPTS)
        attention(m)
    elif number == CSR_SIE:
        mask = ld64(env + ENV_MIDELEG)
        st64(env + ENV_MIE, ld64(env + ENV_MIE) & ~mask | value & mask)
        attention(m)
    elif number == CSR_SATP:
        write_satp(m, h, env, value)
    elif number == CSR_MIDELEG:
        st64(env + ENV_MIDELEG, value & S_INTERRUPTS)
        attention(m)
    elif number == CSR_MEDELEG:
        st64(env + ENV_MEDELEG, value & DELEGABLE)
    elif number == CSR_MTVEC:
        st64(env + ENV_MTVEC, value & ~2)
    elif number == CSR_STVEC:
        st64(env + ENV_STVEC, value & ~2)
    elif number == CSR_MEPC:
        st64(env + ENV_MEPC, value & ~1)
    elif number == CSR_SEPC:
        st64(env + ENV_SEPC, value & ~1)
    elif number == CSR_MCOUNTEREN:
        st64(env + ENV_MCOUNTEREN, value & COUNTERS)
    elif number == CSR_SCOUNTEREN:
        st64(env + ENV_SCOUNTEREN, value & COUNTERS)
    elif number == CSR_MCOUNTINHIBIT:
        write_inhibit(m, h, value)
    elif number == CSR_MENVCFG:
        st64(h + H_MENVCFG, value & 1)  # FIOM (3.1.18); no Svpbmt, no Sstc, no Zicbo*
    elif number == CSR_SENVCFG:
        st64(h + H_SENVCFG, value & 1)
    elif number == CSR_MCYCLE or number == CSR_MINSTRET:
        write_counter(m, h, number - CSR_MCYCLE, value)
    elif CSR_PMPCFG0 <= number < CSR_PMPCFG0 + 4:
        for i in range(8):
            write_config(h, 4 * (number - CSR_PMPCFG0) + i, (value >> 8 * i) & 0xFF)
        decode(h)
        flush(m)
    elif CSR_PMPADDR0 <= number < CSR_PMPADDR0 + 16:
        write_address(h, number - CSR_PMPADDR0, value)
        decode(h)
        flush(m)
    elif CSR_MHPMCOUNTER3 <= number < CSR_MHPMCOUNTER3 + HPM_COUNTERS:
        write_counter(m, h, number - CSR_MCYCLE, value)
    elif CSR_MHPMEVENT3 <= number < CSR_MHPMEVENT3 + HPM_COUNTERS:
        write_event(m, h, number - CSR_MCOUNTINHIBIT, value)
    else:
        place = plain(number)
        if place >= 0:
            st64(env + place, value)


@inline
def write_pending(m: int, h: int, env: int, number: int, value: int, mask: int) -> None:
    """mip and sip: only the software half can be written, whatever the lines read as (3.1.9, 4.1.3)."""
    if number == CSR_MIP:
        mask &= S_INTERRUPTS
    else:
        mask &= SSIP & ld64(env + ENV_MIDELEG)
    st64(h + H_MIP_SOFT, ld64(h + H_MIP_SOFT) & ~mask | value & mask)
    refresh_mip(m, h)
    attention(m)


@inline
def ours(env: int) -> int:
    """The machine block of an engine of ours, 0 for a foreign one."""
    m = ld64(env + ENV_LINK)
    if m != 0 and ld64(m + M_MAGIC) == MAGIC:
        return m
    return 0


@inline
def writes_nothing_back(m: int, env: int, number: int) -> bool:
    """Whether the instruction at pc is a CSRRS or CSRRC of `number` from a register that is not x0.

    It writes even if that register holds 0 (unprivileged specification 9.1), but the engine passes on
    only the value.
    """
    pc = ld64(env + ENV_PC)
    mode = ld64(env + ENV_PRIV)
    insn = fetch_parcel(m, env, pc, mode) | fetch_parcel(m, env, pc + 2, mode) << 16
    return insn & 0x7F == 0x73 and insn >> 20 == number and insn & 0x2000 != 0 and insn & 0xF8000 != 0


IDENTIFY = 0x643
"""htval, which our harts do not have: reading it in an engine that is being made gives its CPU state's address."""


@entry("i32(i64, i32, i64, i64, i64)")
def identify(env: int, number: int, result: int, value: int, mask: int) -> int:
    """CSR operation of IDENTIFY: the address of the CPU state; illegal in an engine of ours."""
    if ours(env):
        return -1
    st64(result, env)
    return 0


@entry("i32(i64, i32)")
def always(env: int, number: int) -> int:
    """CSR predicate of IDENTIFY."""
    return 0


@entry("i32(i64, i32)")
def allowed(env: int, number: int) -> int:
    """CSR predicate: 0 if the register may exist for this engine; `access` decides the rest."""
    if ours(env):
        return 0
    predicate = ld64(shared() + 32 * number + OP_PREDICATE)
    return call2(predicate, env, number) if predicate else -1


@entry("i32(i64, i32, i64, i64, i64)")
def access(env: int, number: int, result: int, value: int, mask: int) -> int:
    """CSR operation: read into `*result`, then write the bits `mask` of `value`; -1 is illegal."""
    m = ours(env)
    if m == 0:
        return foreign(env, number, result, value, mask)
    h = ld64(m + M_HART)
    readable, old = read(m, h, env, number)
    if not readable:
        return -1
    if mask == 0 and number >= READ_ONLY and not ld64(m + M_HOST_ACCESS) and writes_nothing_back(m, env, number):
        return -1
    if mask != 0:
        if number == CSR_MIP or number == CSR_SIP:
            write_pending(m, h, env, number, value, mask)
        else:
            write(m, h, env, number, old & ~mask | value & mask)
        trace_csr(m, env, number, old, old & ~mask | value & mask)
    st64(result, old)
    return 0


@inline
def failed(status: int) -> bool:
    """Whether a C `int` result, as a primitive call gives it (upper half undefined), is negative."""
    return status & 0x80000000 != 0


@inline
def foreign(env: int, number: int, result: int, value: int, mask: int) -> int:
    """What the engine itself would do, through the saved table entry."""
    saved = shared() + 32 * number
    combined = ld64(saved + OP_COMBINED)
    if combined:
        return call5(combined, env, number, result, value, mask)
    reader = ld64(saved + OP_READ)
    if not reader or failed(call3(reader, env, number, result)):
        return -1
    old = ld64(result)
    writer = ld64(saved + OP_WRITE)
    if mask != 0 and writer:
        if failed(call3(writer, env, number, old & ~mask | value & mask)):
            return -1
    return 0
