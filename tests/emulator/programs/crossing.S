/* SPDX-License-Identifier: MIT */
/* Accesses and instructions that cross a page boundary, and faults in the middle of straight code (3.1.14 to 3.1.16, 4.1.7 to 4.1.9). */
#include "harness.h"

#define END 0x1000                          /* of page 0 */

    .macro  code address, value, size       /* write instruction bytes through M-mode */
    la      t0, \address
    li      t1, \value
    s\size  t1, (t0)
    .endm

    .text
    .globl program
program:
    CHECK("misaligned loads and stores in a page work")
    la      t0, page0
    li      t1, 0x1122334455667788
    sd      t1, 1(t0)
    ld      t2, 1(t0)
    lw      t3, 3(t0)
    lhu     t4, 7(t0)
    EXPECT_REG(t1, t2)
    EXPECT(t3, 0x33445566)
    EXPECT(t4, 0x1122)

    CHECK("misaligned loads and stores across two mapped pages work")
    MAP(0, page0, RWXAD)
    MAP(1, page2, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 3
    li      a2, 0x1122334455667788
    RUN_S(store_load)
    EXPECT_M(ECALL_S, 0)
    EXPECT_REG(a2, a1)
    lbu     t0, page0 + END - 1
    EXPECT(t0, 0x66)
    lbu     t0, page2
    EXPECT(t0, 0x55)

    CHECK("a load into an unmapped second page faults with that page's address")
    MAP(0, page0, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 4
    li      a1, 99
    RUN_S(load_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(1))
    EXPECT_M_EPC(load_a0)
    EXPECT(a1, 99)

    CHECK("a load from an unmapped first page faults with its own address")
    MAP(1, page0, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 4
    RUN_S(load_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(0) + END - 4)

    CHECK("a store into an unmapped second page faults with that page's address and stores nothing")
    MAP(0, page0, RWXAD)
    SV39
    sd      zero, page0 + END - 8, t0
    li      a0, TEST_VA(0) + END - 4
    li      a2, -1
    RUN_S(store_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(1))
    EXPECT_M_EPC(store_a0)
    ld      t0, page0 + END - 8
    EXPECT(t0, 0)

    CHECK("a store into a read-only second page stores nothing")
    MAP(0, page0, RWXAD)
    MAP(1, page1, V | R | A | D)
    SV39
    sd      zero, page0 + END - 8, t0
    li      a0, TEST_VA(0) + END - 4
    li      a2, -1
    RUN_S(store_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(1))
    ld      t0, page0 + END - 8
    EXPECT(t0, 0)

    CHECK("a store from an unmapped first page faults with its own address and stores nothing")
    MAP(1, page0, RWXAD)
    SV39
    sd      zero, page0, t0
    li      a0, TEST_VA(0) + END - 4
    li      a2, -1
    RUN_S(store_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(0) + END - 4)
    ld      t0, page0
    EXPECT(t0, 0)

    CHECK("a load across the end of RAM faults at the end")
    li      a0, 0x87fffffc
    TRY(ld a1, (a0))
    EXPECT_M(LOAD_ACCESS, 0x88000000)

    CHECK("a store across the end of RAM faults at the end")
    li      a0, 0x87fffffc
    TRY(sd a1, (a0))
    EXPECT_M(STORE_ACCESS, 0x88000000)

    CHECK("a load into a second page that lies in a hole faults with the virtual address")
    MAP(0, page0, RWXAD)
    MAP_CONSTANT(leaves, 1, (HOLE >> 2) | RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 4
    RUN_S(load_a0)
    EXPECT_M(LOAD_ACCESS, TEST_VA(1))

    CHECK("a floating-point load and store fault alike")
    SET_BITS(mstatus, FS)
    MAP(0, page0, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 4
    RUN_S(fload_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(1))
    RUN_S(fstore_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(1))

    CHECK("an instruction across two mapped pages runs")
    code    (page0 + END - 2), 0x0593, h    /* li a1, 5 */
    code    page2, 0x0000806700500593 >> 16, d
    fence.i
    MAP(0, page0, RWXAD)
    MAP(1, page2, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 2
    RUN_S(jump_a0)
    EXPECT_M(ECALL_S, 0)
    EXPECT(a1, 5)

    CHECK("an instruction into an unmapped second page faults at itself, with that page's address")
    code    (page0 + END - 2), 0x0593, h
    fence.i
    MAP(0, page0, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 2
    RUN_S(jump_a0)
    EXPECT_M(FETCH_PAGE, TEST_VA(1))
    EXPECT_M_EPC(TEST_VA(0) + END - 2)

    CHECK("the instructions before one that crosses into an unmapped page run first")
    code    (page0 + END - 10), 0x00158593, w   /* addi a1, a1, 1 */
    code    (page0 + END - 6), 0x00158593, w
    code    (page0 + END - 2), 0x0593, h
    fence.i
    MAP(0, page0, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 10
    li      a1, 10
    RUN_S(jump_a0)
    EXPECT_M(FETCH_PAGE, TEST_VA(1))
    EXPECT_M_EPC(TEST_VA(0) + END - 2)
    EXPECT(a1, 12)

    CHECK("a trap before an instruction that crosses into an unmapped page comes first")
    code    (page0 + END - 10), 0x00158593, w
    code    (page0 + END - 6), 0x00000073, w    /* ecall */
    code    (page0 + END - 2), 0x0593, h
    fence.i
    MAP(0, page0, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 10
    li      a1, 10
    RUN_S(jump_a0)
    EXPECT_M(ECALL_S, 0)
    EXPECT_M_EPC(TEST_VA(0) + END - 6)
    EXPECT(a1, 11)

    CHECK("a load fault before an instruction that crosses into an unmapped page comes first")
    code    (page0 + END - 10), 0x00158593, w
    code    (page0 + END - 6), 0x00063603, w    /* ld a2, (a2) */
    code    (page0 + END - 2), 0x0593, h
    fence.i
    MAP(0, page0, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 10
    li      a1, 10
    li      a2, TEST_VA(5)
    RUN_S(jump_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(5))
    EXPECT_M_EPC(TEST_VA(0) + END - 6)
    EXPECT(a1, 11)

    CHECK("straight code into an unmapped page faults at its start")
    code    (page0 + END - 4), 0x00158593, w
    fence.i
    MAP(0, page0, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 4
    li      a1, 10
    RUN_S(jump_a0)
    EXPECT_M(FETCH_PAGE, TEST_VA(1))
    EXPECT_M_EPC(TEST_VA(1))
    EXPECT(a1, 11)

    CHECK("an instruction across the pages runs after the second one is mapped")
    code    (page0 + END - 2), 0x0593, h
    code    page2, 0x0000806700500593 >> 16, d
    fence.i
    MAP(0, page0, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 2
    RUN_S(jump_a0)
    EXPECT_M(FETCH_PAGE, TEST_VA(1))
    MAP(1, page2, RWXAD)
    sfence.vma
    RUN_S(jump_a0)
    EXPECT_M(ECALL_S, 0)
    EXPECT(a1, 5)

    CHECK("an instruction across the pages runs anew after the second one is remapped")
    code    (page0 + END - 2), 0x0593, h
    code    page2, 0x0000806700500593 >> 16, d
    code    page3, 0x0000806700600593 >> 16, d
    fence.i
    MAP(0, page0, RWXAD)
    MAP(1, page2, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 2
    RUN_S(jump_a0)
    EXPECT(a1, 5)
    MAP(1, page3, RWXAD)
    sfence.vma
    RUN_S(jump_a0)
    EXPECT(a1, 6)

    CHECK("an instruction across the pages faults after the second one is unmapped")
    code    (page0 + END - 2), 0x0593, h
    code    page2, 0x0000806700500593 >> 16, d
    fence.i
    MAP(0, page0, RWXAD)
    MAP(1, page2, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 2
    RUN_S(jump_a0)
    EXPECT(a1, 5)
    MAP(1, page2, 0)
    sfence.vma
    RUN_S(jump_a0)
    EXPECT_M(FETCH_PAGE, TEST_VA(1))
    EXPECT_M_EPC(TEST_VA(0) + END - 2)

    CHECK("straight code faults in a second page that was unmapped after it ran")
    code    (page0 + END - 4), 0x00158593, w
    code    page1, 0x8067, d
    fence.i
    MAP(0, page0, RWXAD)
    MAP(1, page1, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 4
    li      a1, 1
    RUN_S(jump_a0)
    EXPECT_M(ECALL_S, 0)
    MAP(1, page1, 0)
    sfence.vma
    RUN_S(jump_a0)
    EXPECT_M(FETCH_PAGE, TEST_VA(1))
    EXPECT_M_EPC(TEST_VA(1))
    EXPECT(a1, 3)

    CHECK("an instruction across into a page without X faults at itself")
    code    (page0 + END - 2), 0x0593, h
    code    page2, 0x0000806700500593 >> 16, d
    fence.i
    MAP(0, page0, RWXAD)
    MAP(1, page2, V | R | W | A | D)
    SV39
    li      a0, TEST_VA(0) + END - 2
    RUN_S(jump_a0)
    EXPECT_M(FETCH_PAGE, TEST_VA(1))
    EXPECT_M_EPC(TEST_VA(0) + END - 2)

    CHECK("an illegal instruction across two pages has its bits as tval")
    code    (page0 + END - 2), 0xffff, h
    code    page2, 0x8067fffe, d
    fence.i
    MAP(0, page0, RWXAD)
    MAP(1, page2, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 2
    RUN_S(jump_a0)
    EXPECT_M_EPC(TEST_VA(0) + END - 2)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)

    CHECK("a 32-bit illegal instruction across two pages has its bits as tval")
    code    (page0 + END - 2), 0x100b, h    /* custom-0 */
    code    page2, 0x80678765, d
    fence.i
    MAP(0, page0, RWXAD)
    MAP(1, page2, RWXAD)
    SV39
    li      a0, TEST_VA(0) + END - 2
    RUN_S(jump_a0)
    EXPECT_M(ILLEGAL, 0x8765100b)
    EXPECT_M_EPC(TEST_VA(0) + END - 2)

    CHECK("a fault in the middle of straight code leaves what stood before done, and what stands behind undone")
    li      a0, HOLE
    li      a1, 1
    la      s9, 99f
    addi    a1, a1, 2
98: ld      a2, (a0)
    addi    a1, a1, 4
    FAIL
99: la      s9, unexpected_trap
    EXPECT(a1, 3)
    EXPECT_M(LOAD_ACCESS, HOLE)
    EXPECT_M_EPC(98b)

    CHECK("the epc of a compressed instruction in the middle of straight code is its own")
    li      a0, HOLE
    li      a1, 1
    la      s9, 99f
    .option push
    .option rvc
    c.addi  a1, 2
98: c.ld    a2, (a0)
    c.addi  a1, 4
    .balign 4
    .option pop
    FAIL
99: la      s9, unexpected_trap
    EXPECT(a1, 3)
    EXPECT_M(LOAD_ACCESS, HOLE)
    EXPECT_M_EPC(98b)

    CHECK("a fault in a load with rd = rs1 keeps the register")
    li      a0, HOLE
    TRY(ld a0, (a0))
    EXPECT(a0, HOLE)

    FINISH

load_a0:
    ld      a1, (a0)
    ecall
store_a0:
    sd      a2, (a0)
    ecall
store_load:
    sd      a2, (a0)
    ld      a1, (a0)
    ecall
fload_a0:
    fld     fa0, (a0)
    ecall
fstore_a0:
    fsd     fa0, (a0)
    ecall
jump_a0:
    jalr    a0
    ecall
