/* SPDX-License-Identifier: MIT */
/* Instructions that the program itself writes, with fence.i (unprivileged specification, chapter 3) and address translation. */
#include "harness.h"

#define LI_A1(value) (((value) << 20) | 0x593)      /* li a1, value */
#define RET 0x8067
#define END 0x1000

    .macro  function where, offset, value   /* at where + offset: li a1, value; ret */
    la      t0, \where
    li      t1, \offset
    add     t0, t0, t1
    li      t1, LI_A1(\value)
    sh      t1, (t0)
    srli    t1, t1, 16
    sh      t1, 2(t0)
    li      t1, RET
    sh      t1, 4(t0)
    srli    t1, t1, 16
    sh      t1, 6(t0)
    .endm

    .macro  patch where, offset, value      /* the constant alone: the upper half of the instruction */
    la      t0, \where
    li      t1, \offset + 2
    add     t0, t0, t1
    li      t1, LI_A1(\value) >> 16
    sh      t1, (t0)
    .endm

    .macro  call where, offset
    la      a0, \where
    li      t0, \offset
    add     a0, a0, t0
    jalr    a0
    .endm

    .text
    .globl program
program:
    CHECK("code that was written runs after fence.i")
    function page0, 0, 1
    fence.i
    call    page0, 0
    EXPECT(a1, 1)

    CHECK("code that was rewritten runs after fence.i")
    function page0, 0, 1
    fence.i
    call    page0, 0
    function page0, 0, 2
    fence.i
    call    page0, 0
    EXPECT(a1, 2)

    CHECK("a patch of one halfword of an instruction is seen")
    function page0, 0, 1
    fence.i
    call    page0, 0
    patch   page0, 0, 3
    fence.i
    call    page0, 0
    EXPECT(a1, 3)

    CHECK("a patch of an instruction that crosses a page is seen, either half")
    function page0, END - 2, 1
    fence.i
    call    page0, END - 2
    EXPECT(a1, 1)
    patch   page0, END - 2, 4
    fence.i
    call    page0, END - 2
    EXPECT(a1, 4)
    la      t0, page0 + END - 2
    li      t1, 0x0613                      /* li a2, 4 */
    sh      t1, (t0)
    fence.i
    li      a2, 0
    call    page0, END - 2
    EXPECT(a2, 4)

    CHECK("a thousand patches in a loop are all seen")
    function page0, 0, 0
    li      s0, 0
    li      s1, 1000
1:  slli    t0, s0, 4
    la      t1, page0 + 2
    sh      t0, (t1)
    fence.i
    call    page0, 0
    bne     a1, s0, 2f
    addi    s0, s0, 1
    blt     s0, s1, 1b
2:  EXPECT(s0, 1000)

    CHECK("code behind the store itself, in the same straight run, is seen after fence.i")
    li      t1, LI_A1(9)
    la      t0, 1f
    li      a1, 0
    sw      t1, (t0)
    fence.i
1:  li      a1, 8
    EXPECT(a1, 9)
    li      t1, LI_A1(8)
    la      t0, 1b
    sw      t1, (t0)
    fence.i

    CHECK("a page that held data becomes code")
    la      t0, page2
    li      t1, 512
1:  sd      t1, (t0)
    addi    t0, t0, 8
    addi    t1, t1, -1
    bnez    t1, 1b
    function page2, 0, 5
    fence.i
    call    page2, 0
    EXPECT(a1, 5)
    la      t0, page2 + 64                  /* and still takes data */
    sd      t0, (t0)
    ld      t1, (t0)
    EXPECT_REG(t1, t0)
    call    page2, 0
    EXPECT(a1, 5)

    CHECK("code patched through an alias that is not executable runs after fence.i")
    function page0, 0, 1
    fence.i
    MAP(0, page0, V | R | X | A | D)
    MAP(1, page0, V | R | W | A | D)
    SV39
    li      s0, TEST_VA(0)
    li      s1, TEST_VA(1) + 2
    RUN_S(patch_by_alias)
    EXPECT_M(ECALL_S, 0)
    EXPECT(a2, 1)
    EXPECT(a3, 6)
    EXPECT(a4, 7)

    CHECK("code patched in M runs in S under translation after fence.i")
    function page0, 0, 1
    fence.i
    MAP(0, page0, V | X | A)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(jump)
    EXPECT(a1, 1)
    patch   page0, 0, 2
    fence.i
    RUN_S(jump)
    EXPECT(a1, 2)

    CHECK("one page at two virtual addresses runs the same code")
    function page0, 0, 1
    fence.i
    MAP(0, page0, V | X | A)
    MAP(1, page0, V | X | A)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(jump)
    li      a0, TEST_VA(1)
    RUN_S(jump)
    patch   page0, 0, 3
    fence.i
    li      a0, TEST_VA(1)
    RUN_S(jump)
    EXPECT(a1, 3)
    li      a1, 0
    li      a0, TEST_VA(0)
    RUN_S(jump)
    EXPECT(a1, 3)

    CHECK("an AMO and an SC write code, too")
    function page0, 0, 1
    fence.i
    call    page0, 0
    la      a0, page0
    li      t0, LI_A1(4)
    amoswap.w t1, t0, (a0)
    fence.i
    call    page0, 0
    EXPECT(a1, 4)
    la      a0, page0
    li      t0, LI_A1(5)
    lr.w    t1, (a0)
    sc.w    t1, t0, (a0)
    fence.i
    call    page0, 0
    EXPECT(a1, 5)

    CHECK("a floating-point store writes code, too")
    SET_BITS(mstatus, FS_INITIAL)
    function page0, 0, 1
    fence.i
    call    page0, 0
    li      t0, LI_A1(6)
    fmv.w.x fa0, t0
    la      a0, page0
    fsw     fa0, (a0)
    fence.i
    call    page0, 0
    EXPECT(a1, 6)

    CHECK("a misaligned store across two code pages changes both")
    function page0, END - 8, 1
    function page1, 0, 2
    fence.i
    call    page0, END - 8
    call    page1, 0
    la      t0, page0 + END - 4             /* the ret of the first, and the start of the second */
    li      t1, 0x0030059300000013         /* nop; li a1, 3: falls into the second page */
    sd      t1, (t0)
    fence.i
    call    page0, END - 8
    EXPECT(a1, 3)

    CHECK("fence.i with reserved fields set is a fence.i")
    function page0, 0, 1
    fence.i
    call    page0, 0
    patch   page0, 0, 2
    .word   0x0ff5150f                      /* fence.i with imm, rs1 and rd not zero */
    call    page0, 0
    EXPECT(a1, 2)

    FINISH

jump:
    jalr    a0
    ecall
patch_by_alias:
    jalr    s0
    mv      a2, a1
    li      t0, LI_A1(6) >> 16
    sh      t0, (s1)
    fence.i
    jalr    s0
    mv      a3, a1
    li      t0, LI_A1(7) >> 16
    sh      t0, (s1)
    fence.i
    jalr    s0
    mv      a4, a1
    ecall
