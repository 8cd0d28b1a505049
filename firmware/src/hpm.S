/* SPDX-License-Identifier: MIT */
/*
 * Counters and event selectors by number (hpm.h). A CSR's number is part of the instruction, so there is one for each.
 * Cases are 8 or 16 bytes long, so that a case's number times its length is its distance.
 */
#define MHPMEVENT 0x320                 /* counter n's is 0x320 + n */
#define MCYCLE 0xb00                    /* counter n is 0xb00 + n */
#define PROBE 0x400                     /* what is written to find out whether a counter holds anything */

    .option norvc

    .text
    .globl hpm_swap
hpm_swap:                               /* a0 = counter, a1 = new value; returns a0 = old value */
    slli    a0, a0, 3
    la      t0, 1f
    add     t0, t0, a0
    jr      t0
1:
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    csrrw   a0, MCYCLE + \n, a1
    ret
    .endr

    .globl hpm_select
hpm_select:                             /* a0 = counter, a1 = selector; returns a0 = the selector that there is then */
    slli    a0, a0, 4
    la      t0, 1f
    add     t0, t0, a0
    jr      t0
1:
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    csrw    MHPMEVENT + \n, a1
    csrr    a0, MHPMEVENT + \n
    ret
    nop
    .endr

/*
 * A counter that does not exist traps, or is always 0. While this runs, an access that traps is skipped and its result is 0,
 * at the cost of mepc, mcause, mtval and mstatus.{MPP,MPIE}.
 */
    .globl hpm_probe
hpm_probe:                              /* returns a0 = set of counters */
    mv      t1, ra
    la      t2, skip
    csrrw   t2, mtvec, t2
    li      t3, 0
    li      t4, 31
1:  mv      a0, t4
    li      a1, PROBE
    jal     hpm_swap
    mv      a0, t4
    li      a1, 0
    jal     hpm_swap
    snez    a0, a0
    sll     a0, a0, t4
    or      t3, t3, a0
    addi    t4, t4, -1
    li      a0, 3
    bgeu    t4, a0, 1b
    csrw    mtvec, t2
    mv      a0, t3
    jr      t1

    .balign 4
skip:
    csrr    a0, mepc
    addi    a0, a0, 4
    csrw    mepc, a0
    li      a0, 0
    mret
