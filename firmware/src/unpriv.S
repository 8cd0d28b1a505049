/* SPDX-License-Identifier: MIT */
/*
 * Memory accesses that may fault. While one runs, mtvec points to access_fault below, which makes the access return with
 * the trap's cause instead of bringing the firmware down. With MPRV in `mstatus` the access is made with the privilege
 * in MPP and through the supervisor's page table, so the same code reads a user's instruction or stores for a kernel.
 *
 *   uint64_t unpriv_load8(uint64_t addr, uint64_t mstatus, struct trap_info *fault)
 *   void unpriv_store8(uint64_t addr, uint64_t value, uint64_t mstatus, struct trap_info *fault)
 *   uint64_t unpriv_load64(uint64_t addr, uint64_t mstatus, struct trap_info *fault)    (addr must be aligned)
 *
 * fault->cause is NO_FAULT if all went well. A fault overwrites mepc, mcause and mtval: handlers work on their frame.
 */
#include "unpriv.h"

    .text
    .macro  guarded_access name, instruction, value, status, fault
    .globl  \name
\name:
    mv      t3, \fault
    la      t1, access_fault
    csrrw   t1, mtvec, t1
    csrrw   t0, mstatus, \status
    \instruction \value, (a0)
    csrw    mstatus, t0
    csrw    mtvec, t1
    li      t2, NO_FAULT
    sd      t2, 0(t3)
    mv      a0, \value
    ret
    .endm

    guarded_access unpriv_load8, lbu, a4, a1, a2
    guarded_access unpriv_load64, ld, a4, a1, a2
    guarded_access unpriv_store8, sb, a1, a2, a3

    .balign 4
access_fault:                       /* MPP is M now, so MPRV does no harm before mstatus is restored */
    csrw    mstatus, t0
    csrw    mtvec, t1
    csrr    t2, mcause
    sd      t2, 0(t3)
    csrr    t2, mtval
    sd      t2, 8(t3)
    li      a0, 0
    ret
