/* SPDX-License-Identifier: MIT */
/* Control and status registers: which exist, for whom, and what they can hold (privileged specification 2 to 4; Zicsr). */
#include "harness.h"

    .macro  exists from, to                 /* every CSR from..to can be read in M */
    .set    csr_number, \from
    .rept   \to - \from + 1
    csrr    t0, csr_number
    .set    csr_number, csr_number + 1
    .endr
    .endm

    .macro  missing number
    la      s9, 99f
    csrr    t0, \number
    li      s8, \number
    j       fail_reached
    .balign 4
99: la      s9, unexpected_trap
    EXPECT_AT(record_m, CAUSE, ILLEGAL)
    .endm

#define KEEPS(csr, value) literal_ t0, value; csrw csr, t0; csrr t1, csr; EXPECT_REG(t0, t1)
#define WARL(csr, write, read) literal_ t0, write; csrw csr, t0; csrr t1, csr; csrw csr, zero; EXPECT(t1, read)

    .text
    .globl program
program:
    CHECK("the machine information registers exist")
    exists  0xf11, 0xf15
    csrr    t0, mhartid
    EXPECT(t0, 0)
    csrr    t0, mconfigptr
    EXPECT(t0, 0)

    CHECK("the machine trap registers exist")
    exists  0x300, 0x306
    exists  0x340, 0x344
    csrr    t0, 0x30a                       /* menvcfg */

    CHECK("the supervisor registers exist")
    csrr    t0, 0x100
    exists  0x104, 0x106
    csrr    t0, 0x10a
    exists  0x140, 0x144
    csrr    t0, 0x180

    CHECK("the counters exist")
    exists  0xc00, 0xc02
    csrr    t0, mcycle
    csrr    t0, minstret
    csrr    t0, mcountinhibit

    CHECK("registers of extensions that are not there do not exist")
    missing 0x000                           /* ustatus (N) */
    missing 0x004
    missing 0x005
    missing 0x041
    missing 0x008                           /* vstart (V) */
    missing 0xc20
    missing 0x102                           /* sedeleg (N) */
    missing 0x14d                           /* stimecmp (Sstc) */
    missing 0x200                           /* vsstatus (H) */
    missing 0x280
    missing 0x600
    missing 0x680
    missing 0xe12
    missing 0x34a                           /* mtinst (H) */
    missing 0x34b
    missing 0x015                           /* seed (Zkr) */
    missing 0x5a8                           /* scontext */

    CHECK("registers of RV32 do not exist")
    missing 0x310                           /* mstatush */
    missing 0x31a                           /* menvcfgh */
    missing 0xc80                           /* cycleh */
    missing 0xb80                           /* mcycleh */
    missing 0xb82

    CHECK("registers of Debug Mode are illegal in M")
    missing 0x7b0
    missing 0x7b1
    missing 0x7b2

    CHECK("numbers without a register are illegal")
    missing 0x302 + 0x100
    missing 0x7ff
    missing 0x5c0
    missing 0x9c0
    missing 0xfff
    missing 0xcc0

    CHECK("registers of older specifications do not exist")
    missing 0x321                           /* mscounteren (1.9) */
    missing 0x380                           /* mbase (1.9) */
    missing 0x385

    CHECK("S cannot reach M's registers")
    RUN_S(read_mstatus)
    EXPECT_M(ILLEGAL, 0x30002573)
    RUN_S(read_mhartid)
    EXPECT_M(ILLEGAL, 0xf1402573)
    RUN_S(write_mscratch)
    EXPECT_M(ILLEGAL, 0x34051073)

    CHECK("U cannot reach S's and M's registers")
    RUN_U(read_sstatus)
    EXPECT_M(ILLEGAL, 0x10002573)
    RUN_U(read_satp)
    EXPECT_M(ILLEGAL, 0x18002573)
    RUN_U(read_mstatus)
    EXPECT_M(ILLEGAL, 0x30002573)

    CHECK("S reaches its own registers")
    RUN_S(use_s_registers)
    EXPECT_M(ECALL_S, 0)

    CHECK("a write of a read-only register is illegal, and writes nothing to rd")
    li      a0, 5
    TRY(csrrw a0, mhartid, zero)
    EXPECT_M(ILLEGAL, 0xf1401573)
    EXPECT(a0, 5)
    TRY(csrrwi a0, mvendorid, 0)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)
    li      a1, 1
    TRY(csrrs a0, mhartid, a1)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)
    TRY(csrrc a0, mhartid, a1)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)
    TRY(csrrsi a0, mhartid, 1)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)

    CHECK("csrrs and csrrc with x0, and csrrsi and csrrci with 0, do not write")
    csrrs   a0, mhartid, zero
    csrrc   a0, mhartid, zero
    csrrsi  a0, mhartid, 0
    csrrci  a0, mhartid, 0

    CHECK("csrrs of a read-only register with a register that holds 0 is illegal: it is a write")
    li      a1, 0
    TRY(csrrs a0, mhartid, a1)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)

    CHECK("the six CSR instructions do what they say")
    li      t1, 0xf0
    csrw    mscratch, t1
    li      t2, 0x0f
    csrrs   t3, mscratch, t2
    EXPECT(t3, 0xf0)
    li      t2, 0x81
    csrrc   t3, mscratch, t2
    EXPECT(t3, 0xff)
    csrrw   t3, mscratch, t2
    EXPECT(t3, 0x7e)
    csrrwi  t3, mscratch, 21
    EXPECT(t3, 0x81)
    csrrsi  t3, mscratch, 10
    EXPECT(t3, 21)
    csrrci  t3, mscratch, 3
    EXPECT(t3, 31)
    csrr    t3, mscratch
    EXPECT(t3, 28)
    csrrw   t2, mscratch, t2                /* rd = rs1 */
    EXPECT(t2, 28)
    csrr    t3, mscratch
    EXPECT(t3, 0x81)

    CHECK("mscratch, mcause, mtval, sscratch and stval hold 64 bits")
    KEEPS(mscratch, 0x8123456789abcdef)
    KEEPS(mtval, 0x8123456789abcdef)
    KEEPS(sscratch, 0x8123456789abcdef)
    KEEPS(stval, 0x8123456789abcdef)

    CHECK("mcause and scause hold every cause")
    KEEPS(mcause, 15)
    KEEPS(mcause, INTERRUPT(11))
    KEEPS(scause, 15)
    KEEPS(scause, INTERRUPT(9))

    CHECK("mepc and sepc have bit 0 clear, and bit 1 not")
    WARL(mepc, -1, -2)
    WARL(sepc, -1, -2)

    CHECK("mtvec and stvec hold direct and vectored mode, and no other")
    KEEPS(mtvec, 0x80001000)
    KEEPS(mtvec, 0x80001001)
    KEEPS(stvec, 0xffffffff80001000)
    KEEPS(stvec, 0xffffffff80001001)
    li      t0, 0x80002002
    csrw    mtvec, t0
    csrr    t1, mtvec
    andi    t1, t1, 2
    EXPECT(t1, 0)
    li      t0, 0x80002003
    csrw    stvec, t0
    csrr    t1, stvec
    andi    t1, t1, 2
    EXPECT(t1, 0)
    la      t0, trap_m
    csrw    mtvec, t0

    CHECK("misa says RV64IMAFDCSU, and stays so")
    csrr    t0, misa
    csrw    misa, zero
    csrr    t1, misa
    EXPECT(t0, (2 << 62) | 0x14112d)
    EXPECT_REG(t0, t1)

    CHECK("medeleg cannot delegate what no lower mode raises")
    literal_ t0, -1
    csrw    medeleg, t0
    csrr    t1, medeleg
    csrw    medeleg, zero
    li      t2, (1 << 11) | (1 << 14)
    and     t1, t1, t2
    EXPECT(t1, 0)

    CHECK("mcounteren and scounteren have CY, TM and IR")
    literal_ t0, -1
    csrw    mcounteren, t0
    csrr    t1, mcounteren
    csrw    scounteren, t0
    csrr    t2, scounteren
    csrw    mcounteren, zero
    csrw    scounteren, zero
    andi    t1, t1, 7
    andi    t2, t2, 7
    EXPECT(t1, 7)
    EXPECT(t2, 7)

    CHECK("menvcfg and senvcfg have FIOM")
    li      t0, 1
    csrw    menvcfg, t0
    csrr    t1, menvcfg
    EXPECT(t1, 1)
    csrw    senvcfg, t0
    csrr    t1, senvcfg
    EXPECT(t1, 1)

    CHECK("menvcfg has no STCE and no PBMTE")
    SET_CSR(menvcfg, 3 << 62)
    csrr    t1, menvcfg
    srli    t1, t1, 62
    EXPECT(t1, 0)

    CHECK("the trigger registers show that there are no triggers")
    csrw    tselect, zero
    csrr    t0, tdata1
    srli    t0, t0, 60
    EXPECT(t0, 0)

    FINISH

    .balign 4
read_mstatus:
    csrr    a0, mstatus
read_mhartid:
    csrr    a0, mhartid
write_mscratch:
    csrw    mscratch, a0
read_sstatus:
    csrr    a0, sstatus
read_satp:
    csrr    a0, satp
use_s_registers:
    csrrw   a0, sstatus, zero
    csrrw   a0, sie, zero
    csrrw   a0, stvec, zero
    csrw    stvec, a0
    csrrw   a0, scounteren, zero
    csrrw   a0, senvcfg, zero
    csrrw   a0, sscratch, zero
    csrrw   a0, sepc, zero
    csrrw   a0, scause, zero
    csrrw   a0, stval, zero
    csrrw   a0, sip, zero
    csrrw   a0, satp, zero
    ecall
