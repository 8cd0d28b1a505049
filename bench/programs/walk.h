/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores mixed, over and over a buffer of `size` bytes: 4 loads and 3 stores in a round of 16 instructions, which
 * takes one line of 64 bytes. `rounds` rounds in all, a multiple of the lines in the buffer.
 */
    .macro walk size, rounds
    .globl _start
_start:
    li      s0, \rounds / (\size / 64)
    la      s1, buffer
    li      s2, \size
    add     s2, s2, s1
1:  mv      a0, s1
2:  ld      t0, 0(a0)
    ld      t1, 8(a0)
    lw      t2, 16(a0)
    lbu     t3, 24(a0)
    add     t0, t0, t1
    sd      t0, 32(a0)
    xor     t1, t1, t2
    sw      t1, 40(a0)
    add     t2, t2, t3
    srli    t3, t0, 7
    sb      t2, 24(a0)
    add     s3, s3, t3
    addi    t4, s3, 1
    or      s4, s4, t4
    addi    a0, a0, 64
    bltu    a0, s2, 2b
    addi    s0, s0, -1
    bnez    s0, 1b
    finish
    .bss
    .balign 4096
buffer:
    .space  \size
    .endm
