/* SPDX-License-Identifier: MIT */
/* mstatus and sstatus: the trap stack, xRET, MPRV, SUM, MXR, TVM, TW, TSR (privileged specification 3.1.6, 3.3.2, 3.3.3, 4.1.1). */
#include "harness.h"

    .text
    .globl program
program:
    CHECK("UXL and SXL read 64 bits")
    EXPECT_CSR(mstatus, 15 << 32, 10 << 32)

    CHECK("a trap to M stacks MIE in MPIE and clears MIE")
    SET_BITS(mstatus, MIE_BIT)
    TRY(ecall)
    EXPECT_STATUS(MIE_BIT | MPIE, MPIE)

    CHECK("a trap to M with MIE clear leaves MPIE clear")
    SET_BITS(mstatus, MPIE)
    TRY(ecall)
    EXPECT_STATUS(MIE_BIT | MPIE, 0)

    CHECK("a trap from M sets MPP to M")
    TRY(ecall)
    EXPECT_STATUS(MPP, MPP)

    CHECK("a trap from S to M sets MPP to S")
    RUN_S(just_ecall)
    EXPECT_STATUS(MPP, MPP_S)

    CHECK("a trap from U to M sets MPP to U")
    RUN_U(just_ecall)
    EXPECT_STATUS(MPP, 0)

    CHECK("a trap to S stacks SIE in SPIE and clears SIE")
    SET_CSR(medeleg, 1 << ECALL_U)
    SET_BITS(mstatus, SIE_BIT)
    RUN_U(just_ecall)
    EXPECT_S(ECALL_U, 0)
    EXPECT_SSTATUS(SIE_BIT | SPIE, SPIE)

    CHECK("a trap to S with SIE clear leaves SPIE clear")
    SET_CSR(medeleg, 1 << ECALL_U)
    SET_BITS(mstatus, SPIE)
    RUN_U(just_ecall)
    EXPECT_SSTATUS(SIE_BIT | SPIE, 0)

    CHECK("a trap from S to S sets SPP")
    SET_CSR(medeleg, 1 << ILLEGAL)
    RUN_S(just_illegal)
    EXPECT_SSTATUS(SPP, SPP)

    CHECK("a trap from U to S clears SPP")
    SET_CSR(medeleg, 1 << ILLEGAL)
    SET_BITS(mstatus, SPP)
    RUN_U(just_illegal)
    EXPECT_SSTATUS(SPP, 0)

    CHECK("a trap to S leaves MIE alone")
    SET_CSR(medeleg, 1 << ILLEGAL)
    SET_BITS(mstatus, MPIE)                 /* MIE from mret on */
    RUN_U(just_illegal)
    EXPECT_S_TRAPS(1)
    EXPECT_STATUS(MPIE, MPIE)

    CHECK("a trap to M leaves the S stack alone")
    SET_BITS(mstatus, SIE_BIT | SPP)
    RUN_U(just_ecall)
    EXPECT_STATUS(SIE_BIT | SPIE | SPP, SIE_BIT | SPP)

    CHECK("mret restores MIE from MPIE and sets MPIE")
    SET_BITS(mstatus, MPIE)
    la      t0, 1f
    csrw    mepc, t0
    SET_BITS(mstatus, MPP)
    mret
1:  EXPECT_CSR(mstatus, MIE_BIT | MPIE, MIE_BIT | MPIE)

    CHECK("mret with MPIE clear clears MIE and sets MPIE")
    la      t0, 1f
    csrw    mepc, t0
    SET_BITS(mstatus, MPP | MIE_BIT)
    mret
1:  EXPECT_CSR(mstatus, MIE_BIT | MPIE, MPIE)

    CHECK("mret sets MPP to U")
    la      t0, 1f
    csrw    mepc, t0
    SET_BITS(mstatus, MPP)
    mret
1:  EXPECT_CSR(mstatus, MPP, 0)

    CHECK("sret in S restores SIE from SPIE, sets SPIE and clears SPP")
    RUN_S(sret_to_s)
    EXPECT_M(ECALL_S, 0)
    EXPECT_STATUS(SIE_BIT | SPIE | SPP, SIE_BIT | SPIE)

    CHECK("sret with SPP clear enters U")
    RUN_S(sret_to_u)
    EXPECT_M(ECALL_U, 0)

    CHECK("sret in M enters what SPP says")
    la      t0, just_ecall
    csrw    sepc, t0
    SET_BITS(mstatus, SPP)
    TRY(sret)
    EXPECT_M(ECALL_S, 0)

    CHECK("sret in M with TSR set is legal")
    la      t0, just_ecall
    csrw    sepc, t0
    SET_BITS(mstatus, SPP | TSR)
    TRY(sret)
    EXPECT_M(ECALL_S, 0)

    CHECK("sret in S with TSR set is illegal")
    SET_BITS(mstatus, TSR)
    RUN_S(just_sret)
    EXPECT_M(ILLEGAL, 0x10200073)
    EXPECT_M_EPC(just_sret)

    CHECK("sret in U is illegal")
    RUN_U(just_sret)
    EXPECT_M(ILLEGAL, 0x10200073)

    CHECK("mret in S is illegal")
    RUN_S(just_mret)
    EXPECT_M(ILLEGAL, 0x30200073)

    CHECK("mret in U is illegal")
    RUN_U(just_mret)
    EXPECT_M(ILLEGAL, 0x30200073)

    CHECK("mret to S clears MPRV")
    SET_BITS(mstatus, MPRV)
    RUN_S(just_ecall)
    EXPECT_STATUS(MPRV, 0)

    CHECK("mret to U clears MPRV")
    SET_BITS(mstatus, MPRV)
    RUN_U(just_ecall)
    EXPECT_STATUS(MPRV, 0)

    CHECK("mret to M keeps MPRV")
    SET_BITS(mstatus, MPRV | MPP)
    la      t0, 1f
    csrw    mepc, t0
    mret
1:  EXPECT_CSR(mstatus, MPRV, MPRV)

    CHECK("sret in M to S clears MPRV")
    la      t0, just_ecall
    csrw    sepc, t0
    SET_BITS(mstatus, SPP | MPRV)
    TRY(sret)
    EXPECT_STATUS(MPRV, 0)

    CHECK("mret to an address that cannot be fetched has cleared MPRV")
    li      t0, HOLE
    csrw    mepc, t0
    SET_BITS(mstatus, MPRV | MPP_S)
    TRY(mret)
    EXPECT_M(FETCH_ACCESS, HOLE)
    EXPECT_STATUS(MPRV | MPP, MPP_S)

    CHECK("mret to a pending interrupt has cleared MPRV")
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    la      t0, just_ecall
    csrw    mepc, t0
    SET_BITS(mstatus, MPRV | MPP_S)
    TRY(mret)
    EXPECT_M(INTERRUPT(1), 0)
    EXPECT_STATUS(MPRV | MPP, MPP_S)

    CHECK("a trap in M keeps MPRV")
    SET_BITS(mstatus, MPRV | MPP)
    TRY(ecall)
    EXPECT_STATUS(MPRV, MPRV)

    CHECK("under MPRV with MPP=S loads and stores are translated")
    MAP(0, page0, V | R | W | A | D)
    SV39
    la      t0, page0
    li      t1, 0x1234
    sd      t1, 8(t0)
    li      t2, TEST_VA(0)
    li      t3, 0x5678
    SET_BITS(mstatus, MPRV | MPP_S)
    ld      t4, 8(t2)
    sd      t3, 16(t2)
    CLEAR_BITS(mstatus, MPRV)
    ld      t3, 16(t0)
    EXPECT(t4, 0x1234)
    EXPECT(t3, 0x5678)

    CHECK("under MPRV fetches are not translated")
    SV39
    csrw    satp, zero                      /* map nothing of this program */
    la      t0, root57
    srli    t0, t0, 12
    li      t1, 8 << 60
    or      t0, t0, t1
    csrw    satp, t0
    SET_BITS(mstatus, MPRV | MPP_S)
    li      t2, 7
    CLEAR_BITS(mstatus, MPRV)
    EXPECT(t2, 7)

    CHECK("under MPRV with MPP=U a page without U faults")
    MAP(0, page0, V | R | W | A | D)
    SV39
    li      t0, TEST_VA(0)
    SET_BITS(mstatus, MPRV)
    TRY(ld t1, (t0))
    EXPECT_M(LOAD_PAGE, TEST_VA(0))
    EXPECT_M_EPC(98b)
    EXPECT_STATUS(MPP | MPRV, MPP | MPRV)

    CHECK("under MPRV with MPP=U a page with U can be stored to")
    MAP(0, page0, V | R | W | A | D | U)
    SV39
    li      t0, TEST_VA(0)
    SET_BITS(mstatus, MPRV)
    sd      t0, (t0)
    CLEAR_BITS(mstatus, MPRV)
    ld      t1, page0
    EXPECT_REG(t0, t1)

    CHECK("under MPRV with MPP=S a page with U faults but for SUM")
    MAP(0, page0, V | R | W | A | D | U)
    SV39
    li      t0, TEST_VA(0)
    SET_BITS(mstatus, MPRV | MPP_S)
    TRY(sd t1, (t0))
    EXPECT_M(STORE_PAGE, TEST_VA(0))
    CLEAR_BITS(mstatus, MPP)
    SET_BITS(mstatus, MPRV | MPP_S | SUM)
    sd      t0, (t0)
    CLEAR_BITS(mstatus, SUM)
    TRY(ld t1, (t0))
    EXPECT_M(LOAD_PAGE, TEST_VA(0))

    CHECK("under MPRV MXR makes executable pages readable")
    MAP(0, page0, V | X | A)
    SV39
    li      t0, TEST_VA(0)
    SET_BITS(mstatus, MPRV | MPP_S)
    TRY(ld t1, (t0))
    EXPECT_M(LOAD_PAGE, TEST_VA(0))
    CLEAR_BITS(mstatus, MPP)
    SET_BITS(mstatus, MPRV | MPP_S | MXR)
    ld      t1, (t0)
    CLEAR_BITS(mstatus, MXR)
    TRY(ld t1, (t0))
    EXPECT_M(LOAD_PAGE, TEST_VA(0))

    CHECK("under MPRV a change of MPP changes what an access sees")
    MAP(0, page0, V | R | W | A | D)
    SV39
    li      t0, TEST_VA(0)
    SET_BITS(mstatus, MPRV | MPP_S)
    ld      t1, (t0)
    CLEAR_BITS(mstatus, MPP)
    TRY(ld t1, (t0))
    EXPECT_M(LOAD_PAGE, TEST_VA(0))

    CHECK("under MPRV mret to M makes accesses U-mode's, as MPP becomes U")
    MAP_CONSTANT(root39, 0, (0x80000000 >> 2) | RWXAD)
    SV39
    la      t0, page0
    la      t1, 1f
    csrw    mepc, t1
    SET_BITS(mstatus, MPRV | MPP)
    ld      t2, (t0)
    mret
1:  TRY(ld t1, (t0))
    EXPECT_M(LOAD_PAGE, page0)

    CHECK("under MPRV with MPP=M accesses are M-mode's")
    SV39
    li      t0, HOLE
    SET_BITS(mstatus, MPRV | MPP)
    TRY(ld t1, (t0))
    EXPECT_M(LOAD_ACCESS, HOLE)

    CHECK("an ecall under MPRV records its privilege as M")
    SET_BITS(mstatus, MPRV)
    TRY(ecall)
    EXPECT_M(ECALL_M, 0)

    CHECK("TVM makes satp illegal in S")
    SET_BITS(mstatus, TVM)
    RUN_S(read_satp)
    EXPECT_M(ILLEGAL, 0x180023f3)
    RUN_S(write_satp)
    EXPECT_M(ILLEGAL, 0x18001073)

    CHECK("TVM makes sfence.vma illegal in S")
    SET_BITS(mstatus, TVM)
    RUN_S(just_sfence)
    EXPECT_M(ILLEGAL, 0x12000073)

    CHECK("TVM changes nothing in M")
    SET_BITS(mstatus, TVM)
    csrr    t0, satp
    csrw    satp, zero
    sfence.vma

    CHECK("sfence.vma in U is illegal")
    RUN_U(just_sfence)
    EXPECT_M(ILLEGAL, 0x12000073)

    CHECK("TW makes wfi illegal in S")
    SET_BITS(mstatus, TW)
    RUN_S(just_wfi)
    EXPECT_M(ILLEGAL, 0x10500073)
    EXPECT_M_EPC(just_wfi)

    CHECK("TW makes wfi illegal in U")
    SET_BITS(mstatus, TW)
    RUN_U(just_wfi)
    EXPECT_M(ILLEGAL, 0x10500073)

    CHECK("wfi in U is illegal without TW, as there is an S-mode")
    RUN_U(just_wfi)
    EXPECT_M(ILLEGAL, 0x10500073)

    CHECK("TW changes nothing in M")
    SET_BITS(mstatus, TW)
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    wfi

    CHECK("MPP cannot hold 2")
    SET_CSR(mstatus, 2 << MPP_SHIFT)
    csrr    t0, mstatus
    srli    t0, t0, MPP_SHIFT
    andi    t0, t0, 3
    addi    t0, t0, -2
    snez    t0, t0
    EXPECT(t0, 1)

    CHECK("mstatus has the writable fields of M, S and U with FP, and no others")
    li      t0, -1
    csrw    mstatus, t0
    csrr    t1, mstatus
    li      t2, ~((0xff << 32) | (15 << 9)) /* UXL, SXL; GVA, MPV, VS, which nothing here has; MPP */
    and     t1, t1, t2
    csrw    mstatus, zero
    EXPECT(t1, (1 << 63) | 0x7e61aa)

    CHECK("SD is set while FS is dirty, and is read-only")
    SET_BITS(mstatus, FS)
    csrr    t0, mstatus
    srli    t0, t0, 63
    EXPECT(t0, 1)
    csrw    mstatus, zero
    SET_CSR(mstatus, 1 << 63)
    csrr    t0, mstatus
    srli    t0, t0, 63
    EXPECT(t0, 0)

    CHECK("sstatus shows and writes only its part of mstatus")
    SET_CSR(mstatus, MIE_BIT)
    csrw    mstatus, zero
    li      t0, -1
    csrw    sstatus, t0
    csrr    t1, mstatus
    csrr    t2, sstatus
    csrw    mstatus, zero
    li      t0, ~((15 << 32) | (3 << 9))
    and     t1, t1, t0
    and     t2, t2, t0
    EXPECT(t1, (1 << 63) | 0xc6122)
    EXPECT(t2, (1 << 63) | 0xc6122)

    FINISH

    .balign 4
just_ecall:
    ecall
just_illegal:
    .word   0
just_sret:
    sret
just_mret:
    mret
just_sfence:
    sfence.vma
just_wfi:
    wfi
read_satp:
    csrr    t2, satp
write_satp:
    csrw    satp, zero
sret_to_s:
    la      t0, just_ecall
    csrw    sepc, t0
    li      t0, SPP | SPIE
    csrs    sstatus, t0
    sret
sret_to_u:
    la      t0, just_ecall
    csrw    sepc, t0
    li      t0, SPP
    csrc    sstatus, t0
    sret
