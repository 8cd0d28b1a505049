/* SPDX-License-Identifier: MIT */
/* Arithmetic in registers only: a xorshift generator, its sums and products. 20 million rounds of 13 instructions. */
#include "finish.h"
    .globl _start
_start:
    li      s0, 20000000
    li      a0, 88172645463325252
1:  slli    t0, a0, 13
    xor     a0, a0, t0
    srli    t0, a0, 7
    xor     a0, a0, t0
    slli    t0, a0, 17
    xor     a0, a0, t0
    add     a1, a1, a0
    mul     a2, a2, a0
    sub     a3, a3, a1
    and     a4, a2, a3
    or      a5, a5, a4
    addi    s0, s0, -1
    bnez    s0, 1b
    finish
