/* SPDX-License-Identifier: MIT */
/*
 * Code that hart 0 writes and hart 1 runs, and the other way round: `turn` says who writes. The writer patches the constant of
 * each of 64 functions, some of which cross a page, and hands over; the reader executes fence.i, calls them all, and becomes the
 * writer. Exit code: 0 if every call gave what the other hart had written, 1 otherwise.
 */
#define FINISHER 0x100000
#define FUNCTIONS 64
#define STRIDE 130
#define ROUNDS 200
#define LI_A0 0x513
#define RET 0x8067

    .option norvc
    .section .entry, "ax"
    .globl _start
_start:
    csrr    s0, mhartid
    li      t0, 1
    bgtu    s0, t0, sleep
    li      s1, 0                           /* the round */
    li      s2, ROUNDS
    la      s3, turn
    beqz    s0, write                       /* hart 0 begins */

read:
    ld      t0, (s3)                        /* turn: the rounds written */
    ble     t0, s1, read
    fence
    fence.i
    la      s5, code
    li      s6, FUNCTIONS
    slli    s7, s1, 2
1:  jalr    s5
    andi    t0, s7, 0x7ff
    bne     a0, t0, wrong
    addi    s5, s5, STRIDE
    addi    s7, s7, 1
    addi    s6, s6, -1
    bnez    s6, 1b
    addi    s1, s1, 1
    beq     s1, s2, right
write:
    la      s5, code
    li      s6, FUNCTIONS
    slli    s7, s1, 2
1:  andi    t0, s7, 0x7ff
    slli    t0, t0, 20
    ori     t0, t0, LI_A0
    sh      t0, 0(s5)
    srli    t0, t0, 16
    sh      t0, 2(s5)
    li      t0, RET
    sh      t0, 4(s5)
    sh      zero, 6(s5)
    addi    s5, s5, STRIDE
    addi    s7, s7, 1
    addi    s6, s6, -1
    bnez    s6, 1b
    fence
    addi    s1, s1, 1
    sd      s1, (s3)
    bne     s1, s2, read
sleep:
    wfi
    j       sleep

right:
    li      t1, 0x5555
    j       1f
wrong:
    li      t1, 0x13333
1:  li      t0, FINISHER
    sw      t1, (t0)
    j       sleep

    .bss
    .balign 8
turn:   .quad 0
    .balign 4096
code:   .fill 4 * 4096, 1, 0
