/* SPDX-License-Identifier: MIT */
/*
 * Locked PMP entries (privileged specification 3.7.1). A lock holds until reset, so each check takes entries of its own from 8
 * on, and entry 0, which opens everything, is off while a check makes sure of a lock in M-mode.
 */
#include "harness.h"

#define LOCK 0x80
#define TOR 8
#define NAPOT 24
#define END 0x1000

    .macro  pmp_napot number, label, size
    la      t5, \label
    li      t6, \size / 2 - 1
    or      t5, t5, t6
    srli    t5, t5, 2
    csrw    pmpaddr\number, t5
    .endm

#define CONFIG2(entry, value) SET_BITS(pmpcfg2, (value) << (8 * ((entry) - 8)))

    .text
    .globl program
program:
    CHECK("a locked entry binds M-mode")
    pmp_napot 8, page0, END
    CONFIG2(8, LOCK | NAPOT | 1)
    csrw    pmpcfg0, zero
    sfence.vma
    la      a0, page0
    ld      a1, (a0)
    TRY(sd a1, (a0))
    EXPECT_M(STORE_ACCESS, page0)
    la      t0, 1f
    TRY(jalr a0)
1:  EXPECT_M(FETCH_ACCESS, page0)

    CHECK("memory that no locked entry matches stays M-mode's")
    csrw    pmpcfg0, zero
    sfence.vma
    la      a0, page1
    ld      a1, (a0)
    sd      a1, (a0)

    CHECK("the configuration of a locked entry cannot be changed")
    csrw    pmpcfg2, zero
    csrr    t0, pmpcfg2
    EXPECT(t0, LOCK | NAPOT | 1)

    CHECK("the address of a locked entry cannot be changed")
    csrr    t0, pmpaddr8
    csrw    pmpaddr8, zero
    csrr    t1, pmpaddr8
    EXPECT_REG(t0, t1)

    CHECK("the address below a locked TOR entry cannot be changed")
    la      t0, page2
    srli    t0, t0, 2
    csrw    pmpaddr10, t0
    csrw    pmpaddr11, t0
    CONFIG2(11, LOCK | TOR)
    csrw    pmpaddr10, zero
    csrr    t1, pmpaddr10
    EXPECT_REG(t0, t1)

    CHECK("the configuration below a locked TOR entry can be changed")
    CONFIG2(10, 3)
    csrr    t0, pmpcfg2
    srli    t0, t0, 16
    andi    t0, t0, 0xff
    EXPECT(t0, 3)
    csrr    t0, pmpcfg2
    li      t1, 0xff0000
    not     t1, t1
    and     t0, t0, t1
    csrw    pmpcfg2, t0

    CHECK("a locked entry that is off locks itself and matches nothing")
    pmp_napot 13, page1, END
    CONFIG2(13, LOCK)
    csrw    pmpcfg0, zero
    sfence.vma
    la      a0, page1
    sd      a0, (a0)
    csrr    t0, pmpaddr13
    csrw    pmpaddr13, zero
    csrr    t1, pmpaddr13
    EXPECT_REG(t0, t1)

    CHECK("an unlocked entry above decides for M-mode before the lock")
    la      a0, page0                       /* entry 0 opens everything */
    sfence.vma
    sd      a0, (a0)

    CHECK("a locked entry binds part of a page in M-mode")
    pmp_napot 14, (page3 + 0x100), 8
    CONFIG2(14, LOCK | NAPOT | 1)
    csrw    pmpcfg0, zero
    sfence.vma
    la      a0, page3
    sd      a0, 0xf8(a0)
    sd      a0, 0x108(a0)
    ld      a1, 0x100(a0)
    TRY(sd a0, 0x100(a0))
    EXPECT_M(STORE_ACCESS, page3 + 0x100)
    TRY(sd a0, 0xfc(a0))
    EXPECT_M(STORE_ACCESS, page3 + 0xfc)

    CHECK("under MPRV the locked entry is checked as for MPP")
    csrw    pmpcfg0, zero
    sfence.vma
    la      a0, page0
    SET_BITS(mstatus, MPRV | MPP_S)
    ld      a1, (a0)
    TRY(sd a1, (a0))
    EXPECT_M(STORE_ACCESS, page0)

    FINISH
