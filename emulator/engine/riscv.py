"""Numbers of the RISC-V privileged architecture that native code uses.

Source: The RISC-V Instruction Set Manual, Volume II: Privileged Architecture, version 20211203
(ratified 1.12), chapters 2-4.
"""

from __future__ import annotations

from typing import Final

PRV_U: Final = 0
PRV_S: Final = 1
PRV_M: Final = 3

# mstatus (3.1.6)
SIE: Final = 1 << 1
MIE: Final = 1 << 3
SPIE: Final = 1 << 5
MPIE: Final = 1 << 7
SPP: Final = 1 << 8
MPP_SHIFT: Final = 11
MPP: Final = 3 << 11
FS: Final = 3 << 13
MPRV: Final = 1 << 17
SUM: Final = 1 << 18
MXR: Final = 1 << 19
TVM: Final = 1 << 20
TW: Final = 1 << 21
TSR: Final = 1 << 22
UXL_64: Final = 2 << 32
SXL_64: Final = 2 << 34
SD: Final = -(1 << 63)

MSTATUS_WRITABLE: Final = (SIE | MIE | SPIE | MPIE | SPP | MPP | FS | MPRV | SUM | MXR | TVM | TW | TSR)
SSTATUS_WRITABLE: Final = SIE | SPIE | SPP | FS | SUM | MXR

# interrupts (3.1.9), by bit of mip
SSIP: Final = 1 << 1
MSIP: Final = 1 << 3
STIP: Final = 1 << 5
MTIP: Final = 1 << 7
SEIP: Final = 1 << 9
MEIP: Final = 1 << 11
S_INTERRUPTS: Final = SSIP | STIP | SEIP
ALL_INTERRUPTS: Final = S_INTERRUPTS | MSIP | MTIP | MEIP

# exceptions (3.1.15)
FETCH_MISALIGNED: Final = 0
FETCH_ACCESS: Final = 1
ILLEGAL: Final = 2
BREAKPOINT: Final = 3
LOAD_MISALIGNED: Final = 4
LOAD_ACCESS: Final = 5
STORE_ACCESS: Final = 7
ECALL_U: Final = 8
ECALL_M: Final = 11
FETCH_PAGE: Final = 12
LOAD_PAGE: Final = 13
STORE_PAGE: Final = 15
DELEGABLE: Final = 0xB3FF  # all but ecall from M (11), and 10 and 14, which are reserved

# page-table entries (4.3.1)
PTE_V: Final = 1
PTE_R: Final = 2
PTE_W: Final = 4
PTE_X: Final = 8
PTE_U: Final = 16
PTE_A: Final = 64
PTE_D: Final = 128
SATP_PPN: Final = (1 << 44) - 1
SATP_MODE_SHIFT: Final = 60
SATP_SV39: Final = 8
SATP_MODES: Final = {"sv39": SATP_SV39, "sv48": 9, "sv57": 10}

# CSR numbers (table 2.2 ff.)
CSR_SSTATUS: Final = 0x100
CSR_SIE: Final = 0x104
CSR_STVEC: Final = 0x105
CSR_SCOUNTEREN: Final = 0x106
CSR_SENVCFG: Final = 0x10A
CSR_SSCRATCH: Final = 0x140
CSR_SEPC: Final = 0x141
CSR_SCAUSE: Final = 0x142
CSR_STVAL: Final = 0x143
CSR_SIP: Final = 0x144
CSR_SATP: Final = 0x180
CSR_MSTATUS: Final = 0x300
CSR_MISA: Final = 0x301
CSR_MEDELEG: Final = 0x302
CSR_MIDELEG: Final = 0x303
CSR_MIE: Final = 0x304
CSR_MTVEC: Final = 0x305
CSR_MCOUNTEREN: Final = 0x306
CSR_MENVCFG: Final = 0x30A
CSR_MCOUNTINHIBIT: Final = 0x320
CSR_MHPMEVENT3: Final = 0x323
CSR_MSCRATCH: Final = 0x340
CSR_MEPC: Final = 0x341
CSR_MCAUSE: Final = 0x342
CSR_MTVAL: Final = 0x343
CSR_MIP: Final = 0x344
CSR_PMPCFG0: Final = 0x3A0
CSR_PMPADDR0: Final = 0x3B0
CSR_TSELECT: Final = 0x7A0
CSR_TDATA1: Final = 0x7A1
CSR_TDATA3: Final = 0x7A3
CSR_MCYCLE: Final = 0xB00
CSR_MINSTRET: Final = 0xB02
CSR_MHPMCOUNTER3: Final = 0xB03
CSR_CYCLE: Final = 0xC00
CSR_TIME: Final = 0xC01
CSR_INSTRET: Final = 0xC02
CSR_HPMCOUNTER3: Final = 0xC03
CSR_MVENDORID: Final = 0xF11
CSR_MHARTID: Final = 0xF14
CSR_MCONFIGPTR: Final = 0xF15

HPM_COUNTERS: Final = 16
"""Programmable counters: mhpmcounter3 … mhpmcounter18."""
HPM_REGISTERS: Final = 29
"""mhpmcounter3 … mhpmcounter31, and their events: those of counters that do not exist are read-only 0."""
COUNTERS: Final = (1 << (3 + HPM_COUNTERS)) - 1
"""Bits of mcounteren and scounteren that exist: cycle, time, instret and the programmable ones."""
