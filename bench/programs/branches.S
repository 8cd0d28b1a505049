/* SPDX-License-Identifier: MIT */
/*
 * Short blocks: branches that a generator decides, calls, returns and a jump through a register. 4 million rounds of 13 to 22
 * instructions.
 */
#include "finish.h"
    .globl _start
_start:
    li      s0, 4000000
    li      a0, 88172645463325252
    la      s1, odd
1:  slli    t0, a0, 13
    xor     a0, a0, t0
    srli    t0, a0, 7
    xor     a0, a0, t0
    andi    t1, a0, 1
    beqz    t1, 2f
    addi    a1, a1, 1
2:  andi    t1, a0, 6
    bnez    t1, 3f
    addi    a2, a2, 3
    j       4f
3:  call    even
4:  andi    t1, a0, 8
    beqz    t1, 5f
    jalr    s1
5:  addi    s0, s0, -1
    bnez    s0, 1b
    finish

even:
    andi    t2, a0, 16
    beqz    t2, 6f
    sub     a3, a3, a1
6:  ret
odd:
    add     a4, a4, a2
    ret
