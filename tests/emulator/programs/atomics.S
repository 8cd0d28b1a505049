/* SPDX-License-Identifier: MIT */
/* LR, SC and the AMOs (unprivileged specification, chapter 8). */
#include "harness.h"

/* One AMO on memory word `old` with operand `value`: what rd and memory are afterwards. */
    .macro  amo_ line, op, old, value, new, size, load
    la      a0, page0
    literal_ t0, \old
    sd      t0, (a0)
    literal_ t1, \value
    \op     a1, t1, (a0)
    \load   a2, (a0)
    expect_ \line, a2, \new
    .endm
#define AMO_D(op, old, value, new) amo_ __LINE__, op, old, value, new, d, ld; EXPECT(a1, old)
#define AMO_W(op, old, value, new) amo_ __LINE__, op, old, value, new, w, lw; EXPECT(a1, old)

    .text
    .globl program
program:
    CHECK("the nine AMOs on doublewords")
    AMO_D(amoswap.d, 5, 9, 9)
    AMO_D(amoadd.d, -1, 2, 1)
    AMO_D(amoxor.d, 0xff, 0x0f, 0xf0)
    AMO_D(amoand.d, 0xff, 0x1ee, 0xee)
    AMO_D(amoor.d, 0xf0, 0x0f, 0xff)
    AMO_D(amomin.d, -1, 1, -1)
    AMO_D(amomin.d, 1, -1, -1)
    AMO_D(amomax.d, -1, 1, 1)
    AMO_D(amominu.d, -1, 1, 1)
    AMO_D(amomaxu.d, -1, 1, -1)
    AMO_D(amomin.d, 0x8000000000000000, 0x7fffffffffffffff, 0x8000000000000000)

    CHECK("the nine AMOs on words extend the sign of what they give")
    AMO_W(amoswap.w, -5, 9, 9)
    AMO_W(amoadd.w, -1, 2, 1)
    AMO_W(amoxor.w, -1, 0x0f, 0xfffffffffffffff0)
    AMO_W(amoand.w, -1, 0x1ee, 0x1ee)
    AMO_W(amoor.w, 0xf0, 0x0f, 0xff)
    AMO_W(amomin.w, -1, 1, -1)
    AMO_W(amomax.w, -1, 1, 1)
    AMO_W(amominu.w, -1, 1, 1)
    AMO_W(amomaxu.w, -1, 1, -1)
    AMO_W(amomax.w, 0x7fffffff, -0x80000000, 0x7fffffff)

    CHECK("a word AMO looks at the low half of its operand only")
    AMO_W(amomin.w, 5, 0xffffffff00000004, 4)
    AMO_W(amomaxu.w, 5, 0xffffffff00000004, 5)
    AMO_W(amomax.w, -1, 0x00000000fffffffe, -1)

    CHECK("a word AMO leaves the word beside it alone")
    la      a0, page0
    li      t0, -1
    sd      t0, (a0)
    amoswap.w a1, zero, (a0)
    ld      a1, (a0)
    EXPECT(a1, 0xffffffff00000000)
    addi    a0, a0, 4
    amoswap.w a1, zero, (a0)
    EXPECT(a1, -1)

    CHECK("rd may be x0, the operand or the address")
    la      a0, page0
    li      t0, 7
    sd      t0, (a0)
    amoadd.d zero, t0, (a0)
    ld      t1, (a0)
    EXPECT(t1, 14)
    amoadd.d t0, t0, (a0)
    EXPECT(t0, 14)
    ld      t1, (a0)
    EXPECT(t1, 21)
    mv      a1, a0
    amoadd.d a1, zero, (a1)
    EXPECT(a1, 21)

    CHECK("SC after LR stores and gives 0")
    la      a0, page0
    li      t0, 1
    sd      t0, (a0)
    lr.d    t1, (a0)
    addi    t1, t1, 1
    sc.d    t2, t1, (a0)
    EXPECT(t2, 0)
    ld      t1, (a0)
    EXPECT(t1, 2)

    CHECK("SC without LR stores nothing and does not give 0")
    la      a0, page0
    sd      zero, (a0)
    lr.d    t1, (a0)
    sc.d    t1, zero, (a0)                  /* ends any reservation */
    li      t0, 5
    sc.d    t2, t0, (a0)
    snez    t2, t2
    EXPECT(t2, 1)
    ld      t1, (a0)
    EXPECT(t1, 0)

    CHECK("a failed SC ends the reservation, too")
    la      a0, page0
    sd      zero, (a0)
    la      a1, page1
    lr.d    t1, (a0)
    li      t0, 5
    sc.d    t2, t0, (a1)
    snez    t2, t2
    EXPECT(t2, 1)
    sc.d    t2, t0, (a0)
    snez    t2, t2
    EXPECT(t2, 1)
    ld      t1, (a0)
    EXPECT(t1, 0)

    CHECK("LR.W and SC.W work on words and extend the sign")
    la      a0, page0
    li      t0, 0x1234567880000000
    sd      t0, (a0)
    lr.w    t1, (a0)
    EXPECT(t1, 0xffffffff80000000)
    li      t0, 6
    sc.w    t2, t0, (a0)
    EXPECT(t2, 0)
    ld      t1, (a0)
    EXPECT(t1, 0x1234567800000006)

    CHECK("SC.W may have rd equal to its operand")
    la      a0, page0
    lr.w    t1, (a0)
    li      t0, 6
    sc.w    t0, t0, (a0)
    EXPECT(t0, 0)
    lw      t1, (a0)
    EXPECT(t1, 6)

    CHECK("a constrained LR/SC loop of ten instructions ends")
    la      a0, page0
    sd      zero, (a0)
    li      a1, 1000
1:  lr.d    t0, (a0)
    addi    t0, t0, 1
    xori    t1, t0, 1
    xori    t1, t1, 1
    sc.d    t2, t1, (a0)
    bnez    t2, 1b
    addi    a1, a1, -1
    bnez    a1, 1b
    ld      t0, (a0)
    EXPECT(t0, 1000)

    CHECK("AMOs with aq and rl do the same")
    la      a0, page0
    li      t0, 3
    sd      t0, (a0)
    amoadd.d.aq t1, t0, (a0)
    amoadd.d.rl t1, t0, (a0)
    amoadd.d.aqrl t1, t0, (a0)
    EXPECT(t1, 9)
    lr.d.aqrl t1, (a0)
    sc.d.aqrl t2, t0, (a0)
    EXPECT(t2, 0)

    CHECK("LR with rs2 not zero is illegal")
    la      a0, page0
    TRY(.word 0x1015352f + (1 << 20))
    EXPECT_AT(record_m, CAUSE, ILLEGAL)

    CHECK("a misaligned SC that holds no reservation fails or faults, and stores nothing")
    la      a0, page0
    sd      zero, (a0)
    addi    a0, a0, 4
    li      t0, -1
    la      s9, 1f
    sc.d    t1, t0, (a0)
    .balign 4
1:  la      s9, unexpected_trap
    ld      t0, page0
    EXPECT(t0, 0)

    FINISH
