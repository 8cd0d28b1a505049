/* SPDX-License-Identifier: MIT */
/* Every exception, from M, S and U, to M and, delegated, to S; xtval and xepc; vectored mode (3.1.7, 3.1.8, 3.1.14 to 3.1.16, 4.1). */
#include "harness.h"

/* One exception from M, S and U to M-mode, then delegated from S and U, then not delegated from M. */
#define EVERYWHERE(cause, value, label)                                                             \
    TRY(j label);       EXPECT_M(cause, value); EXPECT_M_EPC(label); EXPECT_STATUS(MPP, MPP);       \
    RUN_S(label);       EXPECT_M(cause, value); EXPECT_M_EPC(label); EXPECT_STATUS(MPP, MPP_S);     \
    RUN_U(label);       EXPECT_M(cause, value); EXPECT_M_EPC(label); EXPECT_STATUS(MPP, 0);         \
    SET_CSR(medeleg, 1 << (cause));                                                                 \
    RUN_S(label);       EXPECT_S(cause, value); EXPECT_S_EPC(label); EXPECT_SSTATUS(SPP, SPP);      \
    EXPECT_M(ECALL_S, 0);                                                                           \
    RUN_U(label);       EXPECT_S(cause, value); EXPECT_S_EPC(label); EXPECT_SSTATUS(SPP, 0);        \
    EXPECT_M(ECALL_S, 0);                                                                           \
    TRY(j label);       EXPECT_M(cause, value); EXPECT_M_EPC(label)

/* A jump to a0, which has its own epc: the target. */
#define EVERYWHERE_FETCH(cause, value)                                                              \
    TRY(jr a0);         EXPECT_M(cause, value); EXPECT_M_EPC(value);                                \
    RUN_S(jump);        EXPECT_M(cause, value); EXPECT_M_EPC(value); EXPECT_STATUS(MPP, MPP_S);     \
    RUN_U(jump);        EXPECT_M(cause, value); EXPECT_M_EPC(value); EXPECT_STATUS(MPP, 0);         \
    SET_CSR(medeleg, 1 << (cause));                                                                 \
    RUN_S(jump);        EXPECT_S(cause, value); EXPECT_S_EPC(value); EXPECT_SSTATUS(SPP, SPP);      \
    RUN_U(jump);        EXPECT_S(cause, value); EXPECT_S_EPC(value); EXPECT_SSTATUS(SPP, 0);        \
    TRY(jr a0);         EXPECT_M(cause, value); EXPECT_M_EPC(value)

/* A page fault, from S and U under Sv39 (M is not translated). `label` is S's; U's is its alias. */
#define PAGE_FAULT(cause, label)                                                                    \
    SV39;                                                                                           \
    li      a0, TEST_VA(3) + 8;                                                                     \
    RUN_S(label);       EXPECT_M(cause, TEST_VA(3) + 8); EXPECT_M_EPC(label);                       \
    RUN_U_PAGED(label); EXPECT_M(cause, TEST_VA(3) + 8); EXPECT_M_EPC(label + U_ALIAS);             \
    SET_CSR(medeleg, 1 << (cause));                                                                 \
    RUN_S(label);       EXPECT_S(cause, TEST_VA(3) + 8); EXPECT_S_EPC(label);                       \
    EXPECT_SSTATUS(SPP, SPP);                                                                       \
    RUN_U_PAGED(label); EXPECT_S(cause, TEST_VA(3) + 8); EXPECT_S_EPC(label + U_ALIAS);             \
    EXPECT_SSTATUS(SPP, 0);                                                                         \
    EXPECT_S_TRAPS(2)

    .text
    .globl program
program:
    CHECK("fetch access fault")
    li      a0, HOLE
    EVERYWHERE_FETCH(FETCH_ACCESS, HOLE)

    CHECK("fetch access fault at a compressed instruction's address")
    li      a0, HOLE + 2
    EVERYWHERE_FETCH(FETCH_ACCESS, HOLE + 2)

    CHECK("fetch access fault from device registers")
    li      a0, CLINT
    TRY(jr a0)
    EXPECT_M(FETCH_ACCESS, CLINT)

    CHECK("illegal instruction of 32 bits")
    EVERYWHERE(ILLEGAL, 0xffffffff, illegal32)

    CHECK("illegal instruction of 16 bits")
    EVERYWHERE(ILLEGAL, 0x8002, illegal16)

    CHECK("the all-zero instruction")
    EVERYWHERE(ILLEGAL, 0, illegal0)

    CHECK("reserved compressed instructions are illegal")
    EVERYWHERE(ILLEGAL, 0x8000, reserved_quadrant0)
    SET_CSR(medeleg, 0)
    EVERYWHERE(ILLEGAL, 0x9c41, reserved_quadrant1)

    CHECK("a CSR that does not exist")
    EVERYWHERE(ILLEGAL, 0x5c002573, no_csr)

    CHECK("breakpoint")
    SET_CSR(medeleg, 0)
    TRY(j break32)
    EXPECT_AT(record_m, CAUSE, BREAKPOINT)
    EXPECT_M_EPC(break32)
    RUN_S(break32)
    EXPECT_AT(record_m, CAUSE, BREAKPOINT)
    EXPECT_M_EPC(break32)
    RUN_U(break16)
    EXPECT_AT(record_m, CAUSE, BREAKPOINT)
    EXPECT_M_EPC(break16)
    SET_CSR(medeleg, 1 << BREAKPOINT)
    RUN_S(break16)
    EXPECT_AT(record_s, CAUSE, BREAKPOINT)
    EXPECT_S_EPC(break16)
    RUN_U(break32)
    EXPECT_AT(record_s, CAUSE, BREAKPOINT)
    EXPECT_S_EPC(break32)
    TRY(j break32)
    EXPECT_AT(record_m, CAUSE, BREAKPOINT)

    CHECK("the tval of a breakpoint is its address or 0")
    TRY(j break32)
    ld      t0, record_m + TVAL
    beqz    t0, 1f
    la      t1, break32
    EXPECT_REG(t0, t1)
1:

    CHECK("load access fault")
    li      a0, HOLE + 8
    EVERYWHERE(LOAD_ACCESS, HOLE + 8, load)

    CHECK("load access fault of a compressed instruction")
    li      a0, HOLE + 8
    EVERYWHERE(LOAD_ACCESS, HOLE + 8, load16)

    CHECK("store access fault")
    li      a0, HOLE + 8
    EVERYWHERE(STORE_ACCESS, HOLE + 8, store)

    CHECK("AMO access fault")
    li      a0, HOLE + 8
    EVERYWHERE(STORE_ACCESS, HOLE + 8, amo)

    CHECK("LR access fault")
    li      a0, HOLE + 8
    EVERYWHERE(LOAD_ACCESS, HOLE + 8, lr)

    CHECK("floating-point load and store access faults")
    SET_BITS(mstatus, FS_INITIAL)
    li      a0, HOLE + 8
    EVERYWHERE(LOAD_ACCESS, HOLE + 8, fload)
    SET_CSR(medeleg, 0)
    TRY(j fstore)
    EXPECT_M(STORE_ACCESS, HOLE + 8)

    CHECK("misaligned LR")
    la      a0, page0 + 2
    EVERYWHERE(LOAD_MISALIGNED, page0 + 2, lr)

    CHECK("misaligned AMO")
    la      a0, page0 + 4
    EVERYWHERE(STORE_MISALIGNED, page0 + 4, amo)

    CHECK("ecall from U")
    RUN_U(call)
    EXPECT_M(ECALL_U, 0)
    EXPECT_M_EPC(call)
    SET_CSR(medeleg, 1 << ECALL_U)
    RUN_U(call)
    EXPECT_S(ECALL_U, 0)
    EXPECT_S_EPC(call)

    CHECK("ecall from S")
    RUN_S(call)
    EXPECT_M(ECALL_S, 0)
    EXPECT_M_EPC(call)
    EXPECT_S_TRAPS(0)
    li      t0, 1
    sd      t0, leave_s_by_ebreak, t1
    SET_CSR(medeleg, 1 << ECALL_S)
    RUN_S(call)
    EXPECT_S(ECALL_S, 0)
    EXPECT_S_EPC(call)
    EXPECT_AT(record_m, CAUSE, BREAKPOINT)

    CHECK("ecall from M")
    SET_CSR(medeleg, -1)
    TRY(j call)
    EXPECT_M(ECALL_M, 0)
    EXPECT_M_EPC(call)

    CHECK("load page fault")
    PAGE_FAULT(LOAD_PAGE, load)

    CHECK("load page fault of a compressed instruction")
    PAGE_FAULT(LOAD_PAGE, load16)

    CHECK("store page fault")
    PAGE_FAULT(STORE_PAGE, store)

    CHECK("AMO page fault")
    MAP(3, page0, V | R | A)
    PAGE_FAULT(STORE_PAGE, amo)

    CHECK("LR page fault")
    PAGE_FAULT(LOAD_PAGE, lr)

    CHECK("fetch page fault")
    SV39
    li      a0, TEST_VA(3) + 6
    RUN_S(jump)
    EXPECT_M(FETCH_PAGE, TEST_VA(3) + 6)
    EXPECT_M_EPC(TEST_VA(3) + 6)
    RUN_U_PAGED(jump)
    EXPECT_M(FETCH_PAGE, TEST_VA(3) + 6)
    SET_CSR(medeleg, 1 << FETCH_PAGE)
    RUN_S(jump)
    EXPECT_S(FETCH_PAGE, TEST_VA(3) + 6)
    EXPECT_S_EPC(TEST_VA(3) + 6)
    EXPECT_SSTATUS(SPP, SPP)
    RUN_U_PAGED(jump)
    EXPECT_S(FETCH_PAGE, TEST_VA(3) + 6)
    EXPECT_SSTATUS(SPP, 0)

    CHECK("delegating one exception delegates no other")
    SET_CSR(medeleg, ~(1 << ILLEGAL))
    RUN_U(illegal32)
    EXPECT_M(ILLEGAL, 0xffffffff)
    EXPECT_S_TRAPS(0)

    CHECK("medeleg has no bit for ecall from M")
    li      t0, -1
    csrw    medeleg, t0
    csrr    t0, medeleg
    csrw    medeleg, zero
    srli    t0, t0, ECALL_M
    andi    t0, t0, 1
    EXPECT(t0, 0)

    CHECK("medeleg has a bit for every other exception")
    li      t0, -1
    csrw    medeleg, t0
    csrr    t0, medeleg
    csrw    medeleg, zero
    li      t1, 0xb3ff
    and     t0, t0, t1
    EXPECT(t0, 0xb3ff)

    CHECK("in vectored mode exceptions go to the base, from M")
    la      t0, trap_m
    ori     t0, t0, 1
    csrw    mtvec, t0
    TRY(ecall)
    EXPECT_M(ECALL_M, 0)

    CHECK("in vectored mode exceptions go to the base, to S")
    SET_CSR(medeleg, 1 << ILLEGAL)
    la      t0, trap_s
    ori     t0, t0, 1
    csrw    stvec, t0
    RUN_U(illegal32)
    EXPECT_S(ILLEGAL, 0xffffffff)

    CHECK("a trap handler that cannot be fetched faults again, at its own address")
    li      t0, HOLE
    csrw    stvec, t0
    SET_CSR(medeleg, 1 << ILLEGAL)
    RUN_U(illegal32)
    EXPECT_M(FETCH_ACCESS, HOLE)
    EXPECT_M_EPC(HOLE)
    EXPECT_CSR(scause, -1, ILLEGAL)
    EXPECT_CSR(stval, -1, 0xffffffff)

    CHECK("ten thousand fetch faults at one address are no trap loop while the program goes on")
    li      a1, 10000
    li      a0, HOLE
1:  TRY(jr a0)
    addi    a1, a1, -1
    bnez    a1, 1b
    EXPECT_M(FETCH_ACCESS, HOLE)

    FINISH

    .balign 4
illegal32:
    .word   0xffffffff
illegal0:
    .word   0
reserved_quadrant0:
    .half   0x8000
    .half   1
reserved_quadrant1:
    .half   0x9c41
    .half   1
illegal16:
    .half   0x8002                          /* c.jr x0 */
    .half   1
no_csr:
    .word   0x5c002573                      /* csrr a0, 0x5c0 */
break32:
    ebreak
    .option push
    .option rvc
    c.nop
break16:
    c.ebreak
    c.nop
load16:
    c.ld    a1, (a0)
    c.nop
    ecall
    .balign 4
    .option pop
load:
    ld      a1, (a0)
    ecall
store:
    sd      a1, (a0)
    ecall
amo:
    amoadd.d a1, a2, (a0)
    ecall
lr: lr.d    a1, (a0)
    ecall
fload:
    fld     fa0, (a0)
    ecall
fstore:
    fsd     fa0, (a0)
    ecall
jump:
    jr      a0
call:
    ecall
