/* SPDX-License-Identifier: MIT */
/* Round trips: ecall from U-mode to M-mode and mret back. One million, 6 instructions each with the handler's. */
#include "finish.h"
    .globl _start
_start:
    la      t0, handler
    csrw    mtvec, t0
    li      t0, -1                  /* one PMP entry that allows everything */
    csrw    pmpaddr0, t0
    li      t0, 0x1f
    csrw    pmpcfg0, t0
    la      t0, user
    csrw    mepc, t0
    li      s0, 1000000
    mret                            /* MPP is U after reset */
user:
1:  ecall
    addi    s0, s0, -1
    bnez    s0, 1b
    finish

    .balign 4
handler:
    csrr    t0, mepc
    addi    t0, t0, 4
    csrw    mepc, t0
    mret
