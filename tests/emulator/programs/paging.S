/* SPDX-License-Identifier: MIT */
/* Sv39, Sv48, Sv57: the walk, permissions, A and D, satp, sfence.vma (privileged specification 4.1.11, 4.2.1, 4.3 to 4.5). */
#include "harness.h"

#define NONCANONICAL39 0x0000004000000000
#define NONCANONICAL48 0x0000800000000000
#define NONCANONICAL57 0x0100000000000000

/* A load, a store and a fetch at `va` from S or U (run_ is RUN_S or RUN_U_PAGED): each must give its own fault. */
#define ALL_FAULT_S(va)                                                             \
    li      a0, va;                                                                 \
    RUN_S(load_a0);     EXPECT_M(LOAD_PAGE, va);    EXPECT_M_EPC(load_a0);          \
    RUN_S(store_a0);    EXPECT_M(STORE_PAGE, va);   EXPECT_M_EPC(store_a0);         \
    RUN_S(jump_a0);     EXPECT_M(FETCH_PAGE, va);   EXPECT_M_EPC(va)

#define ALL_FAULT_U(va)                                                             \
    li      a0, va;                                                                 \
    RUN_U_PAGED(load_a0);   EXPECT_M(LOAD_PAGE, va);                                \
    RUN_U_PAGED(store_a0);  EXPECT_M(STORE_PAGE, va);                               \
    RUN_U_PAGED(jump_a0);   EXPECT_M(FETCH_PAGE, va);   EXPECT_M_EPC(va)

/* A load, a store and a fetch that work. The page holds a `ret` at its start. */
#define ALL_WORK_S(va)                                                              \
    li      a0, va;                                                                 \
    RUN_S(use_a0);      EXPECT_M(ECALL_S, 0);       EXPECT(a1, 0x8067)

    .macro  code_page page                  /* put `ret` at the start of a page */
    la      t0, \page
    li      t1, 0x8067
    sd      t1, (t0)
    fence.i
    .endm

    .text
    .globl program
program:
    CHECK("Sv39 translates with pages of 4 KiB")
    code_page page0
    MAP(0, page0, RWXAD)
    SV39
    ALL_WORK_S(TEST_VA(0))

    CHECK("Sv39 translates with pages of 2 MiB")
    code_page page0
    MAP_CONSTANT(mid39, 1, (0x80000000 >> 2) | RWXAD)
    SV39
    la      a0, page0
    li      t0, 0x40200000 - 0x80000000
    add     a0, a0, t0
    RUN_S(use_a0)
    EXPECT_M(ECALL_S, 0)
    EXPECT(a1, 0x8067)

    CHECK("Sv39 translates with pages of 1 GiB")
    code_page page0
    SV39
    la      a0, page0
    RUN_S(use_a0)
    EXPECT_M(ECALL_S, 0)
    EXPECT(a1, 0x8067)

    CHECK("Sv48 translates with pages of 4 KiB")
    code_page page0
    MAP(0, page0, RWXAD)
    SV48
    ALL_WORK_S(TEST_VA(0))

    CHECK("Sv48 translates with pages of 512 GiB")
    code_page page0
    MAP_CONSTANT(root48, 1, RWXAD)
    SV48
    la      a0, page0
    li      t0, 1 << 39
    add     a0, a0, t0
    RUN_S(use_a0)
    EXPECT_M(ECALL_S, 0)
    EXPECT(a1, 0x8067)

    CHECK("Sv57 translates with pages of 4 KiB")
    code_page page0
    MAP(0, page0, RWXAD)
    SV57
    ALL_WORK_S(TEST_VA(0))

    CHECK("Sv57 translates with pages of 256 TiB")
    code_page page0
    MAP_CONSTANT(root57, 1, RWXAD)
    SV57
    la      a0, page0
    li      t0, 1 << 48
    add     a0, a0, t0
    RUN_S(use_a0)
    EXPECT_M(ECALL_S, 0)
    EXPECT(a1, 0x8067)

    CHECK("the upper half of the Sv39 addresses is translated")
    code_page page0
    MAP_CONSTANT(root39, 510, (0x80000000 >> 2) | RWXAD)
    SV39
    la      a0, page0
    li      t0, 0xffffffff80000000 - 0x80000000
    add     a0, a0, t0
    RUN_S(use_a0)
    EXPECT_M(ECALL_S, 0)
    EXPECT(a1, 0x8067)

    CHECK("Sv39 faults on addresses that are not sign extended from bit 38")
    MAP_CONSTANT(root39, 0, (0x80000000 >> 2) | RWXAD)
    MAP_CONSTANT(root39, 256, (0x80000000 >> 2) | RWXAD)
    SV39
    ALL_FAULT_S(NONCANONICAL39)
    ALL_FAULT_S(0xffffff8000000000)
    ALL_FAULT_S(0x8000000080000000)

    CHECK("Sv48 faults on addresses that are not sign extended from bit 47")
    MAP_CONSTANT(root48, 256, RWXAD)
    SV48
    ALL_FAULT_S(NONCANONICAL48)
    ALL_FAULT_S(0xffff000000000000)

    CHECK("Sv57 faults on addresses that are not sign extended from bit 56")
    MAP_CONSTANT(root57, 256, RWXAD)
    SV57
    ALL_FAULT_S(NONCANONICAL57)
    ALL_FAULT_S(0xfe00000000000000)

    CHECK("an entry that is not valid faults")
    MAP(0, page0, R | W | X | A | D)
    SV39
    ALL_FAULT_S(TEST_VA(0))
    ALL_FAULT_U(TEST_VA(0))

    CHECK("an upper entry that is not valid faults")
    MAP_AT(mid39, 1, leaves, 0)
    SV39
    ALL_FAULT_S(0x40200000)

    CHECK("a pointer in a last-level entry faults")
    MAP(0, page0, V)
    SV39
    ALL_FAULT_S(TEST_VA(0))

    CHECK("W without R faults")
    MAP(0, page0, V | W | A | D)
    MAP(1, page0, V | W | X | A | D)
    SV39
    ALL_FAULT_S(TEST_VA(0))
    ALL_FAULT_S(TEST_VA(1))

    CHECK("W without R in an upper entry faults")
    MAP_AT(mid39, 1, leaves, V | W)
    SV39
    ALL_FAULT_S(0x40200000)

    CHECK("a misaligned superpage of 2 MiB faults")
    MAP_CONSTANT(mid39, 1, (0x80001000 >> 2) | RWXAD)
    SV39
    ALL_FAULT_S(0x40200000)

    CHECK("a misaligned superpage of 1 GiB faults")
    MAP_CONSTANT(root39, 4, (0x80200000 >> 2) | RWXAD)
    SV39
    ALL_FAULT_S(0x100000000)

    CHECK("a misaligned superpage of 512 GiB faults")
    MAP_CONSTANT(root48, 1, (0x80000000 >> 2) | RWXAD)
    SV48
    ALL_FAULT_S(1 << 39)

    CHECK("a misaligned superpage of 256 TiB faults")
    MAP_CONSTANT(root57, 1, (1 << (39 - 2)) | RWXAD)
    SV57
    ALL_FAULT_S(1 << 48)

    CHECK("each reserved bit 63 to 54 of a leaf faults")
    SV39
    li      a2, 54
1:  MAP(0, page0, RWXAD)
    li      t0, 1
    sll     t0, t0, a2
    la      t1, leaves
    ld      t2, (t1)
    or      t2, t2, t0
    sd      t2, (t1)
    sfence.vma
    ALL_FAULT_S(TEST_VA(0))
    addi    a2, a2, 1
    li      t0, 64
    blt     a2, t0, 1b

    CHECK("each reserved bit 63 to 54 of a pointer faults")
    MAP(0, page0, RWXAD)
    SV39
    li      a2, 54
1:  MAP_AT(mid39, 0, leaves, V)
    li      t0, 1
    sll     t0, t0, a2
    la      t1, mid39
    ld      t2, (t1)
    or      t2, t2, t0
    sd      t2, (t1)
    sfence.vma
    ALL_FAULT_S(TEST_VA(0))
    addi    a2, a2, 1
    li      t0, 64
    blt     a2, t0, 1b

    CHECK("A in a pointer is reserved and faults")
    MAP(0, page0, RWXAD)
    MAP_AT(mid39, 0, leaves, V | A)
    SV39
    ALL_FAULT_S(TEST_VA(0))

    CHECK("D in a pointer is reserved and faults")
    MAP(0, page0, RWXAD)
    MAP_AT(mid39, 0, leaves, V | D)
    SV39
    ALL_FAULT_S(TEST_VA(0))

    CHECK("U in a pointer is reserved and faults")
    MAP(0, page0, RWXAD | U)
    MAP_AT(mid39, 0, leaves, V | U)
    SV39
    ALL_FAULT_U(TEST_VA(0))

    CHECK("G in a pointer and RSW bits do not fault")
    code_page page0
    MAP(0, page0, RWXAD | (3 << 8))
    MAP_AT(mid39, 0, leaves, V | G | (3 << 8))
    SV39
    ALL_WORK_S(TEST_VA(0))

    CHECK("a read-only page can be loaded from only")
    MAP(0, page0, V | R | A | D)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(load_a0)
    EXPECT_M(ECALL_S, 0)
    RUN_S(store_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(0))
    RUN_S(jump_a0)
    EXPECT_M(FETCH_PAGE, TEST_VA(0))

    CHECK("an execute-only page can be executed only")
    code_page page0
    MAP(0, page0, V | X | A | D)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(jump_a0)
    EXPECT_M(ECALL_S, 0)
    RUN_S(load_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(0))
    RUN_S(store_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(0))

    CHECK("MXR makes execute-only pages readable, and only while it is set")
    MAP(0, page0, V | X | A | D)
    SV39
    li      a0, TEST_VA(0)
    SET_BITS(mstatus, MXR)
    RUN_S(load_a0)
    EXPECT_M(ECALL_S, 0)
    RUN_S(store_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(0))
    CLEAR_BITS(mstatus, MXR)
    RUN_S(load_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(0))

    CHECK("MXR set and cleared by S through sstatus works at once")
    MAP(0, page0, V | X | A | D)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(mxr_load_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(0))
    EXPECT_M_EPC(mxr_cleared)

    CHECK("a page without U faults in U")
    MAP(0, page0, RWXAD)
    SV39
    ALL_FAULT_U(TEST_VA(0))

    CHECK("a page without U that S has used still faults in U")
    code_page page0
    MAP(0, page0, RWXAD)
    SV39
    ALL_WORK_S(TEST_VA(0))
    ALL_FAULT_U(TEST_VA(0))

    CHECK("a page with U faults in S")
    code_page page0
    MAP(0, page0, RWXAD | U)
    SV39
    ALL_FAULT_S(TEST_VA(0))

    CHECK("a page with U that U has used still faults in S")
    code_page page0
    MAP(0, page0, RWXAD | U)
    SV39
    li      a0, TEST_VA(0)
    RUN_U_PAGED(use_a0)
    EXPECT_M(ECALL_U, 0)
    EXPECT(a1, 0x8067)
    ALL_FAULT_S(TEST_VA(0))

    CHECK("SUM lets S load and store on U pages, and only while it is set")
    MAP(0, page0, RWXAD | U)
    SV39
    li      a0, TEST_VA(0)
    SET_BITS(mstatus, SUM)
    RUN_S(load_a0)
    EXPECT_M(ECALL_S, 0)
    RUN_S(store_a0)
    EXPECT_M(ECALL_S, 0)
    CLEAR_BITS(mstatus, SUM)
    RUN_S(load_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(0))
    RUN_S(store_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(0))

    CHECK("SUM set and cleared by S through sstatus works at once")
    MAP(0, page0, RWXAD | U)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(sum_load_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(0))
    EXPECT_M_EPC(sum_cleared)

    CHECK("SUM never lets S execute U pages, also after a load and a store filled the TLB")
    code_page page0
    MAP(0, page0, RWXAD | U)
    SV39
    SET_BITS(mstatus, SUM)
    li      a0, TEST_VA(0)
    RUN_S(load_a0)
    RUN_S(store_a0)
    EXPECT_M(ECALL_S, 0)
    RUN_S(jump_a0)
    EXPECT_M(FETCH_PAGE, TEST_VA(0))

    CHECK("a load sets A and not D")
    MAP(0, page0, V | R | W)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(load_a0)
    EXPECT_M(ECALL_S, 0)
    ld      t0, leaves
    andi    t0, t0, A | D
    EXPECT(t0, A)

    CHECK("a store sets A and D, also after a load filled the TLB")
    MAP(0, page0, V | R | W)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(load_a0)
    RUN_S(store_a0)
    EXPECT_M(ECALL_S, 0)
    ld      t0, leaves
    andi    t0, t0, A | D
    EXPECT(t0, A | D)

    CHECK("a fetch sets A")
    code_page page0
    MAP(0, page0, V | X)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(jump_a0)
    EXPECT_M(ECALL_S, 0)
    ld      t0, leaves
    andi    t0, t0, A | D
    EXPECT(t0, A)

    CHECK("an access that faults sets neither A nor D")
    MAP(0, page0, V | R)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(store_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(0))
    RUN_S(jump_a0)
    RUN_U_PAGED(load_a0)
    ld      t0, leaves
    andi    t0, t0, A | D
    EXPECT(t0, 0)

    CHECK("an AMO sets A and D")
    MAP(0, page0, V | R | W)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(amo_a0)
    EXPECT_M(ECALL_S, 0)
    ld      t0, leaves
    andi    t0, t0, A | D
    EXPECT(t0, A | D)

    CHECK("an AMO on a read-only page is a store page fault")
    MAP(0, page0, V | R | A | D)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(amo_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(0))
    EXPECT_M_EPC(amo_a0)

    CHECK("an AMO on a page that is not mapped is a store page fault")
    SV39
    li      a0, TEST_VA(0)
    RUN_S(amo_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(0))

    CHECK("LR on a page that is not mapped is a load page fault")
    SV39
    li      a0, TEST_VA(0)
    RUN_S(lr_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(0))

    CHECK("SC on a read-only page that LR reserved is a store page fault")
    MAP(0, page0, V | R | A | D)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(lr_sc_a0)
    EXPECT_M(STORE_PAGE, TEST_VA(0))
    EXPECT_M_EPC(sc_a0)

    CHECK("a load into x0 faults")
    SV39
    li      a0, TEST_VA(0)
    RUN_S(load_nothing_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(0))

    CHECK("the walk into a hole is an access fault of the access's own kind")
    MAP_CONSTANT(root39, 4, (HOLE >> 2) | V)
    SV39
    li      a0, 0x100000000
    RUN_S(load_a0)
    EXPECT_M(LOAD_ACCESS, 0x100000000)
    RUN_S(store_a0)
    EXPECT_M(STORE_ACCESS, 0x100000000)
    RUN_S(amo_a0)
    EXPECT_M(STORE_ACCESS, 0x100000000)
    RUN_S(jump_a0)
    EXPECT_M(FETCH_ACCESS, 0x100000000)

    CHECK("a page that lies in a hole is an access fault with the virtual address")
    MAP_CONSTANT(leaves, 0, (HOLE >> 2) | RWXAD)
    SV39
    li      a0, TEST_VA(0) + 8
    RUN_S(load_a0)
    EXPECT_M(LOAD_ACCESS, TEST_VA(0) + 8)
    RUN_S(store_a0)
    EXPECT_M(STORE_ACCESS, TEST_VA(0) + 8)
    RUN_S(amo_a0)
    EXPECT_M(STORE_ACCESS, TEST_VA(0) + 8)
    RUN_S(lr_a0)
    EXPECT_M(LOAD_ACCESS, TEST_VA(0) + 8)
    RUN_S(jump_a0)
    EXPECT_M(FETCH_ACCESS, TEST_VA(0) + 8)
    EXPECT_M_EPC(TEST_VA(0) + 8)

    CHECK("M-mode is not translated")
    SV39
    la      t0, page0
    sd      t0, (t0)
    li      t1, HOLE
    TRY(ld t2, (t1))
    EXPECT_M(LOAD_ACCESS, HOLE)

    CHECK("sfence.vma in M makes a changed entry effective")
    MAP(0, page0, RWXAD)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(load_a0)
    EXPECT_M(ECALL_S, 0)
    MAP(0, page0, 0)
    sfence.vma
    RUN_S(load_a0)
    EXPECT_M(LOAD_PAGE, TEST_VA(0))

    CHECK("sfence.vma in S for one address makes a changed entry effective")
    code_page page0
    la      t0, page1
    li      t1, 42
    sd      t1, (t0)
    MAP(0, page0, RWXAD)
    SV39
    la      t0, page1
    srli    t0, t0, 12
    slli    t0, t0, 10
    ori     a3, t0, RWXAD
    la      a2, leaves
    li      a0, TEST_VA(0)
    RUN_S(remap_a0)
    EXPECT_M(ECALL_S, 0)
    EXPECT(a1, 0x8067)
    EXPECT(a4, 42)

    CHECK("a remapped code page is executed anew after sfence.vma")
    la      t0, page0                       /* li a1, 1; ret */
    li      t1, 0x0000806700100593
    sd      t1, (t0)
    la      t0, page1                       /* li a1, 2; ret */
    li      t1, 0x0000806700200593
    sd      t1, (t0)
    fence.i
    MAP(0, page0, RWXAD)
    SV39
    li      a0, TEST_VA(0)
    RUN_S(jump_a0)
    EXPECT(a1, 1)
    MAP(0, page1, RWXAD)
    sfence.vma
    RUN_S(jump_a0)
    EXPECT(a1, 2)

    CHECK("a write of satp with a reserved mode changes nothing")
    li      t0, 8 << 60 | 0x1234
    csrw    satp, t0
    li      t1, 7 << 60 | 0x5678
    csrw    satp, t1
    csrr    t2, satp
    li      t1, 11 << 60
    csrw    satp, t1
    csrr    t3, satp
    csrw    satp, zero
    EXPECT_REG(t2, t0)
    EXPECT_REG(t3, t0)

    CHECK("satp holds modes Bare, Sv39, Sv48 and Sv57")
    csrw    satp, zero
    EXPECT_CSR(satp, -1, 0)
    SET_CSR(satp, 8 << 60)
    EXPECT_CSR(satp, -1, 8 << 60)
    SET_CSR(satp, 9 << 60)
    EXPECT_CSR(satp, -1, 9 << 60)
    SET_CSR(satp, 10 << 60)
    EXPECT_CSR(satp, -1, 10 << 60)
    csrw    satp, zero

    CHECK("satp has 16 bits of ASID and 44 of PPN")
    SET_CSR(satp, (8 << 60) | 0x0fffffffffffffff)
    csrr    t0, satp
    csrw    satp, zero
    EXPECT(t0, 0x8fffffffffffffff)

    CHECK("S can switch address spaces by satp and sfence.vma")
    code_page page0
    MAP(0, page0, RWXAD)
    MAP_CONSTANT(root57, 2, (0x80000000 >> 2) | RWXAD)   /* another root table for Sv39: only this program */
    SV39
    la      t0, root57
    srli    t0, t0, 12
    li      a2, (8 << 60) | (1 << 44)
    or      a2, a2, t0
    li      a0, TEST_VA(0)
    RUN_S(switch_space)
    EXPECT_M(LOAD_PAGE, TEST_VA(0))
    EXPECT_M_EPC(space_switched)
    EXPECT(a1, 0x8067)

    CHECK("satp = 0 in S ends translation")
    SV39
    la      a0, page0
    RUN_S(go_bare)
    EXPECT_M(ECALL_S, 0)
    EXPECT_CSR(satp, -1, 0)

    CHECK("in U without translation memory is accessed as it is")
    code_page page0
    la      a0, page0
    RUN_U(use_a0)
    EXPECT_M(ECALL_U, 0)
    EXPECT(a1, 0x8067)

    FINISH

    .balign 4
load_a0:
    ld      a1, (a0)
    ecall
    .balign 4
store_a0:
    sd      s0, (a0)
    ecall
jump_a0:
    jalr    a0
    ecall
amo_a0:
    amoadd.d a1, s0, (a0)
    ecall
lr_a0:
    lr.d    a1, (a0)
    ecall
lr_sc_a0:
    lr.d    a1, (a0)
sc_a0:
    sc.d    a1, s0, (a0)
    ecall
load_nothing_a0:
    ld      zero, (a0)
    ecall
use_a0:
    ld      a1, (a0)
    sd      a1, 8(a0)
    jalr    a0
    ecall
mxr_load_a0:
    li      t0, MXR
    csrs    sstatus, t0
    ld      a1, (a0)
    csrc    sstatus, t0
mxr_cleared:
    ld      a1, (a0)
    ecall
sum_load_a0:
    li      t0, SUM
    csrs    sstatus, t0
    ld      a1, (a0)
    sd      a1, (a0)
    csrc    sstatus, t0
sum_cleared:
    ld      a1, (a0)
    ecall
remap_a0:
    ld      a1, (a0)
    sd      a3, (a2)
    sfence.vma a0, zero
    ld      a4, (a0)
    ecall
switch_space:
    ld      a1, (a0)
    csrw    satp, a2
    sfence.vma
space_switched:
    ld      a1, (a0)
    ecall
go_bare:
    csrw    satp, zero
    sfence.vma
    ld      a1, (a0)
    ecall
