/* SPDX-License-Identifier: MIT */
/* Interrupts: sources, masks, priority, delegation, vectors, WFI (privileged specification 3.1.6.1, 3.1.8, 3.1.9, 3.3.3, 4.1.3). */
#include "harness.h"

    .macro  timer_due                       /* raise MTIP and wait for it */
    li      t0, CLINT_MTIMECMP
    sd      zero, (t0)
1:  csrr    t0, mip
    andi    t0, t0, MTIP
    beqz    t0, 1b
    .endm

    .macro  software_due                    /* raise MSIP and wait for it */
    li      t0, CLINT
    li      t1, 1
    sw      t1, (t0)
1:  csrr    t0, mip
    andi    t0, t0, MSIP
    beqz    t0, 1b
    .endm

    .macro  external_due                    /* raise MEIP by the UART's "transmitter empty", and wait for it */
    li      t0, PLIC
    li      t1, 1
    sw      t1, 40(t0)                      /* priority of source 10 */
    li      t0, PLIC + 0x2000
    li      t1, 1 << 10
    sw      t1, (t0)
    li      t0, PLIC + 0x200000
    sw      zero, (t0)
    li      t0, UART
    li      t1, 2
    sb      t1, 1(t0)
1:  csrr    t0, mip
    li      t1, MEIP
    and     t0, t0, t1
    beqz    t0, 1b
    .endm

    .macro  external_off
    li      t0, UART
    sb      zero, 1(t0)
    lbu     t1, 2(t0)
    li      t0, PLIC + 0x200004
    lw      t1, (t0)
    sw      t1, (t0)
    li      t0, PLIC + 0x2000
    sw      zero, (t0)
    .endm

#define TAKE_IN_M TRY(csrsi mstatus, MIE_BIT)

    .text
    .globl program
program:
    CHECK("the CLINT's msip raises and lowers MSIP")
    software_due
    li      t0, CLINT
    sw      zero, (t0)
    li      a1, 1000
1:  csrr    t0, mip
    andi    t0, t0, MSIP
    addi    a1, a1, -1
    beqz    a1, 2f
    bnez    t0, 1b
2:  EXPECT(t0, 0)

    CHECK("the CLINT's mtimecmp raises and lowers MTIP")
    timer_due
    li      t0, CLINT_MTIMECMP
    li      t1, -1
    sd      t1, (t0)
    li      a1, 1000
1:  csrr    t0, mip
    andi    t0, t0, MTIP
    addi    a1, a1, -1
    beqz    a1, 2f
    bnez    t0, 1b
2:  EXPECT(t0, 0)

    CHECK("MTIP is high exactly while mtime is at least mtimecmp")
    li      t0, CLINT_MTIME
    ld      t1, (t0)
    addi    t1, t1, 50
    li      t2, CLINT_MTIMECMP
    sd      t1, (t2)
1:  csrr    t2, mip                         /* MTIP first: it must not be early */
    ld      t3, (t0)
    andi    t2, t2, MTIP
    beqz    t2, 1b
    sltu    t4, t3, t1
    EXPECT(t4, 0)

    CHECK("a software interrupt is taken in M with its cause, and epc of the next instruction")
    SET_CSR(mie, MSIP)
    software_due
    la      s9, 99f
    csrsi   mstatus, MIE_BIT
98: FAIL
    .balign 4
99: la      s9, unexpected_trap
    EXPECT_M(INTERRUPT(3), 0)
    EXPECT_M_EPC(98b)
    EXPECT_STATUS(MPP | MIE_BIT | MPIE, MPP | MPIE)

    CHECK("a timer interrupt is taken in M")
    SET_CSR(mie, MTIP)
    timer_due
    TAKE_IN_M
    EXPECT_M(INTERRUPT(7), 0)

    CHECK("a timer interrupt breaks a loop")
    SET_CSR(mie, MTIP)
    li      t0, CLINT_MTIME
    ld      t1, (t0)
    addi    t1, t1, 50
    li      t2, CLINT_MTIMECMP
    sd      t1, (t2)
    li      t0, MIE_BIT
    la      s9, 99f
    csrs    mstatus, t0
98: j       98b
    .balign 4
99: la      s9, unexpected_trap
    EXPECT_M(INTERRUPT(7), 0)
    EXPECT_M_EPC(98b)

    CHECK("an external interrupt is taken in M")
    SET_CSR(mie, MEIP)
    external_due
    TAKE_IN_M
    EXPECT_M(INTERRUPT(11), 0)
    external_off

    CHECK("supervisor interrupts that are not delegated are taken in M")
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    TAKE_IN_M
    EXPECT_M(INTERRUPT(1), 0)
    SET_CSR(mie, STIP)
    SET_CSR(mip, STIP)
    TAKE_IN_M
    EXPECT_M(INTERRUPT(5), 0)
    SET_CSR(mie, SEIP)
    SET_CSR(mip, SEIP)
    TAKE_IN_M
    EXPECT_M(INTERRUPT(9), 0)

    CHECK("an interrupt that mie masks is not taken")
    SET_CSR(mie, STIP)
    SET_CSR(mip, SSIP)
    csrsi   mstatus, MIE_BIT
    nop
    EXPECT_M_TRAPS(0)

    CHECK("an interrupt unmasked in mie is taken at once")
    SET_CSR(mip, SSIP)
    csrsi   mstatus, MIE_BIT
    TRY(csrsi mie, SSIP)
    EXPECT_M(INTERRUPT(1), 0)

    CHECK("an interrupt raised in mip is taken at once")
    SET_CSR(mie, SSIP)
    csrsi   mstatus, MIE_BIT
    TRY(csrsi mip, SSIP)
    EXPECT_M(INTERRUPT(1), 0)

    CHECK("with MIE clear M-mode takes none")
    SET_CSR(mie, -1)
    SET_CSR(mip, -1)
    nop
    EXPECT_M_TRAPS(0)

    CHECK("mret takes an interrupt that MPIE enables, before the next instruction")
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    SET_BITS(mstatus, MPIE | MPP)
    la      t0, 98f
    csrw    mepc, t0
    la      s9, 99f
    mret
98: FAIL
    .balign 4
99: la      s9, unexpected_trap
    EXPECT_M(INTERRUPT(1), 0)
    EXPECT_M_EPC(98b)

    CHECK("M interrupts are taken in S whatever MIE says")
    SET_CSR(mie, MSIP)
    software_due
    RUN_S(loop)
    EXPECT_M(INTERRUPT(3), 0)
    EXPECT_M_EPC(loop)
    EXPECT_STATUS(MPP, MPP_S)

    CHECK("M interrupts are taken in U whatever MIE says")
    SET_CSR(mie, MSIP)
    software_due
    RUN_U(loop)
    EXPECT_M(INTERRUPT(3), 0)
    EXPECT_STATUS(MPP, 0)

    CHECK("priority in M: MEI, MSI, MTI, SEI, SSI, STI")
    SET_CSR(mie, -1)
    SET_CSR(mip, -1)
    software_due
    timer_due
    external_due
    TAKE_IN_M
    EXPECT_M(INTERRUPT(11), 0)
    CLEAR_BITS(mie, MEIP)
    TAKE_IN_M
    EXPECT_M(INTERRUPT(3), 0)
    CLEAR_BITS(mie, MSIP)
    TAKE_IN_M
    EXPECT_M(INTERRUPT(7), 0)
    CLEAR_BITS(mie, MTIP)
    TAKE_IN_M
    EXPECT_M(INTERRUPT(9), 0)
    CLEAR_BITS(mie, SEIP)
    TAKE_IN_M
    EXPECT_M(INTERRUPT(1), 0)
    CLEAR_BITS(mie, SSIP)
    TAKE_IN_M
    EXPECT_M(INTERRUPT(5), 0)
    external_off

    CHECK("priority in S: SEI, SSI, STI")
    SET_CSR(mideleg, SSIP | STIP | SEIP)
    SET_CSR(mie, SSIP | STIP | SEIP)
    SET_CSR(mip, SSIP | STIP | SEIP)
    RUN_U(loop)
    EXPECT_S(INTERRUPT(9), 0)
    CLEAR_BITS(mie, SEIP)
    RUN_U(loop)
    EXPECT_S(INTERRUPT(1), 0)
    CLEAR_BITS(mie, SSIP)
    RUN_U(loop)
    EXPECT_S(INTERRUPT(5), 0)

    CHECK("a delegated interrupt is taken in S from U, whatever SIE says")
    SET_CSR(mideleg, SSIP)
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    RUN_U(loop)
    EXPECT_S(INTERRUPT(1), 0)
    EXPECT_S_EPC(loop)
    EXPECT_SSTATUS(SPP, 0)
    EXPECT_M(ECALL_S, 0)

    CHECK("a delegated interrupt is taken in S from S if SIE is set")
    SET_CSR(mideleg, SSIP)
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    SET_BITS(mstatus, SIE_BIT)
    RUN_S(loop)
    EXPECT_S(INTERRUPT(1), 0)
    EXPECT_SSTATUS(SPP | SIE_BIT | SPIE, SPP | SPIE)

    CHECK("a delegated interrupt is not taken in S while SIE is clear")
    SET_CSR(mideleg, SSIP)
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    RUN_S(call)
    EXPECT_M(ECALL_S, 0)
    EXPECT_S_TRAPS(0)

    CHECK("a delegated interrupt is never taken in M")
    SET_CSR(mideleg, SSIP)
    SET_CSR(mie, SSIP)
    SET_BITS(mstatus, MIE_BIT | SIE_BIT)
    SET_CSR(mip, SSIP)
    nop
    EXPECT_M_TRAPS(0)
    EXPECT_S_TRAPS(0)

    CHECK("SIE set in S takes a pending interrupt at once")
    SET_CSR(mideleg, SSIP)
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    RUN_S(enable_in_s)
    EXPECT_S(INTERRUPT(1), 0)
    EXPECT_S_EPC(enabled_in_s)

    CHECK("sret takes an interrupt that SPIE enables, before the next instruction")
    SET_CSR(mideleg, SSIP)
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    RUN_S(sret_enable)
    EXPECT_S(INTERRUPT(1), 0)
    EXPECT_S_EPC(loop)

    CHECK("S can raise and take its own software interrupt through sip and sie")
    SET_CSR(mideleg, SSIP)
    RUN_S(own_software)
    EXPECT_S(INTERRUPT(1), 0)

    CHECK("an interrupt for M comes before one for S")
    SET_CSR(mideleg, SEIP)
    SET_CSR(mie, SEIP | STIP)
    SET_CSR(mip, SEIP | STIP)
    RUN_U(loop)
    EXPECT_M(INTERRUPT(5), 0)
    EXPECT_S_TRAPS(0)

    CHECK("delegating an interrupt does not delegate the exception of that number, nor the other way round")
    SET_CSR(mideleg, SSIP | STIP | SEIP)
    SET_CSR(medeleg, 1 << ILLEGAL)
    RUN_S(call)                             /* cause 9, the number of SEI */
    EXPECT_M(ECALL_S, 0)
    SET_CSR(mideleg, 0)
    SET_CSR(medeleg, 1 << 5)
    SET_CSR(mie, STIP)
    SET_CSR(mip, STIP)
    RUN_U(loop)
    EXPECT_M(INTERRUPT(5), 0)

    CHECK("in vectored mode interrupts go to base + 4 * cause, in M")
    la      t0, vectors
    ori     t0, t0, 1
    csrw    mtvec, t0
    li      a0, 0
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    TAKE_IN_M
    EXPECT(a0, 1)
    EXPECT_M(INTERRUPT(1), 0)
    SET_CSR(mie, MTIP)
    timer_due
    TAKE_IN_M
    EXPECT(a0, 7)

    CHECK("in vectored mode interrupts go to base + 4 * cause, in S")
    la      t0, s_vectors
    ori     t0, t0, 1
    csrw    stvec, t0
    li      a0, 0
    SET_CSR(mideleg, STIP)
    SET_CSR(mie, STIP)
    SET_CSR(mip, STIP)
    RUN_U(loop)
    EXPECT(a0, 5)
    EXPECT_S(INTERRUPT(5), 0)

    CHECK("mip: software can write SSIP, STIP and SEIP only")
    SET_CSR(mip, -1)
    EXPECT_CSR(mip, -1, SSIP | STIP | SEIP)
    csrw    mip, zero
    EXPECT_CSR(mip, -1, 0)

    CHECK("mie has six bits")
    SET_CSR(mie, -1)
    EXPECT_CSR(mie, 0xffff, SSIP | STIP | SEIP | MSIP | MTIP | MEIP)

    CHECK("mideleg has the supervisor interrupts' bits only")
    SET_CSR(mideleg, -1)
    EXPECT_CSR(mideleg, 0xffff, SSIP | STIP | SEIP)

    CHECK("sip and sie show delegated interrupts only")
    SET_CSR(mip, SSIP | STIP | SEIP)
    SET_CSR(mie, -1)
    EXPECT_CSR(sip, -1, 0)
    EXPECT_CSR(sie, -1, 0)
    SET_CSR(mideleg, STIP)
    EXPECT_CSR(sip, -1, STIP)
    EXPECT_CSR(sie, -1, STIP)

    CHECK("sie writes delegated bits only")
    SET_CSR(mie, MTIP)
    SET_CSR(mideleg, STIP)
    SET_CSR(sie, -1)
    EXPECT_CSR(mie, -1, MTIP | STIP)
    csrw    sie, zero
    EXPECT_CSR(mie, -1, MTIP)

    CHECK("sip writes SSIP only, and only if delegated")
    SET_CSR(sip, -1)
    EXPECT_CSR(mip, -1, 0)
    SET_CSR(mideleg, SSIP | STIP | SEIP)
    SET_CSR(sip, -1)
    EXPECT_CSR(mip, -1, SSIP)
    SET_CSR(mip, SSIP | STIP | SEIP)
    csrw    sip, zero
    EXPECT_CSR(mip, -1, STIP | SEIP)

    CHECK("wfi goes on when an interrupt is pending and enabled, though MIE is clear")
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    wfi
    EXPECT_M_TRAPS(0)

    CHECK("wfi waits for the timer, though MIE is clear")
    SET_CSR(mie, MTIP)
    li      t0, CLINT_MTIME
    ld      a1, (t0)
    li      t1, 1000
    add     a1, a1, t1
    li      t1, CLINT_MTIMECMP
    sd      a1, (t1)
1:  wfi
    csrr    t1, mip
    andi    t1, t1, MTIP
    beqz    t1, 1b
    ld      a2, (t0)
    sltu    a2, a2, a1
    EXPECT(a2, 0)
    EXPECT_M_TRAPS(0)

    CHECK("an interrupt that ends wfi has the epc behind it")
    SET_CSR(mie, MTIP)
    li      t0, CLINT_MTIME
    ld      a1, (t0)
    addi    a1, a1, 500
    li      t1, CLINT_MTIMECMP
    sd      a1, (t1)
    la      s9, 99f
    csrsi   mstatus, MIE_BIT
    wfi
98: j       98b
    .balign 4
99: la      s9, unexpected_trap
    EXPECT_M(INTERRUPT(7), 0)
    EXPECT_M_EPC(98b)

    CHECK("wfi in S is ended by an interrupt for M")
    SET_CSR(mie, MTIP)
    li      t0, CLINT_MTIME
    ld      a1, (t0)
    addi    a1, a1, 500
    li      t1, CLINT_MTIMECMP
    sd      a1, (t1)
    RUN_S(wait)
    EXPECT_M(INTERRUPT(7), 0)

    CHECK("wfi in S goes on for a delegated interrupt, though SIE is clear")
    SET_CSR(mideleg, STIP)
    SET_CSR(mie, STIP)
    SET_CSR(mip, STIP)
    RUN_S(wait_call)
    EXPECT_M(ECALL_S, 0)
    EXPECT_S_TRAPS(0)

    CHECK("an interrupt clears no exception's tval, and leaves its own 0")
    li      t0, HOLE
    TRY(ld t0, (t0))
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    TAKE_IN_M
    EXPECT_M(INTERRUPT(1), 0)

    FINISH

    .balign 4
loop:
    j       loop
call:
    ecall
wait:
    wfi
    j       wait
wait_call:
    wfi
    ecall
enable_in_s:
    csrsi   sstatus, SIE_BIT
enabled_in_s:
    ecall
sret_enable:
    la      t0, loop
    csrw    sepc, t0
    li      t0, SPP | SPIE
    csrs    sstatus, t0
    sret
own_software:
    csrsi   sie, SSIP
    csrsi   sstatus, SIE_BIT
    csrsi   sip, SSIP
    j       loop

    .macro  vector n, go
    li      a0, \n
    j       \go
    .endm
    .balign 256
vectors:
    j       trap_m
    j       vector1
    .rept 5
    j       trap_m
    .endr
    j       vector7
    .rept 8
    j       trap_m
    .endr
vector1:
    vector  1, trap_m
vector7:
    vector  7, trap_m
    .balign 256
s_vectors:
    .rept 5
    j       trap_s
    .endr
    j       s_vector5
    .rept 10
    j       trap_s
    .endr
s_vector5:
    vector  5, trap_s
