/* SPDX-License-Identifier: MIT */
/* Counters: values, writes, inhibition, and who may read them (privileged specification 3.1.10 to 3.1.12, 4.1.5; unprivileged 10). */
#include "harness.h"

#define CY 1
#define TM 2
#define IR 4
#define HPM3 8

#define CYCLES 1                        /* Hartwell's selectors; cycles and instructions are QEMU's, too */
#define INSTRUCTIONS 2
#define TRAPS 3

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

    CHECK("a programmable counter without an event holds what is written")
    SET_CSR(mhpmevent3, 0)
    SET_CSR(mhpmcounter3, 0x123456789abcdef0)
    nop
    csrr    t0, mhpmcounter3
    EXPECT(t0, 0x123456789abcdef0)

    CHECK("a programmable counter counts instructions, exactly, as minstret does")
    SET_CSR(mhpmevent3, INSTRUCTIONS)
    csrr    t0, mhpmcounter3
    csrr    t2, minstret
    nop
    nop
    csrr    t1, mhpmcounter3
    csrr    t3, minstret
    sub     t1, t1, t0
    EXPECT(t1, 4)
    sub     t3, t3, t2
    EXPECT(t3, 4)

    CHECK("a programmable counter counts cycles, as mcycle does")
    SET_CSR(mhpmevent18, CYCLES)
    csrr    t0, mhpmcounter18
    csrr    t2, mcycle
    li      t4, 1000
1:  addi    t4, t4, -1
    bnez    t4, 1b
    csrr    t1, mhpmcounter18
    csrr    t3, mcycle
    sub     t1, t1, t0
    sub     t3, t3, t2
    EXPECT_REG(t1, t3)

    CHECK("a programmable counter counts traps, interrupts and those to S included")
    SET_CSR(mhpmevent3, TRAPS)
    SET_CSR(mhpmcounter3, 0)
    csrr    a0, mhpmcounter3
    EXPECT(a0, 0)
    TRY(ecall)
    TRY(ebreak)
    csrr    a0, mhpmcounter3
    EXPECT(a0, 2)
    SET_CSR(medeleg, 1 << BREAKPOINT)
    RUN_S(s_ebreak)                         /* its own, and trap_s's ecall */
    csrr    a0, mhpmcounter3
    EXPECT(a0, 4)
    SET_CSR(mie, SSIP)
    SET_CSR(mip, SSIP)
    TRY(csrsi mstatus, MIE_BIT; nop)
    csrr    a0, mhpmcounter3
    EXPECT(a0, 5)

    CHECK("two counters of one event are two counters")
    SET_CSR(mhpmevent3, INSTRUCTIONS)
    SET_CSR(mhpmevent4, INSTRUCTIONS)
    li      t0, 100
    csrw    mhpmcounter3, t0
    li      t0, 1000
    csrw    mhpmcounter4, t0
    csrr    t1, mhpmcounter3
    csrr    t2, mhpmcounter4
    EXPECT(t1, 102)
    EXPECT(t2, 1001)

    CHECK("a write of a programmable counter is read back by the next instruction")
    SET_CSR(mhpmevent3, INSTRUCTIONS)
    li      t0, -2
    csrw    mhpmcounter3, t0
    csrr    t1, mhpmcounter3
    csrr    t2, mhpmcounter3
    csrr    t3, mhpmcounter3
    EXPECT(t1, -2)
    EXPECT(t2, -1)
    EXPECT(t3, 0)

    CHECK("a counter keeps its value when its event changes")
    SET_CSR(mhpmevent3, INSTRUCTIONS)
    li      t0, 500
    csrw    mhpmcounter3, t0
    csrwi   mhpmevent3, TRAPS
    csrr    t1, mhpmcounter3
    csrwi   mhpmevent3, 0
    csrr    t2, mhpmcounter3
    csrwi   mhpmevent3, INSTRUCTIONS
    csrr    t3, mhpmcounter3
    EXPECT(t1, 501)                         /* the csrwi was still counted */
    EXPECT(t2, 501)
    EXPECT(t3, 501)

    CHECK("mcountinhibit stops a programmable counter alone, and it goes on from where it stopped")
    SET_CSR(mhpmevent3, INSTRUCTIONS)
    SET_CSR(mhpmevent4, INSTRUCTIONS)
    li      t0, 300
    csrw    mhpmcounter3, t0
    csrw    mhpmcounter4, t0
    csrwi   mcountinhibit, HPM3
    csrr    t1, mhpmcounter3
    nop
    csrr    t2, mhpmcounter3
    csrr    t3, mhpmcounter4
    EXPECT(t1, 302)                         /* both csrw's behind its own write are counted */
    EXPECT(t2, 302)
    EXPECT(t3, 304)
    csrwi   mcountinhibit, 0
    csrr    t1, mhpmcounter3
    csrr    t2, mhpmcounter3
    EXPECT(t1, 302)
    EXPECT(t2, 303)

    CHECK("stopping one counter costs the others nothing")
    SET_CSR(mhpmevent4, INSTRUCTIONS)
    csrr    t0, minstret
    csrr    t1, mhpmcounter4
    csrwi   mcountinhibit, HPM3
    csrwi   mcountinhibit, 0
    csrr    t2, minstret
    csrr    t3, mhpmcounter4
    sub     t2, t2, t0
    EXPECT(t2, 4)
    sub     t3, t3, t1
    EXPECT(t3, 4)

    CHECK("a stopped counter can be written, and takes a new event")
    csrwi   mcountinhibit, HPM3
    SET_CSR(mhpmevent3, INSTRUCTIONS)
    SET_CSR(mhpmcounter3, 40)
    nop
    csrr    t0, mhpmcounter3
    SET_CSR(mhpmevent3, TRAPS)
    csrwi   mcountinhibit, 0
    TRY(ecall)
    csrr    t1, mhpmcounter3
    EXPECT(t0, 40)
    EXPECT(t1, 41)

    CHECK("mhpmevent takes an event that is counted, and none else")
    SET_CSR(mhpmevent3, TRAPS)
    csrr    t0, mhpmevent3
    EXPECT(t0, TRAPS)
    SET_CSR(mhpmevent3, 4)                  /* loads: not counted without a timing model */
    csrr    t0, mhpmevent3
    EXPECT(t0, 0)
    SET_CSR(mhpmevent3, 1000)
    csrr    t0, mhpmevent3
    EXPECT(t0, 0)
    SET_CSR(mhpmevent3, (1 << 32) + TRAPS)
    csrr    t0, mhpmevent3
    EXPECT(t0, 0)
    SET_CSR(mhpmevent3, -1)
    csrr    t0, mhpmevent3
    EXPECT(t0, 0)

    CHECK("mcountinhibit, mcounteren and scounteren have bits for 16 programmable counters")
    SET_CSR(mcountinhibit, -1)
    csrr    t0, mcountinhibit
    csrw    mcountinhibit, zero
    EXPECT(t0, 0x7fffd)
    SET_CSR(mcounteren, -1)
    csrr    t0, mcounteren
    EXPECT(t0, 0x7ffff)
    SET_CSR(scounteren, -1)
    csrr    t0, scounteren
    EXPECT(t0, 0x7ffff)

    CHECK("mhpmcounter19 to mhpmcounter31 and their events are read-only 0")
    li      t1, -1
    .irp    n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    csrw    mhpmcounter\n, t1
    csrr    t0, mhpmcounter\n
    EXPECT(t0, 0)
    csrwi   mhpmevent\n, INSTRUCTIONS
    csrr    t0, mhpmevent\n
    EXPECT(t0, 0)
    csrr    t0, hpmcounter\n
    EXPECT(t0, 0)
    .endr

    CHECK("hpmcounter is mhpmcounter")
    SET_CSR(mhpmevent3, INSTRUCTIONS)
    SET_CSR(mhpmcounter3, 7000)
    csrr    t0, mhpmcounter3
    csrr    t1, hpmcounter3
    sub     t1, t1, t0
    EXPECT(t1, 1)
    SET_CSR(mhpmevent18, 0)
    SET_CSR(mhpmcounter18, 8000)
    csrr    t0, hpmcounter18
    EXPECT(t0, 8000)

    CHECK("S may read hpmcounter only if mcounteren says so, U only if scounteren does, too")
    RUN_S(read_hpmcounter3)
    EXPECT_M(ILLEGAL, 0xc0302573)
    SET_CSR(mcounteren, HPM3)
    RUN_S(read_hpmcounter3)
    EXPECT_M(ECALL_S, 0)
    RUN_U(read_hpmcounter3)
    EXPECT_M(ILLEGAL, 0xc0302573)
    SET_CSR(scounteren, HPM3)
    RUN_U(read_hpmcounter3)
    EXPECT_M(ECALL_U, 0)
    SET_CSR(mcounteren, CY | TM | IR)
    RUN_U(read_hpmcounter3)
    EXPECT_M(ILLEGAL, 0xc0302573)

    CHECK("S and U cannot reach mhpmcounter and mhpmevent")
    RUN_S(read_mhpmcounter3)
    EXPECT_M(ILLEGAL, 0xb0302573)
    RUN_U(read_mhpmevent3)
    EXPECT_M(ILLEGAL, 0x32302573)

    CHECK("hpmcounter is read-only")
    TRY(csrw hpmcounter3, zero)
    EXPECT_M(ILLEGAL, 0xc0301073)

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
read_hpmcounter3:
    csrr    a0, hpmcounter3
    ecall
read_mhpmcounter3:
    csrr    a0, mhpmcounter3
read_mhpmevent3:
    csrr    a0, mhpmevent3
s_ebreak:
    ebreak
