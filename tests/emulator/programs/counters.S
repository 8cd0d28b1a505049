/* SPDX-License-Identifier: MIT */
/* Counters: values, writes, inhibition, and who may read them (privileged specification 3.1.10 to 3.1.12, 4.1.5; unprivileged 10). */
#include "harness.h"

#define CY 1
#define TM 2
#define IR 4

    .text
    .globl program
program:
    CHECK("minstret counts instructions, exactly")
    csrr    t0, minstret
    nop
    nop
    nop
    csrr    t1, minstret
    sub     t1, t1, t0
    EXPECT(t1, 4)

    CHECK("minstret counts compressed instructions and branches alike")
    .option push
    .option rvc
    csrr    t0, minstret
    c.nop
    c.nop
    j       1f
    c.nop
1:  beqz    zero, 2f
    c.nop
2:  csrr    t1, minstret
    .balign 4
    .option pop
    sub     t1, t1, t0
    EXPECT(t1, 5)

    CHECK("an instruction that traps is not retired")
    csrr    a0, minstret
    TRY(ld a1, (zero))                      /* 2 for la; trap; handler; 2 for la */
    csrr    a1, minstret
    sub     a1, a1, a0
    csrr    a2, minstret
    la      s9, 99f                         /* the same with a jump in place of the trap */
    j       trap_m
    .balign 4
99: la      s9, unexpected_trap
    csrr    a3, minstret
    sub     a3, a3, a2
    sub     a1, a3, a1
    EXPECT(a1, 1)

    CHECK("ecall and ebreak count, though they trap")
    csrr    a0, minstret
    TRY(ecall)
    csrr    a1, minstret
    TRY(ebreak)
    csrr    a2, minstret
    la      s9, 99f
    j       trap_m
    .balign 4
99: la      s9, unexpected_trap
    csrr    a3, minstret
    sub     a3, a3, a2
    sub     a2, a2, a1
    sub     a1, a1, a0
    EXPECT_REG(a1, a3)
    EXPECT_REG(a2, a3)

    CHECK("a write of minstret is read back by the next instruction")
    li      t0, 1000
    csrw    minstret, t0
    csrr    t1, minstret
    csrr    t2, minstret
    EXPECT(t1, 1000)
    EXPECT(t2, 1001)

    CHECK("minstret is 64 bits wide")
    li      t0, -2
    csrw    minstret, t0
    csrr    t1, minstret
    csrr    t2, minstret
    csrr    t3, minstret
    EXPECT(t1, -2)
    EXPECT(t3, 0)

    CHECK("instret is minstret")
    SET_CSR(minstret, 5000)
    csrr    t0, minstret
    csrr    t1, instret
    sub     t1, t1, t0
    EXPECT(t1, 1)

    CHECK("mcycle can be written, and goes on")
    li      t0, 0x123456789abc
    csrw    mcycle, t0
    csrr    t1, mcycle
    csrr    t2, mcycle
    sub     t3, t1, t0
    sltiu   t3, t3, 1000
    EXPECT(t3, 1)
    sltu    t3, t1, t2
    EXPECT(t3, 1)

    CHECK("cycle is mcycle")
    SET_CSR(mcycle, 0x7000000000)
    csrr    t0, mcycle
    csrr    t1, cycle
    sub     t1, t1, t0
    sltiu   t1, t1, 1000
    EXPECT(t1, 1)

    CHECK("mcountinhibit stops minstret alone")
    SET_CSR(mcountinhibit, IR)
    csrr    t0, minstret
    csrr    t2, mcycle
    nop
    nop
    csrr    t1, minstret
    csrr    t3, mcycle
    EXPECT_REG(t0, t1)
    sltu    t3, t2, t3
    EXPECT(t3, 1)

    CHECK("mcountinhibit stops mcycle alone")
    SET_CSR(mcountinhibit, CY)
    csrr    t0, mcycle
    csrr    t2, minstret
    nop
    nop
    csrr    t1, mcycle
    csrr    t3, minstret
    EXPECT_REG(t0, t1)
    sub     t3, t3, t2
    EXPECT(t3, 4)

    CHECK("a stopped counter goes on from where it stopped")
    SET_CSR(mcountinhibit, IR)
    li      t0, 77
    csrw    minstret, t0
    nop
    nop
    csrw    mcountinhibit, zero
    csrr    t1, minstret
    sltiu   t2, t1, 79
    EXPECT(t2, 1)
    sltiu   t2, t1, 77
    EXPECT(t2, 0)

    CHECK("time cannot be stopped: mcountinhibit has no TM")
    SET_CSR(mcountinhibit, -1)
    csrr    t0, mcountinhibit
    csrw    mcountinhibit, zero
    andi    t0, t0, 7
    EXPECT(t0, CY | IR)

    CHECK("M reads cycle, time and instret whatever mcounteren says")
    csrr    t0, cycle
    csrr    t0, time
    csrr    t0, instret

    CHECK("S may read a counter only if mcounteren says so")
    RUN_S(read_cycle)
    EXPECT_M(ILLEGAL, 0xc0002573)
    RUN_S(read_time)
    EXPECT_M(ILLEGAL, 0xc0102573)
    RUN_S(read_instret)
    EXPECT_M(ILLEGAL, 0xc0202573)
    SET_CSR(mcounteren, CY)
    RUN_S(read_cycle)
    EXPECT_M(ECALL_S, 0)
    RUN_S(read_time)
    EXPECT_M(ILLEGAL, 0xc0102573)
    SET_CSR(mcounteren, TM)
    RUN_S(read_time)
    EXPECT_M(ECALL_S, 0)
    RUN_S(read_instret)
    EXPECT_M(ILLEGAL, 0xc0202573)
    SET_CSR(mcounteren, IR)
    RUN_S(read_instret)
    EXPECT_M(ECALL_S, 0)

    CHECK("U may read a counter only if mcounteren and scounteren say so")
    SET_CSR(mcounteren, CY | TM | IR)
    RUN_U(read_cycle)
    EXPECT_M(ILLEGAL, 0xc0002573)
    RUN_U(read_time)
    EXPECT_M(ILLEGAL, 0xc0102573)
    SET_CSR(scounteren, CY)
    RUN_U(read_cycle)
    EXPECT_M(ECALL_U, 0)
    RUN_U(read_time)
    EXPECT_M(ILLEGAL, 0xc0102573)
    SET_CSR(scounteren, TM)
    RUN_U(read_time)
    EXPECT_M(ECALL_U, 0)
    SET_CSR(mcounteren, 0)
    RUN_U(read_time)
    EXPECT_M(ILLEGAL, 0xc0102573)
    SET_CSR(mcounteren, IR)
    SET_CSR(scounteren, IR)
    RUN_U(read_instret)
    EXPECT_M(ECALL_U, 0)

    CHECK("scounteren does not bind S")
    SET_CSR(mcounteren, CY | TM | IR)
    RUN_S(read_time)
    EXPECT_M(ECALL_S, 0)

    CHECK("S and U cannot reach mcycle and minstret")
    RUN_S(read_mcycle)
    EXPECT_M(ILLEGAL, 0xb0002573)
    RUN_U(read_minstret)
    EXPECT_M(ILLEGAL, 0xb0202573)

    CHECK("cycle, time and instret are read-only")
    TRY(csrw cycle, zero)
    EXPECT_M(ILLEGAL, 0xc0001073)
    TRY(csrw time, zero)
    EXPECT_M(ILLEGAL, 0xc0101073)
    TRY(csrrwi a0, instret, 1)
    EXPECT_M(ILLEGAL, 0xc020d573)

    CHECK("time is mtime")
    li      t0, CLINT_MTIME
    li      a1, 100
1:  ld      t1, (t0)
    csrr    t2, time
    ld      t3, (t0)
    bltu    t2, t1, 2f
    bltu    t3, t2, 2f
    addi    a1, a1, -1
    bnez    a1, 1b
    j       3f
2:  FAIL
3:

    CHECK("time follows a write of mtime")
    li      t0, CLINT_MTIME
    li      t1, 0x1000000000
    sd      t1, (t0)
    csrr    t2, time
    sub     t2, t2, t1
    li      t3, 1000000
    sltu    t2, t2, t3
    EXPECT(t2, 1)

    CHECK("the programmable counters and their events exist")
    csrr    t0, mhpmcounter3
    csrr    t0, mhpmcounter18
    csrr    t0, mhpmevent3
    csrr    t0, mhpmevent18

    FINISH

    .balign 4
read_cycle:
    csrr    a0, cycle
    ecall
read_time:
    csrr    a0, time
    ecall
read_instret:
    csrr    a0, instret
    ecall
read_mcycle:
    csrr    a0, mcycle
read_minstret:
    csrr    a0, minstret
