/* SPDX-License-Identifier: MIT */
/*
 * Start of a test program: in M-mode at 0x80000000, in the firmware's place and linked with all of its parts but the entry
 * and boot. Hart 0 runs test_main(device tree), the others sleep.
 */
#include "hart.h"

    .section .entry, "ax"
    .globl _start
_start:
    csrw    mie, zero
    csrr    s0, mhartid
    bnez    s0, sleep
    mv      s1, a1
    la      t0, _bss_start
    la      t1, _bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, (t0)
    addi    t0, t0, 8
    j       1b
2:  la      tp, harts
    csrw    mscratch, tp
    la      sp, hart_stacks + MAX_HARTS * HART_STACK_SIZE     /* hart 0 alone: all of the stacks but the first */
    mv      a0, s1
    call    test_main
sleep:
    wfi
    j       sleep

    .section .data
    .balign 4
    .globl harts_arrived, boot_done
harts_arrived:  .word 1
boot_done:      .word 0
