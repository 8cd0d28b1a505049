/* SPDX-License-Identifier: MIT */
/*
 * Computing into memory: 8 results stored for 3 words loaded, over and over a buffer of 64 KiB. 1500 passes of 2048 rounds,
 * 20 instructions each.
 */
#include "finish.h"
    .globl _start
_start:
    li      s0, 1500
    la      s1, buffer
1:  mv      a0, s1
    li      a1, 2048
2:  ld      t0, 0(a0)
    ld      t1, 8(a0)
    ld      t2, 16(a0)
    add     t3, t0, t1
    xor     t4, t1, t2
    add     t5, t3, a1
    sd      t3, 0(a0)
    sd      t4, 8(a0)
    sd      t5, 16(a0)
    sw      t3, 24(a0)
    sw      t4, 28(a0)
    sh      t5, 24(a0)
    sb      t3, 27(a0)
    sd      t4, 16(a0)
    slli    t6, t4, 3
    sub     s2, s2, t6
    or      s3, s3, s2
    addi    a0, a0, 32
    addi    a1, a1, -1
    bnez    a1, 2b
    addi    s0, s0, -1
    bnez    s0, 1b
    finish
    .bss
    .balign 4096
buffer:
    .space  65536
