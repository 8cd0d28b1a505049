/* SPDX-License-Identifier: MIT */
/*
 * Reset. Every hart of the machine arrives here at the same time, in M-mode, with
 *
 *     a0 = hart id      a1 = device tree      a2 = struct fw_dynamic_info, if the boot ROM has one
 *
 * One hart boots the machine (boot.c); it is the one that fw_dynamic_info names, or else the first to swap the lottery
 * word. The others wait here, without a stack, until it is done, and then park themselves (sbi_hsm.c).
 */
#include "csr.h"
#include "dynamic_info.h"
#include "hart.h"

    .section .entry, "ax"
    .globl _start
_start:
    csrw    mie, zero
    csrci   mstatus, MSTATUS_MIE
    mv      s0, a0
    mv      s1, a1
    mv      s2, a2
    li      t0, MAX_HARTS
    bgeu    s0, t0, sleep_for_ever

    li      t0, 1
    sll     t0, t0, s0
    la      t1, harts_arrived
    amoor.w zero, t0, (t1)

    /* s3 = the hart that is to boot. a2 may be anything if no boot ROM of that kind was there: survive reading it. */
    la      t0, no_dynamic_info
    csrw    mtvec, t0
    li      t0, DYNAMIC_INFO_MAGIC
    ld      t1, DYNAMIC_INFO_MAGIC_OFFSET(s2)
    bne     t0, t1, no_dynamic_info
    li      s3, -1
    ld      t1, DYNAMIC_INFO_VERSION_OFFSET(s2)
    li      t0, 2
    bltu    t1, t0, choose
    ld      s3, DYNAMIC_INFO_BOOT_HART_OFFSET(s2)
    j       choose

    .balign 4
no_dynamic_info:
    li      s2, 0
    li      s3, -1

choose:
    la      t0, stray_trap
    csrw    mtvec, t0
    li      t0, MAX_HARTS
    bgeu    s3, t0, lottery
    beq     s3, s0, boot
    j       wait
lottery:
    la      t0, boot_lottery
    li      t1, 1
    amoswap.w.aq t1, t1, (t0)
    bnez    t1, wait

boot:
    la      t0, _bss_start
    la      t1, _bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, (t0)
    addi    t0, t0, 8
    j       1b
2:  call    set_up_stack
    mv      a0, s0
    mv      a1, s1
    mv      a2, s2
    call    boot_main

wait:
    li      t0, MIP_MSIP
    csrw    mie, t0
1:  lw      t0, boot_done
    fence   r, rw
    bnez    t0, 2f
    wfi
    j       1b
2:  call    set_up_stack
    call    boot_secondary

    .balign 4
stray_trap:                         /* a trap before there is a stack to report it from */
sleep_for_ever:
    csrw    mie, zero
1:  wfi
    j       1b

/* s0 = hart id. Makes tp and mscratch point to the hart's state, and sp to the top of its stack. Clobbers t0, t1. */
set_up_stack:
    la      tp, harts
    li      t0, HART_STRUCT_SIZE
    mul     t0, t0, s0
    add     tp, tp, t0
    csrw    mscratch, tp
    la      sp, hart_stacks
    li      t0, HART_STACK_SIZE
    addi    t1, s0, 1
    mul     t0, t0, t1
    add     sp, sp, t0
    ret

/* Not in .bss: they are in use before .bss is cleared. */
    .section .data
    .balign 4
    .globl harts_arrived, boot_done
harts_arrived:  .word 0             /* bit n: hart n has come out of reset */
boot_lottery:   .word 0
boot_done:      .word 0             /* set by boot_main when `harts` and the platform can be used by all */
