/* SPDX-License-Identifier: MIT */
/*
 * The floating-point state (privileged specification 3.1.6.6), NaN boxing, NaNs, flags and rounding modes (unprivileged
 * specification, chapters 11 and 12).
 */
#include "harness.h"

#define NX 1
#define UF 2
#define OF 4
#define DZ 8
#define NV 16

#define ONE_S       0xffffffff3f800000
#define TWO_S       0xffffffff40000000
#define NAN_S       0xffffffff7fc00000
#define SNAN_S      0xffffffff7f800001
#define INF_S       0xffffffff7f800000
#define ZERO_S      0xffffffff00000000
#define NEG_ZERO_S  0xffffffff80000000
#define UNBOXED     0x000000003f800000
#define ONE_D       0x3ff0000000000000
#define TWO_D       0x4000000000000000
#define NAN_D       0x7ff8000000000000
#define SNAN_D      0x7ff0000000000001
#define INF_D       0x7ff0000000000000
#define NEG_ZERO_D  0x8000000000000000

#define FP_ON SET_BITS(mstatus, FS_INITIAL); csrw fcsr, zero

    .macro  operands a, b, c
    literal_ t0, \a
    literal_ t1, \b
    literal_ t2, \c
    fmv.d.x fa1, t0
    fmv.d.x fa2, t1
    fmv.d.x fa3, t2
    csrw    fflags, zero
    .endm

/* fa0 = instruction on fa1, fa2, fa3; then the result and the flags */
#define FP(a, b, c, result, flags, ...)                                 \
    operands a, b, c;                                                   \
    __VA_ARGS__;                                                        \
    csrr    t1, fflags; fmv.x.d t0, fa0;                                \
    EXPECT(t0, result); EXPECT(t1, flags)

/* a0 = instruction on fa1, fa2 */
#define FP_INT(a, b, result, flags, ...)                                \
    operands a, b, 0;                                                   \
    __VA_ARGS__;                                                        \
    csrr    t1, fflags;                                                 \
    EXPECT(a0, result); EXPECT(t1, flags)

    .text
    .globl program
program:
    CHECK("with FS off floating-point instructions are illegal")
    la      a0, page0
    TRY(fadd.d fa0, fa0, fa0)
    EXPECT_M(ILLEGAL, 0x02a57553)
    TRY(fadd.s fa0, fa0, fa0)
    EXPECT_M(ILLEGAL, 0x00a57553)
    TRY(fld fa0, (a0))
    EXPECT_M(ILLEGAL, 0x00053507)
    TRY(fsw fa0, (a0))
    EXPECT_M(ILLEGAL, 0x00a52027)
    TRY(fmv.x.d a0, fa0)
    EXPECT_M(ILLEGAL, 0xe2050553)
    TRY(fmv.d.x fa0, a0)
    EXPECT_M(ILLEGAL, 0xf2050553)

    CHECK("with FS off compressed floating-point instructions are illegal")
    la      s0, page0
    la      s9, 99f
    .option push
    .option rvc
98: c.fld   fa0, (s0)
    .balign 4
    .option pop
    FAIL
99: EXPECT_M(ILLEGAL, 0x2008)

    CHECK("with FS off fcsr, frm and fflags are illegal")
    TRY(csrr a0, fcsr)
    EXPECT_M(ILLEGAL, 0x00302573)
    TRY(csrr a0, frm)
    EXPECT_M(ILLEGAL, 0x00202573)
    TRY(csrw fflags, zero)
    EXPECT_M(ILLEGAL, 0x00101073)

    CHECK("FS turned off again makes the same code illegal")
    FP_ON
    RUN_S(fp_in_s)
    EXPECT_M(ECALL_S, 0)
    csrw    mstatus, zero
    RUN_S(fp_in_s)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)
    EXPECT_M_EPC(fp_in_s)

    CHECK("FS turned off again makes the same compressed code illegal")
    FP_ON
    la      s0, page0
    RUN_U(compressed_in_u)
    EXPECT_M(ECALL_U, 0)
    csrw    mstatus, zero
    RUN_U(compressed_in_u)
    EXPECT_M(ILLEGAL, 0x2008)
    EXPECT_M_EPC(compressed_in_u)
    EXPECT_STATUS(FS, 0)

    CHECK("each compressed floating-point load and store is illegal with FS off, in the middle of straight code")
    la      s0, page0
    la      sp, page0
    RUN_U(c_fld_off)
    EXPECT_M(ILLEGAL, 0x2008)
    RUN_U(c_fsd_off)
    EXPECT_M(ILLEGAL, 0xa008)
    RUN_U(c_fldsp_off)
    EXPECT_M(ILLEGAL, 0x2502)
    RUN_U(c_fsdsp_off)
    EXPECT_M(ILLEGAL, 0xa02a)

    CHECK("a floating-point result makes FS dirty")
    FP_ON
    CLEAR_BITS(mstatus, FS)
    SET_BITS(mstatus, FS_CLEAN)
    fadd.d  fa0, fa1, fa2
    EXPECT_CSR(mstatus, FS, FS)

    CHECK("a floating-point load makes FS dirty")
    SET_BITS(mstatus, FS_CLEAN)
    la      a0, page0
    fld     fa0, (a0)
    EXPECT_CSR(mstatus, FS, FS)

    CHECK("a move to a floating-point register makes FS dirty")
    SET_BITS(mstatus, FS_CLEAN)
    fmv.w.x fa0, zero
    EXPECT_CSR(mstatus, FS, FS)

    CHECK("a write of fcsr makes FS dirty")
    SET_BITS(mstatus, FS_CLEAN)
    csrw    fcsr, zero
    EXPECT_CSR(mstatus, FS, FS)

    CHECK("a comparison that raises a flag makes FS dirty")
    FP_ON
    literal_ t0, SNAN_D
    fmv.d.x fa1, t0
    csrw    fflags, zero
    CLEAR_BITS(mstatus, FS)
    SET_BITS(mstatus, FS_CLEAN)
    feq.d   a0, fa1, fa1
    csrr    a1, mstatus
    EXPECT(a0, 0)
    EXPECT_CSR(fflags, 31, NV)
    li      t0, FS
    and     a1, a1, t0
    EXPECT(a1, FS)

    CHECK("a conversion to integer that raises a flag makes FS dirty")
    FP_ON
    literal_ t0, SNAN_D
    fmv.d.x fa1, t0
    csrw    fflags, zero
    CLEAR_BITS(mstatus, FS)
    SET_BITS(mstatus, FS_CLEAN)
    fcvt.w.d a0, fa1
    csrr    a1, mstatus
    li      t0, FS
    and     a1, a1, t0
    EXPECT(a1, FS)

    CHECK("a floating-point store leaves FS clean")
    SET_BITS(mstatus, FS_CLEAN)
    la      a0, page0
    fsd     fa0, (a0)
    EXPECT_CSR(mstatus, FS, FS_CLEAN)

    CHECK("fadd.s takes an operand that is not boxed for the canonical NaN")
    FP_ON
    FP(UNBOXED, ONE_S, 0, NAN_S, 0, fadd.s fa0, fa1, fa2)
    FP(ONE_S, UNBOXED, 0, NAN_S, 0, fadd.s fa0, fa1, fa2)
    FP(UNBOXED, UNBOXED, 0, NAN_S, 0, fadd.s fa0, fa1, fa1)
    FP(ONE_S, ONE_S, 0, TWO_S, 0, fadd.s fa0, fa1, fa2)

    CHECK("an operand that is not boxed keeps its bits")
    FP_ON
    operands UNBOXED, ONE_S, 0
    fadd.s  fa0, fa1, fa2
    fmv.x.d t0, fa1
    EXPECT(t0, UNBOXED)

    CHECK("fsub.s, fmul.s, fdiv.s and fsqrt.s check boxing")
    FP_ON
    FP(UNBOXED, ONE_S, 0, NAN_S, 0, fsub.s fa0, fa1, fa2)
    FP(UNBOXED, ONE_S, 0, NAN_S, 0, fmul.s fa0, fa1, fa2)
    FP(UNBOXED, ONE_S, 0, NAN_S, 0, fdiv.s fa0, fa1, fa2)
    FP(ONE_S, UNBOXED, 0, NAN_S, 0, fdiv.s fa0, fa1, fa2)
    FP(UNBOXED, 0, 0, NAN_S, 0, fsqrt.s fa0, fa1)

    CHECK("the fused multiply-adds check boxing of all three")
    FP_ON
    FP(UNBOXED, ONE_S, ONE_S, NAN_S, 0, fmadd.s fa0, fa1, fa2, fa3)
    FP(ONE_S, UNBOXED, ONE_S, NAN_S, 0, fmsub.s fa0, fa1, fa2, fa3)
    FP(ONE_S, ONE_S, UNBOXED, NAN_S, 0, fnmsub.s fa0, fa1, fa2, fa3)
    FP(UNBOXED, UNBOXED, UNBOXED, NAN_S, 0, fnmadd.s fa0, fa1, fa2, fa3)

    CHECK("the sign injections check boxing")
    FP_ON
    FP(UNBOXED, NEG_ZERO_S, 0, 0xffffffffffc00000, 0, fsgnj.s fa0, fa1, fa2)
    FP(ONE_S, 0x80000000, 0, ONE_S, 0, fsgnj.s fa0, fa1, fa2)
    FP(UNBOXED, UNBOXED, 0, 0xffffffffffc00000, 0, fsgnjn.s fa0, fa1, fa1)
    FP(UNBOXED, UNBOXED, 0, NAN_S, 0, fsgnjx.s fa0, fa1, fa1)

    CHECK("fmin.s and fmax.s check boxing")
    FP_ON
    FP(UNBOXED, TWO_S, 0, TWO_S, 0, fmin.s fa0, fa1, fa2)
    FP(TWO_S, UNBOXED, 0, TWO_S, 0, fmax.s fa0, fa1, fa2)
    FP(UNBOXED, UNBOXED, 0, NAN_S, 0, fmin.s fa0, fa1, fa2)

    CHECK("the comparisons check boxing")
    FP_ON
    FP_INT(UNBOXED, ONE_S, 0, 0, feq.s a0, fa1, fa2)
    FP_INT(UNBOXED, TWO_S, 0, NV, flt.s a0, fa1, fa2)
    FP_INT(ONE_S, UNBOXED, 0, NV, fle.s a0, fa1, fa2)

    CHECK("fclass.s checks boxing")
    FP_ON
    FP_INT(UNBOXED, 0, 512, 0, fclass.s a0, fa1)
    FP_INT(SNAN_S, 0, 256, 0, fclass.s a0, fa1)

    CHECK("the conversions from single precision check boxing")
    FP_ON
    FP_INT(UNBOXED, 0, 0x7fffffff, NV, fcvt.w.s a0, fa1)
    FP_INT(UNBOXED, 0, -1, NV, fcvt.wu.s a0, fa1)
    FP_INT(UNBOXED, 0, 0x7fffffffffffffff, NV, fcvt.l.s a0, fa1)
    FP_INT(UNBOXED, 0, -1, NV, fcvt.lu.s a0, fa1)
    FP(UNBOXED, 0, 0, NAN_D, 0, fcvt.d.s fa0, fa1)

    CHECK("fmv.x.w and fsw take the bits as they are")
    FP_ON
    FP_INT(0x12345678bf800000, 0, 0xffffffffbf800000, 0, fmv.x.w a0, fa1)
    la      a0, page0
    fsw     fa1, (a0)
    lwu     a1, (a0)
    EXPECT(a1, 0xbf800000)

    CHECK("single-precision results are boxed")
    FP_ON
    FP(ONE_S, ONE_S, 0, TWO_S, 0, fadd.s fa0, fa1, fa2)
    FP(0, 0, 0, ONE_S, 0, li t3, 1; fcvt.s.w fa0, t3)
    FP(0, 0, 0, ONE_S, 0, li t3, 1; fcvt.s.lu fa0, t3)
    FP(ONE_D, 0, 0, ONE_S, 0, fcvt.s.d fa0, fa1)
    FP(0, 0, 0, ONE_S, 0, li t3, 0x3f800000; fmv.w.x fa0, t3)
    FP(0, 0, 0, ONE_S, 0, la t4, page0; li t3, 0x3f800000; sw t3, (t4); flw fa0, (t4))

    CHECK("results are canonical NaNs")
    FP_ON
    FP(0xffffffffffc12345, ONE_S, 0, NAN_S, 0, fadd.s fa0, fa1, fa2)
    FP(0xfff8000000001234, ONE_D, 0, NAN_D, 0, fadd.d fa0, fa1, fa2)
    FP(0xfff8000000001234, 0, 0, NAN_S, 0, fcvt.s.d fa0, fa1)

    CHECK("fmin and fmax give the number if the other is a quiet NaN")
    FP_ON
    FP(NAN_S, ONE_S, 0, ONE_S, 0, fmin.s fa0, fa1, fa2)
    FP(ONE_S, NAN_S, 0, ONE_S, 0, fmax.s fa0, fa1, fa2)
    FP(NAN_D, ONE_D, 0, ONE_D, 0, fmin.d fa0, fa1, fa2)
    FP(NAN_D, NAN_D, 0, NAN_D, 0, fmax.d fa0, fa1, fa2)

    CHECK("fmin and fmax give the number if the other is a signalling NaN, and raise NV")
    FP_ON
    FP(SNAN_S, ONE_S, 0, ONE_S, NV, fmin.s fa0, fa1, fa2)
    FP(ONE_S, SNAN_S, 0, ONE_S, NV, fmax.s fa0, fa1, fa2)
    FP(SNAN_D, ONE_D, 0, ONE_D, NV, fmin.d fa0, fa1, fa2)
    FP(ONE_D, SNAN_D, 0, ONE_D, NV, fmax.d fa0, fa1, fa2)

    CHECK("fmin and fmax of two NaNs give the canonical one, and raise NV for a signalling one")
    FP_ON
    FP(SNAN_S, NAN_S, 0, NAN_S, NV, fmin.s fa0, fa1, fa2)
    FP(SNAN_S, SNAN_S, 0, NAN_S, NV, fmax.s fa0, fa1, fa2)
    FP(NAN_D, SNAN_D, 0, NAN_D, NV, fmin.d fa0, fa1, fa2)

    CHECK("fmin and fmax order the zeros")
    FP_ON
    FP(ZERO_S, NEG_ZERO_S, 0, NEG_ZERO_S, 0, fmin.s fa0, fa1, fa2)
    FP(NEG_ZERO_S, ZERO_S, 0, ZERO_S, 0, fmax.s fa0, fa1, fa2)
    FP(0, NEG_ZERO_D, 0, NEG_ZERO_D, 0, fmin.d fa0, fa1, fa2)
    FP(NEG_ZERO_D, 0, 0, 0, 0, fmax.d fa0, fa1, fa2)

    CHECK("feq is quiet, flt and fle signal")
    FP_ON
    FP_INT(NAN_D, ONE_D, 0, 0, feq.d a0, fa1, fa2)
    FP_INT(SNAN_D, ONE_D, 0, NV, feq.d a0, fa1, fa2)
    FP_INT(NAN_D, ONE_D, 0, NV, flt.d a0, fa1, fa2)
    FP_INT(NAN_D, ONE_D, 0, NV, fle.d a0, fa1, fa2)
    FP_INT(NAN_S, ONE_S, 0, NV, fle.s a0, fa1, fa2)

    CHECK("infinity times zero plus a quiet NaN raises NV")
    FP_ON
    FP(INF_D, 0, NAN_D, NAN_D, NV, fmadd.d fa0, fa1, fa2, fa3)
    FP(0, INF_D, NAN_D, NAN_D, NV, fnmsub.d fa0, fa1, fa2, fa3)
    FP(INF_S, ZERO_S, NAN_S, NAN_S, NV, fmadd.s fa0, fa1, fa2, fa3)
    FP(INF_S, ZERO_S, UNBOXED, NAN_S, NV, fmadd.s fa0, fa1, fa2, fa3)

    CHECK("each flag is raised by what it is for")
    FP_ON
    FP(ONE_D, 0, 0, INF_D, DZ, fdiv.d fa0, fa1, fa2)
    FP(0, 0, 0, NAN_D, NV, fdiv.d fa0, fa1, fa2)
    FP(ONE_D, 0x4008000000000000, 0, 0x3fd5555555555555, NX, fdiv.d fa0, fa1, fa2)
    FP(0x7fefffffffffffff, TWO_D, 0, INF_D, OF | NX, fmul.d fa0, fa1, fa2)
    FP(0x0010000000000001, 0x3fe0000000000000, 0, 0x0008000000000000, UF | NX, fmul.d fa0, fa1, fa2)
    FP(0xbff0000000000000, 0, 0, NAN_D, NV, fsqrt.d fa0, fa1)

    CHECK("underflow is found after rounding")
    FP_ON
    FP(0x0010000000000000, 0x3fefffffffffffff, 0, 0x0010000000000000, UF | NX, fmul.d fa0, fa1, fa2)
    FP(0x001fffffffffffff, 0x3fe0000000000000, 0, 0x0010000000000000, UF | NX, fmul.d fa0, fa1, fa2)

    CHECK("flags accumulate")
    FP_ON
    operands ONE_D, 0, 0
    fdiv.d  fa0, fa1, fa2
    fdiv.d  fa0, fa2, fa2
    EXPECT_CSR(fflags, 31, DZ | NV)

    CHECK("conversions to integer saturate and raise NV alone")
    FP_ON
    FP_INT(0x41e0000000000000, 0, 0x7fffffff, NV, fcvt.w.d a0, fa1)
    FP_INT(0xbff0000000000000, 0, 0, NV, fcvt.wu.d a0, fa1)
    FP_INT(0xbfe0000000000000, 0, 0, NX, fcvt.wu.d a0, fa1, rtz)
    FP_INT(0x41efffffffe00000, 0, 0xffffffffffffffff, 0, fcvt.wu.d a0, fa1)
    FP_INT(0x43e0000000000000, 0, 0x7fffffffffffffff, NV, fcvt.l.d a0, fa1)
    FP_INT(NAN_D, 0, -1, NV, fcvt.lu.d a0, fa1)
    FP_INT(0xfff0000000000000, 0, 0xffffffff80000000, NV, fcvt.w.d a0, fa1)

    CHECK("the five rounding modes round")
    FP_ON
    FP_INT(0x4004000000000000, 0, 2, NX, fcvt.w.d a0, fa1, rne)
    FP_INT(0x4004000000000000, 0, 2, NX, fcvt.w.d a0, fa1, rtz)
    FP_INT(0x4004000000000000, 0, 2, NX, fcvt.w.d a0, fa1, rdn)
    FP_INT(0x4004000000000000, 0, 3, NX, fcvt.w.d a0, fa1, rup)
    FP_INT(0x4004000000000000, 0, 3, NX, fcvt.w.d a0, fa1, rmm)
    FP_INT(0xc004000000000000, 0, -3, NX, fcvt.w.d a0, fa1, rdn)

    CHECK("the dynamic rounding mode is frm")
    FP_ON
    csrwi   frm, 3
    FP_INT(0x4004000000000000, 0, 3, NX, fcvt.w.d a0, fa1, dyn)
    csrwi   frm, 1
    FP_INT(0x4004000000000000, 0, 2, NX, fcvt.w.d a0, fa1, dyn)

    CHECK("a dynamic rounding mode of 5, 6 or 7 is illegal")
    FP_ON
    csrwi   frm, 5
    TRY(fadd.d fa0, fa1, fa2)
    EXPECT_M(ILLEGAL, 0x02c5f553)
    csrwi   frm, 6
    TRY(fadd.s fa0, fa1, fa2)
    EXPECT_M(ILLEGAL, 0x00c5f553)
    csrwi   frm, 7
    TRY(fcvt.w.d a0, fa1, dyn)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)

    CHECK("a static rounding mode of 5 or 6 is illegal")
    FP_ON
    TRY(.word 0x02c5d553)
    EXPECT_M(ILLEGAL, 0x02c5d553)
    TRY(.word 0x00c5e553)
    EXPECT_M(ILLEGAL, 0x00c5e553)

    CHECK("an invalid frm does not matter to instructions that do not round")
    FP_ON
    csrwi   frm, 5
    fsgnj.d fa0, fa1, fa2
    fmin.s  fa0, fa1, fa2
    feq.d   a0, fa1, fa2
    fadd.d  fa0, fa1, fa2, rne
    csrwi   frm, 0

    CHECK("an illegal single-precision instruction leaves its registers alone")
    FP_ON
    operands UNBOXED, ONE_S, 0
    csrwi   frm, 5
    TRY(fadd.s fa1, fa1, fa2)
    EXPECT_M(ILLEGAL, 0x00c5f5d3)
    TRY(fadd.s fa2, fa1, fa2)
    csrwi   frm, 0
    fmv.x.d t0, fa1
    fmv.x.d t1, fa2
    EXPECT(t0, UNBOXED)
    EXPECT(t1, ONE_S)

    CHECK("an illegal instruction raises no flag")
    FP_ON
    operands SNAN_S, ONE_S, 0
    TRY(.word 0x28c5b553)                   /* fmin.s with funct3 3 */
    EXPECT_M(ILLEGAL, 0x28c5b553)
    EXPECT_CSR(fflags, 31, 0)
    operands INF_D, 0, NAN_D
    TRY(.word 0x6ac5d543)                   /* fmadd.d with rounding mode 5 */
    EXPECT_M(ILLEGAL, 0x6ac5d543)
    EXPECT_CSR(fflags, 31, 0)
    csrwi   frm, 5
    TRY(fmadd.d fa0, fa1, fa2, fa3)
    EXPECT_AT(record_m, CAUSE, ILLEGAL)
    EXPECT_CSR(fflags, 31, 0)
    csrwi   frm, 0

    CHECK("fcsr is frm and fflags")
    FP_ON
    li      t0, -1
    csrw    fcsr, t0
    EXPECT_CSR(fcsr, -1, 0xff)
    EXPECT_CSR(frm, -1, 7)
    EXPECT_CSR(fflags, -1, 31)
    csrwi   frm, 2
    csrwi   fflags, 5
    EXPECT_CSR(fcsr, -1, 0x45)
    csrw    fcsr, zero

    CHECK("a single-precision result is boxed before the next instruction reads it, in a branch's shadow too")
    FP_ON
    operands ONE_S, ONE_S, 0
    fadd.s  fa0, fa1, fa2
    fsd     fa0, page0, t0
    ld      t1, page0
    EXPECT(t1, TWO_S)
    fadd.s  fa0, fa1, fa2
    j       1f
1:  fmv.x.d t1, fa0
    EXPECT(t1, TWO_S)

    FINISH

fp_in_s:
    fadd.d  fa0, fa0, fa0
    fadd.s  fa0, fa0, fa0
    ecall
    .option push
    .option rvc
compressed_in_u:
    c.fld   fa0, (s0)
    c.fsd   fa0, (s0)
    ecall
c_fld_off:
    c.nop
    c.fld   fa0, (s0)
c_fsd_off:
    c.nop
    c.fsd   fa0, (s0)
c_fldsp_off:
    c.nop
    c.fldsp fa0, (sp)
c_fsdsp_off:
    c.nop
    c.fsdsp fa0, (sp)
    c.nop
    .option pop
